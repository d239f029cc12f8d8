#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stub, Trireme and load together for a second: the report is whole, the counts on both ends agree, nothing fails. And
one tiny experiment through the lab. How fast it is, is nobody's business here."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import stage  # noqa: E402
from experiment import Experiment  # noqa: E402

BENCH = pathlib.Path(os.environ.get("TRIREME_BENCH_DIR", HERE.parent.parent / "build/release/bench"))
TOOLS = {name: BENCH / name for name in ("trireme-load", "trireme-stub", "trireme-floor")}
TOOLS["trireme"] = pathlib.Path(os.environ.get("TRIREME_BINARY", BENCH.parent / "trireme"))
ERRORS = "query BEGIN;;query SELECT 1;;query /*stub error=40001*/ SELECT 2;;query COMMIT"


class Smoke(unittest.TestCase):
    def setUp(self):
        self.stage = stage.Stage(TOOLS)
        self.addCleanup(self.stage.stop)

    def start(self, name, **workload):
        """The port to load; ends in self.counts()."""
        experiment = Experiment({"name": "smoke", "poolers": [{"name": name}],
                                 "workloads": [{"name": "w", "pool": 4, "cores": 2} | workload]})
        run = experiment.runs()[0]
        self.backend = self.stage.start_backend(run.workload.get("backend", {}), 100, None)
        self.pooler = self.stage.start_pooler(run, self.backend)
        return (self.pooler or self.backend).port

    def load(self, port, *arguments, seconds="300ms"):
        argv = [str(TOOLS["trireme-load"]), "--port", str(port), "--clients", "12", "--threads", "2",
                "--warmup", "50ms", "--duration", seconds, "--progress", "0", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["not_connected"], 0)
        return report

    def counts(self):
        """What the stub has counted; all ends."""
        if self.pooler:
            self.assertEqual(self.stage.end(self.pooler), 0, self.pooler.last_words())
        self.assertEqual(self.stage.end(self.backend), 0, self.backend.last_words())
        return json.loads(self.backend.counts.read_text())

    def assert_sound(self, report):
        self.assertEqual(report["errors"], {})
        self.assertEqual(report["whole"]["failed"], 0)
        self.assertGreater(report["measured"]["transactions"], 0)
        latency = report["latency"]
        self.assertEqual(sum(count for _, count in latency["buckets"]), latency["count"])
        self.assertLessEqual(latency["p50_us"], latency["p99_us"])
        self.assertLessEqual(latency["p99_us"], latency["max_us"])
        fairness = report["fairness"]
        self.assertEqual(fairness["clients"], 12)
        self.assertAlmostEqual(fairness["mean"] * 12, report["measured"]["transactions"], delta=0.001)
        self.assertTrue(1 / 12 <= fairness["jain"] <= 1)

    def test_every_statement_is_counted_on_both_ends(self):
        for pooler in ("trireme", "floor", "direct"):
            with self.subTest(pooler):
                report = self.load(self.start(pooler), "--script", "mixed", "--script", "pipelined", seconds="1s")
                self.assert_sound(report)
                counts = self.counts()
                self.assertEqual(counts["statements"], report["whole"]["statements"])
                self.assertEqual(counts["rows"], report["whole"]["rows"])
                self.assertEqual(counts["errors"], 0)
                if pooler == "trireme":
                    self.assertLessEqual(counts["open_max"], 4)

    def test_bulk_both_ways(self):
        port = self.start("trireme")
        self.assert_sound(self.load(port, "--script-text", "copy-in 300k 100 COPY t FROM STDIN"))
        rows = "query /*stub rows=5000 bytes=100*/ "
        report = self.load(port, "--script-text", f"{rows}SELECT 1;;{rows}COPY t TO STDOUT")
        self.assert_sound(report)
        self.assertEqual(report["whole"]["rows"], report["whole"]["transactions"] * 10_000)
        self.counts()

    def test_open_loop_waits_are_part_of_the_latency(self):
        port = self.start("trireme", backend={"service": "20ms"})
        # Twelve clients on four servers: 200 a second at most, and far more are wanted.
        report = self.load(port, "--rate", "2000", "--drain", "100ms")
        self.assertGreater(report["unfinished"], 0)
        self.assertGreater(report["latency"]["p50_us"], 20_000)
        self.counts()

    def test_clients_that_come_and_go(self):
        report = self.load(self.start("trireme"), "--reconnect", "0.5", "--idle-clients", "20")
        self.assert_sound(report)
        self.assertGreater(report["whole"]["connections"], 32)
        self.assertGreater(report["connect"]["count"], 0)
        self.counts()

    def test_passwords(self):
        for method in ("scram-sha-256", "md5"):
            with self.subTest(method):
                port = self.start("trireme", auth=method)
                self.assert_sound(self.load(port, "--password", stage.PASSWORD))
                self.counts()

    def test_errors_are_told_by_sqlstate_and_rolled_back(self):
        report = self.load(self.start("trireme"), "--script-text", ERRORS)
        self.assertEqual(report["measured"]["transactions"], 0)
        self.assertEqual(list(report["errors"]), ["40001"])
        self.assertGreaterEqual(report["errors"]["40001"], report["measured"]["failed"])
        self.counts()

    def test_the_lab_runs_an_experiment_and_resumes_it(self):
        definition = {"name": "tiny", "repeats": 1, "baseline": "direct", "metrics": ["tps", "p99", "cpu", "turns"],
                      "defaults": {"pool": 2, "load": {"clients": 4, "warmup": "50ms", "duration": "200ms"}},
                      "poolers": [{"name": "direct"}, {"name": "trireme"},
                                  {"name": "nobody", "kind": "command", "command": ["/nonexistent"]},
                                  {"name": "refused", "kind": "trireme", "config": {"sharing": {"policy": "x"}}}],
                      "workloads": [{"name": "simple"}]}
        with tempfile.TemporaryDirectory() as folder:
            path, out = pathlib.Path(folder, "tiny.json"), pathlib.Path(folder, "out")
            path.write_text(json.dumps(definition))
            argv = [sys.executable, "-B", str(HERE / "lab"), "run", str(path), "--out", str(out), "--build",
                    str(BENCH.parent), "--trireme", str(TOOLS["trireme"])]
            for again in (False, True):
                done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual("runs are in" in done.stderr, again)
            records = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
            by_pooler = {record["pooler"]: record for record in records}
            self.assertEqual(set(by_pooler), {"direct", "trireme", "nobody", "refused"})
            self.assertGreater(by_pooler["trireme"]["load"]["measured"]["transactions"], 0)
            self.assertGreater(by_pooler["trireme"]["shards"][0]["turns"], 0)
            self.assertIn("skipped", by_pooler["nobody"])
            self.assertIn("policy", by_pooler["refused"]["skipped"])
            self.assertIn("transactions/s", (out / "report.txt").read_text())
            self.assertIn("<svg", (out / "report.html").read_text())

    def test_the_lab_runs_a_study_beside_what_is_measured(self):
        definition = {"name": "tiny", "repeats": 1, "scale": "cores", "parameters": {"cores": [1, 2]},
                      "metrics": ["tps", "wait_p99", "steals", "mails"],
                      "defaults": {"study": {"clients_per_core": 8, "servers_per_core": 2, "warmup": 2,
                                             "transactions": 300}, "backend": {"service": "exp:200us"}},
                      "poolers": [{"name": "steal", "kind": "study"},
                                  {"name": "isolated", "kind": "study",
                                   "config": {"sharing": {"policy": "isolated"}}},
                                  {"name": "refused", "kind": "study", "config": {"sharing": {"policy": "x"}}}],
                      "workloads": [{"name": "skewed", "study": {"hot_share": 0.9}}]}
        with tempfile.TemporaryDirectory() as folder:
            path, out = pathlib.Path(folder, "tiny.json"), pathlib.Path(folder, "out")
            path.write_text(json.dumps(definition))
            argv = [sys.executable, "-B", str(HERE / "lab"), "run", str(path), "--out", str(out), "--build",
                    str(BENCH.parent), "--trireme", str(TOOLS["trireme"])]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            records = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
            self.assertEqual(len(records), 6)
            if any("has no marks" in record.get("skipped", "") for record in records):
                self.skipTest("built without marks")
            for record in records:
                if record["pooler"] == "refused":
                    self.assertIn("is none of", record["skipped"])
                    continue
                self.assertGreaterEqual(record["load"]["measured"]["transactions"], 300, record)
                self.assertEqual(len(record["shards"]), record["parameters"]["cores"])
            self.assertIn("waiting p99", (out / "report.txt").read_text())
            self.assertIn("<svg", (out / "report.html").read_text())


if __name__ == "__main__":
    unittest.main()
