#!/usr/bin/env python3
"""Real tunes of a command of known cost, several at a time: they sleep and take hardly any CPU.

    cargo build --release --no-default-features --bin wan22-tune --example noisy-job
    python benches/commands/tunes.py [--tunes 16] [--budget 40s] [--jobs 8] [--wall] [--bin target/release]
                               [--tables nothing,power,self-test] [--only growth]

`nothing` tunes a job whose settings change nothing, under each kind of noise, and counts false
gains and false losses (an interval that leaves out 0); `power` one that is faster by a known share,
and counts claims and intervals that cover it; `self-test` runs `--self-test`. What a run costs is
what the job prints or, with --wall, the time that it takes. Needs Python's own library only.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

KINDS = {
    "heavy tails (Pareto)": "pareto",
    "log-normal, 30%": "lognormal:0.3",
    "bimodal, 10%": "bimodal:0.1",
    "neighbours, 20%, seldom": "neighbours:0.2:0.05",
    "neighbours, 20%, often": "neighbours:0.2:0.3",
    "AR(1), 0.9 of 5%": "correlated:0.9:0.05",
    "quantised, 1% to 2%": "quantised:0.01:0.02",
    "sawtooth, 20% in 7 runs": "sawtooth:0.2:7",
    "drift, +1% a second": "drift:0.01",
    "drift, -0.5% a second": "drift:-0.005",
    "growth, 0.3% a run": "growth:0.003",
    "growth, 0.8% a run": "growth:0.008",
    "growth, 2% a run": "growth:0.02",
}
GAINS = [(0.1, 0.01), (0.1, 0.03), (0.1, 0.1), (0.2, 0.01), (0.2, 0.03)]


def tune(options, noise, seed, gain=0.0, self_test=False):
    """Runs one tune; its status and its verdict."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        (scratch / "lock").mkdir()
        (scratch / "state").write_text(f"{seed % 20} 0 0 {seed}")
        job = [options.bin / "examples/noisy-job", noise, scratch / "state", options.seconds, gain]
        job.append("cost" if options.wall else "fixed")
        command = [options.bin / "wan22-tune", "--budget", options.budget, "--seed", seed]
        command += ["--cold", "--strategy", "random"]
        command += ["--self-test"] if self_test else []
        command += [] if options.wall else ["--metric", "cost=([0-9.]+)"]
        environment = dict(os.environ, WAN22_LOCK_DIR=str(scratch / "lock"), HOME=str(scratch))
        done = subprocess.run(
            [str(word) for word in [*command, "--", *job]],
            cwd=scratch, env=environment, capture_output=True, text=True, check=False,
        )
        if done.returncode and not self_test:
            print(done.stderr, file=sys.stderr)
        return done.returncode, verdict(done.stdout)


def verdict(text):
    """`gain`, `loss` or `no`, and the interval of the saving in percent, from a tune's first line."""
    line = text.partition("\n")[0].replace("\u2212", "-")
    found = re.search(r"interval (?:of the saving )?(-?[0-9.]+)% to (-?[0-9.]+)%", line)
    interval = [float(end) for end in found.groups()] if found else None
    if line.startswith("Gain"):
        return "gain", interval
    if line.startswith("No gain: the finalist took"):
        return "loss", [-interval[1], -interval[0]]
    return "no", interval


def many(options, **what):
    """As many tunes as are wanted, `jobs` of them at a time."""
    with ThreadPoolExecutor(options.jobs) as pool:
        seeds = range(options.seed, options.seed + options.tunes)
        return list(pool.map(lambda seed: tune(options, seed=seed, **what), seeds))


def intervals(ends):
    """The intervals of those that came to one: how much less it costs, in percent."""
    return [interval for _, (_, interval) in ends if interval]


def count(ends, word):
    return sum(verdict == word for _, (verdict, _) in ends)


def nothing(options):
    print(f"{'noise':26} false gains  false losses  with an interval")
    for name, noise in KINDS.items():
        if options.only not in name:
            continue
        ends = many(options, noise=noise)
        gains, losses = count(ends, "gain"), count(ends, "loss")
        print(f"{name:26} {gains:11}  {losses:12}  {len(intervals(ends)):16}", flush=True)


def power(options):
    print("gain  noise  claimed  covered")
    for gain, noise in GAINS:
        ends = many(options, noise=f"normal:{noise}", gain=gain)
        known = intervals(ends)
        covered = sum(low <= 100 * gain <= high for low, high in known)
        claimed = f"{count(ends, 'gain')} of {len(ends)}"
        print(f"{gain:4.0%}  {noise:5.0%}  {claimed:8}  {covered} of {len(known)}", flush=True)


def self_test(options):
    print("self-test                  failed")
    for name, noise in KINDS.items():
        if options.only in name:
            ends = many(options, noise=noise, self_test=True)
            print(f"{name:26} {sum(status != 0 for status, _ in ends)} of {len(ends)}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=Path, default=Path("target/release"))
    parser.add_argument("--tunes", type=int, default=16)
    parser.add_argument("--budget", default="40s")
    parser.add_argument("--seconds", default="0.3")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--tables", default="nothing,power,self-test")
    parser.add_argument("--only", default="")
    parser.add_argument("--wall", action="store_true")
    options = parser.parse_args()
    options.bin = options.bin.resolve()
    cost = "wall time" if options.wall else "metric"
    print(f"{options.tunes} tunes of {options.budget} each from seed {options.seed}, {cost}")
    tables = {"nothing": nothing, "power": power, "self-test": self_test}
    for table in options.tables.split(","):
        tables[table](options)


main()
