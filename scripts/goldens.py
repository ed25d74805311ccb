#!/usr/bin/env python3
"""Writes tests/goldens/: tiny Wan 2.2 models, inputs, and what the reference makes of them.

    pip install torch==2.13.0 diffusers==0.42.1 transformers==5.23.0 numpy==2.4.6 safetensors==0.8.0
    python scripts/goldens.py [FOLDER]

Two runs on one machine write the same bytes. Weights are rounded to bfloat16 before anything is
computed in float32 and stored as bfloat16, so that whoever reads them has exactly the same ones.
Norm gains and biases are random: at their initial ones and zeros they would hide mistakes.

    wan/        a model in diffusers layout (TI2V-5B's shape): transformer in shards, VAE 2.2, umT5
    vae21/      Wan 2.1's VAE, as A14B has it
    cases/      NAME.json and NAME.safetensors for `wan22-worker check`; the part of NAME before
                the first dot says whose weights it takes
    scheduler.safetensors   samples of a few denoising steps
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from safetensors.torch import save_file
from transformers import UMT5Config, UMT5EncoderModel

TRANSFORMER = dict(
    num_attention_heads=3, attention_head_dim=16, in_channels=6, out_channels=6, text_dim=40,
    freq_dim=32, ffn_dim=112, num_layers=2, rope_max_seq_len=64,
)
VAE_21 = dict(base_dim=4, z_dim=6, latents_mean=[0.1] * 6, latents_std=[1.5] * 6)
VAE_22 = dict(
    VAE_21, decoder_base_dim=4, is_residual=True, in_channels=12, out_channels=12, patch_size=2,
    scale_factor_spatial=16,
)
TEXT = dict(vocab_size=96, d_model=40, d_kv=8, d_ff=64, num_heads=4, num_layers=2)
TILING = dict(
    tile_sample_min_height=32, tile_sample_min_width=32,
    tile_sample_stride_height=16, tile_sample_stride_width=16,
)
UNEVEN_TILING = dict(TILING, tile_sample_min_width=48, tile_sample_stride_width=32)


def randomise(model, seed):
    """Random bfloat16 values in float32: kernels by their inputs, gains near 1, small offsets."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            leaf = name.rsplit(".", 1)[-1]
            if leaf == "gamma" or ("norm" in name and leaf == "weight"):
                noise = 1 + 0.2 * noise
            elif leaf == "bias":
                noise = 0.1 * noise
            elif parameter.dim() > 1 and "embed_tokens" not in name and "shared" not in name:
                noise = noise / parameter[0].numel() ** 0.5
            parameter.copy_(noise.bfloat16().float())
    return model.eval()


def transformer(config, seed):
    return randomise(WanTransformer3DModel(**config), seed)


def vae(config, seed):
    return randomise(AutoencoderKLWan(**config), seed)


def text_encoder(config, seed):
    return randomise(UMT5EncoderModel(UMT5Config(**config)), seed)


@torch.no_grad()
def run(model, op, inputs, tiling=None):
    """The reference's output of one call, by name."""
    if op == "forward":
        output = model(**inputs)
        return dict(output.items()) if hasattr(output, "items") else {"sample": output[0]}
    if op.endswith("_tiled"):
        model.enable_tiling(**(tiling or {}))
    else:
        model.use_tiling = False
    if op.startswith("encode"):
        return {"moments": model.encode(inputs["x"]).latent_dist.parameters}
    return {"sample": model.decode(inputs["z"]).sample}


def write_case(folder, name, model, op, config, inputs, tiling=None):
    outputs = run(model, op, inputs, tiling)
    case = {"model": type(model).__name__, "op": op, "dtype": "float32", "config": config}
    if tiling:
        case["tiling"] = tiling
    (folder / f"{name}.json").write_text(json.dumps(case, indent=1) + "\n")
    tensors = {f"in.{key}": value for key, value in inputs.items()}
    tensors |= {f"out.{key}": value for key, value in outputs.items()}
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.safetensors")


def save_model(model, folder, **options):
    written = hasattr(model.config, "to_json_string")
    config = json.loads(model.config.to_json_string()) if written else dict(model.config)
    model.bfloat16().save_pretrained(folder, **options)
    model.float()
    return config


def noise(seed, *shape, spread=1.0):
    return spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def transformer_cases(folder):
    model = transformer(TRANSFORMER, 1)
    model.bfloat16().save_pretrained(folder / "wan/transformer", max_shard_size="60KB")
    model = transformer(TRANSFORMER, 1)
    latent, text = noise(2, 2, 6, 3, 8, 12), noise(3, 2, 20, 40)
    per_item = torch.tensor([999.0, 250.5])
    per_token = (torch.arange(2 * 72).view(2, 72) * 37 % 1000).float()

    def case(name, latent, timestep, text):
        inputs = dict(hidden_states=latent, timestep=timestep, encoder_hidden_states=text)
        write_case(folder / "cases", f"transformer.{name}", model, "forward", TRANSFORMER, inputs)

    case("per-item", latent, per_item, text)
    case("per-token", latent, per_token, text)
    case("whole-timestep", latent[:1], torch.tensor([737]), text[:1])
    case("odd-size", noise(4, 1, 6, 1, 5, 9), torch.tensor([3.0]), noise(5, 1, 7, 40))


def vae_cases(folder, name, config, weights):
    model = vae(config, 11)
    model.bfloat16().save_pretrained(weights)
    model = vae(config, 11)
    ratio = config.get("scale_factor_spatial", 8)

    def case(op, suffix, inputs, tiling=None):
        write_case(folder / "cases", f"{name}.{op}{suffix}", model, op, config, inputs, tiling)

    def picture(seed, *shape):
        return {"x": noise(seed, *shape, spread=0.5).clamp(-1, 1)}

    case("decode", "", {"z": noise(12, 1, 6, 3, 2, 3)})
    case("decode", ".batch", {"z": noise(13, 2, 6, 2, 1, 2)})
    case("encode", "", picture(14, 1, 3, 9, 2 * ratio, 3 * ratio))
    case("encode", ".batch", picture(15, 2, 3, 7, ratio, ratio))
    case("encode", ".image", picture(16, 1, 3, 1, 2 * ratio, ratio))
    if ratio == 8:
        case("encode", ".odd-size", picture(17, 1, 3, 5, 19, 13))
    case("decode_tiled", "", {"z": noise(18, 1, 6, 2, 5, 4 if ratio == 16 else 7)}, UNEVEN_TILING)
    case("encode_tiled", "", picture(19, 1, 3, 5, 5 * ratio, 4 * ratio + 8 * (ratio == 8)), TILING)


def text_cases(folder):
    model = text_encoder(TEXT, 21)
    model.bfloat16().save_pretrained(folder / "wan/text_encoder")
    model = text_encoder(TEXT, 21)
    ids = torch.randint(1, 96, (2, 160), generator=torch.Generator().manual_seed(22))
    mask = torch.ones(2, 160, dtype=torch.int64)
    mask[1, 50:] = 0
    ids[1, 50:] = 0

    def case(name, **inputs):
        write_case(folder / "cases", f"text_encoder.{name}", model, "forward", TEXT, inputs)

    case("padded", input_ids=ids, attention_mask=mask)
    case("bare", input_ids=ids[:1, :9])


def scheduler_case(folder):
    """Six steps, corrector and all, of a model that is known everywhere."""
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=5.0
    )
    scheduler.set_timesteps(6)
    sample = noise(31, 1, 2, 1, 4, 4)
    samples = [sample]
    for timestep in scheduler.timesteps:
        velocity = torch.sin(3 * sample) + timestep / 1000
        sample = scheduler.step(velocity, timestep, sample).prev_sample
        samples.append(sample)
    tensors = {"timesteps": scheduler.timesteps, "samples": torch.stack(samples)}
    save_file(tensors, folder / "scheduler.safetensors")
    (folder / "wan/scheduler").mkdir()
    config = dict(
        _class_name="UniPCMultistepScheduler", prediction_type="flow_prediction", use_flow_sigmas=True,
        num_train_timesteps=1000, flow_shift=5.0, solver_order=2,
    )
    (folder / "wan/scheduler/scheduler_config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    default = Path(__file__).resolve().parent.parent / "tests/goldens"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "cases").mkdir(parents=True)
    torch.set_num_threads(1)
    transformer_cases(folder)
    vae_cases(folder, "vae21", VAE_21, folder / "vae21")
    vae_cases(folder, "vae22", VAE_22, folder / "wan/vae")
    text_cases(folder)
    scheduler_case(folder)
    index = dict(
        _class_name="WanPipeline", _diffusers_version="0.42.1", boundary_ratio=None, expand_timesteps=True,
        scheduler=["diffusers", "UniPCMultistepScheduler"], text_encoder=["transformers", "UMT5EncoderModel"],
        transformer=["diffusers", "WanTransformer3DModel"], vae=["diffusers", "AutoencoderKLWan"],
    )
    (folder / "wan/model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{size / 1e6:.2f} MB in {folder}")


if __name__ == "__main__":
    main()
