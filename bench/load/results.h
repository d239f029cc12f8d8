// SPDX-License-Identifier: GPL-3.0-or-later
//
// What one thread of the load saw. A plain value: written by its thread, read by the main thread
// when that has ended; only Interval crosses between them while they run, under its mutex.
//
//   measured   between the end of the warm-up and the end of the duration
//   whole      from the first connection to the last
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "engine/latency.h"

namespace trireme::bench {

struct LoadTotals {
  uint64_t connections = 0;   // logged in
  uint64_t transactions = 0;  // runs that ended well
  uint64_t failed = 0;        // runs that did not
  uint64_t statements = 0;    // answered: CommandComplete and its like
  uint64_t rows = 0;          // DataRow and CopyData received
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;

  void Add(const LoadTotals& other) {
    connections += other.connections;
    transactions += other.transactions;
    failed += other.failed;
    statements += other.statements;
    rows += other.rows;
    bytes_received += other.bytes_received;
    bytes_sent += other.bytes_sent;
  }
  LoadTotals Since(const LoadTotals& before) const {
    return {connections - before.connections,
            transactions - before.transactions,
            failed - before.failed,
            statements - before.statements,
            rows - before.rows,
            bytes_received - before.bytes_received,
            bytes_sent - before.bytes_sent};
  }
};

struct LoadResults {
  LoadTotals whole;
  LoadTotals measured;
  std::vector<Latency> latency;  // by script: runs that should have begun while measuring
  Latency connect;               // from connect() to the first ReadyForQuery, while measuring
  std::map<std::string, uint64_t> errors;  // by SQLSTATE, or what happened; whole
  std::vector<uint64_t> by_client;         // measured, of working clients
  uint64_t unfinished = 0;     // begun while measuring, not ended by the end of the drain
  uint64_t dropped = 0;        // open loop: no room to wait
  uint64_t not_connected = 0;  // when measuring began
  double cpu_seconds = 0;      // of the thread, measured
  double seconds = 0;          // how long it measured
};

// What happened since the main thread looked last.
struct Interval {
  std::mutex mutex;
  Latency latency;
  uint64_t transactions = 0;
  uint64_t failed = 0;
};

// Jain's index: 1 = all alike, 1/n = one has everything; 1 of nothing.
double JainIndex(const std::vector<uint64_t>& values);

}  // namespace trireme::bench
