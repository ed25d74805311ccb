#!/usr/bin/env python3
"""How many trials a budget pays for where a program is loaded once, and where each run loads it again.

    cargo build --no-default-features --bin wan22-tune
    python3 benches/commands/warm.py [--scale 5] [--budget 600] [--load 30] [--run 3] [--seeds 1] [--only worker]
        [--bin target/debug]

The program sleeps: 30 s to load, 3 s per run under its defaults, in a tune of 10 minutes, all divided by
--scale. `command` runs the program as often per trial
as the tuner chooses, `3 runs` three times, `worker` keeps it loaded. All have the same space of 126 candidates, in
which the best is known. What starting Python
and the tuner's own work take is not divided, so that a larger scale counts against the worker.
"""

import argparse
import csv
import os
import subprocess
import tempfile
from pathlib import Path

os.environ.update(LOAD_S="0", RUN_S="0")
from warm_job import COSTS, cost  # noqa: E402

JOB = Path(__file__).resolve().with_name("warm_job.py")


def space():
    text = "schema = 1\nname = 'warm'\nwhy = 'a program that sleeps'\n"
    for name, costs in COSTS.items():
        default = "" if name in ("precision", "vae_tile_size") else f"default = {next(iter(costs))!r}\n"
        text += f"[knob.{name}]\nwhy = ''\n{default}values = {list(costs)}\n"
    return text


def typed(name, text):
    return int(text) if name in ("vae_tile_size", "preload") else text


def tune(options, flags, seed):
    """Its trials, the processes that they took, the best candidate by what is true of it, and the verdict."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        (scratch / "space.toml").write_text(space())
        environment = dict(
            os.environ, WAN22_LOCK_DIR=str(scratch), LOAD_S=str(options.load / options.scale),
            RUN_S=str(options.run / options.scale),
        )
        budget = f"{options.budget / options.scale:.0f}s"
        command = [options.bin / "wan22-tune", "--budget", budget, "--space", "space.toml", "--seed", seed, *flags]
        done = subprocess.run(
            [str(word) for word in [*command, "--", "python3", JOB]],
            cwd=scratch, env=environment, capture_output=True, text=True, check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        (journal,) = scratch.glob("results/*/trials.csv")
        trials = list(csv.DictReader(journal.open()))
    ok = [trial for trial in trials if trial["outcome"] == "ok"]
    values = [{name: typed(name, trial[f"knob.{name}"]) for name in COSTS} for trial in ok]
    runs = sum(1 for trial in ok for name in trial if name.startswith("sample.") and trial[name])
    starts = sum(not trial.get("process") for trial in trials) if "--worker" in flags else runs
    return len(trials), starts, min(values, key=cost), done.stdout.partition("\n")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in [("scale", 5), ("budget", 600), ("load", 30), ("run", 3)]:
        parser.add_argument(f"--{name}", type=float, default=usual)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", help="command, 3 runs or worker")
    parser.add_argument("--bin", type=Path, default=Path("target/debug"))
    options = parser.parse_args()
    options.bin = options.bin.resolve()
    best = {name: min(costs, key=costs.get) for name, costs in COSTS.items()}
    print(f"load {options.load:.0f} s, run {options.run:.0f} s, budget {options.budget:.0f} s, all divided by "
          f"{options.scale:g}; the best takes {cost(best):.3f} of a run")
    print("seed  how        trials  processes  best found  verdict")
    for seed in range(1, options.seeds + 1):
        for how, flags in [("command", []), ("3 runs", ["--repetitions", "3"]), ("worker", ["--worker"])]:
            if options.only not in (None, how):
                continue
            trials, starts, found, verdict = tune(options, flags, seed)
            print(f"{seed:4}  {how:9}  {trials:6}  {starts:9}  {cost(found):10.3f}  {verdict}", flush=True)


if __name__ == "__main__":
    main()
