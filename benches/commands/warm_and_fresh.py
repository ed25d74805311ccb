#!/usr/bin/env python3
"""How alike a worker's warm and fresh processes measure the same candidates.

    python3 benches/commands/warm_and_fresh.py [--candidates 30] [--knobs FILE] -- python my_worker.py …

Draws candidates of the knobs in FILE (JSON, each name with its values; those of a WanPipeline on a CPU unless
given), runs all of them in one process, and then each in a process of its own, after as many runs to warm up.
Prints the ratio of the two times, candidate by candidate, its spread, and for each knob the mean of the
logarithm where it was changed.
Speaks docs/worker-protocol.md itself: without the tuner's check, which would find a knob out.
"""

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import tempfile

# Of the protocol that it speaks.
VERSION = 5
KNOBS = {
    "precision": ["fp32", "bf16", "bf16-vae"],
    "vae_tile_size": [128, 192, 256, 384],
    "matmul_precision": ["highest", "medium"],
    "memory_format": ["contiguous", "channels-last"],
}


class Worker:
    def __init__(self, command, output):
        self.output, self.number = output, 0
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=dict(os.environ, WAN22_PROTOCOL=str(VERSION)),
        )

    def run(self, knobs, repetitions):
        """Seconds of each repetition."""
        self.number += 1
        strides = {"vae_tile_stride": knobs["vae_tile_size"] * 3 // 64 * 16} if "vae_tile_size" in knobs else {}
        job = {
            "version": VERSION, "trial": self.number, "knobs": {**knobs, **strides}, "warmup": 1,
            "repetitions": {"least": repetitions, "most": repetitions}, "output": self.output,
        }
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        seconds = []
        for line in self.process.stdout:
            message = json.loads(line)
            if "sample" in message:
                seconds.append(message["sample"]["sample"]["seconds"])
            if "failed" in message:
                raise SystemExit(f"{knobs}: {message['failed']['detail']}")
            if "done" in message:
                return seconds
        raise SystemExit(f"{knobs}: the worker ended")

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=30)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--knobs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    space = json.load(open(options.knobs)) if options.knobs else KNOBS
    draw = random.Random(options.seed)
    candidates = [{name: draw.choice(values) for name, values in space.items()} for _ in range(options.candidates)]
    with tempfile.TemporaryDirectory() as output:
        worker = Worker(options.command, output)
        warm = [worker.run(candidate, options.repetitions) for candidate in candidates]
        worker.end()
        fresh = []
        for candidate in candidates:
            worker = Worker(options.command, output)
            fresh.append(worker.run(candidate, options.repetitions))
            worker.end()
    report(candidates, [[statistics.median(times) for times in one] for one in (warm, fresh)], (warm, fresh))


def report(candidates, medians, times):
    logs = [math.log(warm / fresh) for warm, fresh in zip(*medians)]
    print("warm s  fresh s   ratio  candidate")
    for candidate, warm, fresh, log in zip(candidates, *medians, logs):
        print(f"{warm:6.3f}  {fresh:7.3f}  {math.exp(log):6.3f}  {' '.join(str(v) for v in candidate.values())}")
    within = [abs(math.log(max(one) / min(one))) for kind in times for one in kind if len(one) > 1]
    noise = f", repetitions within a process differ by {statistics.median(within):.1%}" if within else ""
    spread = statistics.stdev(logs) if len(logs) > 1 else 0.0
    print(f"{len(logs)} candidates: median ratio {math.exp(statistics.median(logs)):.3f}, spread {spread:.1%}, "
          f"worst {math.exp(max(logs, key=abs)):.3f}{noise}")
    first = candidates[0]
    for name in first:
        changed = [log for one, log in zip(candidates, logs) if one[name] != first[name]]
        if changed:
            print(f"  {name} changed in the warm process: {math.exp(statistics.mean(changed)):.3f} over {len(changed)}")


if __name__ == "__main__":
    main()
