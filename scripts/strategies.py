#!/usr/bin/env python3
"""Tunes this machine with several strategies at the same budget and prints the confirmed gains.

    scripts/strategies.py [--budget 4m] [--seeds 5] [--strategies portfolio,random,annealing]
                          [--results results/strategies] [-- more flags of wan22-tune]

Strategies differ where a budget holds many trials: benches/jobs/pipeline.toml is a job for that.
The tunes take turns (seed by seed, strategy by strategy), so that a drifting machine is fair to
all. What is there is not tuned again: cut short, it goes on. A gain that was not
proved counts as none.
"""

import argparse
import json
import pathlib
import subprocess
import sys


def tuned(folder):
    """The profile of the tune under `folder`, None where there is none yet."""
    found = sorted(folder.glob("*/profile.json"))
    return json.loads(found[-1].read_text()) if found else None


def gain(profile):
    """The confirmed gain in %; nothing was gained where nothing was proved."""
    evidence = profile.get("evidence") or {}
    return evidence["gain_percent"] if evidence.get("verdict") == "gain" else 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--budget", default="4m")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--strategies", default="portfolio,random,annealing")
    parser.add_argument("--results", type=pathlib.Path, default=pathlib.Path("results/strategies"))
    parser.add_argument("flags", nargs="*")
    arguments = parser.parse_args()
    strategies = arguments.strategies.split(",")
    for seed in range(1, arguments.seeds + 1):
        for strategy in strategies:
            folder = arguments.results / f"{strategy}-{seed}"
            if tuned(folder):
                continue
            command = ["target/release/wan22-tune", "--budget", arguments.budget]
            command += ["--cold", "--strategy", strategy, "--seed", str(seed), "--results", str(folder)]
            print(" ".join(command + arguments.flags), file=sys.stderr, flush=True)
            subprocess.run(command + arguments.flags, check=True, stdout=subprocess.DEVNULL)
    print("| strategy | confirmed gain by seed, % | mean |\n| --- | --- | ---: |")
    for strategy in strategies:
        profiles = [tuned(arguments.results / f"{strategy}-{s + 1}") for s in range(arguments.seeds)]
        gains = [gain(profile) for profile in profiles]
        cells = ", ".join(f"{one:.1f}" for one in gains)
        print(f"| {strategy} | {cells} | {sum(gains) / len(gains):.1f} |")


if __name__ == "__main__":
    main()
