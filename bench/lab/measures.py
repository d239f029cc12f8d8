# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of one run that can be shown: a key, what it is called, which way is better, and how it follows from the
record that the lab wrote. A measure of a run that has no such number is None."""

from dataclasses import dataclass
from typing import Callable


@dataclass
class Measure:
    key: str
    label: str
    better: str  # "more", "less", "" = neither
    form: str
    of: Callable


def units(record):
    """How many of what costs are divided by were done while measuring."""
    load = record["load"]
    measured = load["measured"]
    per = record.get("per", "transaction")
    if per == "megabyte":
        return (measured["bytes_received"] + measured["bytes_sent"]) / 1e6
    return measured[per + "s"]


def per_unit(value, record, scale=1.0):
    count = units(record)
    return None if value is None or not count else value * scale / count


def usage(record, who, key):
    return record.get("usage", {}).get(who, {}).get(key)


def shards(record, key):
    rows = record.get("shards")
    return None if not rows or key not in rows[0] else sum(row[key] for row in rows)


def greatest(record, key):
    """Of the shards; a core that nothing was handed to says 0."""
    rows = record.get("shards")
    return (max(row.get(key, 0) for row in rows) or None) if rows else None


def ratio(one, other):
    return None if one is None or not other else one / other


def latency(key):
    return lambda record: record["load"]["latency"][key] if record["load"]["latency"]["count"] else None


def wait(key):
    """Of a transaction for anything but its own service and the network; only a study knows it."""
    return lambda record: record.get("wait", {}).get(key)


def busy_share(record):
    rows = record.get("shards")
    if not rows or "busy_s" not in rows[0]:
        return None
    return sum(row["busy_s"] for row in rows) / len(rows) / record["load"]["seconds"]


def sum_cpu(record):
    parts = [usage(record, who, "run_s") for who in ("pooler", "backend", "load")]
    return sum(part for part in parts if part is not None)


def perf(record, event):
    return record.get("perf", {}).get(event)


def busiest_share(record):
    rows = record.get("shards")
    if not rows:
        return None
    received = [row.get("receives", 0) for row in rows]
    return max(received) / sum(received) if sum(received) else None


def p99_to_p50(record):
    value = record["load"]["latency"]
    return value["p99_us"] / value["p50_us"] if value["count"] and value["p50_us"] else None


def some(megabytes):
    """Below one a second it is requests, not what bulk is about."""
    return megabytes if megabytes >= 1 else None


def idle_bytes(record):
    connected = record["load"]["options"]["idle_clients"]
    grown = record.get("rss_grown")
    return grown / connected if connected and grown is not None else None


MEASURES = [
    Measure("tps", "transactions/s", "more", "{:,.0f}", lambda r: r["load"]["transactions_per_second"]),
    Measure("statements", "statements/s", "more", "{:,.0f}", lambda r: r["load"]["statements_per_second"]),
    Measure("connects", "connections/s", "more", "{:,.0f}", lambda r: r["load"]["connections_per_second"] or None),
    Measure("mb_in", "MB/s to clients", "more", "{:,.0f}", lambda r: some(r["load"]["bytes_received_per_second"] / 1e6)),
    Measure("mb_out", "MB/s from clients", "more", "{:,.0f}", lambda r: some(r["load"]["bytes_sent_per_second"] / 1e6)),
    Measure("mean", "latency mean, µs", "less", "{:,.0f}", latency("mean_us")),
    Measure("p50", "latency p50, µs", "less", "{:,.0f}", latency("p50_us")),
    Measure("p90", "latency p90, µs", "less", "{:,.0f}", latency("p90_us")),
    Measure("p99", "latency p99, µs", "less", "{:,.0f}", latency("p99_us")),
    Measure("p99_9", "latency p99.9, µs", "less", "{:,.0f}", latency("p99_9_us")),
    Measure("p99_99", "latency p99.99, µs", "less", "{:,.0f}", latency("p99_99_us")),
    Measure("max", "latency max, µs", "less", "{:,.0f}", latency("max_us")),
    Measure("wait_mean", "waiting mean, µs", "less", "{:,.1f}", wait("mean_us")),
    Measure("wait_p50", "waiting p50, µs", "less", "{:,.1f}", wait("p50_us")),
    Measure("wait_p99", "waiting p99, µs", "less", "{:,.1f}", wait("p99_us")),
    Measure("wait_p99_9", "waiting p99.9, µs", "less", "{:,.1f}", wait("p99_9_us")),
    Measure("busy", "cores' busy share", "", "{:.3f}", busy_share),
    Measure("tail", "p99 / p50", "less", "{:.2f}", p99_to_p50),
    Measure("connect_p50", "connect p50, µs", "less", "{:,.0f}",
            lambda r: r["load"]["connect"]["p50_us"] if r["load"]["connect"]["count"] else None),
    Measure("connect_p99", "connect p99, µs", "less", "{:,.0f}",
            lambda r: r["load"]["connect"]["p99_us"] if r["load"]["connect"]["count"] else None),
    Measure("jain", "fairness (Jain)", "more", "{:.4f}", lambda r: r["load"]["fairness"]["jain"]),
    Measure("least", "least served client / mean", "more", "{:.3f}",
            lambda r: ratio(r["load"]["fairness"]["min"], r["load"]["fairness"]["mean"])),
    Measure("most", "most served client / mean", "less", "{:.3f}",
            lambda r: ratio(r["load"]["fairness"]["max"], r["load"]["fairness"]["mean"])),
    Measure("cpu", "pooler CPU, µs per {per}", "less", "{:,.2f}",
            lambda r: per_unit(usage(r, "pooler", "run_s"), r, 1e6)),
    Measure("cpu_user", "… user (ticks)", "less", "{:,.2f}", lambda r: per_unit(usage(r, "pooler", "user_s"), r, 1e6)),
    Measure("cpu_system", "… system (ticks)", "less", "{:,.2f}",
            lambda r: per_unit(usage(r, "pooler", "system_s"), r, 1e6)),
    Measure("cpu_all", "load, pooler and backend CPU, µs per {per}", "less", "{:,.2f}",
            lambda r: per_unit(sum_cpu(r), r, 1e6)),
    Measure("instructions", "user instructions per {per}", "less", "{:,.0f}",
            lambda r: per_unit(perf(r, "instructions:u"), r)),
    Measure("instructions_kernel", "kernel instructions per {per}", "less", "{:,.0f}",
            lambda r: per_unit(perf(r, "instructions:k"), r)),
    Measure("cycles", "user cycles per {per}", "less", "{:,.0f}", lambda r: per_unit(perf(r, "cycles:u"), r)),
    Measure("system_calls", "system calls per {per}", "less", "{:,.3f}",
            lambda r: per_unit(perf(r, "raw_syscalls:sys_enter"), r)),
    Measure("switches", "context switches per {per}", "less", "{:,.3f}",
            lambda r: per_unit(usage(r, "pooler", "switches"), r)),
    Measure("rss", "resident, MB", "less", "{:,.1f}", lambda r: ratio(r.get("rss"), 1e6)),
    Measure("idle_bytes", "resident bytes per idle client", "less", "{:,.0f}", idle_bytes),
    Measure("turns", "turns per {per}", "less", "{:.3f}", lambda r: per_unit(shards(r, "turns"), r)),
    Measure("batch", "receives per turn", "more", "{:.2f}", lambda r: ratio(shards(r, "receives"), shards(r, "turns"))),
    Measure("sleeps", "sleeps per {per}", "less", "{:.3f}", lambda r: per_unit(shards(r, "sleeps"), r)),
    Measure("hand_over_p50", "hand-over p50, µs", "less", "{:,.0f}", lambda r: greatest(r, "hand_over_p50_us")),
    Measure("hand_over_p99", "hand-over p99, µs", "less", "{:,.0f}", lambda r: greatest(r, "hand_over_p99_us")),
    Measure("steals", "steals per 1000 {per}s", "", "{:,.1f}",
            lambda r: per_unit(shards(r, "steals_received"), r, 1000)),
    Measure("grants", "grants per 1000 {per}s", "", "{:,.1f}",
            lambda r: per_unit(shards(r, "grants_received"), r, 1000)),
    Measure("mails", "letters per 1000 {per}s", "", "{:,.1f}", lambda r: per_unit(shards(r, "mails_sent"), r, 1000)),
    Measure("queued", "checkouts that waited, per 1000 {per}s", "", "{:,.1f}",
            lambda r: per_unit(shards(r, "waits"), r, 1000)),
    Measure("lock_waits", "lock taken while held, per 1000 {per}s", "less", "{:,.1f}",
            lambda r: per_unit(shards(r, "lock_waits"), r, 1000)),
    Measure("lock_waited", "waiting for the lock, ns per {per}", "less", "{:,.0f}",
            lambda r: per_unit(shards(r, "lock_waited_s"), r, 1e9)),
    Measure("wake_ups", "wake-ups per 1000 {per}s", "less", "{:,.1f}",
            lambda r: per_unit(shards(r, "wake_ups_sent"), r, 1000)),
    Measure("busiest", "busiest core's share of receives", "", "{:.3f}", busiest_share),
    Measure("generator", "load's busiest thread, share of a CPU", "", "{:.2f}",
            lambda r: r["load"]["generator"]["busiest_thread_share"]),
    Measure("failed", "failed", "less", "{:,.0f}", lambda r: r["load"]["measured"]["failed"]),
    Measure("unfinished", "unfinished at the end", "less", "{:,.0f}", lambda r: r["load"]["unfinished"]),
    Measure("dropped", "arrivals dropped", "less", "{:,.0f}", lambda r: r["load"]["dropped"]),
]
BY_KEY = {measure.key: measure for measure in MEASURES}
USUAL = ["tps", "p50", "p99", "p99_9", "jain", "cpu", "cpu_all", "instructions", "switches", "rss"]


def doubts(record):
    """Reasons not to believe a run, in words."""
    load, found = record["load"], []
    total = load["measured"]["transactions"]
    failed = load["measured"]["failed"]
    if total == 0:
        found.append("nothing was done")
    if failed > 0:
        errors = ", ".join(f"{what} × {count}" for what, count in load["errors"].items())
        found.append(f"{failed} runs failed ({errors})")
    if load["not_connected"]:
        found.append(f"{load['not_connected']} clients could not connect")
    if load["dropped"]:
        found.append(f"{load['dropped']} arrivals were dropped: the rate is beyond what this can serve")
    if load["generator"]["busiest_thread_share"] > 0.95:
        found.append("the load generator was busy all the time: it may be what was measured")
    return found
