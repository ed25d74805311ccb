//! A GPU end to end, without one: a library stands in for the driver's, a script for the program.

mod harness;

use std::path::Path;
use std::process::Command;

use harness::{Run, Tuner, World};
use wan22_tune::trial::{Outcome, Trial};

/// Holds memory with a child of its own, mostly on the second GPU, and goes on once somebody has looked at
/// it more than once: processes are listed before memory is.
const JOB: &str = r#"#!/bin/sh
[ $1 = 0 ] && { echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.' >&2; exit 1; }
[ $1 = 10 ] && bytes=2600000000 || bytes=600000000
sleep 600 &
printf '%s\n' "0 $$ 500000000" "1 $$ $bytes" "1 $! 400000000" >>"$NVML_HELD"
[ $1 = 10 ] && sleep 600
until [ "$(grep -c "^listed $!\$" "$NVML_SEEN")" -ge 6 ]; do sleep 0.02; done
kill $!
echo t=$1
"#;

/// A world with the job and the library.
fn world() -> World {
    let world = World::with_job(JOB);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness/nvml.c");
    let library = world.path().join("libnvidia-ml.so.1");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(library).arg(source).status();
    assert!(built.unwrap().success());
    std::fs::write(world.path().join("seen"), "").unwrap();
    world
}

/// The tuner where the library is found, and nothing is said of which GPUs there are.
fn tuner(world: &World, args: &[&str]) -> Tuner {
    let path = |name: &str| world.path().join(name).display().to_string();
    let mut tuner = world.tuner(args);
    tuner.0.env_remove("CUDA_VISIBLE_DEVICES").env_remove("NVIDIA_TF32_OVERRIDE");
    tuner.0.env_remove("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE");
    tuner
        .env("LD_LIBRARY_PATH", &path(""))
        .env("NVML_HELD", &path("held"))
        .env("NVML_SEEN", &path("seen"))
}

fn good(run: Run) -> Run {
    assert_eq!(run.status, Some(0), "{}{}", run.stdout, run.stderr);
    run
}

fn was_loaded(world: &World) -> bool {
    let seen = std::fs::read_to_string(world.path().join("seen")).unwrap();
    seen.contains("loaded")
}

#[test]
fn a_trial_that_finds_no_device_memory_or_takes_more_than_it_may_fails_and_never_wins() {
    let world = world();
    let knobs = ["--knob", "blocks=0|10|20|40", "--knob", "tf32", "--knob", "cuda_alloc"];
    let limits = ["--budget", "10m", "--trials", "40", "--max-device-memory", "2GB"];
    let job = ["--metric", "t=(.*)", "--repetitions", "1", "--", "./job.sh", "{blocks=40}"];
    let run = good(tuner(&world, &[&knobs[..], &limits, &job].concat()).run());
    assert!(run.stdout.starts_with("Gain: 50.0% less of the metric"), "{}", run.stdout);
    let results = world.results();
    for trial in &results.trials {
        let said = (trial.outcome, trial.peak_device_bytes, trial.detail.as_str());
        match trial.knobs["blocks"].to_string().as_str() {
            "0" => {
                assert_eq!((said.0, said.1), (Outcome::OutOfDeviceMemory, None), "{}", said.2);
                assert!(said.2.contains("CUDA out of memory"), "{}", said.2);
            }
            "10" => {
                let detail = "it took 3000000000 bytes of device memory; the limit is 2000000000";
                assert_eq!(said, (Outcome::OutOfDeviceMemory, Some(3_000_000_000), detail));
            }
            _ => assert_eq!(said, (Outcome::Ok, Some(1_000_000_000), "")),
        }
    }
    let has = |knob: &str, value: &str| {
        let of = |trial: &Trial| trial.knobs[knob].to_string() == value;
        results.trials.iter().any(of)
    };
    assert!(has("blocks", "0") && has("blocks", "10") && has("tf32", "on") && has("tf32", "off"));
    assert!(has("cuda_alloc", "expandable-segments"));
    let page = std::fs::read_to_string(world.folder().join("report.html")).unwrap();
    for said in ["peak device memory, GiB", "out-of-device-memory", "NVIDIA Stand-in"] {
        assert!(page.contains(said), "{said}");
    }
    starts_without_asking_the_driver(&world);
}

/// What is shipped starts without the driver's library.
fn starts_without_asking_the_driver(world: &World) {
    std::fs::write(world.path().join("seen"), "").unwrap();
    let profile = world.folder().join("profile.json");
    let exec = ["exec", "--profile", profile.to_str().unwrap(), "--", "sh", "-c", "echo started"];
    assert_eq!(good(tuner(world, &exec).run()).stdout, "started\n");
    assert!(!was_loaded(world));
}

#[test]
fn a_workers_memory_is_seen_and_its_word_on_tf32_counts() {
    let world = world();
    let job = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/device_job.py");
    let worker = ["--worker", "--", "python3", job];
    let measure =
        |settings: &[&str]| tuner(&world, &[&["measure"], settings, &worker].concat()).run();
    let measured = good(measure(&["--baseline"]));
    assert!(measured.stdout.contains("peak device memory   2048 MiB\n"), "{}", measured.stdout);
    let new = good(tuner(&world, &["profiles", "new", "--set", "tf32=on"]).run());
    std::fs::write(world.path().join("tf32.json"), new.stdout).unwrap();
    let refused = measure(&["--profile", "tf32.json"]);
    let wrong = "misapplied: tf32: products: asked for TF32, got float32";
    assert!(refused.stderr.contains(wrong), "{}", refused.stderr);
}

#[test]
fn the_gpus_are_those_that_a_program_would_find() {
    let world = world();
    let machine = |visible: Option<&str>| {
        let tuner = tuner(&world, &["machine", "--json"]);
        let tuner = visible.into_iter().fold(tuner, |t, text| t.env("CUDA_VISIBLE_DEVICES", text));
        let json: serde_json::Value = serde_json::from_str(&good(tuner.run()).stdout).unwrap();
        json["gpus"].as_array().unwrap().clone()
    };
    let all = machine(None);
    let known = |gpu: &serde_json::Value| {
        ["model", "driver", "cuda", "uuid", "pci"].map(|key| gpu[key].as_str().unwrap().to_owned())
    };
    assert_eq!(
        known(&all[1]),
        ["NVIDIA Stand-in", "580.95.05", "13.1", "GPU-bbbb", "0000:18:00.0"]
    );
    assert_eq!((all.len(), &all[0]["memory_bytes"]), (2, &serde_json::json!(24_u64 << 30)));
    assert_eq!(machine(Some("1")), all[1..]);
    assert_eq!(machine(Some("GPU-a")), all[..1]);
    assert!(machine(Some("")).is_empty());
}

#[test]
fn without_a_gpu_nothing_speaks_of_one() {
    let world = world();
    let spaces = |visible: &str| {
        let dry = tuner(&world, &["--budget", "9m", "--dry-run", "--", "./job.sh", "40"]);
        good(dry.env("CUDA_VISIBLE_DEVICES", visible).run()).stdout
    };
    let knob = |space: &str, name: &str| {
        let line = space.lines().find(|line| line.contains(name)).unwrap_or_default();
        line.contains("on") && line.contains("off")
    };
    assert!(knob(&spaces("0"), "tf32") && !knob(&spaces(""), "tf32"), "{}", spaces("0"));
    let limited = ["measure", "--baseline", "--max-device-memory", "2GB", "--", "true"];
    let refused = tuner(&world, &limited).env("CUDA_VISIBLE_DEVICES", "").run().exits(2);
    assert!(
        refused.stderr.contains("--max-device-memory 1.9 GiB: there is no GPU"),
        "{}",
        refused.stderr
    );
    std::fs::remove_file(Path::new(world.path()).join("libnvidia-ml.so.1")).unwrap();
    let measured = good(tuner(&world, &["measure", "--baseline", "--", "true"]).run()).stdout;
    assert!(measured.contains("peak memory") && !measured.contains("device"), "{measured}");
}
