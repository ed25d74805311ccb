"""A program of the user's own that is a worker: it sleeps as its settings say, and needs no torch.

Its clock goes on while it sleeps and stands otherwise, so that what it measures does not depend on
what else the machine does. It loads for LOAD_S seconds and runs for RUN_S at its defaults: bf16 halves that, a
tile of 192 takes a fifth off, threads share the rest. TELLS says how it misbehaves.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

import wan22_tune  # noqa: E402

LOAD_S, RUN_S = (float(os.environ.get(name, default)) for name, default in [("LOAD_S", 0.3), ("RUN_S", 0.03)])
PICTURES = "PICTURES" in os.environ
FAULT = os.environ.get("FAULT", "")
PRECISIONS = {"fp32": 1.0, "bf16": 0.6, "bf16-vae": 0.5}
TILES = {64: 1.4, 96: 1.3, 128: 1.1, 192: 0.8, 256: 0.9}


class Clock:
    """The module `time`, but for what a sleep takes: what was asked for, and a little noise."""

    now, sleeps = 0.0, 0

    def __getattr__(self, name):
        return getattr(time, name)

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.sleeps += 1
        time.sleep(1.01 * seconds)
        self.now += seconds * (1.0 + 0.001 * ((7 * os.getpid() + 3 * self.sleeps) % 5))


class Picture:
    """One pixel, as an imaging library has it."""

    width = height = 1

    def __init__(self, shade):
        self.shade = shade

    def convert(self, _):
        return self

    def tobytes(self):
        return bytes([self.shade] * 3)


clock = wan22_tune.time = Clock()


def load():
    with open(os.environ.get("LOADS", os.devnull), "a") as loads:
        loads.write("loaded\n")
    print("loading, which a program may say on standard output")
    time.sleep(LOAD_S)
    return {"threads": int(os.environ.get("OMP_NUM_THREADS", 1)), "runs": 0}


def run(model):
    model["runs"] += 1
    print("run", model["runs"])
    tile = wan22_tune.knob("vae_tile_size", 512)
    seconds = RUN_S * PRECISIONS[wan22_tune.knob("precision", "fp32")] * TILES.get(tile, 1.0)
    if FAULT == "dies" and tile < 192:
        os._exit(3)
    if FAULT == "raises" and tile < 192:
        raise MemoryError("no room for small tiles")
    if FAULT == "cuda" and tile < 192:
        raise type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})("Allocation on device")
    if FAULT == "leaks" and model["runs"] > 6:
        raise MemoryError("full of what ran before")
    now = wan22_tune.knob("precision", "fp32"), tile
    with open(os.environ.get("RUNS", os.devnull), "a") as runs:
        runs.write(f"{os.getpid()} {now}\n")
    if FAULT == "slow-at-first" and model.setdefault("now", now) != now:
        model["now"], seconds = now, 3 * seconds
    if FAULT == "warms-wrongly" and tile != model.setdefault("tile", tile):
        seconds *= 0.4
    with wan22_tune.stage("decode"):
        clock.sleep(seconds * (0.5 + 0.5 / model["threads"]))
    # bf16 is near the right picture, bf16-vae is not.
    shades = {"fp32": 100, "bf16": 101, "bf16-vae": 200}
    return [Picture(100), Picture(shades[wan22_tune.knob("precision", "fp32")])] if PICTURES else None



wan22_tune.serve(load, run)
