// SPDX-License-Identifier: GPL-3.0-or-later
//
// The frame of node's scenarios: check(name, work) registers one, run() runs them in that order and prints what run.py
// reads. A check fails by throwing, or by not ending in time. What it opened is closed after it, however it ended.
'use strict';

const assert = require('node:assert/strict');
const { createRequire } = require('node:module');
const path = require('node:path');

const CHECK_MS_MAX = 20000;
const CLIENTS = 12; // three times the servers of the pool
const ROUNDS = 20; // transactions after which a client has surely met every server of the pool

const checks = [];
let onStrayError = () => {};
const opened = []; // functions that close what the running check opened

function check(name, work) {
  checks.push({ name, work });
}

function closeAtEnd(close) {
  opened.push(close);
}

// The driver from where tools/drivers-setup put it; ends the scenario when it is not there.
function driver(name) {
  try {
    return createRequire(path.join(__dirname, '../../../build/drivers/node/'))(name);
  } catch (error) {
    console.log(`absent\t${error.message.split('\n')[0]}`);
    return process.exit(0);
  }
}

async function fails(work, code) {
  try {
    await work;
  } catch (error) {
    if (code) assert.equal(error.code, code, error.message);
    return error;
  }
  throw new Error('no error');
}

async function until(condition, what, milliseconds = 3000) {
  const deadline = Date.now() + milliseconds;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${milliseconds} ms`);
    await sleep(10);
  }
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const times = (count, make) => Promise.all(Array.from({ length: count }, (_, index) => make(index)));

async function runOne({ work }) {
  let alarm;
  const late = new Promise((_, reject) => {
    alarm = setTimeout(() => reject(new Error(`no end within ${CHECK_MS_MAX} ms`)), CHECK_MS_MAX);
    // An error that no caller waits for fails the check that runs, unless it tells of what closeAtEnd has closed.
    onStrayError = (error) => { if (error?.code !== 'CONNECTION_DESTROYED') reject(error); };
  });
  late.catch(() => {});
  try {
    await Promise.race([work(), late]);
    return '';
  } catch (error) {
    return String((error && error.stack) || error).split('\n').filter((line) => !line.includes('node_modules')).slice(0, 6).join('\n');
  } finally {
    clearTimeout(alarm);
    onStrayError = () => {};
    const closing = Promise.allSettled(opened.splice(0).map((close) => close()));
    await Promise.race([closing, sleep(1000)]);
  }
}

async function run() {
  process.on('unhandledRejection', (error) => onStrayError(error));
  process.on('uncaughtException', (error) => onStrayError(error));
  for (const each of checks) {
    if (!each.name.includes(process.env.DRIVERS_ONLY || '')) continue;
    const begin = Date.now();
    const story = (await runOne(each)).replaceAll('\t', ' ').replaceAll('\n', '\\n');
    console.log(story ? `failed\t${each.name}\t${Date.now() - begin}\t${story}` : `ok\t${each.name}\t${Date.now() - begin}`);
  }
  console.log('done');
  process.exit(0);
}

module.exports = { CLIENTS, ROUNDS, assert, check, closeAtEnd, driver, fails, run, sleep, times, until };
