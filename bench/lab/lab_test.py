#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure parts of the lab: reading experiments, unfolding them, statistics, measures, plots and the report."""

import json
import pathlib
import random
import sys
import tempfile
import unittest
import xml.dom.minidom

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import noise  # noqa: E402
import plots  # noqa: E402
import report  # noqa: E402
import stage  # noqa: E402
import study  # noqa: E402
import watch  # noqa: E402
import wire  # noqa: E402
from experiment import Experiment, ExperimentError, merge, put, shortened  # noqa: E402
from measures import BY_KEY, MEASURES, doubts  # noqa: E402


def small(**changes):
    definition = {"name": "small", "poolers": [{"name": "pgbouncer"}, {"name": "trireme"}],
                  "workloads": [{"name": "one"}], "repeats": 2, "baseline": "pgbouncer"}
    return Experiment(merge(definition, changes))


class Noise(unittest.TestCase):
    def test_ratios_are_taken_within_rounds(self):
        self.assertEqual(noise.paired_ratios({0: 20, 1: 60, 2: 5}, {0: 10, 1: 20, 3: 1}), [2, 3])
        self.assertEqual(noise.paired_ratios({0: 1}, {0: 0}), [])

    def test_the_interval_holds_the_median_and_shrinks_with_rounds(self):
        chance = random.Random(1)
        widths = []
        for count in (5, 50, 500):
            middle, low, high = noise.bootstrap_median([chance.gauss(2, 0.3) for _ in range(count)])
            self.assertLessEqual(low, middle)
            self.assertLessEqual(middle, high)
            widths.append(high - low)
        self.assertGreater(widths[0], widths[2])

    def test_one_round_has_no_interval_and_proves_nothing(self):
        self.assertEqual(noise.bootstrap_median([1.5]), (1.5, None, None))
        self.assertIsNone(noise.bootstrap_median([]))
        self.assertEqual(noise.verdict((1.5, None, None), "more"), "?")

    def test_a_verdict_needs_an_interval_without_one(self):
        self.assertEqual(noise.verdict((1.1, 0.9, 1.2), "more"), "same")
        self.assertEqual(noise.verdict((1.1, 1.05, 1.2), "more"), "better")
        self.assertEqual(noise.verdict((1.1, 1.05, 1.2), "less"), "worse")

    def test_histograms_add_up(self):
        merged = noise.merge_buckets([[[10, 1], [20, 2]], [[20, 3], [40, 4]]])
        self.assertEqual(merged, [(10, 1), (20, 5), (40, 4)])
        self.assertEqual(noise.percentile(merged, 0.5), 20)
        self.assertEqual(noise.percentile(merged, 1), 40)
        self.assertIsNone(noise.percentile([], 0.5))

    def test_quantiles_lie_between_ranks(self):
        self.assertEqual(noise.quantile([1, 2, 3, 4], 0.5), 2.5)
        self.assertEqual(noise.quantile([7], 0.9), 7)

    def test_jain(self):
        self.assertEqual(noise.jain([3, 3, 3]), 1)
        self.assertEqual(noise.jain([4, 0, 0, 0]), 0.25)


class Experiments(unittest.TestCase):
    def test_every_ready_one_is_sound_also_shortened(self):
        paths = sorted((HERE / "experiments").glob("*.json"))
        self.assertGreaterEqual(len(paths), 9)
        for path in paths:
            for tour in (False, True):
                experiment = Experiment.read(path, tour)
                self.assertEqual(experiment.name, path.stem)
                self.assertTrue(experiment.runs())
                for key in experiment.definition.get("metrics", []):
                    self.assertIn(key, BY_KEY, path)
                keys = [run.key for run in experiment.runs()]
                self.assertEqual(len(set(keys)), len(keys), path)

    def test_poolers_of_a_round_run_next_to_each_other_and_take_turns_at_the_first_place(self):
        order = [(run.round, run.pooler["name"]) for run in small().runs()]
        self.assertEqual(order, [(0, "pgbouncer"), (0, "trireme"), (1, "trireme"), (1, "pgbouncer")])

    def test_a_grid_reaches_into_workloads_and_configurations(self):
        experiment = small(parameters={"load.clients": [1, 2], "config.sharing.fairness_window": ["0", "1ms"]})
        runs = [run for run in experiment.runs() if run.round == 0]
        self.assertEqual(len([run for run in runs if run.pooler["name"] == "trireme"]), 4)
        # PgBouncer has no fairness window: once for each number of clients.
        self.assertEqual(len([run for run in runs if run.pooler["name"] == "pgbouncer"]), 2)
        self.assertEqual(runs[0].workload["load"]["clients"], 1)
        windows = {run.pooler.get("config", {}).get("sharing", {}).get("fairness_window") for run in runs
                   if run.pooler["name"] == "trireme"}
        self.assertEqual(windows, {"0", "1ms"})

    def test_a_changed_definition_is_another_run(self):
        one, other = small().runs()[0], small(defaults={"pool": 7}).runs()[0]
        self.assertEqual(one.cell, other.cell)
        self.assertNotEqual(one.key, other.key)

    def test_says_what_is_wrong(self):
        for changes, expected in (
                ({"workloads": []}, '"workloads" is missing'), ({"colour": 1}, 'unknown key "colour"'),
                ({"poolers": [{"name": "x"}]}, '"kind" is none of'), ({"baseline": "x"}, "is no pooler"),
                ({"poolers": [{"name": "x", "kind": "command"}]}, 'needs a "command"'),
                ({"workloads": [{"name": "a"}, {"name": "a"}]}, 'a "name" of its own'),
                ({"workloads": [{"name": "a", "lod": {}}]}, 'unknown key "lod"'), ({"repeats": 0}, "1 to 1000"),
                ({"parameters": {"pool": 3}}, "needs a list"), ({"scale": "pool"}, "is no parameter"),
                ({"per": "hour"}, '"per" is none of'), ({"workloads": [{"name": "a", "auth": "x"}]}, '"auth" is none')):
            with self.assertRaises(ExperimentError) as caught:
                small(**changes)
            self.assertIn(expected, str(caught.exception))

    def test_a_broken_file_is_named_with_its_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"name": "x",\n}')
            file.flush()
            with self.assertRaisesRegex(ExperimentError, r"\.json:2:"):
                Experiment.read(file.name)
        with self.assertRaisesRegex(ExperimentError, "cannot read"):
            Experiment.read("/nonexistent.json")

    def test_the_tour_takes_some_and_shortens(self):
        definition = {"workloads": [{"name": "a"}, {"name": "b"}], "defaults": {"load": {"clients": 3}},
                      "tour": {"workloads": ["b"], "defaults": {"load": {"duration": "1s"}}, "repeats": 1}}
        result = shortened(definition)
        self.assertEqual(result["workloads"], [{"name": "b"}])
        self.assertEqual(result["defaults"]["load"], {"clients": 3, "duration": "1s"})

    def test_putting_makes_the_way(self):
        target = {"a": 1}
        put(target, "b.c.d", 2)
        self.assertEqual(target, {"a": 1, "b": {"c": {"d": 2}}})

    def test_a_template_fills_only_what_it_knows(self):
        self.assertEqual(stage.filled("listen { port {port} } {else}", {"port": 5}), "listen { port 5 } {else}")


def latency(count, microseconds):
    keys = ("mean_us", "min_us", "p50_us", "p90_us", "p95_us", "p99_us", "p99_9_us", "p99_99_us", "max_us")
    return {key: microseconds for key in keys} | {"count": count,
                                                 "buckets": [[microseconds * 1000, count]] if count else []}


def fabricated(pooler, number, tps, **more):
    measured = {"connections": 0, "transactions": tps, "failed": 0, "statements": tps, "rows": tps,
                "bytes_received": tps * 100, "bytes_sent": tps * 50}
    load = {"transactions_per_second": tps, "statements_per_second": tps, "connections_per_second": 0,
            "bytes_received_per_second": tps * 100, "bytes_sent_per_second": tps * 50, "measured": measured,
            "latency": latency(tps, 1e6 / tps), "connect": latency(0, 0), "unfinished": 0, "dropped": 0,
            "not_connected": 0, "errors": {}, "options": {"idle_clients": 0},
            "fairness": {"jain": 0.99, "min": 1, "max": 3, "mean": 2}, "generator": {"busiest_thread_share": 0.5}}
    return {"key": f"{pooler}{number}", "experiment": "small", "workload": "one", "pooler": pooler, "parameters": {},
            "round": number, "per": "transaction", "seconds": 1.0, "load": load,
            "usage": {"pooler": {"user_s": 0.1, "system_s": 0.2, "run_s": 0.3, "switches": 10}}} | more


def simulated(**workload):
    pooler = {"name": "steal", "kind": "study", "config": {"sharing": {"policy": "steal", "fairness_window": "2ms"}}}
    definition = {"name": "s", "poolers": [pooler], "workloads": [{"name": "w"} | workload]}
    return study.arguments(Experiment(definition).runs()[0])


class Studies(unittest.TestCase):
    def value(self, words, flag):
        return words[words.index(flag) + 1]

    def test_a_workload_means_the_same_as_when_it_is_measured(self):
        words = simulated(cores=2, pool=8, load={"clients": 64, "think": "1ms"}, backend={"service": "exp:4ms"})
        for flag, expected in (("--cores", "2"), ("--servers", "8"), ("--clients", "64"), ("--think", "1ms"),
                               ("--service", "exp:4ms"), ("--policy", "steal"), ("--fairness-window", "2ms")):
            self.assertEqual(self.value(words, flag), expected)
        self.assertNotIn("--hot-cores", words)

    def test_only_the_clients_of_a_busy_core_work(self):
        words = simulated(cores=2, load={"clients": 64}, busy_core=True)
        self.assertEqual(self.value(words, "--clients"), "32")
        self.assertEqual(self.value(words, "--hot-cores"), "1")

    def test_counts_for_each_core_grow_with_them(self):
        words = simulated(cores=16, study={"clients_per_core": 3, "servers_per_core": 2, "hot_share": 0.9})
        for flag, expected in (("--clients", "48"), ("--servers", "32"), ("--hot-cores", "2"), ("--hot-share", "0.9")):
            self.assertEqual(self.value(words, flag), expected)

    def test_every_cost_says_where_it_comes_from(self):
        for name, cost in json.loads(study.COSTS.read_text()).items():
            if name != "comment":
                self.assertTrue(cost["how"], name)


class Reports(unittest.TestCase):
    def records(self):
        rounds = [fabricated("pgbouncer", n, 1000 + n) for n in range(3)]
        rounds += [fabricated("trireme", n, 2 * (1000 + n)) for n in range(3)]
        return rounds + [{"key": "m", "experiment": "small", "workload": "one", "pooler": "mutex", "parameters": {},
                          "round": 0, "skipped": "the configuration says <no>"}]

    def test_the_table_has_medians_ratios_and_what_was_skipped(self):
        text = report.text_table(report.Cells(small().definition, self.records()))
        self.assertRegex(text, r"transactions/s +1,001 +2,002")
        self.assertRegex(text, r"ratio to pgbouncer +2\.00 \[2\.00, 2\.00\]")
        self.assertIn("skipped: mutex: the configuration says <no>", text)

    def test_the_page_is_whole_and_escapes(self):
        page = report.html_report([small().definition], self.records(), {"CPUs": "2 <fast>"})
        self.assertIn("<svg", page)
        self.assertIn("2 &lt;fast&gt;", page)
        self.assertNotIn("says <no>", page)
        self.assertNotRegex(page, r'(src|href)="https?:')
        for start in range(page.count("<svg")):
            part = page.split("<svg")[start + 1].split("</svg>")[0]
            xml.dom.minidom.parseString("<svg" + part + "</svg>")

    def test_a_parameter_of_numbers_is_drawn_as_lines(self):
        definition = small(parameters={"load.clients": [1, 32]}, scale="load.clients").definition
        records = [fabricated(pooler, n, 100 * clients) | {"parameters": {"load.clients": clients}}
                   for pooler in ("pgbouncer", "trireme") for n in range(2) for clients in (1, 32)]
        page = report.html_report([definition], records, {})
        self.assertIn("clients 32", page)
        self.assertIn("<path", page)

    def test_doubts_are_told(self):
        record = fabricated("trireme", 0, 10)
        self.assertEqual(doubts(record), [])
        record["load"]["measured"]["failed"] = 3
        record["load"]["errors"] = {"26000": 3}
        record["load"]["generator"]["busiest_thread_share"] = 0.99
        told = " ".join(doubts(record))
        self.assertIn("26000 × 3", told)
        self.assertIn("generator", told)

    def test_costs_are_divided_by_what_the_experiment_counts(self):
        record = fabricated("trireme", 0, 1000)
        self.assertAlmostEqual(BY_KEY["cpu"].of(record), 300)
        record["per"] = "megabyte"
        self.assertAlmostEqual(BY_KEY["cpu"].of(record), 0.3e6 / 0.15)
        record["per"] = "connection"
        self.assertIsNone(BY_KEY["cpu"].of(record))

    def test_every_measure_copes_with_a_bare_record(self):
        record = fabricated("direct", 0, 1000)
        del record["usage"]
        for measure in MEASURES:
            measure.of(record)

    def test_counters_of_shards_are_differences(self):
        rows = watch.shard_differences([{"core": "0", "turns": "5", "clients": "3", "note": "x"}],
                                       [{"core": "0", "turns": "9", "clients": "4", "note": "y"}])
        self.assertEqual(rows, [{"core": 0, "turns": 4, "clients": 4}])
        record = fabricated("trireme", 0, 2, shards=[{"turns": 4, "receives": 6}, {"turns": 2, "receives": 6}])
        self.assertEqual(BY_KEY["turns"].of(record), 3)
        self.assertEqual(BY_KEY["batch"].of(record), 2)
        self.assertEqual(BY_KEY["busiest"].of(record), 0.5)


class Plots(unittest.TestCase):
    def test_axes_cover_their_values_with_round_numbers(self):
        for low, high in ((0, 7), (0, 12345), (3, 3), (0, 0.002)):
            marks = plots.ticks(low, high)
            self.assertLessEqual(marks[0], low)
            self.assertGreaterEqual(marks[-1], high)
            self.assertLess(len(marks), 9)

    def test_nothing_draws_nothing(self):
        self.assertEqual(plots.bars("x", ["a"], [("one", [None])]), "")
        self.assertEqual(plots.lines("x", "u", [("one", [])]), "")
        self.assertEqual(plots.distributions("x", [("one", [])]), "")

    def test_all_are_well_formed(self):
        for drawn in (plots.bars("a & b", ["<g>"], [("one", [(1, 0.5, 2)]), ("two", [None])]),
                      plots.lines("a", "clients", [("one", [(1, 5, 4, 6), (1000, 9, 8, 10)])]),
                      plots.distributions("a", [("one", [(1000, 5), (9_000_000, 1)])])):
            xml.dom.minidom.parseString(drawn)


class Wire(unittest.TestCase):
    def test_rows_are_read(self):
        columns = b"\0\2" + b"core\0" + b"\0" * 18 + b"turns\0" + b"\0" * 18
        self.assertEqual(wire.column_names(columns), ["core", "turns"])
        self.assertEqual(wire.row_values(b"\0\2" + b"\0\0\0\1" + b"7" + b"\xff\xff\xff\xff"), ["7", None])


if __name__ == "__main__":
    unittest.main()
