#!/usr/bin/env python3
"""One clip by diffusers' own WanImageToVideoPipeline, TI2V-5B as it is but few layers deep, timed by stage.

    wan22-tune exec --profile FILE -- python benches/fidelity/pipeline.py 224x128x5:2:4 [--text-layers 2] [--calls 1]

The shape is WIDTHxHEIGHTxFRAMES:LAYERS:STEPS. What only a program can set (precision, tiles, the VAE's kernels
and memory format, inter-op threads) comes from the WAN22_ variables that `exec` hands over. The last line is JSON:
seconds of the call by stage, without imports and loading; page faults; peak memory.
"""

import argparse
import json
import os
import resource
import sys
import time
import types
from pathlib import Path

import torch
from diffusers.utils import logging
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from random_model import pipeline as random_pipeline  # noqa: E402

BF16, FP32 = torch.bfloat16, torch.float32
# Of transformer and text encoder, of the VAE.
PRECISIONS = {"fp32": (FP32, FP32), "bf16": (BF16, FP32), "bf16-vae": (BF16, BF16)}
LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


def knob(name, default):
    return os.environ.get("WAN22_" + name, default)


def laid_out(tensor):
    """Its channels innermost, where the profile asks for that."""
    is_plain = knob("MEMORY_FORMAT", "contiguous") == "contiguous" or tensor.dim() not in LAYOUTS
    return tensor if is_plain else tensor.contiguous(memory_format=LAYOUTS[tensor.dim()])


def slow_conv3d(self, x, weight, bias):
    return torch._C._nn.slow_conv3d(x, weight, self.kernel_size, bias, self.stride, self.padding)


def onednn(self, x, weight, bias):
    return torch.mkldnn_convolution(x, weight, bias, self.padding, self.stride, self.dilation, self.groups)


def prepare_vae(vae):
    """Gives the VAE the kernels and the order of channels that the profile names."""
    three, both = (torch.nn.Conv3d,), (torch.nn.Conv2d, torch.nn.Conv3d)
    kernels = {"auto": ((), None), "slow-conv3d": (three, slow_conv3d), "onednn": (both, onednn)}
    kinds, kernel = kernels[knob("CONV_BACKEND", "auto")]
    for module in vae.modules():
        if isinstance(module, kinds):
            module._conv_forward = types.MethodType(kernel, module)
    for parameter in vae.parameters():
        parameter.data = laid_out(parameter.data)


def set_tiles(vae, of, pixels_per_unit):
    """The encoder counts pixels after patching, two by two in VAE 2.2, the decoder those of the picture."""
    size, stride = (int(knob(f"{of}_{what}", 0)) // pixels_per_unit for what in ("SIZE", "STRIDE"))
    if size:
        vae.enable_tiling(size, size, stride, stride)


class Stages:
    """When each stage of a call began and ended."""

    def __init__(self, pipe):
        self.seconds = {}
        vae = pipe.vae
        self.time(pipe, "encode_prompt", "text", lambda: None)
        self.time(vae, "encode", "encode", lambda: set_tiles(vae, "TILE", vae.config.patch_size or 1))
        self.time(vae, "decode", "decode", lambda: set_tiles(vae, "VAE_TILE", 1))

    def time(self, owner, method, stage, before):
        call = getattr(owner, method)

        def timed(*arguments, **named):
            before()
            # The VAE's methods take a tensor, encode_prompt names only.
            arguments = [laid_out(argument) for argument in arguments]
            begun = time.perf_counter()
            if stage == "decode":
                # All that lies between the picture's latents and the decoder: forwards, guidance, scheduler.
                self.seconds["denoise"] = begun - self.encoded
            result = call(*arguments, **named)
            self.encoded = time.perf_counter()
            self.seconds[stage] = self.encoded - begun
            return result

        setattr(owner, method, timed)


def loaded(shape, text_layers):
    of_models, of_vae = PRECISIONS[knob("PRECISION", "fp32")]
    pipe = random_pipeline(layers=shape["layers"], text_layers=text_layers, image=True, dtype=of_models)
    pipe.vae.to(of_vae)
    prepare_vae(pipe.vae)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generate(pipe, shape):
    width, height = shape["width"], shape["height"]
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    words = [" ".join(f"w{3 + (first + 7 * i) % 4000}" for i in range(600)) for first in (0, 1000)]
    frames = pipe(
        picture, words[0], words[1], height=height, width=width, num_frames=shape["frames"],
        num_inference_steps=shape["steps"], output_type="np", generator=torch.Generator().manual_seed(3),
    ).frames
    if frames.shape[1:] != (shape["frames"], height, width, 3) or not (frames == frames).all():
        raise SystemExit(f"no such video was asked for: {frames.shape}, or it is not finite")


def parse(text):
    size, layers, steps = text.split(":")
    numbers = [int(number) for number in [*size.split("x"), layers, steps]]
    return dict(zip(("width", "height", "frames", "layers", "steps"), numbers))


@torch.inference_mode()
def main():
    began = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", type=parse, help="WIDTHxHEIGHTxFRAMES:LAYERS:STEPS")
    parser.add_argument("--text-layers", type=int, default=2)
    parser.add_argument("--calls", type=int, default=1, help="clips made one after another; each is printed")
    options = parser.parse_args()
    logging.set_verbosity_error()
    torch.set_num_interop_threads(int(knob("INTER_OP_THREADS", 1)))
    torch.set_float32_matmul_precision(knob("MATMUL_PRECISION", "highest"))
    pipe = loaded(options.shape, options.text_layers)
    stages = Stages(pipe)
    load = time.perf_counter() - began
    for _ in range(options.calls):
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        generate(pipe, options.shape)
        total = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({
            "total": total, **stages.seconds, "load": load, "faults": after.ru_minflt - before.ru_minflt,
            "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "peak_gib": after.ru_maxrss / 2**20, "threads": torch.get_num_threads(),
        }), flush=True)


if __name__ == "__main__":
    main()
