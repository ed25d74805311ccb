#!/usr/bin/env python3
"""What a whole job takes to denoise, by one block of diffusers' own transformer at the job's full length.

    wan22-tune exec --profile FILE -- python benches/fidelity/denoise.py 1280x704x121 [--steps 50] [--layers 30]

A real run of such a job takes days on a CPU. Its blocks are alike, and so are its steps: one forward pass of
TI2V-5B's transformer at its true widths, one block deep, over all tokens of the job. Precision comes from the
WAN22_ variables that `exec` hands over, as in pipeline.py. The last line is JSON: seconds of the block, of the rest
of the pass, and of all blocks, steps and guided passes together.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from random_model import TRANSFORMER, built  # noqa: E402

TEXT = (1, 512, 4096)


def latents(size):
    """Channels, frames, height and width of a clip of WIDTHxHEIGHTxFRAMES."""
    width, height, frames = (int(number) for number in size.split("x"))
    return 48, (frames - 1) // 4 + 1, height // 16, width // 16


def timed(module, seconds):
    """Notes how long each call of the module takes."""
    module.register_forward_pre_hook(lambda *_: seconds.append(-time.perf_counter()))
    module.register_forward_hook(lambda *_: seconds.append(seconds.pop() + time.perf_counter()))


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", type=latents, help="WIDTHxHEIGHTxFRAMES")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--no-guidance", action="store_true", help="one pass a step")
    options = parser.parse_args()
    dtype = torch.float32 if os.environ.get("WAN22_PRECISION", "fp32") == "fp32" else torch.bfloat16
    torch.set_num_interop_threads(int(os.environ.get("WAN22_INTER_OP_THREADS", 1)))
    torch.set_float32_matmul_precision(os.environ.get("WAN22_MATMUL_PRECISION", "highest"))
    model = built(WanTransformer3DModel, dict(TRANSFORMER, num_layers=1), dtype, 23)
    channels, frames, height, width = options.size
    tokens = frames * (height // 2) * (width // 2)
    clip = torch.randn(1, channels, frames, height, width, dtype=dtype)
    text = torch.randn(TEXT, dtype=dtype)
    blocks = []
    timed(model.blocks[0], blocks)
    began = time.perf_counter()
    # A step of its own for each token: the first frame is given.
    model(clip, timestep=torch.full((1, tokens), 500.0), encoder_hidden_states=text, return_dict=False)
    (block,), whole = blocks, time.perf_counter() - began
    passes = options.steps * (1 if options.no_guidance else 2)
    print(json.dumps({
        "tokens": tokens, "block": block, "rest": whole - block,
        "denoise": passes * (options.layers * block + whole - block),
    }))


if __name__ == "__main__":
    main()
