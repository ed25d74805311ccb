#!/usr/bin/env python3
"""How true predictions are to the real job: diffusers' own pipeline under several profiles, predicted and real.

    pip install torch==2.13.0 diffusers==0.42.1 transformers==5.23.0 ftfy
    cargo build --release
    python benches/fidelity.py --tuned results/FOLDER --json fidelity.json [--resume]

Real: `wan22-tune exec --profile P -- python benches/fidelity/pipeline.py SHAPE`, WanImageToVideoPipeline at
TI2V-5B's true widths, few layers deep. Predicted: `wan22-tune measure --profile P` of the same job. Each is a fresh
process; all of a shape are run once a round, in an order that each second round reverses, and gains are those of
pairs in a round. In the block of a precision the baseline has that precision. `--resume` goes on with a file of
raw results; `--table` prints what is in it and runs nothing.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "fidelity"))
from gains import gain, order, ranks, spearman  # noqa: E402
from profiles import located, write  # noqa: E402
from table import PREDICTED, REAL, STAGES, Cell, text  # noqa: E402

SHAPES = "224x128x5:2:4,448x128x5:2:4,448x256x9:3:2"
PIPELINE = HERE / "fidelity" / "pipeline.py"
JOB = """schema = 1
name = "fidelity"
why = "The job that benches/fidelity/pipeline.py runs."
model = "ti2v-5b"
stages = ["read", "preprocess", "pack", "text", "encode", "denoise", "decode", "write"]

[job]
clips = 1
width = {width}
height = {height}
frames = {frames}
steps = {steps}
layers = {layers}
text_layers = {text_layers}
"""


def job(folder, shape, text_layers):
    """The job of a shape WIDTHxHEIGHTxFRAMES:LAYERS:STEPS as a workload file."""
    size, layers, steps = shape.split(":")
    width, height, frames = size.split("x")
    path = folder / f"{shape.replace(':', '-')}.toml"
    path.write_text(JOB.format(
        width=width, height=height, frames=frames, steps=steps, layers=layers, text_layers=text_layers
    ))
    return path


def last_json(text):
    return json.loads(text.strip().splitlines()[-1])


def printed(text):
    """Seconds as `measure --json` prints them: the score and the stages."""
    measured = json.loads(text)
    stages = {stage: seconds for stage, seconds in measured["stages_s"].items() if stage in STAGES}
    return {"total": measured["score"], **stages}


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.blocks = write(options, folder)
        files = [file for block in self.blocks.values() for file in block.values()]
        self.files = list(dict.fromkeys(files))
        self.runs = []
        if options.json.exists():
            self.runs = json.loads(options.json.read_text())["runs"]

    def command(self, kind, shape, file):
        options = self.options
        if kind == REAL:
            # The first call's own costs are in no other one, and slices are measured warm.
            python = [options.python, PIPELINE, shape, "--text-layers", str(options.text_layers), "--calls", "2"]
            return [options.cli, "exec", "--quiet", "--profile", file, "--", *python]
        workload = job(self.folder, shape, options.text_layers)
        command = [options.cli, "measure", "--json", "--wait", "--limit", "20m", "--objective", "latency"]
        command += ["--size", str(options.size)] if options.size is not None else []
        return [*command, "--workload", workload, "--profile", file]

    def run(self, kind, shape, file, round_):
        begun = time.time()
        done = subprocess.run(self.command(kind, shape, file), capture_output=True, text=True)
        run = {"kind": kind, "shape": shape, "profile": file.stem, "round": round_, "load": os.getloadavg()[0]}
        if done.returncode:
            run["error"] = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        else:
            run.update((last_json if kind == REAL else printed)(done.stdout))
        return {**run, "wall": time.time() - begun}

    def keep(self, run):
        self.runs.append(run)
        new = self.options.json.with_suffix(".new")
        new.write_text(json.dumps({"blocks": self.names(), "runs": self.runs}, indent=1) + "\n")
        new.replace(self.options.json)

    def names(self):
        return {p: {name: file.stem for name, file in block.items()} for p, block in self.blocks.items()}

    def measure(self):
        """Runs what is not there yet, a round of all shapes after the other."""
        rounds = {REAL: self.options.repeats, PREDICTED: self.options.predictions}
        there = {(r["kind"], r["shape"], r["profile"], r["round"]) for r in self.runs if "error" not in r}
        for round_ in range(max(rounds.values())):
            for shape in self.options.shapes.split(","):
                kinds = [kind for kind in rounds if round_ < rounds[kind]]
                items = [(kind, file) for kind in kinds for file in self.files]
                for kind, file in order(items, round_, self.options.seed):
                    if (kind, shape, file.stem, round_) not in there:
                        run = self.run(kind, shape, file, round_)
                        self.keep(run)
                        self.say(run)

    def say(self, run):
        names = [f"{p}/{name}" for p, block in self.names().items() for name in block if block[name] == run["profile"]]
        result = run.get("error") or f"{run['total']:.2f} s"
        print(f"round {run['round']} {run['shape']} {run['kind']} {', '.join(names)}: {result} "
              f"(process {run['wall']:.0f} s)", file=sys.stderr, flush=True)


def cells(blocks, runs):
    """Every profile at every shape and precision."""
    def of(shape, profile):
        return [run for run in runs if (run["shape"], run["profile"]) == (shape, profile) and "error" not in run]

    return [
        Cell(shape, precision, name, of(shape, profile), of(shape, block["baseline"]))
        for shape in dict.fromkeys(run["shape"] for run in runs)
        for precision, block in blocks.items()
        for name, profile in block.items()
        if of(shape, profile)
    ]


def spliced(page, table):
    begin, end = "<!-- fidelity: begin -->", "<!-- fidelity: end -->"
    before, rest = page.split(begin)
    return f"{before}{begin}\n\n{table}\n\n{end}{rest.split(end)[1]}"


class Arithmetic(unittest.TestCase):
    """Against numbers worked out by hand."""

    def test_a_gain_is_that_of_pairs_in_a_round(self):
        self.assertEqual(gain({0: 10.0}, {1: 5.0}), (None, None))
        self.assertEqual(gain({0: 10.0, 1: 4.0}, {0: 5.0}), (50.0, None))
        # Ratios of 1/2 and 1/8: their geometric mean is 1/4, logs ln 2 either side of it, so that the
        # interval is a quarter times and by 2^12.706.
        percent, (low, high) = gain({0: 10.0, 1: 8.0}, {0: 5.0, 1: 1.0})
        self.assertAlmostEqual(percent, 75.0)
        self.assertAlmostEqual(low, 100 - 25 * 2**12.706)
        self.assertAlmostEqual(high, 100 - 25 / 2**12.706)

    def test_ranks_share_what_is_equal(self):
        self.assertEqual(ranks([3.0, 1.0, 3.0]), [2.5, 1.0, 2.5])
        self.assertAlmostEqual(spearman([1, 2, 3, 4], [10, 30, 20, 40]), 0.8)
        self.assertAlmostEqual(spearman([1, 2, 3], [3, 2, 1]), -1.0)
        self.assertIsNone(spearman([1, 2], [5, 5]))

    def test_each_second_round_is_the_reverse(self):
        items = list(range(9))
        self.assertEqual(order(items, 1, 5), order(items, 0, 5)[::-1])
        self.assertNotEqual(order(items, 2, 5), order(items, 0, 5))
        self.assertEqual(sorted(order(items, 7, 5)), items)

    def test_the_table_says_what_it_comes_to(self):
        def run(profile, kind, seconds):
            return [dict(kind=kind, shape="S", profile=profile, round=r, total=seconds, text=1.0) for r in (0, 1)]
        runs = [*run("b", REAL, 10.0), *run("b", PREDICTED, 20.0), *run("t", REAL, 4.0), *run("t", PREDICTED, 9.0)]
        page = text(cells({"fp32": {"baseline": "b", "tuned": "t"}}, runs))
        self.assertIn("| S | fp32 | tuned | 9.00 | 4.00 | 55.0 [42.4, 64.9] | 60.0 [60.0, 60.0] |", page)
        self.assertIn("within 5 points of the real one: 1 of 1 (100%)", page)
        self.assertIn("inside the predicted interval: 1 of 1 (100%)", page)
        self.assertIn("S, fp32: rank correlation 1.00 of 2 profiles; the best is tuned, tuned takes 0.0% more", page)

    def test_a_page_takes_the_table(self):
        page = "a\n<!-- fidelity: begin -->\nold\n<!-- fidelity: end -->\nb\n"
        new = "a\n<!-- fidelity: begin -->\n\nnew\n\n<!-- fidelity: end -->\nb\n"
        self.assertEqual(spliced(page, "new"), new)

    def test_what_measure_prints_is_read(self):
        page = '{"score": 0.5421, "stages_s": {"text": 0.0004, "read": 1}, "wall_s": 3}'
        self.assertEqual(printed(page), {"total": 0.5421, "text": 0.0004})


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--tuned", type=located, help="the tuned profile or its results folder; six profiles without it")
    add("--shapes", default=SHAPES, help="WIDTHxHEIGHTxFRAMES:LAYERS:STEPS,…")
    add("--precision", default="fp32,bf16", help="precisions of the baseline")
    add("--only", help="these profiles beside the baseline, such as tuned,memory")
    add("--text-layers", type=int, default=2)
    add("--repeats", type=int, default=3, help="rounds of real runs")
    add("--predictions", type=int, default=3, help="rounds of predictions")
    add("--size", type=int, help="of `measure`: how large a sample of the job predicts it")
    add("--seed", type=int, default=1, help="decides the order of runs")
    add("--json", type=Path, default=Path("fidelity.json"), help="raw results, written after each run")
    add("--resume", action="store_true", help="goes on with the raw results")
    add("--table", action="store_true", help="prints the table of the raw results, and runs nothing")
    add("--splice", type=Path, help="a page that takes the table between its two marks, instead of printing it")
    add("--python", default=sys.executable, help="the interpreter that has torch and diffusers")
    add("--cli", default=str(HERE.parent / "target" / "release" / "wan22-tune"), help="the tuner")
    return parser.parse_args()


def main():
    if "--self-test" in sys.argv:
        unittest.main(argv=sys.argv[:1])
    options = arguments()
    if options.json.exists() and not (options.resume or options.table):
        raise SystemExit(f"{options.json} is there: type --resume to go on with it, or another --json")
    if not options.table:
        # An exception, so that the process that runs is ended too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        with tempfile.TemporaryDirectory() as folder:
            Bench(options, Path(folder)).measure()
    raw = json.loads(options.json.read_text())
    table = text(cells(raw["blocks"], raw["runs"]))
    if options.splice:
        options.splice.write_text(spliced(options.splice.read_text(), table))
    else:
        print(table)


if __name__ == "__main__":
    main()
