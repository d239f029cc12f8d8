# SPDX-License-Identifier: GPL-3.0-or-later
"""From the lab's records to a table in plain text and one HTML page with everything in it: numbers, plots, doubts, and
how to repeat it. Medians over rounds; the spread is the least and the greatest round; ratios are taken within rounds,
with the 95 % interval of their median by bootstrap."""

import html
import itertools

import noise
import plots
from measures import BY_KEY, MEASURES, USUAL, doubts

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:1200px;margin:2em auto;padding:0 1em;color:#222}
svg text{font:11px system-ui,sans-serif;fill:#333} svg{margin:.3em .6em .3em 0}
table{border-collapse:collapse;margin:.6em 0;font-variant-numeric:tabular-nums}
td,th{padding:.15em .6em;text-align:right;border-bottom:1px solid #e2e2e2;white-space:nowrap}
td:first-child,th:first-child{text-align:left} .spread{color:#888;font-size:85%} .better{color:#1b7a34}
.worse{color:#b3261e} .doubt{color:#9a5b00} pre{background:#f6f6f6;padding:.8em;overflow:auto}
h2{margin-top:2em;border-top:2px solid #ddd;padding-top:.6em}
"""


class Cells:
    """The good records of one experiment, by workload, parameters, pooler and round."""

    def __init__(self, definition, records):
        self.definition = definition
        self.name = definition["name"]
        self.baseline = definition.get("baseline")
        self.scale = definition.get("scale")
        self.records, self.skipped = {}, {}
        for record in records:
            if record["experiment"] != self.name:
                continue
            if record.get("skipped"):
                self.skipped.setdefault(record["skipped"], set()).add((record["workload"], record["pooler"]))
                continue
            cell = (record["workload"], tuple(sorted(record["parameters"].items())), record["pooler"])
            self.records.setdefault(cell, {})[record["round"]] = record
        self.poolers = self.in_order([entry["name"] for entry in definition["poolers"]], 2)
        self.workloads = self.in_order([entry["name"] for entry in definition["workloads"]], 0)

    def in_order(self, names, at):
        present = {cell[at] for cell in self.records}
        return [name for name in names if name in present]

    def settings(self, workload):
        """The combinations of parameters that a workload was run with, in their order."""
        found = {cell[1] for cell in self.records if cell[0] == workload}
        return sorted(found, key=lambda setting: [(str(type(value)), value) for _, value in setting])

    def values(self, cell, key):
        """{round: value}"""
        rounds = {number: BY_KEY[key].of(record) for number, record in self.records.get(cell, {}).items()}
        return {number: value for number, value in rounds.items() if value is not None}

    def summary(self, cell, key):
        """(median, least, greatest) or None"""
        values = list(self.values(cell, key).values())
        return (noise.median(values), *noise.spread(values)) if values else None

    def ratio(self, cell, key):
        """Against the baseline in the same rounds."""
        if not self.baseline or cell[2] == self.baseline:
            return None
        theirs = self.values((cell[0], cell[1], self.baseline), key)
        return noise.bootstrap_median(noise.paired_ratios(self.values(cell, key), theirs))

    def metrics(self):
        wanted = [key for key in self.definition.get("metrics", USUAL) if key in BY_KEY]
        return [key for key in wanted if any(self.values(cell, key) for cell in self.records)]

    def per(self, workload):
        for cell, rounds in self.records.items():
            if cell[0] == workload:
                return next(iter(rounds.values())).get("per", "transaction")
        return "transaction"

    def doubts(self):
        found = {}
        for cell, rounds in self.records.items():
            for record in rounds.values():
                for text in doubts(record):
                    found.setdefault(f"{title(cell[0], cell[1])}, {cell[2]}", []).append(text)
        return found


def title(workload, setting):
    values = ", ".join(f"{name.split('.')[-1]} {value}" for name, value in setting)
    return f"{workload} ({values})" if values else workload


def label(key, per):
    return BY_KEY[key].label.replace("{per}", per)


def shown(key, value):
    return "–" if value is None else BY_KEY[key].form.format(value)


def shown_ratio(interval):
    if interval is None:
        return ""
    middle, low, high = interval
    return f"{middle:.2f}" if low is None else f"{middle:.2f} [{low:.2f}, {high:.2f}]"


# --- plain text ---

def text_table(cells):
    lines = [f"== {cells.name}: {cells.definition.get('title', '')}".rstrip(": ")]
    if cells.definition.get("question"):
        lines.append(cells.definition["question"])
    for workload in cells.workloads:
        for setting in cells.settings(workload):
            lines += ["", title(workload, setting)]
            header = ["", *cells.poolers]
            rows = []
            for key in cells.metrics():
                row, ratios = [label(key, cells.per(workload))], [f"  ratio to {cells.baseline}"]
                for pooler in cells.poolers:
                    cell = (workload, setting, pooler)
                    summary = cells.summary(cell, key)
                    row.append(shown(key, summary[0]) if summary else "–")
                    ratios.append(shown_ratio(cells.ratio(cell, key)))
                rows.append(row)
                if any(ratios[1:]) and BY_KEY[key].better:
                    rows.append(ratios)
            lines += aligned([header, *rows])
    for reason, where in cells.skipped.items():
        lines.append(f"skipped: {', '.join(sorted({pooler for _, pooler in where}))}: {reason}")
    for where, texts in cells.doubts().items():
        lines.append(f"doubt: {where}: {texts[0]}" + (f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""))
    return "\n".join(lines) + "\n"


def aligned(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) if i == 0 else text.rjust(width)
                      for i, (text, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


# --- HTML ---

def html_table(cells, workload, setting, keys):
    head = "".join(f"<th>{html.escape(pooler)}</th>" for pooler in cells.poolers)
    lines = [f"<table><tr><th></th>{head}</tr>"]
    for key in keys:
        row = [f"<td>{html.escape(label(key, cells.per(workload)))}</td>"]
        for pooler in cells.poolers:
            cell = (workload, setting, pooler)
            summary = cells.summary(cell, key)
            if not summary:
                row.append("<td>–</td>")
                continue
            text = shown(key, summary[0])
            if summary[2] > summary[1]:
                text += f' <span class="spread">{shown(key, summary[1])}–{shown(key, summary[2])}</span>'
            ratio = cells.ratio(cell, key)
            if ratio and BY_KEY[key].better:
                word = noise.verdict(ratio, BY_KEY[key].better)
                text += f'<br><span class="spread {word}">×{shown_ratio(ratio)}</span>'
            row.append(f"<td>{text}</td>")
        lines.append(f"<tr>{''.join(row)}</tr>")
    return "".join(lines) + "</table>"


def bar_plots(cells, workload):
    settings = cells.settings(workload)
    groups = [", ".join(str(value) for _, value in setting) or workload for setting in settings]
    for key in cells.metrics():
        if not BY_KEY[key].better:
            continue
        series = [(pooler, [cells.summary((workload, setting, pooler), key) for setting in settings])
                  for pooler in cells.poolers]
        yield plots.bars(f"{workload}: {label(key, cells.per(workload))}", groups, series)


def scale_plots(cells, workload):
    """One family of lines for each combination of the other parameters."""
    settings = cells.settings(workload)
    others = sorted({tuple(pair for pair in setting if pair[0] != cells.scale) for setting in settings}, key=str)
    for other, key in itertools.product(others, cells.metrics()):
        series = []
        for pooler in cells.poolers:
            points = []
            for setting in settings:
                summary = cells.summary((workload, setting, pooler), key)
                x = dict(setting).get(cells.scale)
                if tuple(pair for pair in setting if pair[0] != cells.scale) == other and summary and isinstance(
                        x, (int, float)):
                    points.append((x, *summary))
            series.append((pooler, points))
        yield plots.lines(f"{title(workload, other)}: {label(key, cells.per(workload))}",
                          cells.scale.split(".")[-1], series)


def distribution_plots(cells, workload):
    for setting in cells.settings(workload):
        series = []
        for pooler in cells.poolers:
            rounds = cells.records.get((workload, setting, pooler), {}).values()
            series.append((pooler, noise.merge_buckets(record["load"]["latency"]["buckets"] for record in rounds)))
        yield plots.distributions(f"{title(workload, setting)}: latency, all rounds together", series)


def numeric_scale(cells):
    return cells.scale and all(isinstance(value, (int, float))
                               for value in cells.definition.get("parameters", {}).get(cells.scale, [""]))


def html_experiment(cells):
    parts = [f'<h2 id="{html.escape(cells.name)}">{html.escape(cells.definition.get("title", cells.name))}</h2>']
    for key in ("question", "notes"):
        if cells.definition.get(key):
            parts.append(f"<p>{html.escape(cells.definition[key])}</p>")
    for reason, where in cells.skipped.items():
        names = ", ".join(sorted({pooler for _, pooler in where}))
        parts.append(f'<p class="doubt">Skipped: {html.escape(names)}: {html.escape(reason)}</p>')
    hidden = [measure.key for measure in MEASURES if measure.key not in cells.metrics()]
    for workload in cells.workloads:
        drawn = scale_plots(cells, workload) if numeric_scale(cells) else bar_plots(cells, workload)
        parts += [plot for plot in drawn if plot]
        parts += [plot for plot in distribution_plots(cells, workload) if plot]
        for setting in cells.settings(workload):
            parts.append(f"<h3>{html.escape(title(workload, setting))}</h3>")
            parts.append(html_table(cells, workload, setting, cells.metrics()))
            more = [key for key in hidden
                    if any(cells.values((workload, setting, pooler), key) for pooler in cells.poolers)]
            parts.append(f"<details><summary>everything else</summary>{html_table(cells, workload, setting, more)}"
                         "</details>")
    found = cells.doubts()
    if found:
        items = "".join(f"<li>{html.escape(where)}: {html.escape('; '.join(sorted(set(texts))))}</li>"
                        for where, texts in found.items())
        parts.append(f'<p class="doubt">Doubts:</p><ul class="doubt">{items}</ul>')
    return "\n".join(parts)


def html_report(definitions, records, facts):
    every = [Cells(definition, records) for definition in definitions]
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td style='text-align:left;white-space:normal'>"
                   f"{html.escape(str(value))}</td></tr>" for name, value in facts.items())
    contents = " · ".join(f'<a href="#{html.escape(cells.name)}">{html.escape(cells.name)}</a>' for cells in every)
    how = ("Medians over rounds, with the least and the greatest round beside them. × is the ratio to the baseline, "
           "taken within rounds (the poolers ran next to each other), with the 95 % interval of its median by bootstrap; "
           "green and red only where that interval excludes 1. Ratios and costs can be quoted; rates belong to this machine "
           "and this hour. Load, pooler and backend share its CPUs unless the experiment pins them.")
    return (f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Trireme lab</title>"
            f"<style>{STYLE}</style></head><body><h1>Trireme lab</h1><p>{contents}</p><p>{how}</p>"
            f"<details><summary>the machine and the programs</summary><table>{rows}</table></details>"
            + "\n".join(html_experiment(cells) for cells in every)
            + "<h2>In plain text</h2><pre>" + html.escape("\n".join(text_table(cells) for cells in every))
            + "</pre></body></html>\n")
