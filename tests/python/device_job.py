"""A worker that holds memory of a stand-in's GPU until somebody has looked, and whose torch has TF32 off."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

import wan22_tune  # noqa: E402


def run():
    with open(os.environ["NVML_HELD"], "a") as held:
        held.write(f"0 {os.getpid()} {2 << 30}\n")
    while f"listed {os.getpid()}\n" not in open(os.environ["NVML_SEEN"]).read():
        time.sleep(0.02)


seen = wan22_tune.readback
wan22_tune.readback = lambda: {**seen(), "cuda": {"tf32_matmul": False}}
wan22_tune.serve(run)
