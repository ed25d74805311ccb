//! Programs that are known: a user's own command line becomes one with knobs. Stand-ins take their
//! documented flags; of the real programs nothing is run.

mod harness;

use harness::{Run, World};
use wan22_tune::trial::Outcome;

fn world(programs: &[(&str, &str)]) -> World {
    let world = World::new();
    for (name, script) in programs {
        world.script(name, script);
    }
    world
}

fn tune(world: &World, flags: &[&str]) -> Run {
    let path = format!("{}:{}", world.path().display(), std::env::var("PATH").unwrap());
    world.tuner(flags).env("PATH", &path).run()
}

/// What `--dry-run` says of a documented command line.
#[test]
fn a_documented_command_line_gets_the_knobs_of_its_program() {
    for (app, words, today, space) in [
        (
            "wan2gp",
            &["python3", "wgp.py", "--process", "q.zip", "--output-dir", "out", "--profile", "3"][..],
            "python3 wgp.py --process q.zip --output-dir out --profile 3 --attention sdpa --preload 0 \
             --teacache 0",
            &["memory_profile  1 2 [3] 4 4.5 5  (changes nothing)", "compile         [false] true"]
                [..],
        ),
        (
            "sd-cpp",
            &["sd-cli", "-M", "vid_gen", "-p", "a fox", "--threads", "1", "--fa", "--vae-tiling"],
            "sd-cli -M vid_gen -p 'a fox' --threads 1 --fa --vae-tiling --vae-tile-size 32x32 \
             --vae-tile-overlap 0.5 --cache-option threshold=0.2",
            &[
                "flash_attention  false [true]",
                "vae_tiling       false [true]",
                "vae_tile         16 24 [32] 48 64 96",
            ],
        ),
        (
            "sglang",
            &["sglang", "generate", "--model-path", "M", "--prompt", "a fox"],
            "sglang generate --model-path M --prompt 'a fox' --performance-mode auto",
            &["performance_mode   [auto] speed memory", "compile            [false] true"],
        ),
        (
            "lightx2v",
            &["python3", "-m", "lightx2v.infer", "--config_json", "wan.json"],
            "python3 -m lightx2v.infer --config_json wan.json",
            &["offload          false [true]", "granularity      [block] phase model"],
        ),
    ] {
        let world = world(&[("sd-cli", ""), ("sglang", "")]);
        let config = r#"{"cpu_offload": true, "offload_granularity": "block", "infer_steps": 40}"#;
        std::fs::write(world.path().join("wan.json"), config).unwrap();
        let run = tune(&world, &[&["--dry-run", "--app", app, "--"], words].concat());
        assert_eq!(run.status, Some(0), "{app}: {}", run.stderr);
        let line = format!("\ntoday    {today}\n");
        assert!(run.stdout.contains(&line), "{line}{}", run.stdout);
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in space {
            assert!(words(&run.stdout).contains(&words(line)), "{line}: {}", run.stdout);
        }
        assert!(!run.stdout.contains("self_attention"), "its file has none: {}", run.stdout);
        assert!(run.stdout.contains("\n  allocator "), "{}", run.stdout);
    }
}

/// A stand-in for wgp.py: profile 3 takes half the time, sage makes another picture and less time
/// yet, profile 1 fails for memory with the exit code of a failed task.
#[test]
fn a_stand_in_for_wan2gp_is_tuned_by_its_flags_and_its_clips() {
    let script = "while [ $# -gt 0 ]; do case $1 in
        --profile) profile=$2;; --attention) attention=$2;; --output-dir) out=$2;; esac; shift; done
        mkdir -p $out
        case $profile in 1) echo CUDA out of memory >&2; exit 1;; 3) time=2;; *) time=4;; esac
        case $attention in sage) shade=200 time=1;; *) shade=100;; esac
        echo $shade >$out/$(date +%s%N).mp4
        echo Queue completed: 1/1 tasks in ${time}s";
    let ffmpeg = "while [ \"$1\" != -i ]; do shift; done
        shade=$(printf '\\\\%o' $(cat $2)); printf 'P6\\n1 1\\n255\\n'$shade$shade$shade";
    let world = world(&[("wgp.py", script), ("ffmpeg", ffmpeg)]);
    let flags = ["--budget", "10m", "--app", "wan2gp", "--no-built-in", "--repetitions", "1"];
    let metric = ["--metric", r"tasks in ([0-9]+)s", "--trials", "40"];
    let command = ["--", "./wgp.py", "--process", "queue.zip", "--output-dir", "out"];
    let run = tune(&world, &[&flags[..], &metric, &command].concat()).exits(0);
    assert!(
        run.stdout.starts_with("Gain: 50.0% less of the metric"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    let trials = world.results().trials;
    let of = |knob: &str, value: &str| {
        let has = |trial: &&wan22_tune::trial::Trial| trial.knobs[knob].to_string() == value;
        trials.iter().find(has).cloned()
    };
    let failed = of("memory_profile", "1").unwrap();
    assert_eq!(
        (failed.outcome, failed.score()),
        (Outcome::OutOfDeviceMemory, None),
        "{}",
        failed.detail
    );
    assert!(failed.detail.contains("CUDA out of memory"), "{}", failed.detail);
    if let Some(sage) = of("attention", "sage").filter(|trial| trial.outcome != Outcome::Crashed) {
        assert_eq!(sage.outcome, Outcome::PoorQuality, "{}", sage.detail);
    }
    assert!(run.stdout.contains("--profile 3"), "what to run: {}", run.stdout);
}

#[test]
fn the_wrong_program_or_kind_of_app_is_refused_with_a_cure() {
    for (flags, says) in [
        (&["--app", "wan2gp", "--", "sh", "gen.sh"][..], "no word of the command ends with wgp.py"),
        (&["--app", "wan2gp"], "give your command line after `--`"),
        (&["--app", "wan2gp", "--model", "x", "--", "./wgp.py"], "your command says what it makes"),
        (&["--app", "diffusers"], "give --model FOLDER"),
        (&["--app", "diffusers", "--model", "x", "--", "sh"], "takes no command"),
        (&["--app", "webui", "--", "sh"], "possible values"),
    ] {
        let world = world(&[("wgp.py", "")]);
        let run = tune(&world, &[&["--budget", "10s"], flags].concat());
        assert_eq!(run.status, Some(2), "{flags:?}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{flags:?}: {}", run.stderr);
    }
}

const FLOW: &str = r#"{
    "1": {"class_type": "WanVideoBlockSwap", "inputs": {"blocks_to_swap": 20}},
    "3": {"class_type": "WanVideoSampler", "inputs": {"seed": 7, "args": ["1", 0]}},
    "4": {"class_type": "VAEDecodeTiled", "inputs": {"tile_size": 256, "samples": ["3", 0]}},
    "5": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["4", 0]}}
}"#;

const COMFYUI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/comfyui");

/// Knobs come from the server's own bounds, times from its history; a launch flag takes a new server.
#[test]
fn a_stand_in_for_comfyui_is_tuned_by_its_workflow_and_its_launch() {
    let world = World::new();
    std::fs::write(world.path().join("flow.json"), FLOW).unwrap();
    let flags = ["--budget", "10m", "--trials", "10", "--app", "comfyui"];
    let words = ["--", "--workflow", "flow.json", "--folder", COMFYUI];
    let run = world.tuner(&[&flags[..], &words].concat()).run().exits(0);
    assert!(run.stdout.starts_with("Gain: "), "{}{}", run.stdout, run.stderr);
    let results = world.results();
    let blocks = results.space.knob("blocks_to_swap_1").unwrap().1;
    assert_eq!(
        (blocks.levels.len(), blocks.levels[blocks.baseline].to_string()),
        (11, "20".into())
    );
    let baseline = &results.trials[0];
    // 4 s, 20 blocks of 0.1 s, half a second for small tiles.
    assert_eq!(baseline.samples[0].seconds, 6.5);
    for trial in &results.trials {
        let knob = |name: &str| trial.knobs[name].to_string();
        let expected = match (&*knob("attention"), knob("blocks_to_swap_1").parse::<u32>().unwrap())
        {
            (_, ..5) => Outcome::OutOfDeviceMemory,
            ("sage", _) => Outcome::PoorQuality,
            _ => Outcome::Ok,
        };
        assert_eq!(trial.outcome, expected, "{} {:?}", trial.detail, trial.knobs);
    }
}

#[test]
fn what_comes_out_of_comfyuis_cache_is_no_timing() {
    let world = World::new();
    std::fs::write(world.path().join("flow.json"), FLOW).unwrap();
    let flags = ["--budget", "1m", "--app", "comfyui", "--"];
    let words = ["--workflow", "flow.json", "--folder", COMFYUI];
    let run = world.tuner(&[&flags[..], &words].concat()).env("FAULT", "caches").run().exits(1);
    let says = "WanVideoSampler came out of ComfyUI's cache: that is no timing of the workflow";
    assert!(run.stderr.contains(says), "{}", run.stderr);
    std::fs::write(world.path().join("flow.json"), r#"{"nodes": []}"#).unwrap();
    let run = world.tuner(&[&flags[..], &words].concat()).run().exits(2);
    assert!(
        run.stderr.contains("is not in API format: choose File > Export (API)"),
        "{}",
        run.stderr
    );
}
