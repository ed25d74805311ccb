"""A ready-made worker: WanPipeline or WanImageToVideoPipeline from a folder in diffusers layout.

    wan22-tune --budget 30m --app diffusers --model FOLDER --prompt "a fox" --frames 17 --steps 4

It is also an example of what `wan22_tune` asks of a program. By itself, `python wan22_diffusers.py
--model FOLDER --output fox.mp4` makes one clip, and under `wan22-tune exec --profile FILE` it does so with the
winner's settings.
"""

import wan22_tune  # isort: skip  # Before torch.

import argparse


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder in diffusers layout")
    parser.add_argument("--prompt", default="A fox runs through fresh snow, morning light, 35mm film")
    parser.add_argument("--negative-prompt", default="")
    parser.add_argument("--image", help="the first picture, for WanImageToVideoPipeline; grey unless given")
    parser.add_argument("--frames", type=int, default=17, help="4n + 1")
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", help="where the clip is written, where it is not tuned")
    return parser.parse_args()


def load(options):
    import torch
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging

    # Silences the advice against casting a whole model: wan22_tune keeps the parts that are kept.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    pipe = DiffusionPipeline.from_pretrained(options.model, local_files_only=True)
    if not type(pipe).__name__.startswith("Wan"):
        raise SystemExit(f"{options.model} holds a {type(pipe).__name__}: give the folder of a WanPipeline")
    if torch.cuda.is_available() and wan22_tune.knob("offload", "none") == "none":
        pipe.to("cuda")
    pipe.set_progress_bar_config(disable=True)
    return wan22_tune.apply(pipe)


def run(pipe, options):
    import torch

    given = {}
    if "ImageToVideo" in type(pipe).__name__:
        given["image"] = picture(options)
    with torch.inference_mode():
        made = pipe(
            prompt=options.prompt, negative_prompt=options.negative_prompt, height=options.height,
            width=options.width, num_frames=wan22_tune.knob("frames", options.frames),
            num_inference_steps=wan22_tune.knob("steps", options.steps),
            guidance_scale=options.guidance, generator=torch.Generator().manual_seed(options.seed),
            output_type="np", **given,
        )
    return made.frames[0]


def picture(options):
    from PIL import Image

    if options.image is None:
        return Image.new("RGB", (options.width, options.height), "grey")
    return Image.open(options.image).convert("RGB").resize((options.width, options.height))


def main():
    options = arguments()
    frames = wan22_tune.serve(lambda: load(options), lambda pipe: run(pipe, options))
    if options.output:
        from diffusers.utils import export_to_video

        export_to_video(frames, options.output, fps=24)
    else:
        print(f"{len(frames)} frames of {frames[0].shape[1]} x {frames[0].shape[0]}")


if __name__ == "__main__":
    main()
