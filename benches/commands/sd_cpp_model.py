#!/usr/bin/env python3
"""Makes the three files of a Wan model that stable-diffusion.cpp loads, at their true widths, with random weights.

    pip install gguf==0.19.0
    python benches/commands/sd_cpp_model.py FOLDER [--model t2v-1.3b] [--type q8_0] [--text-layers 1] [--seed 22]

`diffusion.gguf` and `vae.gguf` are whole: sd-cli takes 30 blocks or 40 and no other widths. `umt5.gguf` has its
whole vocabulary and few layers, which it counts. Speed does not depend on the weights' values.
"""

import argparse
from pathlib import Path

import gguf
import numpy as np

TYPES = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "f16": gguf.GGMLQuantizationType.F16}

# Width, feed-forward, channels of the latents; then the VAE: widths of encoder and decoder, patch.
MODELS = {"t2v-1.3b": ((1536, 8960, 16), (96, 96, 1)), "ti2v-5b": ((3072, 14336, 48), (160, 256, 2))}

BLOCKS = 30
TEXT_DIM, TEXT_FFN, TEXT_HEADS, VOCABULARY = 4096, 10240, 64, 256384


def linear(name, wide_in, wide_out):
    yield f"{name}.weight", (wide_out, wide_in), wide_in
    yield f"{name}.bias", (wide_out,), wide_in


def conv(name, wide_in, wide_out, kernel):
    """Three dimensions are four in a GGUF file: inputs and outputs are one."""
    shape = (wide_in * wide_out, *kernel) if len(kernel) == 3 else (wide_out, wide_in, *kernel)
    fan = wide_in * int(np.prod(kernel))
    yield f"{name}.weight", shape, fan
    yield f"{name}.bias", (wide_out,), fan


def diffusion(dim, ffn, channels):
    yield from conv("patch_embedding", channels, dim, (1, 2, 2))
    for name, wide_in, wide_out in [
        ("text_embedding.0", TEXT_DIM, dim),
        ("text_embedding.2", dim, dim),
        ("time_embedding.0", 256, dim),
        ("time_embedding.2", dim, dim),
        ("time_projection.1", dim, 6 * dim),
        ("head.head", dim, 4 * channels),
    ]:
        yield from linear(name, wide_in, wide_out)
    yield "head.modulation", (1, 2, dim), dim
    for block in (f"blocks.{number}" for number in range(BLOCKS)):
        for attention in (f"{block}.self_attn", f"{block}.cross_attn"):
            for name in "qkvo":
                yield from linear(f"{attention}.{name}", dim, dim)
            for name in "qk":
                yield f"{attention}.norm_{name}.weight", (dim,), 0
        yield f"{block}.norm3.weight", (dim,), 0
        yield f"{block}.norm3.bias", (dim,), dim
        yield f"{block}.modulation", (1, 6, dim), dim
        yield from linear(f"{block}.ffn.0", dim, ffn)
        yield from linear(f"{block}.ffn.2", ffn, dim)


def text(layers):
    yield "shared.weight", (VOCABULARY, TEXT_DIM), 1
    for block in (f"encoder.block.{number}.layer" for number in range(layers)):
        for name in "qkvo":
            yield f"{block}.0.SelfAttention.{name}.weight", (TEXT_DIM, TEXT_DIM), TEXT_DIM
        yield f"{block}.0.SelfAttention.relative_attention_bias.weight", (32, TEXT_HEADS), 1
        yield f"{block}.0.layer_norm.weight", (TEXT_DIM,), 0
        for name in ("wi_0", "wi_1"):
            yield f"{block}.1.DenseReluDense.{name}.weight", (TEXT_FFN, TEXT_DIM), TEXT_DIM
        yield f"{block}.1.DenseReluDense.wo.weight", (TEXT_DIM, TEXT_FFN), TEXT_FFN
        yield f"{block}.1.layer_norm.weight", (TEXT_DIM,), 0
    yield "encoder.final_layer_norm.weight", (TEXT_DIM,), 0


def residual(name, wide_in, wide_out):
    yield f"{name}.residual.0.gamma", (wide_in,), 0
    yield from conv(f"{name}.residual.2", wide_in, wide_out, (3, 3, 3))
    yield f"{name}.residual.3.gamma", (wide_out,), 0
    yield from conv(f"{name}.residual.6", wide_out, wide_out, (3, 3, 3))
    if wide_in != wide_out:
        yield from conv(f"{name}.shortcut", wide_in, wide_out, (1, 1, 1))


def middle(name, dim):
    yield from residual(f"{name}.0", dim, dim)
    yield f"{name}.1.norm.gamma", (dim,), 0
    yield from conv(f"{name}.1.to_qkv", dim, 3 * dim, (1, 1))
    yield from conv(f"{name}.1.proj", dim, dim, (1, 1))
    yield from residual(f"{name}.2", dim, dim)


def half(name, dims, inputs, outputs, in_time, is_22):
    """The encoder or the decoder: each step has residual blocks, and a resampling unless it is the last."""
    is_decoder = name == "decoder"
    yield from conv(f"{name}.conv1", inputs, dims[0], (3, 3, 3))
    yield from middle(f"{name}.middle", dims[0] if is_decoder else dims[-1])
    kind, blocks, place = ("upsamples", 3, 0) if is_decoder else ("downsamples", 2, 0)
    # VAE 2.1 halves the width while it enlarges.
    part = 2 if is_decoder and not is_22 else 1
    for step, (wide_in, wide_out) in enumerate(zip(dims, dims[1:])):
        wide_in //= part if step else 1
        begin, first = (f"{name}.{kind}.{step}.{kind}", 0) if is_22 else (f"{name}.{kind}", place)
        for number in range(first, first + blocks):
            yield from residual(f"{begin}.{number}", wide_in, wide_out)
            wide_in = wide_out
        if step < 3:
            resampling = f"{begin}.{first + blocks}"
            yield from conv(f"{resampling}.resample.1", wide_out, wide_out // part, (3, 3))
            if in_time[step]:
                yield from conv(f"{resampling}.time_conv", wide_out, wide_out * (2 if is_decoder else 1), (3, 1, 1))
        place += blocks + 1
    yield f"{name}.head.0.gamma", (dims[-1],), 0
    yield from conv(f"{name}.head.2", dims[-1], outputs, (3, 3, 3))


def vae(dim, decoder_dim, patch, latents):
    pixels, is_22 = 3 * patch**2, patch > 1
    dims = [dim * times for times in (1, 1, 2, 4, 4)]
    yield from half("encoder", dims, pixels, 2 * latents, (False, True, True), is_22)
    dims = [decoder_dim * times for times in (4, 4, 4, 2, 1)]
    yield from half("decoder", dims, latents, pixels, (True, True, False), is_22)
    yield from conv("conv1", 2 * latents, 2 * latents, (1, 1, 1))
    yield from conv("conv2", latents, latents, (1, 1, 1))


def scale(name, fan):
    """Activations stay small, and the last product of a branch adds little, as in trained models."""
    is_last = any(end in name for end in (".o.weight", ".ffn.2.weight", ".wo.weight", ".residual.6.weight"))
    return (0.1 if is_last else 1.0) / max(fan, 1) ** 0.5


def data(name, shape, fan, kind, noise):
    """The bytes of a tensor: one row of random numbers again and again."""
    count = int(np.prod(shape))
    if kind == gguf.GGMLQuantizationType.Q8_0:
        blocks = np.empty((count // 32, 34), np.uint8)
        blocks[:, 2:] = np.resize(np.clip(noise * 42, -127, 127).astype(np.int8).view(np.uint8), (count // 32, 32))
        blocks[:, :2] = np.frombuffer(np.float16(scale(name, fan) / 42).tobytes(), np.uint8)
        return blocks
    if fan == 0:
        return np.resize(1 + 0.05 * noise, count)
    wide = np.float16 if kind == gguf.GGMLQuantizationType.F16 else np.float32
    return np.resize((noise * scale(name, fan)).astype(wide), count)


def write(file, tensors, of_matrices, seed):
    noise = np.random.default_rng(seed).standard_normal(1_000_003, np.float32)
    writer = gguf.GGUFWriter(file, "wan")
    tensors = list(tensors)
    kinds = []
    for name, shape, _ in tensors:
        is_small = len(shape) == 1 or name.endswith(("modulation", "relative_attention_bias.weight"))
        kind = gguf.GGMLQuantizationType.F32 if is_small else of_matrices if len(shape) == 2 else TYPES["f16"]
        kinds.append(kind)
        wide, each = gguf.GGML_QUANT_SIZES[kind]
        writer.add_tensor_info(name, shape, np.dtype(np.float32), int(np.prod(shape)) // wide * each, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for (name, shape, fan), kind in zip(tensors, kinds):
        writer.write_tensor_data(data(name, shape, fan, kind, noise))
    writer.close()
    print(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="t2v-1.3b", choices=MODELS)
    parser.add_argument("--type", default="q8_0", choices=TYPES, help="of the matrices; kernels of the VAE are f16")
    parser.add_argument("--text-layers", type=int, default=1, help="of the text encoder's 24")
    parser.add_argument("--seed", type=int, default=22)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    (dim, ffn, channels), (encoder, decoder, patch) = MODELS[options.model]
    parts = {
        "diffusion": diffusion(dim, ffn, channels),
        "umt5": text(options.text_layers),
        "vae": vae(encoder, decoder, patch, channels),
    }
    for number, (name, tensors) in enumerate(parts.items()):
        write(options.folder / f"{name}.gguf", tensors, TYPES[options.type], options.seed + number)


if __name__ == "__main__":
    main()
