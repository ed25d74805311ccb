//! Profiles, signatures and files that other programs read and write.

use super::*;

/// The loader of the WAN22 system optimizer: each object's keys go straight to a dataclass.
const LOADER: &str = r#"
import json, sys
from dataclasses import dataclass
from datetime import datetime
from typing import List, Optional, Tuple

@dataclass
class HardwareProfile:
    cpu_model: str
    cpu_cores: int
    total_memory_gb: int
    gpu_model: str
    vram_gb: int
    cuda_version: str = ""
    driver_version: str = ""
    is_rtx_4080: bool = False
    is_threadripper_pro: bool = False

@dataclass
class OptimalSettings:
    tile_size: Tuple[int, int]
    batch_size: int
    enable_cpu_offload: bool
    enable_tensor_cores: bool
    memory_fraction: float
    num_threads: int
    enable_xformers: bool
    vae_tile_size: Tuple[int, int]
    text_encoder_offload: bool
    vae_offload: bool
    use_fp16: bool
    use_bf16: bool
    gradient_checkpointing: bool
    numa_nodes: Optional[List[int]] = None
    cpu_affinity: Optional[List[int]] = None
    parallel_workers: int = 1
    enable_numa_optimization: bool = False
    preprocessing_threads: int = 1
    io_threads: int = 1

data = json.load(open(sys.argv[1]))
hardware = HardwareProfile(**data["hardware_profile"])
optimal = OptimalSettings(**data["optimal_settings"])
datetime.fromisoformat(data["timestamp"].replace("Z", "+00:00"))
assert len(optimal.tile_size) == len(optimal.vae_tile_size) == 2
print(optimal.num_threads, optimal.batch_size, hardware.cpu_cores)
"#;

#[test]
fn the_wan22_optimizers_loader_reads_our_profile_as_it_is() {
    let world = World::new();
    let profile = profile();
    let path = write(&world, "p.json", &profile);
    let output = Command::new("python3").args(["-c", LOADER]).arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let (settings, hardware) = (&profile.optimal_settings, &profile.hardware_profile);
    let expected =
        format!("{} {} {}\n", settings.num_threads, settings.batch_size, hardware.cpu_cores);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn a_tune_starts_from_the_wan22_optimizers_profile_and_from_ours() {
    let world = World::new();
    let ours = serde_json::to_value(profile()).unwrap();
    let mut theirs = json!({});
    for key in ["hardware_profile", "optimal_settings", "timestamp"] {
        theirs[key] = ours[key].clone();
    }
    theirs["optimal_settings"]["tile_size"] = json!([256, 256]);
    theirs["optimal_settings"]["cpu_affinity"] = json!([4000, 4001]);
    fs::write(world.path().join("theirs.json"), theirs.to_string()).unwrap();
    let run = world
        .tune(&["--budget", "10m", "--trials", "4", "--baseline", "theirs.json"])
        .run()
        .exits(0);
    assert!(run.stderr.contains("cpu_affinity 4000-4001: the nearest layout"), "{}", run.stderr);
    let results = world.results();
    assert_eq!(results.baseline().knobs.tile_size, 256);
    assert!(results.trials.iter().all(|trial| trial.outcome.to_string() != "illegal"));

    write(&world, "ours.json", &profile());
    let space = world.tuner(&["space", "--baseline", "ours.json"]).run().exits(0);
    assert!(space.stdout.contains("[512]"), "{}", space.stdout);
    let mut odd: Value = theirs;
    odd["optimal_settings"]["hook"] = json!("/bin/sh");
    fs::write(world.path().join("odd.json"), odd.to_string()).unwrap();
    for (file, expected) in [
        ("odd.json", "/optimal_settings/hook"),
        ("nowhere", "no preset (5995wx, rtx4080, generic)"),
    ] {
        let run = world.tuner(&["space", "--baseline", file]).run().exits(2);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
    let run = world.tuner(&["exec", "--profile", "theirs.json", "--", "true"]).run();
    assert!(run.stderr.contains("start a tune from it with --baseline"), "{}", run.stderr);
}

/// To try settings in production without a tune, or to compare them.
#[test]
fn a_profile_of_chosen_values_is_written_for_this_machine() {
    let world = World::new();
    let new = |sets: &[&str]| world.tuner(&[&["profiles", "new"], sets].concat()).run();
    let made = new(&["--set", "vae_tile_size=192", "--set", "allocator=glibc-keep"]).exits(0);
    fs::write(world.path().join("new.json"), &made.stdout).unwrap();
    let script = "echo $WAN22_VAE_TILE_SIZE $GLIBC_TUNABLES";
    let run = world.tuner(&["exec", "--profile", "new.json", "--", "sh", "-c", script]).run();
    assert!(run.stdout.starts_with("192 glibc.malloc.mmap_max=0"), "{}{}", run.stdout, run.stderr);
    for (set, says) in [
        ("tile=1", "--set tile: no such knob: affinity, "),
        ("vae_tile_size=big", "--set vae_tile_size=big: "),
        ("batch_size=0", "--set: "),
        ("batch_size", "give KNOB=VALUE"),
    ] {
        let run = new(&["--set", set]);
        assert_eq!((run.status, run.stderr.contains(says)), (Some(2), true), "{}", run.stderr);
    }
}

#[test]
fn a_signature_holds_for_these_very_bytes_and_these_signers_only() {
    let world = World::new();
    write(&world, "p.json", &profile());
    let keygen = |words: &[&str]| {
        let mut command = Command::new("ssh-keygen");
        let output = command.args(words).current_dir(world.path()).output();
        let output = output.expect("ssh-keygen is needed: `make test` installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    for key in ["key", "other"] {
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f", key]);
        let public = fs::read_to_string(world.path().join(format!("{key}.pub"))).unwrap();
        let allowed = format!("{key}@example.org {public}");
        fs::write(world.path().join(format!("{key}.allowed")), allowed).unwrap();
    }
    keygen(&["-q", "-Y", "sign", "-n", "wan22-tune", "-f", "key", "p.json"]);
    let verify = |signers: &str| {
        let flags = ["--signature", "p.json.sig", "--allowed-signers", signers];
        world.tuner(&[&["profiles", "verify", "p.json"], &flags[..]].concat()).run()
    };
    let run = verify("key.allowed").exits(0);
    assert!(run.stderr.contains("signed by key@example.org"), "{}", run.stderr);
    assert_eq!(verify("other.allowed").status, Some(1));
    let mut changed = profile();
    changed.timestamp = "2026-11-24T10:00:01Z".to_owned();
    write(&world, "p.json", &changed);
    let run = verify("key.allowed").exits(1);
    assert!(run.stderr.contains("the signature does not hold"), "{}", run.stderr);
    // Signed by the right key, but something else.
    keygen(&["-q", "-Y", "sign", "-n", "file", "-f", "key", "key.pub"]);
    let words = ["exec", "--profile", "p.json", "--signature", "key.pub.sig"];
    let words = [&words[..], &["--allowed-signers", "key.allowed", "--", "true"]].concat();
    assert_eq!(world.tuner(&words).run().status, Some(125));
}

#[test]
fn the_committed_schema_is_the_one_of_the_types() {
    let made = "cargo run -- profiles schema > schema/profile.schema.json";
    assert!(
        include_str!("../../schema/profile.schema.json") == Profile::schema(),
        "drifted: {made}"
    );
}

#[test]
fn shells_and_man_know_every_command() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = world.tuner(&["completions", shell]).run();
        assert!(script.stdout.contains("export"), "{shell}: {}", script.stderr);
    }
    let script = world.tuner(&["completions", "bash"]).run().stdout;
    fs::write(world.path().join("completion"), script).unwrap();
    let ask = "source ./completion; COMP_WORDS=(wan22-tune ex); COMP_CWORD=1; \
               function=$(complete -p wan22-tune | grep -o '\\-F [^ ]*' | cut -c 4-); \
               $function wan22-tune ex ''; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", ask]).current_dir(world.path()).output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    assert_eq!(words.split_whitespace().collect::<Vec<_>>(), ["exec", "export"]);
    assert_eq!(world.tuner(&["man", "--output", "pages"]).run().status, Some(0));
    let page = fs::read_to_string(world.path().join("pages/wan22-tune-exec.1")).unwrap();
    assert!(page.contains("\\-\\-adapt"), "{page}");
}
