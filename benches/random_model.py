#!/usr/bin/env python3
"""Makes a folder in diffusers layout: Wan 2.2's TI2V-5B at its true widths, few layers deep, with random weights.

    pip install torch==2.13.0 diffusers==0.42.1 transformers==5.23.0 ftfy
    python benches/random_model.py FOLDER [--layers 2] [--text-layers 1] [--image] [--seed 22] [--dtype float32]

Transformer (3072 wide, 24 heads, feed-forward 14336), the whole VAE 2.2 (48 latent channels) and umT5
(4096 wide, 64 heads, feed-forward 10240) run as fast as the real ones: speed does not depend on the
weights' values. Only the vocabulary is cut, since looking a word up costs the same in any table; the
tokenizer knows words by their number. `--tiny` is for tests: the same classes, a few megabytes.
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

TRANSFORMER = dict(num_attention_heads=24, attention_head_dim=128, in_channels=48, out_channels=48, ffn_dim=14336)
VAE = dict(
    base_dim=160, decoder_base_dim=256, z_dim=48, is_residual=True, in_channels=12, out_channels=12, patch_size=2,
    scale_factor_spatial=16, latents_mean=[0.0] * 48, latents_std=[1.0] * 48,
)
TEXT_ENCODER = dict(d_model=4096, d_kv=64, d_ff=10240, num_heads=64)

TINY_TRANSFORMER = dict(
    num_attention_heads=2, attention_head_dim=32, in_channels=48, out_channels=48, ffn_dim=128, text_dim=32,
    freq_dim=32,
)
TINY_VAE = dict(VAE, base_dim=8, decoder_base_dim=8)
TINY_TEXT_ENCODER = dict(d_model=32, d_kv=16, d_ff=64, num_heads=2)


def fill(shape, name, block):
    """Random numbers, one block again and again, divided by the fan-in so that activations stay small."""
    count = torch.Size(shape).numel()
    flat = block.repeat(count // block.numel() + 1)[:count].view(shape)
    if name.endswith("gamma") or (name.endswith("weight") and len(shape) == 1):
        return 1 + 0.05 * flat
    fan = flat[0].numel() if len(shape) > 1 else 2500
    return flat / fan**0.5


@torch.no_grad()
def built(kind, config, dtype, seed):
    """A model of this class, whose parts that its loader keeps in float32 are so."""
    with torch.device("meta"):
        model = kind(UMT5Config(**config)) if kind is UMT5EncoderModel else kind(**config)
    kept = (getattr(model, "_keep_in_fp32_modules", None) or []) if kind is WanTransformer3DModel else []
    block = torch.randn(1_000_003, generator=torch.Generator().manual_seed(seed))
    state = {}
    for name, parameter in model.named_parameters():
        wide = any(part in name.split(".") for part in kept)
        state[name] = fill(parameter.shape, name, block).to(torch.float32 if wide else dtype)
    model.load_state_dict(state, strict=False, assign=True)
    if kind is UMT5EncoderModel:
        model.tie_weights()
    if kind is WanTransformer3DModel:
        model.rope = type(model.rope)(model.rope.attention_head_dim, model.rope.patch_size, model.rope.max_seq_len)
    assert not any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
    return model.eval()


def tokenizer(vocabulary):
    """Words by number: the words `w3` to the last, and one token for every other word."""
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2, **{f"w{number}": number for number in range(3, vocabulary)}}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def pipeline(layers=2, text_layers=1, image=False, seed=22, dtype=torch.float32, vocabulary=4096, tiny=False):
    """The pipeline in memory. `dtype` is that of transformer and text encoder; the VAE is float32."""
    widths = (TINY_TRANSFORMER, TINY_VAE, TINY_TEXT_ENCODER) if tiny else (TRANSFORMER, VAE, TEXT_ENCODER)
    of_transformer, of_vae, of_text = widths
    of_text = dict(of_text, num_layers=text_layers, vocab_size=vocabulary, feed_forward_proj="gated-gelu")
    kind = WanImageToVideoPipeline if image else WanPipeline
    return kind(
        tokenizer=tokenizer(vocabulary),
        text_encoder=built(UMT5EncoderModel, of_text, dtype, seed),
        transformer=built(WanTransformer3DModel, dict(of_transformer, num_layers=layers), dtype, seed + 1),
        vae=built(AutoencoderKLWan, of_vae, torch.float32, seed + 2),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=5.0
        ),
        expand_timesteps=True,
    )


def write(folder, **arguments):
    """Writes the folder, unless it holds this very model already."""
    folder = Path(folder)
    note = folder / "random_model.json"
    made_of = json.dumps({name: str(value) for name, value in sorted(arguments.items())})
    if note.exists() and note.read_text() == made_of:
        return folder
    pipeline(**arguments).save_pretrained(folder)
    note.write_text(made_of)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=2, help="of the transformer's 30")
    parser.add_argument("--text-layers", type=int, default=1, help="of the text encoder's 24")
    parser.add_argument("--image", action="store_true", help="for WanImageToVideoPipeline")
    parser.add_argument("--seed", type=int, default=22)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--tiny", action="store_true", help="a few megabytes, for tests")
    options = vars(parser.parse_args())
    options["dtype"] = getattr(torch, options["dtype"])
    print(write(options.pop("folder"), **options))


if __name__ == "__main__":
    main()
