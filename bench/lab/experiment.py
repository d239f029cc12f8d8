# SPDX-License-Identifier: GPL-3.0-or-later
"""An experiment is a JSON file; this reads it, says what is wrong with it, and unfolds it into runs.

    name, title, question    what it is for
    repeats                  rounds; each runs every cell once, poolers side by side
    baseline                 the pooler that ratios are taken to
    defaults                 what every workload starts from: load, backend, pool, cores, pins,
                             mode, auth (of clients at the pooler: trust, md5, scram-sha-256)
    poolers                  [{name, kind, config, …}], kind: direct, floor, pgbouncer, trireme, command,
                             study (Trireme simulated: study.py has the keys under "study" of a workload)
                             busy_core (only the clients of Trireme's core 0 work; of others as many)
    workloads                [{name, load, backend, pool, …}]
    parameters               {"load.clients": [8, 32]}: a grid over any value of a workload, or of a pooler's
                             configuration: "config.sharing.fairness_window" (Trireme only)
    metrics                  keys of measures.py, the important ones first
    per                      transaction, statement, connection or megabyte: what costs are divided by
    scale                    the parameter to draw lines over
    tour                     what is different in the five-minute tour: any of the above

A run is one cell (workload, pooler, values of the parameters) in one round. Rounds are interleaved: within a round all
poolers of a workload run next to each other, in an order that rotates from round to round.
"""

import copy
import hashlib
import itertools
import json
import pathlib

KINDS = ("direct", "floor", "pgbouncer", "trireme", "command", "study")
PERS = ("transaction", "statement", "connection", "megabyte")
KNOWN = {"name", "title", "question", "repeats", "baseline", "defaults", "poolers", "workloads", "parameters",
         "metrics", "per", "scale", "tour", "notes"}
WORKLOAD = {"name", "load", "backend", "pool", "cores", "pins", "mode", "auth", "per", "system_calls",
            "busy_core", "study"}
AUTHS = ("trust", "md5", "scram-sha-256")
POOLER = {"name", "kind", "config", "command", "config_text", "program", "clients_max", "cores", "threads"}


class ExperimentError(Exception):
    pass


def merge(base, more):
    """A deep copy of `base`, with `more` put over it."""
    result = copy.deepcopy(base)
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def put(target, path, value):
    *parents, last = path.split(".")
    for key in parents:
        target = target.setdefault(key, {})
    target[last] = value


class Run:
    def __init__(self, experiment, workload, pooler, parameters, number):
        self.experiment, self.workload, self.pooler = experiment, workload, pooler
        self.parameters, self.round = parameters, number

    @property
    def cell(self):
        values = ",".join(f"{name}={value}" for name, value in sorted(self.parameters.items()))
        return f"{self.workload['name']}|{self.pooler['name']}|{values}"

    @property
    def key(self):
        """Changes with anything that decides what is run: what was run under another definition is run again."""
        text = json.dumps([self.workload, self.pooler, self.parameters], sort_keys=True)
        return f"{self.experiment.name}|{self.cell}|{self.round}|{hashlib.sha256(text.encode()).hexdigest()[:12]}"


class Experiment:
    def __init__(self, definition, where="experiment"):
        self.where = where
        self.definition = definition
        self.check()
        self.name = definition["name"]
        self.title = definition.get("title", self.name)
        self.repeats = definition.get("repeats", 5)
        self.baseline = definition.get("baseline")
        self.per = definition.get("per", "transaction")
        self.scale = definition.get("scale")
        self.parameters = definition.get("parameters", {})
        self.poolers = [self.pooler(entry) for entry in definition["poolers"]]
        self.workloads = [merge(definition.get("defaults", {}), entry) for entry in definition["workloads"]]

    @staticmethod
    def read(path, tour=False):
        try:
            definition = json.loads(pathlib.Path(path).read_text())
        except OSError as problem:
            raise ExperimentError(f"cannot read {path}: {problem.strerror}") from None
        except json.JSONDecodeError as problem:
            raise ExperimentError(f"{path}:{problem.lineno}:{problem.colno}: {problem.msg}") from None
        if not isinstance(definition, dict):
            raise ExperimentError(f"{path}: expected an object")
        if tour:
            definition = shortened(definition)
        return Experiment(definition, str(path))

    def fail(self, text):
        raise ExperimentError(f"{self.where}: {text}")

    def check(self):
        d = self.definition
        for key in ("name", "poolers", "workloads"):
            if not d.get(key):
                self.fail(f'"{key}" is missing')
        for key in d:
            if key not in KNOWN:
                self.fail(f'unknown key "{key}"; expected one of {", ".join(sorted(KNOWN))}')
        if d.get("per", "transaction") not in PERS:
            self.fail(f'"per" is none of {", ".join(PERS)}')
        if not isinstance(d.get("repeats", 1), int) or not 1 <= d.get("repeats", 1) <= 1000:
            self.fail('"repeats" must be an integer from 1 to 1000')
        for key, known in (("poolers", POOLER), ("workloads", WORKLOAD)):
            names = [entry.get("name") for entry in d[key]]
            if None in names or len(set(names)) != len(names):
                self.fail(f'every entry of "{key}" needs a "name" of its own')
            for entry in d[key]:
                for word in set(entry) - known:
                    self.fail(f'{key} "{entry["name"]}": unknown key "{word}"; expected one of '
                              f'{", ".join(sorted(known))}')
        for entry in d["workloads"]:
            if entry.get("auth", "trust") not in AUTHS:
                self.fail(f'workload "{entry["name"]}": "auth" is none of {", ".join(AUTHS)}')
        for word in set(d.get("defaults", {})) - WORKLOAD:
            self.fail(f'defaults: unknown key "{word}"')
        for entry in d["poolers"]:
            if entry.get("kind", entry["name"]) not in KINDS:
                self.fail(f'pooler "{entry["name"]}": "kind" is none of {", ".join(KINDS)}')
            if entry.get("kind") == "command" and not entry.get("command"):
                self.fail(f'pooler "{entry["name"]}" of kind command needs a "command"')
        if d.get("baseline") is not None and d["baseline"] not in [entry["name"] for entry in d["poolers"]]:
            self.fail(f'baseline "{d["baseline"]}" is no pooler of this experiment')
        for name, values in d.get("parameters", {}).items():
            if not isinstance(values, list) or not values:
                self.fail(f'parameter "{name}" needs a list of values')
        if d.get("scale") is not None and d["scale"] not in d.get("parameters", {}):
            self.fail(f'"scale" {d["scale"]} is no parameter')

    @staticmethod
    def pooler(entry):
        return merge({"kind": entry["name"]}, entry)

    def grid(self):
        names = list(self.parameters)
        for values in itertools.product(*(self.parameters[name] for name in names)):
            yield dict(zip(names, values))

    def runs(self):
        """In the order in which they are to be run."""
        result = []
        for number in range(self.repeats):
            for workload in self.workloads:
                for values in self.grid():
                    turned = number % len(self.poolers)
                    for pooler in self.poolers[turned:] + self.poolers[:turned]:
                        result.append(self.run(workload, pooler, values, number))
        return [run for run in result if run is not None]

    def run(self, workload, pooler, values, number):
        workload, pooler = copy.deepcopy(workload), copy.deepcopy(pooler)
        for name, value in values.items():
            if name.startswith("config."):
                if pooler["kind"] in ("trireme", "study"):
                    put(pooler, name, value)
                elif value != self.parameters[name][0]:
                    return None  # it has no such option: once is enough
            else:
                put(workload, name, value)
        if workload.get("load", {}).get("clients", 32) > pooler.get("clients_max", 1_000_000):
            return None
        return Run(self, workload, pooler, values, number)


def shortened(definition):
    """The same, as the tour wants it."""
    tour = definition.get("tour", {})
    result = merge(definition, {key: value for key, value in tour.items() if key not in ("workloads", "poolers")})
    if "parameters" in tour:
        result["parameters"] = tour["parameters"]
    for key in ("workloads", "poolers"):
        if key in tour:
            result[key] = [entry for entry in definition[key] if entry["name"] in tour[key]]
    return result
