#!/usr/bin/env python3
"""Compares `wan22-worker check` with the reference on random configurations, shapes and seeds.

    pip install torch==2.13.0 diffusers==0.42.1 transformers==5.23.0 numpy==2.4.6 safetensors==0.8.0
    cargo build --release
    python scripts/compare.py [--cases 40] [--seed 1] [--only transformer,vae,text] [--worker FILE]

A case that the reference can't run must be refused by the worker too, with exit status 1 and an
error that says something. Where a tiny model makes much of rounding, a float32 answer may be as far from
the reference's as that is from its own in float64. Prints every case that is out of tolerance, and a summary;
exits with 1 where there was one.
"""

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from goldens import randomise, run
from safetensors.torch import save_file
from transformers import UMT5Config, UMT5EncoderModel

TOLERANCE = {
    "float32": dict.fromkeys(("WanTransformer3DModel", "AutoencoderKLWan", "UMT5EncoderModel"), 1e-5),
    "bfloat16": dict(WanTransformer3DModel=2e-2, UMT5EncoderModel=5e-2, AutoencoderKLWan=1e-1),
}


def transformer(pick):
    """A small transformer; one in four has Wan 2.1's image branch."""
    patch = [pick(1, 1, 2), pick(1, 2, 3), pick(1, 2, 2)]
    config = dict(
        patch_size=patch, num_attention_heads=pick(1, 2, 3, 5), attention_head_dim=pick(6, 8, 12, 16, 22, 64, 128),
        in_channels=pick(1, 3, 6, 36), out_channels=pick(0, None, 2, 5), text_dim=pick(8, 17, 40),
        freq_dim=pick(2, 7, 32, 33, 256), ffn_dim=pick(1, 24, 112), num_layers=pick(0, 1, 2, 3),
        cross_attn_norm=pick(True, False), qk_norm=pick(None, "rms_norm_across_heads"), eps=pick(1e-6, 1e-5, 1e-3),
        rope_max_seq_len=pick(16, 64, 1024),
    )
    batch = pick(1, 1, 2, 3)
    latent = [frames, height, width] = [pick(1, 2, 3, 5), pick(2, 4, 5, 9), pick(2, 4, 7, 12)]
    tokens = math.prod(size // step for size, step in zip(latent, patch))
    timestep = pick([batch], [batch], [batch, max(tokens, 1)], [batch, 1])
    inputs = dict(
        hidden_states=torch.randn(batch, config["in_channels"], frames, height, width),
        timestep=pick(torch.rand(timestep) * 1000, torch.randint(0, 1000, timestep)),
        encoder_hidden_states=torch.randn(batch, pick(1, 7, 20, 512), config["text_dim"]),
    )
    if pick(0, 0, 0, 1):
        width = config["num_attention_heads"] * config["attention_head_dim"]
        config |= dict(image_dim=pick(9, 16), added_kv_proj_dim=width)
        words = pick(3, 17)
        inputs["encoder_hidden_states"] = torch.randn(batch, 512, config["text_dim"])
        inputs["encoder_hidden_states_image"] = torch.randn(batch, words, config["image_dim"])
        if pick(0, 1):
            config["pos_embed_seq_len"] = 2 * words
            inputs["encoder_hidden_states_image"] = torch.randn(2 * batch, words, config["image_dim"])
    return WanTransformer3DModel, config, "forward", inputs, None


def vae(pick):
    """A small VAE of 2.1's or 2.2's kind."""
    stages = pick(1, 2, 3, 4, 4)
    flags = pick(
        [False, True, True], [True, True, False], [True, False, True], [False] * 3, [True, True, True], [True] * 4
    )[: max(stages - 1, pick(stages - 1, 3))]
    patch = pick(None, 1, 2, 3)
    squared = (patch or 1) ** 2
    colours = pick(1, 3)
    residual = pick(True, False)
    config = dict(
        base_dim=pick(2, 4, 8), decoder_base_dim=pick(None, 2, 4, 6), z_dim=pick(1, 3, 6),
        dim_mult=pick([1, 2, 4, 4], [1, 1, 2, 2], [2, 2, 4, 8], [1, 2, 2, 4])[:stages], num_res_blocks=pick(1, 2, 3),
        attn_scales=pick([], [], [], [0.3], [1.0]), temperal_downsample=flags, is_residual=residual,
        in_channels=colours * squared, out_channels=colours * squared, patch_size=patch,
    )
    config |= dict(latents_mean=[0.0] * config["z_dim"], latents_std=[1.0] * config["z_dim"])
    ratio = 2 ** (stages - 1) * (patch or 1)
    config["scale_factor_spatial"] = pick(ratio, ratio, ratio, 8)
    tiling = None
    op = pick("encode", "decode", "encode_tiled", "decode_tiled")
    if op.endswith("_tiled"):
        sides = [pick(1, 2, 3, 4) * ratio + pick(0, 0, 1) for _ in range(2)]
        strides = [max(side - pick(-1, 0, 1, 1, 2) * ratio - pick(0, 0, 1), 1) for side in sides]
        tiling = dict(
            tile_sample_min_height=sides[0], tile_sample_min_width=sides[1],
            tile_sample_stride_height=strides[0], tile_sample_stride_width=strides[1],
        )
        for key in list(tiling):
            if pick(0, 0, 0, 0, 0, 1):
                del tiling[key]
    batch = pick(1, 1, 2)
    if op.startswith("decode"):
        inputs = dict(z=torch.randn(batch, config["z_dim"], pick(1, 2, 3, 4), pick(1, 2, 5), pick(1, 3, 4)))
    else:
        odd = pick(0, 0, 0, 1)
        size = [pick(1, 2, 3, 5) * ratio + odd for _ in range(2)]
        inputs = dict(x=torch.randn(batch, colours, pick(1, 2, 4, 5, 9, 13), *size).mul(0.5).clamp(-1, 1))
    return AutoencoderKLWan, config, op, inputs, tiling


def text(pick):
    """A small text encoder; masks may hide whole rows."""
    config = dict(
        vocab_size=pick(5, 96), d_model=pick(8, 40), d_kv=pick(4, 8, 64), d_ff=pick(8, 64), num_layers=pick(0, 1, 2, 3),
        num_heads=pick(1, 2, 4), relative_attention_num_buckets=pick(4, 8, 9, 32, 64),
        relative_attention_max_distance=pick(20, 64, 128, 300), layer_norm_epsilon=pick(1e-6, 1e-5, 1e-2),
        feed_forward_proj=pick(
            "gated-gelu", "gated-gelu", "relu", "gelu", "gelu_new", "gated-silu", "gated-relu", "silu",
            "gated-gelu_new",
            "tanh", "gated-sigmoid", "quick_gelu", "gelu_pytorch_tanh", "mish", "relu6", "gated-gelu_fast",
        ),
    )
    batch, tokens = pick(1, 2, 3), pick(1, 2, 9, 130, 160, 300)
    ids = torch.randint(0, config["vocab_size"], (batch, tokens))
    inputs = dict(input_ids=pick(ids, ids.int()))
    shape = pick(None, "ones", "tail", "head", "holes", "nothing")
    if shape:
        mask = torch.ones(batch, tokens, dtype=torch.int64)
        if shape == "tail":
            mask[-1, tokens // 2:] = 0
        elif shape == "head":
            mask[0, : tokens // 2] = 0
        elif shape == "holes":
            mask = torch.randint(0, 2, (batch, tokens))
        elif shape == "nothing":
            mask[-1] = 0
        inputs["attention_mask"] = pick(mask, mask.bool(), mask.float())
    return UMT5EncoderModel, config, "forward", inputs, None


def built(kind, config):
    return kind(UMT5Config(**config)) if kind is UMT5EncoderModel else kind(**config)


def stored(kind, model):
    """A model's tensors as its files hold them: tied ones once."""
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    if kind is UMT5EncoderModel:
        del state["encoder.embed_tokens.weight"]
    return state


def expected(model, dtype, op, inputs, tiling):
    """The reference's outputs, or why it has none."""
    try:
        given = inputs
        if dtype == "bfloat16":
            floats = ("hidden_states", "encoder_hidden_states", "encoder_hidden_states_image", "x", "z")
            given = {name: value.bfloat16() if name in floats else value for name, value in inputs.items()}
        outputs = run(model, op, given, tiling)
        if not all(value.numel() for value in outputs.values()):
            return None, "nothing: an empty picture"  # of tiles less than a latent pixel
        finite = all(bool(value.isfinite().all()) for value in outputs.values())
        return (outputs, None) if finite else (None, "not finite")
    except Exception as error:  # whatever it is, it has no answer
        return None, f"{type(error).__name__}: {error}"


def rounding(model, op, inputs, tiling, outputs):
    """How far the reference's float32 answer is from its own in float64, as rel_l2."""
    exact = run(model.double(), op, {name: value.double() if value.is_floating_point() else value
                                     for name, value in inputs.items()}, tiling)
    return max(float((value.double() - exact[name]).norm() / exact[name].norm()) for name, value in outputs.items())


def worker(options, folder, case, weights, inputs, outputs):
    (folder / "case.json").write_text(json.dumps(case))
    save_file(weights, folder / "weights.safetensors")
    tensors = {f"in.{name}": value.contiguous() for name, value in inputs.items()}
    tensors |= {f"out.{name}": value.float().contiguous() for name, value in outputs.items()}
    save_file(tensors, folder / "io.safetensors")
    command = [options.worker, "check"]
    for flag, file in (("--config", "case.json"), ("--weights", "weights.safetensors"), ("--io", "io.safetensors")):
        command += [flag, str(folder / file)]
    return subprocess.run(command, capture_output=True, text=True)


def one(options, number, folder):
    """Whether case `number` is as it should be, its words, and whether the reference could run it."""
    rng = random.Random(f"{options.seed}/{number}")
    torch.manual_seed(rng.randrange(2**31))

    def pick(*values):
        return rng.choice(values)

    make = globals()[options.only[number % len(options.only)]]
    kind, config, op, inputs, tiling = make(pick)
    dtype = pick("float32", "float32", "bfloat16")
    case = dict(model=kind.__name__, op=op, dtype=dtype, config=config) | ({"tiling": tiling} if tiling else {})
    words = json.dumps(case) + " " + str({name: list(value.shape) for name, value in inputs.items()})
    try:
        model = randomise(built(kind, config), number)
    except Exception:
        return None, words, False
    weights = stored(kind, model)
    if dtype == "bfloat16":
        kept = model._keep_in_fp32_modules if kind is WanTransformer3DModel else []
        for name, parameter in model.named_parameters():
            if not any(part in name.split(".") for part in kept):
                parameter.data = parameter.data.bfloat16()
    outputs, reason = expected(model, dtype, op, inputs, tiling)
    name = {"AutoencoderKLWan": "moments" if op.startswith("encode") else "sample",
            "UMT5EncoderModel": "last_hidden_state", "WanTransformer3DModel": "sample"}[kind.__name__]
    found = worker(options, folder, case, weights, inputs, outputs or {name: torch.zeros(1)})
    if outputs is None:
        right = found.returncode == 1 and found.stderr.startswith("error: ")
        return right, f"{words}: the reference has {reason}; the worker {found.stdout}{found.stderr}", False
    if found.returncode:
        return False, f"{words}: {found.stderr}", True
    distance = json.loads(found.stdout)["outputs"][name]["rel_l2"]
    right = distance <= TOLERANCE[dtype][kind.__name__]
    if not right and dtype == "float32":
        right = distance <= rounding(model, op, inputs, tiling, outputs)
    return right, f"{words}: {distance:e}", True


def main():
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description="Compares the worker's models with the reference's.")
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=lambda text: text.split(","), default=["transformer", "vae", "text"])
    parser.add_argument("--worker", default=str(root / "target/release/wan22-worker"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    wrong = ran = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.first, options.first + options.cases):
            right, words, has_answer = one(options, number, Path(folder))
            ran += has_answer
            if right is False:
                wrong += 1
                print(f"case {number}: {words}\n", flush=True)
    print(f"{options.cases} cases, {ran} of which the reference can run: {wrong} wrong")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
