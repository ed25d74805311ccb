"""Replays Python peers over recorded spaces, as `cargo bench --bench strategies` replays ours.

    python3 -m venv peers && peers/bin/pip install optuna
    peers/bin/python benches/peers.py DIR [--seeds 30] [--peers optuna]

DIR holds tables (`knob:kind,...,value`; kind ord or cat; a row a candidate that exists). A
candidate that is not in the table is illegal: an evaluation of it costs nothing, is told to the
peer as a failure, and does not count, up to ILLEGAL_LIMIT in a row. A candidate asked for twice
is answered from memory and does not count either. So each peer is judged as ours are, by
different legal evaluations.
"""

import argparse
import csv
import math
import pathlib
import warnings

AT = (30, 60, 120, 240)
ILLEGAL_LIMIT = 2_000


class Spent(Exception):
    """The budget is spent, or the peer finds nothing new."""


class Table:
    """A recorded space that counts what is asked of it."""

    def __init__(self, path):
        with open(path, newline="") as file:
            rows = list(csv.reader(file))
        self.name = path.stem
        self.knobs = [cell.rsplit(":", 1) for cell in rows[0][:-1]]
        self.costs = {tuple(row[:-1]): float(row[-1]) for row in rows[1:]}
        self.levels = []
        for place, (_, kind) in enumerate(self.knobs):
            cells = {row[place] for row in rows[1:]}
            self.levels.append(sorted(cells, key=float if kind == "ord" else str))
        finite = [cost for cost in self.costs.values() if math.isfinite(cost)]
        self.optimum, self.worst = min(finite), max(finite)

    def start(self):
        self.seen, self.best, self.idle, self.curve = {}, math.inf, 0, []

    def ask(self, candidate):
        """The cost; None for illegal or failed."""
        new = candidate in self.costs and candidate not in self.seen
        self.idle = 0 if new else self.idle + 1
        if self.idle > ILLEGAL_LIMIT or len(self.curve) >= AT[-1]:
            raise Spent
        if candidate not in self.costs:
            return None
        cost = self.costs[candidate]
        if new:
            self.seen[candidate] = cost
            self.best = min(self.best, cost) if math.isfinite(cost) else self.best
            self.curve.append(min(self.best, self.worst) / self.optimum - 1)
        return cost if math.isfinite(cost) else None


def optuna_tpe(table, seed):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))

    def objective(trial):
        chosen = []
        for (name, kind), levels in zip(table.knobs, table.levels):
            if kind == "ord":
                chosen.append(levels[trial.suggest_int(name, 0, len(levels) - 1)])
            else:
                chosen.append(trial.suggest_categorical(name, levels))
        cost = table.ask(tuple(chosen))
        return table.worst if cost is None else cost

    study.optimize(objective, n_trials=100_000)


PEERS = {"optuna": optuna_tpe}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--peers", default=",".join(PEERS))
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    tables = [Table(path) for path in sorted(arguments.folder.glob("*.csv"))]
    for peer in arguments.peers.split(","):
        means = []
        for table in tables:
            curves = []
            for seed in range(arguments.seeds):
                table.start()
                try:
                    PEERS[peer](table, seed)
                except Spent:
                    pass
                curves.append(table.curve + table.curve[-1:] * (AT[-1] - len(table.curve)))
            means.append([100 * sum(c[at - 1] for c in curves) / len(curves) for at in AT])
            show(f"{peer} {table.name}", means[-1])
        show(f"{peer} mean", [sum(column) / len(means) for column in zip(*means)])


def show(name, cells):
    print(f"{name:32}" + "".join(f"{cell:8.1f}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
