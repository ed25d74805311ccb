#!/usr/bin/env python3
"""A video generator as somebody's own job: diffusers' WanPipeline with small random weights.

    pip install torch==2.13.0 diffusers==0.42.1 transformers==5.23.0
    wan22-tune --budget 5m --metric 'json:/seconds' -- python3 tests/command/generate.py

It takes its settings from the profile whose path stands in WAN22_PROFILE, as a program of yours
would, and prints what it took; without one it runs under its own defaults.
"""

import json
import os
import time

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from diffusers.utils import logging

# Silences the advice against casting a whole model, which is done here.
logging.set_verbosity_error()

# Small enough for a test, large enough that threads and numbers show.
TRANSFORMER = dict(
    num_attention_heads=4, attention_head_dim=64, in_channels=16, out_channels=16, text_dim=64,
    freq_dim=64, ffn_dim=1024, num_layers=2, rope_max_seq_len=64,
)
VAE = dict(base_dim=12, z_dim=16)
CLIPS = 2
PRECISIONS = {
    "fp32": (torch.float32, torch.float32),
    "bf16": (torch.bfloat16, torch.float32),
    "bf16-vae": (torch.bfloat16, torch.bfloat16),
}


def settings():
    """The knobs of the profile that this process was given."""
    path = os.environ.get("WAN22_PROFILE")
    if not path:
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)["candidate"]


def pipeline(knobs):
    torch.manual_seed(1)
    of_transformer, of_vae = PRECISIONS[knobs.get("precision", "fp32")]
    transformer = WanTransformer3DModel(**TRANSFORMER).to(of_transformer).eval()
    vae = AutoencoderKLWan(**VAE).to(of_vae).eval()
    tile = knobs.get("vae_tile_size", 0)
    if tile:
        stride = int(os.environ["WAN22_VAE_TILE_STRIDE"])
        vae.enable_tiling(
            tile_sample_min_height=tile, tile_sample_min_width=tile,
            tile_sample_stride_height=stride, tile_sample_stride_width=stride,
        )
    pipe = WanPipeline(
        tokenizer=None, text_encoder=None, vae=vae, transformer=transformer,
        scheduler=UniPCMultistepScheduler(),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe, of_transformer


def generate(pipe, dtype, batch):
    """Makes CLIPS clips, `batch` at a time, and says how many frames they have."""
    frames = 0
    for first in range(0, CLIPS, batch):
        size = min(batch, CLIPS - first)
        text = torch.randn(size, 32, 64, generator=torch.Generator().manual_seed(2))
        video = pipe(
            prompt_embeds=text.to(dtype), negative_prompt_embeds=(0 * text).to(dtype),
            height=128, width=128, num_frames=5, num_inference_steps=2, output_type="pt",
            generator=torch.Generator().manual_seed(3),
        ).frames
        frames += video.shape[0] * video.shape[1]
        if not torch.isfinite(video.float()).all():
            raise SystemExit("the video is not finite")
    return frames


@torch.inference_mode()
def main():
    knobs = settings()
    if "inter_op_threads" in knobs:
        torch.set_num_interop_threads(knobs["inter_op_threads"])
    torch.set_float32_matmul_precision(knobs.get("matmul_precision", "highest"))
    pipe, dtype = pipeline(knobs)
    batch = min(CLIPS, knobs.get("batch_size", 1))
    frames = generate(pipe, dtype, batch)  # warms up
    begun = time.perf_counter()
    generate(pipe, dtype, batch)
    seconds = (time.perf_counter() - begun) / CLIPS
    print(json.dumps({
        "seconds": seconds, "frames": frames, "threads": torch.get_num_threads(),
        "interop": torch.get_num_interop_threads(),
    }))


if __name__ == "__main__":
    main()
