# SPDX-License-Identifier: GPL-3.0-or-later
"""Statistics that are honest about few, noisy rounds: medians, spreads, and ratios taken within a round (the things
compared ran next to each other) with a confidence interval by bootstrap. Also histograms of trireme-load, which add
up across rounds."""

import itertools
import math
import random
import statistics

RESAMPLES = 1000
ROUNDS_EXACT_MAX = 4  # up to here every resample is looked at instead


def median(values):
    return statistics.median(values) if values else None


def spread(values):
    """(least, greatest)"""
    return (min(values), max(values)) if values else (None, None)


def quantile(values, fraction):
    """Linear between the ranks, as numpy does it."""
    ordered = sorted(values)
    if not ordered:
        return None
    at = fraction * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def paired_ratios(ours, theirs):
    """Round by round, where both have a value: {round: value} twice."""
    return [ours[number] / theirs[number] for number in sorted(ours) if number in theirs and theirs[number]]


def bootstrap_median(values, confidence=0.95, seed=1):
    """(median, low, high): the interval of the median over resampled rounds. None without values; with a single
    round there is no interval, and low and high are None."""
    if not values:
        return None
    middle = statistics.median(values)
    if len(values) < 2:
        return middle, None, None
    count = len(values)
    if count <= ROUNDS_EXACT_MAX:
        samples = itertools.product(values, repeat=count)
    else:
        chance = random.Random(seed)
        samples = (chance.choices(values, k=count) for _ in range(RESAMPLES))
    half = count // 2
    ordered = (sorted(sample) for sample in samples)
    medians = sorted(row[half] if count % 2 else (row[half - 1] + row[half]) / 2 for row in ordered)
    tail = (1 - confidence) / 2
    return middle, quantile(medians, tail), quantile(medians, 1 - tail)


def verdict(interval, better):
    """What a ratio's interval says: "better", "worse" or "same"; "?" when it cannot tell (fewer than 3 rounds)."""
    if interval is None or interval[1] is None:
        return "?"
    _, low, high = interval
    if low <= 1 <= high:
        return "same"
    return "better" if (low > 1) == (better == "more") else "worse"


def merge_buckets(histograms):
    """Sum of lists of [greatest value, count]."""
    total = {}
    for histogram in histograms:
        for upper, count in histogram:
            total[upper] = total.get(upper, 0) + count
    return sorted(total.items())


def percentile(buckets, fraction):
    """The least bucket end that `fraction` of all counts do not exceed."""
    count = sum(number for _, number in buckets)
    if count == 0:
        return None
    rank = max(1, math.ceil(fraction * count))
    seen = 0
    for upper, number in buckets:
        seen += number
        if seen >= rank:
            return upper
    return buckets[-1][0]


def jain(values):
    squares = sum(value * value for value in values)
    return 1.0 if squares == 0 else sum(values) ** 2 / (len(values) * squares)
