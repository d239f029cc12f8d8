# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots as inline SVG, without any library: bars with spreads, lines over a parameter, distributions of latency. Each
returns a string; colours belong to the poolers, in the order given, everywhere in a report."""

import html
import math

COLOURS = ["#1f6fb2", "#d1662a", "#3a8f4d", "#8a4fa8", "#b0892a", "#c23b52", "#4c9aa8", "#777777"]
WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 30, 56


def colour(index):
    return COLOURS[index % len(COLOURS)]


def short(value):
    """A number for an axis."""
    if value == 0:
        return "0"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def ticks(low, high, count=5):
    """Round numbers that cover low to high."""
    if high <= low:
        high = low + 1
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next((factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= count), 10)
    first = math.floor(low / step)
    return [round((first + i) * step, 12) for i in range(int(math.ceil(high / step)) - first + 1)]


def log_ticks(low, high):
    return [10.0 ** power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


class Canvas:
    def __init__(self, title, width=WIDTH, height=HEIGHT):
        self.width, self.height, self.title, self.parts = width, height, title, []
        self.text(width / 2, 18, title, "middle", "font-weight:600")

    def add(self, part):
        self.parts.append(part)

    def text(self, x, y, content, anchor="start", style="", turn=None):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="{style}"{turned}>'
                 f'{html.escape(str(content))}</text>')

    def line(self, x1, y1, x2, y2, stroke="#bbb", width=1):
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" '
                 f'stroke-width="{width}"/>')

    def rect(self, x, y, width, height, fill, hint=""):
        self.add(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" '
                 f'fill="{fill}"><title>{html.escape(hint)}</title></rect>')

    def path(self, points, stroke):
        if points:
            where = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            self.add(f'<path d="M{where}" fill="none" stroke="{stroke}" stroke-width="1.8"/>')

    def dot(self, x, y, fill, hint):
        self.add(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{fill}"><title>{html.escape(hint)}</title></circle>')

    def legend(self, names):
        x = LEFT
        for name, fill in names:
            self.rect(x, self.height - 16, 10, 10, fill)
            self.text(x + 14, self.height - 7, name)
            x += 24 + 6.4 * len(name)

    def svg(self):
        return (f'<svg viewBox="0 0 {self.width} {self.height}" width="{self.width}" height="{self.height}" '
                f'role="img" aria-label="{html.escape(self.title)}">{"".join(self.parts)}</svg>')


class Axis:
    def __init__(self, low, high, start, end, logarithmic=False):
        self.log, self.start, self.end = logarithmic, start, end
        self.marks = log_ticks(low, high) if logarithmic else ticks(low, high)
        self.low, self.high = self.marks[0], self.marks[-1]
        if self.high <= self.low:
            self.high = self.low * 10 if logarithmic else self.low + 1

    def at(self, value):
        if self.log:
            value = max(value, self.low)
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def horizontal_grid(canvas, axis):
    for value in axis.marks:
        y = axis.at(value)
        canvas.line(LEFT, y, canvas.width - RIGHT, y, "#e4e4e4")
        canvas.text(LEFT - 6, y + 4, short(value), "end")


def bars(title, groups, series):
    """groups: labels; series: [(name, [(middle, low, high) or None for each group])]. From zero, always."""
    values = [value for _, row in series for value in row if value]
    if not values:
        return ""
    canvas = Canvas(title, max(WIDTH, LEFT + RIGHT + 26 * len(groups) * len(series)))
    axis = Axis(0, max(max(value) for value in values), canvas.height - BOTTOM, TOP)
    horizontal_grid(canvas, axis)
    room = (canvas.width - LEFT - RIGHT) / len(groups)
    width = room * 0.82 / len(series)
    for number, group in enumerate(groups):
        x = LEFT + room * number + room * 0.09
        canvas.text(x + room * 0.41, canvas.height - BOTTOM + 15, group, "middle")
        for index, (name, row) in enumerate(series):
            if not row[number]:
                continue
            middle, low, high = row[number]
            left = x + width * index
            canvas.rect(left, axis.at(middle), width * 0.9, axis.at(0) - axis.at(middle), colour(index),
                        f"{name}, {group}: {middle:,.4g} ({low:,.4g} to {high:,.4g})")
            if high > low:
                canvas.line(left + width * 0.45, axis.at(low), left + width * 0.45, axis.at(high), "#222", 1.2)
    canvas.legend([(name, colour(index)) for index, (name, _) in enumerate(series)])
    return canvas.svg()


def lines(title, unit, series):
    """series: [(name, [(x, middle, low, high)])]; logarithmic in x when it spans a decade, in y when it spans two."""
    points = [point for _, row in series for point in row]
    if not points:
        return ""
    canvas = Canvas(title)
    low, high = min(point[0] for point in points), max(point[0] for point in points)
    across = Axis(low, high, LEFT, canvas.width - RIGHT, low > 0 and high / low >= 10)
    least, most = min(point[2] for point in points), max(point[3] for point in points)
    steep = least > 0 and most / least >= 100
    up = Axis(least if steep else 0, most, canvas.height - BOTTOM, TOP, steep)
    horizontal_grid(canvas, up)
    for value in sorted({point[0] for point in points}):
        canvas.line(across.at(value), TOP, across.at(value), canvas.height - BOTTOM, "#f0f0f0")
        canvas.text(across.at(value), canvas.height - BOTTOM + 15, short(value), "middle")
    canvas.text(canvas.width - RIGHT, canvas.height - BOTTOM + 29, unit, "end")
    for index, (name, row) in enumerate(series):
        row = sorted(row)
        canvas.path([(across.at(x), up.at(middle)) for x, middle, _, _ in row], colour(index))
        for x, middle, least, most in row:
            canvas.line(across.at(x), up.at(least), across.at(x), up.at(most), colour(index))
            canvas.dot(across.at(x), up.at(middle), colour(index), f"{name}: {middle:,.4g} at {x:,.4g}")
    canvas.legend([(name, colour(index)) for index, (name, _) in enumerate(series)])
    return canvas.svg()


NINES = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999]


def distributions(title, series):
    """series: [(name, [(greatest ns, count)])]: latency by percentile, the tail stretched: each step up is a tenth of
    the runs that were left."""
    drawn = [(index, name, buckets) for index, (name, buckets) in enumerate(series) if buckets]
    if not drawn:
        return ""
    canvas = Canvas(title)
    low = min(buckets[0][0] for _, _, buckets in drawn) / 1e6
    high = max(buckets[-1][0] for _, _, buckets in drawn) / 1e6
    along = Axis(max(low, 1e-4), max(high, 1e-3), LEFT, canvas.width - RIGHT, True)

    def height(fraction):
        depth = -math.log10(max(1 - fraction, 1e-5)) / 5
        return canvas.height - BOTTOM - depth * (canvas.height - BOTTOM - TOP)

    for value in along.marks:
        canvas.line(along.at(value), TOP, along.at(value), canvas.height - BOTTOM, "#e4e4e4")
        canvas.text(along.at(value), canvas.height - BOTTOM + 15, short(value), "middle")
    for fraction in NINES:
        canvas.line(LEFT, height(fraction), canvas.width - RIGHT, height(fraction), "#e4e4e4")
        canvas.text(LEFT - 6, height(fraction) + 4, f"p{fraction * 100:.6g}", "end")
    canvas.text(canvas.width - RIGHT, canvas.height - BOTTOM + 29, "ms", "end")
    for index, _, buckets in drawn:
        total, seen, points = sum(count for _, count in buckets), 0, []
        for upper, count in buckets:
            points.append((along.at(upper / 1e6), height(seen / total)))
            seen += count
            # The last one of n runs says nothing about a share smaller than 1/n.
            points.append((along.at(upper / 1e6), height(min(seen / total, 1 - 1 / total if total > 1 else 0))))
        canvas.path(thinned(points), colour(index))
    canvas.legend([(name, colour(index)) for index, name, _ in drawn])
    return canvas.svg()


def thinned(points):
    """Without the points that would lie on the pixel before."""
    kept = []
    for x, y in points:
        if not kept or abs(x - kept[-1][0]) + abs(y - kept[-1][1]) >= 0.7:
            kept.append((x, y))
    return kept + points[-1:]
