"""The job of warm.py: a program that loads for long and runs for short, as a command or as a worker."""

import os
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python"))

import wan22_tune  # noqa: E402

LOAD_S, RUN_S = float(os.environ["LOAD_S"]), float(os.environ["RUN_S"])
# What each value takes, as a share of a run.
COSTS = {
    "precision": {"fp32": 1.0, "bf16": 0.65, "bf16-vae": 0.5},
    "vae_tile_size": {96: 1.25, 128: 1.1, 192: 1.05, 256: 1.0, 384: 1.0, 512: 0.9, 768: 0.95},
    "attention": {"native": 1.0, "flash": 0.85, "sage": 0.9},
    "preload": {0: 1.0, 1: 0.97},
}


def cost(values):
    share = 1.0
    for name, costs in COSTS.items():
        share *= costs[values[name]]
    return share


def load():
    time.sleep(LOAD_S)
    return wan22_tune.knob("preload", 0)


def run(preload):
    values = {"preload": preload}
    for name, usual in [("precision", "fp32"), ("vae_tile_size", 384), ("attention", "native")]:
        values[name] = wan22_tune.knob(name, usual)
    time.sleep(RUN_S * cost(values) * random.lognormvariate(0, 0.01))


if __name__ == "__main__":
    wan22_tune.serve(load, run)
