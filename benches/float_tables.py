"""Made tables for benches/strategies.rs: a float over more than a decade, a fraction, threads, a category and a switch.

`python3 benches/float_tables.py OUT levels 33 log` writes twelve functions' tables with 33 levels of the threshold, and
prints how far the best level is from the continuous optimum; `list` or `linear` instead of `levels 33` takes a list of
uneven values or 33 linear ones, and `ord`, `lin` or `log` says by what they are near. Then
`TABLES=OUT SEEDS=10 NOISE=0 BUDGET=40 STRATEGIES=portfolio cargo bench --bench strategies`.
"""

import itertools
import math
import os
import random
import sys
from pathlib import Path

LOW, HIGH = 0.01, 0.3
STRENGTHS = [i / 8 for i in range(9)]
FUNCTIONS = range(*map(int, os.environ.get("FUNCTIONS", "6,18").split(",")))


def function(seed):
    """A cost whose best threshold moves with the attention; a kink at the bottom in half of all."""
    rng = random.Random(seed)
    best = math.exp(rng.uniform(math.log(0.015), math.log(0.2)))
    left, right = rng.uniform(0.1, 0.5), rng.uniform(0.1, 0.5)
    kink = rng.random() < 0.5
    attention = [0] + [rng.uniform(0.02, 0.4) for _ in range(2)]
    rng.shuffle(attention)
    uncompiled = rng.uniform(0.03, 0.2)
    best_strength, of_strength = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.5)
    best_threads = rng.uniform(0, 5)
    shift = [rng.uniform(-0.6, 0.6) for _ in range(3)]
    together = rng.uniform(0, 0.2)

    def cost(threshold, threads, kind, compiled, strength):
        off = math.log(threshold / best) - shift[kind]
        width = left if off < 0 else right
        log = width * abs(off) if kink else width * off * off
        log += attention[kind] + (0 if compiled else uncompiled) + together * compiled * abs(off) / 3
        log += of_strength * (strength - best_strength) ** 2 + 0.03 * (threads - best_threads) ** 2
        return 10 * math.exp(log)

    return cost


def levels(count):
    """Evenly spaced by their logarithms."""
    return [float(f"{LOW * (HIGH / LOW) ** (i / (count - 1)):.6g}") for i in range(count)]


def lowest(cost, thresholds):
    """The least cost: threads and strength act by factors of their own."""
    threads = min(range(6), key=lambda n: cost(0.05, n, 0, 0, 0.5))
    strength = min(STRENGTHS, key=lambda s: cost(0.05, 2, 0, 0, s))
    rest = list(itertools.product(range(3), (0, 1)))
    return min(cost(t, threads, kind, compiled, strength) for t in thresholds for kind, compiled in rest)


def write(path, thresholds, order, cost):
    """Every candidate with its cost."""
    with path.open("w") as out:
        out.write(f"threshold:{order},threads:ord,attention:cat,compile:cat,strength:lin,value\n")
        rows = itertools.product(thresholds, range(6), range(3), (0, 1), STRENGTHS)
        for t, n, kind, compiled, s in rows:
            switch = "true" if compiled else "false"
            out.write(f"{t},{1 << n},a{kind},{switch},{s},{cost(t, n, kind, compiled, s):.6f}\n")


def main():
    out, shape, order = Path(sys.argv[1]), sys.argv[2], sys.argv[-1]
    out.mkdir(parents=True, exist_ok=True)
    if shape == "levels":
        thresholds = levels(int(sys.argv[3]))
    elif shape == "list":
        thresholds = [0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    else:
        thresholds = [float(f"{LOW + (HIGH - LOW) * i / 32:.6g}") for i in range(33)]
    gaps = []
    for number in FUNCTIONS:
        cost = function(number)
        write(out / f"f{number}.csv", thresholds, order, cost)
        gaps.append(lowest(cost, thresholds) / lowest(cost, levels(2001)) - 1)
    mean, most = 100 * sum(gaps) / len(gaps), 100 * max(gaps)
    print(f"{len(thresholds)} values: the best is {mean:.2f}% above the continuous optimum, {most:.2f}% at the most")


if __name__ == "__main__":
    main()
