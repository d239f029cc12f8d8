# SPDX-License-Identifier: GPL-3.0-or-later
"""Poolers of kind "study": the run is not measured but simulated, by trireme-study (bench/study), and its record has the
same shape. A workload means the same for both: cores, pool, load.clients, load.think, backend.service, busy_core. What
only the study knows is under "study":

    clients_per_core, servers_per_core    instead of load.clients and pool
    hot_share, hot_cores_per              that share of the clients is on one of so many cores, at least on one
    warmup, transactions, time            how much is simulated
    peer_cost                             CPU of load and backend for a message, when they share the pooler's CPUs
    costs                                 values put over bench/study/costs.json: {"line_transfer": 200}
"""

import json
import pathlib
import subprocess
import tempfile

COSTS = pathlib.Path(__file__).resolve().parent.parent / "study" / "costs.json"
KNOWN = {"clients_per_core", "servers_per_core", "hot_share", "hot_cores_per", "warmup", "transactions", "time",
         "peer_cost", "costs"}
SHARING = {"policy": "--policy", "victim": "--victim", "fairness_window": "--fairness-window"}
COST_KEYS = ("warmup", "transactions", "time")
TIMEOUT_SECONDS = 1800


class CannotStudy(Exception):
    pass


def arguments(run):
    """Of trireme-study, but for the program and the costs."""
    workload = run.workload
    study, load = workload.get("study", {}), workload.get("load", {})
    cores = int(workload.get("cores", 1))
    clients = study.get("clients_per_core", 0) * cores or int(load.get("clients", 32))
    servers = study.get("servers_per_core", 0) * cores or int(workload.get("pool", 32))
    result = ["--cores", cores, "--servers", servers, "--seed", run.round + 1]
    if workload.get("busy_core"):
        clients //= cores  # the others are there, and silent
        result += ["--hot-cores", 1]
    elif "hot_share" in study:
        result += ["--hot-cores", max(1, cores // study.get("hot_cores_per", 8)), "--hot-share", study["hot_share"]]
    result += ["--clients", clients, "--service", workload.get("backend", {}).get("service", "0")]
    if "think" in load:
        result += ["--think", load["think"]]
    for key in (*COST_KEYS, "peer_cost"):
        if key in study:
            result += ["--" + key.replace("_", "-"), study[key]]
    for key, value in run.pooler.get("config", {}).get("sharing", {}).items():
        if key in SHARING:
            result += [SHARING[key], value]
    return [str(word) for word in result]


def costs_of(run):
    costs = json.loads(COSTS.read_text())
    for key, value in run.workload.get("study", {}).get("costs", {}).items():
        if not isinstance(costs.get(key), dict):
            raise CannotStudy(f'bench/study/costs.json has no "{key}"')
        costs[key]["count" if "count" in costs[key] else "ns"] = value
    return costs


def simulate(program, run):
    """A record as of a measured run."""
    if not program.exists():
        raise CannotStudy(f"{program} is missing: tools/build sim")
    unknown = set(run.workload.get("study", {})) - KNOWN
    if unknown:
        raise CannotStudy(f'"study" knows no {", ".join(sorted(unknown))}')
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(costs_of(run), file)
        file.flush()
        done = subprocess.run([program, "--costs", file.name, *arguments(run)], capture_output=True, text=True,
                              timeout=TIMEOUT_SECONDS)
    if done.returncode != 0:
        raise CannotStudy(done.stderr.strip() or f"trireme-study ended with {done.returncode}")
    return json.loads(done.stdout)
