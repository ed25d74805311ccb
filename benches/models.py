#!/usr/bin/env python3
"""The models' speed against the same modules in Python, with the same libtorch, in pairs.

    pip install torch==2.13.0 diffusers==0.42.1 transformers==5.23.0
    cargo build --release
    python benches/models.py [--pairs 9] [--threads N] [--only NAME,…] [--worker FILE]

Each pair runs the reference and `wan22-worker bench` once each, in alternating order, on the same
number of threads. Printed are both medians, and the median of the pairs' ratios with its smallest
and largest: above 1 means that the worker is faster.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from multiprocessing import get_context
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from random_model import built
from transformers import UMT5EncoderModel

DIT_5B = dict(
    num_attention_heads=24, attention_head_dim=128, in_channels=48, out_channels=48, ffn_dim=14336, num_layers=1
)
DIT_14B = dict(num_attention_heads=40, attention_head_dim=128, ffn_dim=13824, num_layers=1)
VAE_21 = dict()
VAE_22 = dict(
    base_dim=160, decoder_base_dim=256, z_dim=48, is_residual=True, in_channels=12, out_channels=12,
    patch_size=2, scale_factor_spatial=16, latents_mean=[0.0] * 48, latents_std=[1.0] * 48,
)
UMT5 = dict(vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_heads=64, num_layers=1)

# Name: class, op, configuration, shapes of the inputs.
CASES = {
    "dit5b-block": (WanTransformer3DModel, "forward", DIT_5B, dict(
        hidden_states=[1, 48, 2, 32, 32], timestep=[1, 512], encoder_hidden_states=[1, 512, 4096])),
    "dit14b-block": (WanTransformer3DModel, "forward", DIT_14B, dict(
        hidden_states=[1, 16, 2, 32, 32], timestep=[1], encoder_hidden_states=[1, 512, 4096])),
    "vae22-dec": (AutoencoderKLWan, "decode", VAE_22, dict(z=[1, 48, 2, 4, 4])),
    "vae22-enc": (AutoencoderKLWan, "encode", VAE_22, dict(x=[1, 3, 5, 64, 64])),
    "vae21-dec": (AutoencoderKLWan, "decode", VAE_21, dict(z=[1, 16, 2, 8, 8])),
    "vae21-enc": (AutoencoderKLWan, "encode", VAE_21, dict(x=[1, 3, 5, 64, 64])),
    "umt5-layer": (UMT5EncoderModel, "forward", UMT5, dict(input_ids=[1, 512], attention_mask=[1, 512])),
}
# As `wan22-worker bench` has it.
SEED = 22
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def inputs(shapes, dtype):
    def one(name, shape):
        if name == "input_ids":
            return torch.randint(1, 1000, shape)
        if name == "attention_mask":
            mask = torch.ones(shape, dtype=torch.int64)
            mask[..., shape[-1] // 2:] = 0
            return mask
        if name == "timestep":
            return torch.full(shape, 500.0)
        return torch.randn(shape).clamp(-1, 1).to(dtype) if name == "x" else torch.randn(shape).to(dtype)
    return {name: one(name, shape) for name, shape in shapes.items()}


class Worker:
    def __init__(self, binary, job, threads):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        self.process = subprocess.Popen(
            [binary, "bench"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.ask(json.dumps(job))

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the worker ended with {self.process.wait()}")
        return json.loads(answer)

    def time(self):
        return self.ask("run")["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(name, dtype, options):
    torch.set_num_threads(options.threads)
    kind, op, config, shapes = CASES[name]
    case = dict(model=kind.__name__, op=op, dtype=dtype, config=config)
    worker = Worker(options.worker, dict(case=case, inputs=shapes), options.threads)
    model = built(kind, config, DTYPES[dtype], SEED)
    given = inputs(shapes, DTYPES[dtype])

    @torch.no_grad()
    def python():
        start = time.perf_counter()
        getattr(model, op)(*given.values()) if op != "forward" else model(**given)
        return time.perf_counter() - start

    pairs = []
    for index in range(-2, options.pairs):
        runs = {}
        for side in (("python", "worker") if index % 2 else ("worker", "python")):
            time.sleep(0.05)  # Lets the other side's pool fall asleep.
            runs[side] = python() if side == "python" else worker.time()
        if index >= 0:
            pairs.append((runs["python"], runs["worker"]))
    worker.close()
    ratios = [left / right for left, right in pairs]
    left, right = (statistics.median(side) for side in zip(*pairs))
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"| {name} | {dtype} | {left:.3f} | {right:.3f} | {statistics.median(ratios):.2f} | {spread} |", flush=True)


def main():
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description="Pairs the worker's models with Python's.")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--worker", default=str(root / "target/release/wan22-worker"))
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {options.threads} threads, {options.pairs} pairs")
    print("| model | dtype | Python s | worker s | Python / worker | range |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for name in options.only.split(","):
        for dtype in options.dtypes.split(","):
            # Each in processes of its own: an allocator that has seen other models is faster.
            one = get_context("spawn").Process(target=measure, args=(name, dtype, options))
            one.start()
            one.join()
            if one.exitcode:
                raise SystemExit(f"{name} in {dtype} failed")


if __name__ == "__main__":
    main()
