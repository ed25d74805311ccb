//! Profiles in production: exec, the folders that a host keeps, and what the WAN22 system optimizer
//! reads and writes.

mod harness;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use harness::World;
use serde_json::{Value, json};
use wan22_tune::knobs::{Baseline, Preset};
use wan22_tune::machine::{CpuSet, Machine};
use wan22_tune::profile::{FileName, Profile};

/// The baseline's profile, as a tune on this machine would have made it.
fn profile() -> Profile {
    let machine = Machine::detect_host().unwrap();
    let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
    let made = "2026-11-24T10:00:00Z".to_owned();
    Profile::new(&machine, &baseline, &baseline.knobs, made).unwrap()
}

/// The same from a machine of another shape, with more of everything.
fn foreign() -> Profile {
    let machine = "package:2 [numa(memory=8GB)] l3:4 core:8 pu:2";
    let machine = Machine::from_synthetic(machine).unwrap();
    let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
    let made = "2026-11-24T10:00:00Z".to_owned();
    Profile::new(&machine, &baseline, &baseline.knobs, made).unwrap()
}

fn write(world: &World, name: &str, profile: &Profile) -> PathBuf {
    let path = world.path().join(name);
    profile.write(&path).unwrap();
    path
}

#[test]
fn exec_is_the_command_with_its_process_signals_and_descriptors() {
    let world = World::new();
    write(&world, "p.json", &profile());
    let exec = |words: &[&str]| {
        world.tuner(&[&["exec", "--profile", "p.json", "--"], words].concat()).run()
    };
    // A wrapper that stayed would be the parent, and would turn a signal into a status.
    let run = exec(&["sh", "-c", "kill -TERM $$"]);
    assert_eq!(run.status, None, "ended by the signal itself: {}", run.stderr);
    // Whatever descriptors this test was started with, and no more.
    let list = ["sh", "-c", "ls /proc/$$/fd; exit 42"];
    let plain = Command::new(list[0]).args(&list[1..]).output().unwrap().stdout;
    let run = exec(&list);
    assert_eq!((run.status, run.stdout), (Some(42), String::from_utf8(plain).unwrap()));
    let run = exec(&["sh", "-c", "yes | head -n 1"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), "y\n"), "a broken pipe ends a writer");
    assert_eq!(exec(&["printf", "%s|", "a b", "", "*"]).stdout, "a b||*|");
    let mut plain = Command::new(env!("CARGO_BIN_EXE_wan22-tune"));
    plain.args(["exec", "--profile", "p.json", "--", "sh", "-c", "echo $$"]);
    let child = plain.current_dir(world.path()).stdout(std::process::Stdio::piped()).spawn();
    let child = child.unwrap();
    let pid = child.id();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(said.trim(), pid.to_string(), "it is the same process");
}

#[test]
fn exec_logs_in_one_line_what_was_applied_and_read_back() {
    let world = World::new();
    let profile = profile();
    write(&world, "p.json", &profile);
    let run = world.tuner(&["exec", "--profile", "p.json", "--", "true"]).run();
    let cpus = &profile.launch.cpus;
    assert_eq!((run.status, run.stderr.lines().count()), (Some(0), 1), "{}", run.stderr);
    let line = format!("p.json (same machine): CPUs {cpus} (read back {cpus}), memory ");
    assert!(run.stderr.contains(&line), "{}", run.stderr);
    assert!(run.stderr.contains("MALLOC_ARENA_MAX=4"), "{}", run.stderr);
    let run = world.tuner(&["exec", "--quiet", "--profile", "p.json", "--", "true"]).run();
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_narrower_mask_of_the_caller_does_not_change_what_the_profile_says() {
    let world = World::new();
    let profile = profile();
    write(&world, "p.json", &profile);
    let first = profile.launch.cpus.first().unwrap().to_string();
    let output = Command::new("taskset")
        .args(["-c", &first, env!("CARGO_BIN_EXE_wan22-tune"), "exec", "--profile", "p.json"])
        .args(["--", "sh", "-c", "grep Cpus_allowed_list /proc/self/status"])
        .current_dir(world.path())
        .output()
        .unwrap();
    let got = String::from_utf8(output.stdout).unwrap();
    assert_eq!(got.split_whitespace().last().unwrap(), profile.launch.cpus.to_string());
}

#[test]
fn a_profile_of_another_machine_is_refused_adapted_or_forced() {
    let world = World::new();
    write(&world, "p.json", &foreign());
    let exec = |flags: &[&str]| {
        let words = [&["exec", "--profile", "p.json"], flags, &["--", "sh", "-c"]].concat();
        world.tuner(&[&words[..], &["echo $OMP_NUM_THREADS"]].concat()).run()
    };
    let run = exec(&[]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(125), ""));
    assert!(run.stderr.contains("--adapt") && run.stderr.contains("--force"), "{}", run.stderr);
    let run = exec(&["--adapt"]);
    let cores = Machine::detect_host().unwrap().core_limit();
    let expected = (32 * cores + 32) / 64;
    assert_eq!(run.stdout.trim(), expected.max(1).to_string(), "{}", run.stderr);
    assert!(run.stderr.contains("adapted intra_op_threads 32 -> "), "{}", run.stderr);
    assert!(run.stderr.contains("adapted, never measured here"), "{}", run.stderr);
    // As it stands it names CPUs that few machines have.
    let run = exec(&["--force"]);
    match run.status {
        Some(0) => assert_eq!(run.stdout.trim(), "32"),
        status => {
            assert_eq!(status, Some(125));
            assert!(run.stderr.contains("binding to CPUs"), "{}", run.stderr);
        }
    }
    let run = exec(&["--force", "--adapt"]);
    assert_eq!(run.status, Some(2));
}

#[test]
fn auto_takes_this_machines_profile_before_one_of_its_shape_or_else_the_baseline() {
    let world = World::new();
    let auto = || {
        let words = ["exec", "--auto", "--folder", "user", "--folder", "system", "--", "true"];
        let run = world.tuner(&words).run();
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        run.stderr
    };
    let profiles = |words: &[&str]| {
        let folders = ["profiles", "--folder", "user", "--folder", "system"];
        world.tuner(&[&folders, words].concat()).run()
    };
    let said = auto();
    assert!(said.contains("warning: no profile for this machine in user, system"), "{said}");
    assert!(said.contains("the baseline "), "{said}");
    assert!(profiles(&["list"]).stdout.starts_with("No profiles in user, system"));

    let mut sibling = profile();
    sibling.machine.fingerprint.identity = "0123456789abcdef".to_owned();
    let path = write(&world, "sibling.json", &sibling);
    fs::create_dir(world.path().join("system")).unwrap();
    let name = FileName::of(&sibling, None).to_string();
    fs::copy(path, world.path().join("system").join(&name)).unwrap();
    assert!(auto().contains(&format!("system/{name} (same shape)")));

    write(&world, "own.json", &profile());
    write(&world, "foreign.json", &foreign());
    let own = FileName::of(&profile(), None).to_string();
    assert_eq!(profiles(&["use", "own.json"]).stdout, format!("user/{own}\n"));
    assert_eq!(profiles(&["use", "foreign.json"]).status, Some(0));
    assert!(auto().contains(&format!("user/{own} (same machine)")));

    let list = profiles(&["list"]).stdout;
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 4, "{list}");
    assert!(lines[0].starts_with("* ") && lines[0].contains("same machine"), "{list}");
    assert!(lines[1].contains("same shape") && lines[2].contains("different"), "{list}");
    let run = profiles(&["verify"]);
    assert_eq!(run.status, Some(0), "{}", run.stdout);
    assert!(run.stdout.contains("good, for another machine"), "{}", run.stdout);
    let shown = profiles(&["show"]).stdout;
    assert!(shown.contains(&own) && shown.contains("intra_op_threads"), "{shown}");

    let mut tampered = profile();
    tampered.launch.cpus = "1000".parse().unwrap();
    write(&world, &format!("user/{own}"), &tampered);
    let said = auto();
    assert!(said.contains("/launch/cpus") && said.contains("(same shape)"), "{said}");
    let signed = ["exec", "--auto", "--signature", "a", "--allowed-signers", "b", "--", "true"];
    assert_eq!(world.tuner(&signed).run().status, Some(2), "of which file?");

    fs::write(world.path().join("user").join(&own), "{}").unwrap();
    let said = auto();
    assert!(
        said.contains("/schema: the key is missing") && said.contains("(same shape)"),
        "{said}"
    );
    let run = profiles(&["verify"]);
    assert_eq!(run.status, Some(1));
    assert!(run.stdout.contains("refused: ") && run.stderr.contains("1 of 3"), "{}", run.stdout);
}

#[test]
fn auto_does_not_take_what_others_could_have_put_there() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    write(&world, "own.json", &profile());
    let folder = world.path().join("user");
    world.tuner(&["profiles", "--folder", "user", "use", "own.json"]).run();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let run = world.tuner(&["exec", "--auto", "--folder", "user", "--", "true"]).run();
    assert_eq!(run.status, Some(0));
    assert!(run.stderr.contains("user: others may write to it"), "{}", run.stderr);
    assert!(run.stderr.contains("the baseline "), "{}", run.stderr);
}

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
    let run = world.tune(&["--budget", "10m", "--trials", "4", "--baseline", "theirs.json"]).run();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("cpu_affinity 4000-4001: the nearest layout"), "{}", run.stderr);
    let results = world.results();
    assert_eq!(results.baseline().knobs.tile_size, 256);
    assert!(results.trials.iter().all(|trial| trial.outcome.to_string() != "illegal"));

    write(&world, "ours.json", &profile());
    let space = world.tuner(&["space", "--baseline", "ours.json"]).run();
    assert_eq!(space.status, Some(0), "{}", space.stderr);
    assert!(space.stdout.contains("[512]"), "{}", space.stdout);
    let mut odd: Value = theirs;
    odd["optimal_settings"]["hook"] = json!("/bin/sh");
    fs::write(world.path().join("odd.json"), odd.to_string()).unwrap();
    for (file, expected) in [
        ("odd.json", "/optimal_settings/hook"),
        ("nowhere", "no preset (5995wx, rtx4080, generic)"),
    ] {
        let run = world.tuner(&["space", "--baseline", file]).run();
        assert_eq!(run.status, Some(2));
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
    let run = world.tuner(&["exec", "--profile", "theirs.json", "--", "true"]).run();
    assert!(run.stderr.contains("start a tune from it with --baseline"), "{}", run.stderr);
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
    let run = verify("key.allowed");
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("signed by key@example.org"), "{}", run.stderr);
    assert_eq!(verify("other.allowed").status, Some(1));
    let mut changed = profile();
    changed.timestamp = "2026-11-24T10:00:01Z".to_owned();
    write(&world, "p.json", &changed);
    let run = verify("key.allowed");
    assert_eq!(run.status, Some(1));
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
    assert!(include_str!("../schema/profile.schema.json") == Profile::schema(), "drifted: {made}");
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

#[test]
fn a_profile_may_be_kept_in_a_results_folder_begin_with_a_mark_or_lie_under_any_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    let folder = world.path().join("results");
    fs::create_dir(&folder).unwrap();
    profile().write(&folder.join("profile.json")).unwrap();
    for words in [
        &["exec", "--profile", "results", "--", "true"][..],
        &["export", "--format", "env", "results"],
        &["diff", "results", "results"],
        &["machine", "--profile", "results"],
        &["profiles", "verify", "results"],
        &["profiles", "--folder", "kept", "use", "results"],
        &["space", "--baseline", "results"],
    ] {
        let run = world.tuner(words).run();
        assert_eq!(run.status, Some(0), "{words:?}: {}", run.stderr);
    }
    let asked = ["exec", "--profile", "results", "--", "sh", "-c", "echo $WAN22_PROFILE"];
    assert!(world.tuner(&asked).run().stdout.ends_with("/results/profile.json\n"));

    let text = fs::read_to_string(folder.join("profile.json")).unwrap();
    fs::write(world.path().join("marked.json"), format!("\u{FEFF}{text}")).unwrap();
    let run = world.tuner(&["exec", "--profile", "marked.json", "--", "true"]).run();
    assert_eq!(run.status, Some(0), "{}", run.stderr);

    let odd = OsStr::from_bytes(b"caf\xe9.json");
    fs::write(world.path().join(odd), text).unwrap();
    let mut exec = Command::new(env!("CARGO_BIN_EXE_wan22-tune"));
    exec.current_dir(world.path()).args(["exec", "--quiet", "--profile"]).arg(odd);
    let output = exec.args(["--", "sh", "-c", "cat \"$WAN22_PROFILE\" | head -c 1"]).output();
    let output = output.unwrap();
    assert_eq!(output.stdout, b"{", "{}", String::from_utf8_lossy(&output.stderr));
}

/// A profile of this machine that a tune of `job` has proven, or has not where `gain` is `None`.
fn proven(job: &str, gain: Option<[f64; 2]>, pairs: usize) -> Profile {
    let mut profile = serde_json::to_value(profile()).unwrap();
    profile["evidence"] = json!({
        "verdict": if gain.is_some() { "gain" } else { "no significant gain" },
        "gain_percent": gain.map(|[low, high]| f64::midpoint(low, high)),
        "interval_percent": gain,
        "pairs": pairs,
        "baseline_s": 2.0,
        "score_s": 1.0,
        "workload": wan22_tune::workload::Workload::custom(job),
    });
    serde_json::from_value(profile).unwrap()
}

#[test]
fn a_profile_that_proves_less_takes_no_place_and_each_job_has_its_own() {
    let world = World::new();
    let keep = |profile: &Profile, flags: &[&str]| {
        write(&world, "p.json", profile);
        let words = [&["profiles", "--folder", "kept", "use", "p.json"], flags].concat();
        world.tuner(&words).run()
    };
    let strong = proven("i2v", Some([54.8, 85.0]), 4);
    let run = keep(&strong, &[]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let kept = world.path().join(run.stdout.trim());
    let text = fs::read_to_string(&kept).unwrap();
    for weak in [
        profile_for("i2v"),
        proven("i2v", None, 40),
        proven("i2v", Some([20.0, 85.0]), 9),
        proven("i2v", Some([54.8, 85.0]), 3),
    ] {
        let run = keep(&weak, &[]);
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
        let said = "proves more (i2v, a gain of 69.9% (54.8% or more), 4 pairs)";
        assert!(run.stderr.contains(said) && run.stderr.contains("--force"), "{}", run.stderr);
        assert_eq!(fs::read_to_string(&kept).unwrap(), text);
    }
    // Another job takes nothing away, and the one of the whole job is what --auto takes.
    assert_eq!(keep(&proven("vae-decode", Some([60.0, 70.0]), 9), &[]).status, Some(0));
    assert_eq!(keep(&proven("command", Some([60.0, 70.0]), 9), &["--job", "mine"]).status, Some(0));
    let auto = |flags: &[&str]| {
        let words = [&["exec", "--auto", "--folder", "kept"], flags, &["--", "true"]].concat();
        world.tuner(&words).run().stderr
    };
    assert!(auto(&["--job", "i2v"]).contains("-i2v.json (same machine)"));
    assert!(auto(&["--job", "vae-decode"]).contains("-vae-decode.json (same machine)"));
    assert!(auto(&["--job", "mine"]).contains("-mine.json (same machine)"));
    assert!(auto(&["--job", "t2v"]).contains("no profile for this machine and t2v"));
    assert!(!auto(&[]).contains("-vae-decode.json"), "a part of the job speaks for itself only");

    let run = keep(&proven("i2v", None, 40), &["--force"]);
    assert_eq!(run.status, Some(0));
    assert!(run.stderr.contains("replaces ") && run.stderr.contains("69.9%"), "{}", run.stderr);
    assert_eq!(fs::read_dir(world.path().join("kept")).unwrap().count(), 3);
}

/// The same for a command whose words come to this digest.
fn proven_for_command(own: &str) -> Profile {
    let mut profile = serde_json::to_value(proven("command", Some([50.0, 60.0]), 4)).unwrap();
    profile["evidence"]["own"] = json!(own);
    serde_json::from_value(profile).unwrap()
}

#[test]
fn two_commands_of_ones_own_are_two_jobs() {
    let world = World::new();
    let keep = |profile: &Profile| {
        write(&world, "p.json", profile);
        world.tuner(&["profiles", "--folder", "kept", "use", "p.json"]).run()
    };
    let [one, two] = ["0123abcd", "00000000"].map(|own| keep(&proven_for_command(own)));
    assert_eq!((one.status, two.status), (Some(0), Some(0)), "{}", two.stderr);
    assert!(one.stdout.ends_with("-command-0123abcd.json\n"), "{}", one.stdout);
    assert!(two.stdout.ends_with("-command-00000000.json\n"), "{}", two.stdout);
    assert_eq!(two.stderr, "", "nothing is replaced");
    let again = keep(&proven_for_command("0123abcd"));
    assert!(again.stderr.contains("replaces ") && again.stderr.contains("-command-0123abcd"));
    assert_eq!(fs::read_dir(world.path().join("kept")).unwrap().count(), 2);
    let auto = |job: &str| {
        world
            .tuner(&["exec", "--auto", "--job", job, "--folder", "kept", "--", "true"])
            .run()
            .stderr
    };
    assert!(auto("command-00000000").contains("-command-00000000.json (same machine)"));
    assert!(auto("command-0123abcd").contains("-command-0123abcd.json (same machine)"));
    assert!(auto("command").contains("(same machine)"), "any of them");
    assert!(auto("command-11111111").contains("no profile for this machine"));
    // No path comes out of it.
    write(&world, "p.json", &proven_for_command("../../x"));
    let run = world.tuner(&["profiles", "--folder", "kept", "use", "p.json"]).run();
    assert!(run.stderr.contains("/evidence/own: not 8 hexadecimal digits"), "{}", run.stderr);
}

/// A profile of this machine that was made with `allowed` CPUs of it.
fn made_on(allowed: &CpuSet, made: &str) -> Profile {
    let mut machine = Machine::detect_host().unwrap();
    machine.allowed = allowed.clone();
    machine.limits.cpu_quota = None;
    let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
    let mut profile = Profile::new(&machine, &baseline, &baseline.knobs, made.to_owned()).unwrap();
    profile.evidence = proven("i2v", Some([50.0, 60.0]), 4).evidence;
    profile
}

#[test]
fn a_part_of_the_machine_and_the_whole_keep_a_profile_each() {
    let world = World::new();
    let machine = Machine::detect_host().unwrap();
    let all: CpuSet = machine.cores.iter().flat_map(|core| core.cpus.iter()).collect();
    if all.len() < 2 || machine.allowed != all || machine.quota_ceiling().is_some() {
        eprintln!("SKIPPED: a part of the machine needs all of at least two CPUs");
        return;
    }
    let part: CpuSet = all.first().into_iter().collect();
    let kept = world.path().join("kept");
    let keep = |profile: &Profile| {
        write(&world, "p.json", profile);
        let run = world.tuner(&["profiles", "--folder", "kept", "use", "p.json"]).run();
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        (kept.join(run.stdout.trim().strip_prefix("kept/").unwrap()), run.stderr)
    };
    // The newer one wins where nothing else decides.
    let (of_whole, of_part) = ("2026-11-24T10:00:00Z", "2026-11-25T10:00:00Z");
    let (whole, said) = keep(&made_on(&all, of_whole));
    assert_eq!(said, "");
    let fingerprint = machine.fingerprint();
    let name = format!("{}-{}-i2v.json", fingerprint.shape, fingerprint.identity);
    assert_eq!(whole, kept.join(name), "as it was before parts had names");
    let (partial, said) = keep(&made_on(&part, of_part));
    assert_eq!(said, "", "nothing is replaced");
    assert_ne!(partial, whole);
    let (_, said) = keep(&made_on(&part, of_part));
    assert_eq!(said.matches("replaces ").count(), 1, "{said}");
    assert!(said.contains(partial.file_name().unwrap().to_str().unwrap()), "{said}");
    // Each process takes the one that was made with what it may use, and `list` marks it.
    let taken = |cpus: &CpuSet, words: &[&str]| {
        let mut exec = Command::new("taskset");
        exec.args(["-c", &cpus.to_string(), env!("CARGO_BIN_EXE_wan22-tune")]).args(words);
        let output = exec.current_dir(world.path()).output().unwrap();
        let (mut said, more) = (output.stdout, output.stderr);
        said.extend(more);
        String::from_utf8(said).unwrap()
    };
    for (cpus, expected) in [(&all, &whole), (&part, &partial)] {
        let stem = expected.file_stem().unwrap().to_str().unwrap();
        let said = taken(cpus, &["exec", "--auto", "--folder", "kept", "--", "true"]);
        assert!(said.contains(&format!("kept/{stem}.json (same machine)")), "{cpus}: {said}");
        let said = taken(cpus, &["profiles", "--folder", "kept", "list"]);
        assert!(said.contains(&format!("* {stem} ")), "{cpus}: {said}");
    }
    assert_eq!(world.tuner(&["profiles", "--folder", "kept", "verify"]).run().status, Some(0));
    // A version that did not know of parts gave the one of the part the name of the whole.
    fs::rename(&partial, &whole).unwrap();
    assert_eq!(world.tuner(&["profiles", "--folder", "kept", "verify"]).run().status, Some(0));
    let (again, said) = keep(&made_on(&all, of_whole));
    assert_eq!((again, said.as_str()), (whole.clone(), ""));
    assert!(partial.is_file() && whole.is_file(), "it has a name of its own now");
}

/// A profile of a job with an interval around nothing.
fn profile_for(job: &str) -> Profile {
    proven(job, None, 0)
}

#[test]
fn a_file_under_the_name_of_an_older_version_is_read_and_replaced() {
    let world = World::new();
    let kept = world.path().join("kept");
    fs::create_dir(&kept).unwrap();
    let old = proven("i2v", Some([10.0, 20.0]), 4);
    let name = FileName { job: None, ..FileName::of(&old, None) }.to_string();
    old.write(&kept.join(&name)).unwrap();
    let auto = ["exec", "--auto", "--job", "i2v", "--folder", "kept", "--", "true"];
    let said = world.tuner(&auto).run().stderr;
    assert!(said.contains(&format!("{name} (same machine)")), "{said}");
    assert_eq!(world.tuner(&["profiles", "--folder", "kept", "verify"]).run().status, Some(0));
    write(&world, "p.json", &proven("i2v", Some([12.0, 20.0]), 4));
    let run = world.tuner(&["profiles", "--folder", "kept", "use", "p.json"]).run();
    assert!(run.stderr.contains(&format!("replaces kept/{name}")), "{}", run.stderr);
    let files: Vec<_> =
        fs::read_dir(&kept).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].to_string_lossy().ends_with("-i2v.json"), "{files:?}");
}

#[test]
fn auto_takes_the_next_best_where_the_best_can_not_be_applied() {
    let world = World::new();
    let kept = world.path().join("kept");
    fs::create_dir(&kept).unwrap();
    // CPUs that the kernel refuses to bind to, where the profile itself agrees with the machine.
    let auto = |folder: &str| {
        world.tuner(&["exec", "--auto", "--folder", folder, "--", "sh", "-c", "echo ran"]).run()
    };
    let absent = absent_allocator();
    let mut best = serde_json::to_value(proven("i2v", Some([50.0, 60.0]), 9)).unwrap();
    best["candidate"]["allocator"] = json!(absent.0);
    best["launch"]["environment"]["LD_PRELOAD"] = json!(absent.1);
    if let Some((name, value)) = absent.2 {
        best["launch"]["environment"][name] = json!(value);
    }
    let best: Profile = serde_json::from_value(best).unwrap();
    best.write(&kept.join(FileName::of(&best, None).to_string())).unwrap();
    let Ok(()) = wan22_tune::knobs::allow_list::resolved(&best.launch.environment).map(drop) else {
        let run = auto("kept");
        assert_eq!((run.status, run.stdout.as_str()), (Some(0), "ran\n"), "{}", run.stderr);
        assert!(run.stderr.contains("is passed over: no lib"), "{}", run.stderr);
        assert!(run.stderr.contains("no profile for this machine in kept can be applied"));
        assert!(run.stderr.contains("the baseline "), "{}", run.stderr);
        let listed = world.tuner(&["profiles", "--folder", "kept", "list"]).run().stdout;
        assert!(!listed.contains("* "), "nothing that --auto takes: {listed}");
        let next = proven("t2v", None, 4);
        next.write(&kept.join(FileName::of(&next, None).to_string())).unwrap();
        let run = auto("kept");
        assert!(run.stderr.contains("-t2v.json (same machine)"), "{}", run.stderr);
        // What `list` marks is what --auto takes.
        let listed = world.tuner(&["profiles", "--folder", "kept", "list"]).run().stdout;
        let starred: Vec<&str> = listed.lines().filter(|line| line.starts_with("* ")).collect();
        assert!(starred[0].contains("-t2v  same machine"), "{listed}");
        assert!(listed.contains("passed over by `wan22-tune exec --auto`: no lib"), "{listed}");
        let named = kept.join(FileName::of(&best, None).to_string());
        let words = ["exec", "--profile", named.to_str().unwrap(), "--", "true"];
        assert_eq!(world.tuner(&words).run().status, Some(125), "asked for by name");
        return;
    };
    assert_eq!(auto("kept").status, Some(0));
}

/// An allocator that this machine lacks, its library and the variable beside it; the last one where
/// it has all.
fn absent_allocator() -> (&'static str, &'static str, Option<(&'static str, &'static str)>) {
    let keep = ("MALLOC_CONF", "dirty_decay_ms:-1,muzzy_decay_ms:-1");
    let all = [
        ("jemalloc", "libjemalloc.so.2", Some(keep)),
        ("tcmalloc", "libtcmalloc_minimal.so.4", None),
        ("mimalloc", "libmimalloc.so.2", None),
    ];
    let live = wan22_tune::machine::SystemRoots::live();
    let is_absent = |library: &str| wan22_tune::machine::library::refusal(library, &live).is_some();
    all.into_iter().find(|(_, library, _)| is_absent(library)).unwrap_or(all[2])
}

#[test]
fn files_of_other_machines_are_not_read() {
    let world = World::new();
    let kept = world.path().join("kept");
    fs::create_dir(&kept).unwrap();
    let own = profile();
    own.write(&kept.join(FileName::of(&own, None).to_string())).unwrap();
    // What is no profile would be told of, if it were looked at.
    for number in 0..50 {
        let name = format!("{number:016x}-0123456789abcdef.json");
        fs::write(kept.join(name), "{}").unwrap();
        let sibling = format!("{}-{number:016x}.json", own.machine.fingerprint.shape);
        fs::write(kept.join(sibling), "{}").unwrap();
    }
    let auto = ["exec", "--auto", "--folder", "kept", "--", "true"];
    let run = world.tuner(&auto).run();
    assert_eq!((run.status, run.stderr.lines().count()), (Some(0), 1), "{}", run.stderr);
    assert!(run.stderr.contains("(same machine)"), "{}", run.stderr);
}

#[test]
fn a_home_that_is_empty_or_relative_is_none() {
    let world = World::new();
    write(&world, "p.json", &profile());
    for home in ["", ".", "relative"] {
        let mut tuner = Command::new(env!("CARGO_BIN_EXE_wan22-tune"));
        tuner.args(["profiles", "list"]).current_dir(world.path());
        let output = tuner.env("HOME", home).env_remove("XDG_DATA_HOME").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!said.contains(".local"), "{home}: {said}");
    }
}
