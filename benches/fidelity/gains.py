"""Arithmetic of the fidelity bench: gains of pairs with their interval, ranks, the order of runs."""

import math
import random
import statistics

# Two-sided 95% quantiles of Student's t by degrees of freedom; the last one serves for more.
STUDENT = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]


# How far the gain of a slice is from the job's, in logs, as the program claims it (src/evidence/confirmation.rs).
FIDELITY = (0.04, 0.15)


def gain(baseline, other, is_slice=False):
    """Percent of time saved and its 95% interval, of seconds by round: a pair is two runs of a round.

    One pair has no interval, but for what a slice may differ from the job; without a pair there is no gain.
    """
    logs = [math.log(other[round_] / baseline[round_]) for round_ in sorted(baseline) if round_ in other]
    if not logs:
        return None, None
    mean = statistics.fmean(logs)
    percent = [100 * (1 - math.exp(mean))]
    if len(logs) == 1 and not is_slice:
        return percent[0], None
    half = 0.0
    if len(logs) > 1:
        half = STUDENT[min(len(logs) - 1, len(STUDENT)) - 1] * statistics.stdev(logs) / math.sqrt(len(logs))
    if is_slice:
        half = math.hypot(half, 1.96 * math.hypot(FIDELITY[0], FIDELITY[1] * mean))
    return percent[0], (100 * (1 - math.exp(mean + half)), 100 * (1 - math.exp(mean - half)))


def ranks(values):
    """From 1, the smallest; equal values share the mean of their ranks."""
    return [sum(v < value for v in values) + (1 + sum(v == value for v in values)) / 2 for value in values]


def spearman(left, right):
    """Rank correlation, or None where one side has a single value."""
    if len(set(left)) < 2 or len(set(right)) < 2:
        return None
    left, right = ([rank - (len(side) + 1) / 2 for rank in ranks(side)] for side in (left, right))
    squares = (sum(rank * rank for rank in side) for side in (left, right))
    return sum(a * b for a, b in zip(left, right)) / math.sqrt(math.prod(squares))


def order(items, round_, seed):
    """The items of a round, from 0: shuffled, and each second round has the reverse order of the one before,
    so that a machine that gets steadily faster or slower favours none over two rounds."""
    shuffled = list(items)
    random.Random(1000 * seed + round_ // 2).shuffle(shuffled)
    return shuffled[::-1] if round_ % 2 else shuffled
