"""Replays Python peers over recorded spaces, as `cargo bench --bench strategies` replays ours.

    python3 -m venv peers
    peers/bin/pip install optuna==5.0.0 smac==2.4.1 kernel_tuner==1.5.0
    peers/bin/python benches/peers.py DIR [--seeds 30] [--peers optuna,smac,greedy_ils]

(smac builds a forest in C++ and needs swig: `pip install swig` first where there is none.)

DIR holds tables (`knob:kind,...,value`; kind ord or cat; a row a candidate that exists). Optuna
and SMAC can't be told which candidates exist: one that is not in the table costs nothing, is told
to the peer as a failure, and does not count, up to IDLE_LIMIT in a row. Kernel Tuner gets
the list of candidates, as its own search spaces do. A candidate asked for twice is answered
from memory and does not count either. So each peer is judged as ours are, by different legal
evaluations; a peer that gives up keeps its best to the end.
"""

import argparse
import csv
import logging
import math
import pathlib
import random
import tempfile
import warnings

AT = (30, 60, 120, 240)
IDLE_LIMIT = 2_000


class Spent(Exception):
    """The budget is spent, or the peer finds nothing new."""


class Table:
    """A recorded space that counts what is asked of it."""

    def __init__(self, path):
        with open(path, newline="") as file:
            rows = list(csv.reader(file))
        self.name = path.stem
        self.knobs = [cell.rsplit(":", 1) for cell in rows[0][:-1]]
        self.costs = {tuple(row[:-1]): float(row[-1] or "nan") for row in rows[1:]}
        self.levels = []
        for place, (_, kind) in enumerate(self.knobs):
            cells = {row[place] for row in rows[1:]}
            self.levels.append(sorted(cells, key=float if kind == "ord" else str))
        finite = [cost for cost in self.costs.values() if math.isfinite(cost)]
        self.optimum, self.worst = min(finite), max(finite)
        self.kernel_tuner = None

    def start(self):
        self.seen, self.best, self.idle, self.curve = {}, math.inf, 0, []

    def ask(self, candidate):
        """The cost; None for illegal or failed."""
        new = candidate in self.costs and candidate not in self.seen
        self.idle = 0 if new else self.idle + 1
        if self.idle > IDLE_LIMIT or len(self.curve) >= AT[-1]:
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


def smac_forest(table, seed):
    from ConfigSpace import Categorical, ConfigurationSpace, Integer
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory.dataclasses import TrialValue

    names = [f"k{place}" for place in range(len(table.knobs))]
    space = ConfigurationSpace(seed=seed)
    for name, (_, kind), levels in zip(names, table.knobs, table.levels):
        if len(levels) == 1 or kind == "cat":
            space.add(Categorical(name, list(range(len(levels)))))
        else:
            space.add(Integer(name, (0, len(levels) - 1)))

    def objective(config, seed=0):
        cost = table.ask(tuple(levels[config[n]] for n, levels in zip(names, table.levels)))
        return table.worst if cost is None else cost

    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            space, deterministic=True, n_trials=20_000, seed=seed, output_directory=folder
        )
        smac = HyperparameterOptimizationFacade(
            scenario, objective, logging_level=logging.CRITICAL, overwrite=True
        )
        # SMAC takes an exception of the objective for a failed trial, so it is asked step by step.
        while True:
            trial = smac.ask()
            smac.tell(trial, TrialValue(cost=objective(trial.config)))


def kernel_tuner(strategy):
    """One of Kernel Tuner's strategies, over the table's candidates as its search space."""

    def peer(table, seed):
        import importlib

        import numpy
        from kernel_tuner import util
        from kernel_tuner.interface import _STRATEGY_IMPORTS, Options
        from kernel_tuner.searchspace import Searchspace

        numpy.random.seed(seed)
        random.seed(seed)
        names = [f"k{place}" for place in range(len(table.knobs))]
        if table.kernel_tuner is None:
            to_number = [{cell: place for place, cell in enumerate(ls)} for ls in table.levels]
            table.numbers = {
                tuple(number[cell] for number, cell in zip(to_number, candidate)): candidate
                for candidate in table.costs
            }
            cache = {
                "tune_params": {n: list(range(len(ls))) for n, ls in zip(names, table.levels)},
                "cache": {str(c): dict(zip(names, c)) for c in table.numbers},
            }
            table.kernel_tuner = Searchspace(None, None, None, from_cache=cache)
        space = table.kernel_tuner
        budget = util.TuningBudget(None, AT[-1])

        class Runner:
            def add_strategy_time(self, seconds):
                pass

            def available_parallelism(self):
                return 1

            def run(self, configurations, options):
                results = []
                for configuration in configurations:
                    before = len(table.curve)
                    cost = table.ask(table.numbers[tuple(configuration)])
                    budget.add_evaluations(len(table.curve) - before)
                    result = dict(zip(names, configuration), time=cost)
                    if cost is None:
                        result["__error__"] = util.RuntimeFailedConfig()
                    results.append(result)
                return results

        options = Options(
            strategy_options=Options(max_fevals=AT[-1]), objective=["time"],
            objective_higher_is_better=[False], budget=budget, verbose=False, eps=1,
            tune_params=space.tune_params, cache={}, restrictions=None,
        )
        importlib.import_module(_STRATEGY_IMPORTS[strategy]).tune(space, Runner(), options)

    return peer


KERNEL_TUNER = (
    "adaptive_tabu_greywolf", "hybrid_vndx", "genetic_algorithm", "simulated_annealing", "pso",
    "dual_annealing", "diff_evo", "greedy_ils",
)
PEERS = {"optuna": optuna_tpe, "smac": smac_forest}
PEERS |= {name: kernel_tuner(name) for name in KERNEL_TUNER}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--peers", default=",".join(PEERS))
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
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
                found = table.curve or [table.worst / table.optimum - 1]
                curves.append(found + found[-1:] * (AT[-1] - len(found)))
            means.append([100 * sum(c[at - 1] for c in curves) / len(curves) for at in AT])
            show(f"{peer} {table.name}", means[-1])
        show(f"{peer} mean", [sum(column) / len(means) for column in zip(*means)])


def show(name, cells):
    print(f"{name:32}" + "".join(f"{cell:8.1f}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
