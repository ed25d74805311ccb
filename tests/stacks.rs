//! Command lines of the stacks that run Wan 2.2, with the flags that their documentation has: which
//! space and which words `--dry-run` makes of them. Nothing of them is run.

mod harness;

use harness::World;

/// A command line with its knobs, and what is to be shown of it.
struct Stack {
    knobs: &'static [&'static str],
    words: &'static [&'static str],
    /// Lines of the space: a knob and its values, today's in brackets.
    space: &'static [&'static str],
    today: &'static str,
    example: &'static str,
}

const STACKS: [Stack; 10] = [
    // ComfyUI, comfy/cli_args.py.
    Stack {
        knobs: &[
            "reserve=0.5..4 levels:8",
            "attention=pytorch|sage|flash",
            "unpinned=off|on",
            "fast=off|on",
        ],
        words: &[
            "python",
            "main.py",
            "--disable-auto-launch",
            "--reserve-vram",
            "{reserve=1.0}",
            "--use-{attention}-attention",
            "{unpinned:--disable-pinned-memory}",
            "{fast:--fast fp16_accumulation}",
        ],
        space: &[
            "reserve    0.5 [1.0] 1.5 2.0 2.5 3.0 3.5 4.0",
            "attention  [pytorch] sage flash",
            "unpinned   [false] true",
        ],
        today: "python main.py --disable-auto-launch --reserve-vram 1.0 --use-pytorch-attention",
        example: "python main.py --disable-auto-launch --reserve-vram 4.0 --use-flash-attention \
                  --disable-pinned-memory --fast fp16_accumulation",
    },
    // ComfyUI-WanVideoWrapper: nodes of a workflow in API format, run by comfy-cli.
    Stack {
        knobs: &[
            "blocks=0..40 step:10 json:flow.json#/12/inputs/blocks_to_swap",
            "tile=128|256|272 json:flow.json#/28/inputs/tile_x",
        ],
        words: &["comfy", "run", "--workflow", "flow.json", "--wait"],
        space: &["blocks  0 10 [20] 30 40", "tile    128 256 [272]"],
        today: "comfy run --workflow flow.json --wait",
        example: "comfy run --workflow flow.json --wait",
    },
    // Wan2GP, docs/CLI.md.
    Stack {
        knobs: &[
            "memory=1|2|3|3+|4|4.5|5",
            "attention=sdpa|sage|sage2",
            "compile=off|on",
            "teacache=1.5|1.75|2.0|2.25|2.5",
            "preload=0|2000|8000 unit:MB",
        ],
        words: &[
            "python",
            "wgp.py",
            "--process",
            "queue.zip",
            "--output-dir",
            "out",
            "--profile",
            "{memory=4}",
            "--attention",
            "{attention}",
            "{compile:--compile}",
            "--teacache",
            "{teacache}",
            "--preload",
            "{preload}",
        ],
        space: &[
            "memory     1 2 3 3+ [4] 4.5 5",
            "teacache   [1.5] 1.75 2.0 2.25 2.5",
            "preload    [0] 2000 8000  (MB)",
        ],
        today: "python wgp.py --process queue.zip --output-dir out --profile 4 --attention sdpa --teacache 1.5 --preload 0",
        example: "python wgp.py --process queue.zip --output-dir out --profile 5 --attention sage2 --compile \
                  --teacache 2.5 --preload 8000",
    },
    // A script around diffusers' WanPipeline, with a prompt that has braces of its own.
    Stack {
        knobs: &[
            "offload=none|model|group",
            "attention=native|_flash_3|sage",
            "compile=default|max-autotune",
        ],
        words: &[
            "python",
            "generate.py",
            "--prompt",
            "a {red|blue} fox, \"running\" {fast}",
            "--offload={offload=model}",
            "--attention-backend",
            "{attention}",
            "--compile-mode={compile}",
        ],
        space: &["offload    none [model] group", "attention  [native] _flash_3 sage"],
        today: "python generate.py --prompt 'a {red|blue} fox, \"running\" {fast}' --offload=model \
                --attention-backend native --compile-mode=default",
        example: "python generate.py --prompt 'a {red|blue} fox, \"running\" {fast}' --offload=group \
                  --attention-backend sage --compile-mode=max-autotune",
    },
    // SGLang-Diffusion.
    Stack {
        knobs: &[
            "mode=auto|speed|memory",
            "layerwise=off|on",
            "compile=off|on",
            "cache=off|on env:SGLANG_CACHE_DIT_ENABLED default:off",
        ],
        words: &[
            "sglang",
            "generate",
            "--model-path",
            "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
            "--prompt",
            "a fox",
            "--performance-mode",
            "{mode}",
            "--dit-layerwise-offload={layerwise}",
            "{compile:--enable-torch-compile}",
        ],
        space: &[
            "mode       [auto] speed memory",
            "layerwise  [off] on",
            "cache      [false] true",
        ],
        today: "env SGLANG_CACHE_DIT_ENABLED=0 sglang generate --model-path Wan-AI/Wan2.2-TI2V-5B-Diffusers \
                --prompt 'a fox' --performance-mode auto --dit-layerwise-offload=off",
        example: "env SGLANG_CACHE_DIT_ENABLED=1 sglang generate --model-path Wan-AI/Wan2.2-TI2V-5B-Diffusers \
                  --prompt 'a fox' --performance-mode memory --dit-layerwise-offload=on --enable-torch-compile",
    },
    // vLLM-Omni.
    Stack {
        knobs: &[
            "offload=off|on",
            "tiling=off|on",
            "slicing=off|on",
            "cache=off|on",
            "patches=1|2|4",
        ],
        words: &[
            "python",
            "text_to_video.py",
            "--model",
            "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
            "{offload:--enable-cpu-offload}",
            "{tiling:--vae-use-tiling}",
            "{slicing:--vae-use-slicing}",
            "{cache:--cache-backend cache_dit}",
            "--vae-patch-parallel-size",
            "{patches}",
        ],
        space: &["offload  [false] true", "patches  [1] 2 4"],
        today: "python text_to_video.py --model Wan-AI/Wan2.2-T2V-A14B-Diffusers --vae-patch-parallel-size 1",
        example: "python text_to_video.py --model Wan-AI/Wan2.2-T2V-A14B-Diffusers --enable-cpu-offload --vae-use-tiling \
                  --vae-use-slicing --cache-backend cache_dit --vae-patch-parallel-size 4",
    },
    // LightX2V: a JSON configuration.
    Stack {
        knobs: &[
            "offload=off|on json:wan.json#/cpu_offload",
            "granularity=block|phase|model json:wan.json#/offload_granularity",
            "attention=sage_attn2|flash_attn3 json:wan.json#/self_attn_1_type",
        ],
        words: &[
            "python",
            "-m",
            "lightx2v.infer",
            "--model_cls",
            "wan2.2_moe",
            "--task",
            "t2v",
            "--config_json",
            "wan.json",
            "--prompt",
            "a fox",
            "--save_result_path",
            "out.mp4",
        ],
        space: &[
            "offload      false [true]",
            "granularity  [block] phase model",
            "attention    sage_attn2 [flash_attn3]",
        ],
        today: "python -m lightx2v.infer --model_cls wan2.2_moe --task t2v --config_json wan.json --prompt 'a fox' \
                --save_result_path out.mp4",
        example: "python -m lightx2v.infer --model_cls wan2.2_moe --task t2v --config_json wan.json --prompt 'a fox' \
                  --save_result_path out.mp4",
    },
    // FastVideo.
    Stack {
        knobs: &["fsdp=False|True", "layerwise=False|True", "pinned=True|False"],
        words: &[
            "fastvideo",
            "generate",
            "--model-path",
            "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
            "--prompt",
            "a fox",
            "--use-fsdp-inference",
            "{fsdp}",
            "--dit-layerwise-offload",
            "{layerwise=True}",
            "--pin-cpu-memory",
            "{pinned}",
        ],
        space: &["fsdp       [False] True", "layerwise  False [True]", "pinned     [True] False"],
        today: "fastvideo generate --model-path Wan-AI/Wan2.2-TI2V-5B-Diffusers --prompt 'a fox' --use-fsdp-inference \
                False --dit-layerwise-offload True --pin-cpu-memory True",
        example: "fastvideo generate --model-path Wan-AI/Wan2.2-TI2V-5B-Diffusers --prompt 'a fox' --use-fsdp-inference \
                  True --dit-layerwise-offload False --pin-cpu-memory False",
    },
    // stable-diffusion.cpp, `sd-cli -h`.
    Stack {
        knobs: &[
            "threads=1..16 levels:4",
            "fa=off|on",
            "mmap=off|on",
            "tile=32|64|96",
            "overlap=0.25|0.5",
            "type=f16|q8_0",
            "cache=off|on",
            "threshold=0.1|0.2",
        ],
        words: &[
            "sd-cli",
            "-M",
            "vid_gen",
            "--diffusion-model",
            "wan2.2.gguf",
            "-p",
            "a fox",
            "-t",
            "{threads=16}",
            "{fa:--diffusion-fa}",
            "{mmap:--mmap}",
            "--vae-tiling",
            "--vae-tile-size",
            "{tile}x{tile}",
            "--vae-tile-overlap",
            "{overlap}",
            "--type",
            "{type}",
            "{cache:--cache-mode easycache}",
            "--cache-option",
            "threshold={threshold=0.2}",
        ],
        space: &[
            "threads    1 6 11 [16]",
            "tile       [32] 64 96",
            "overlap    [0.25] 0.5",
            "type       [f16] q8_0",
            "threshold  0.1 [0.2]",
        ],
        today: "sd-cli -M vid_gen --diffusion-model wan2.2.gguf -p 'a fox' -t 16 --vae-tiling --vae-tile-size 32x32 \
                --vae-tile-overlap 0.25 --type f16 --cache-option threshold=0.2",
        example: "sd-cli -M vid_gen --diffusion-model wan2.2.gguf -p 'a fox' -t 11 --diffusion-fa --mmap --vae-tiling \
                  --vae-tile-size 96x96 --vae-tile-overlap 0.5 --type q8_0 --cache-mode easycache \
                  --cache-option threshold=0.1",
    },
    // xDiT under torchrun, in a shell with variables of its own.
    Stack {
        knobs: &["ulysses=1|2|4", "ring=1|2|4"],
        words: &[
            "sh",
            "-c",
            "torchrun --nproc_per_node=$((${N:-1} * 4)) wan.py --ulysses_degree {ulysses=4} --ring_degree {ring} >${LOG}",
        ],
        space: &["ulysses  1 2 [4]", "ring     [1] 2 4"],
        today: "sh -c 'torchrun --nproc_per_node=$((${N:-1} * 4)) wan.py --ulysses_degree 4 --ring_degree 1 >${LOG}'",
        example: "sh -c 'torchrun --nproc_per_node=$((${N:-1} * 4)) wan.py --ulysses_degree 2 --ring_degree 4 >${LOG}'",
    },
];

const FLOW: &str = r#"{"12": {"class_type": "WanVideoBlockSwap", "inputs": {"blocks_to_swap": 20}},
    "28": {"class_type": "WanVideoDecode", "inputs": {"tile_x": 272}}}"#;

const CONFIG: &str =
    r#"{"cpu_offload": true, "offload_granularity": "block", "self_attn_1_type": "flash_attn3"}"#;

/// A folder with the files that the commands name, and stand-ins for their programs.
fn world() -> World {
    let world = World::new();
    std::fs::write(world.path().join("flow.json"), FLOW).unwrap();
    std::fs::write(world.path().join("wan.json"), CONFIG).unwrap();
    for program in ["python", "comfy", "sglang", "fastvideo", "sd-cli", "sh"] {
        world.script(program, "#!/bin/false");
    }
    world
}

#[test]
fn each_stack_gets_its_space_and_its_words() {
    let world = world();
    for Stack { knobs, words, space, today, example } in STACKS {
        let flags: Vec<&str> = knobs.iter().flat_map(|knob| ["--knob", knob]).collect();
        let start = ["--dry-run", "--no-built-in"];
        let mut tuner = world.tuner(&[&start[..], &flags, &["--"], words].concat());
        tuner.0.env("PATH", world.path());
        let run = tuner.run();
        assert_eq!(run.status, Some(0), "{words:?}: {}", run.stderr);
        for line in space {
            let line = format!("\n  {line}\n");
            assert!(run.stdout.contains(&line), "{line}{}", run.stdout);
        }
        for (heading, line) in [("today   ", today), ("example ", example)] {
            let line = format!("\n{heading} {line}\n");
            assert!(run.stdout.contains(&line), "{line}{}", run.stdout);
        }
    }
}
