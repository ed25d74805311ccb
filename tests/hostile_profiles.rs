//! Profiles that somebody wrote to do harm, or that a disk or an editor has spoilt: each is
//! refused, for its own reason and with the place of it, before anything is done with it.

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use harness::World;
use serde_json::{Value, json};
use wan22_tune::knobs::{Baseline, Preset, allow_list};
use wan22_tune::machine::Machine;
use wan22_tune::profile::Profile;

/// The baseline's profile of this machine: whatever is refused below is refused for its change.
fn good() -> Value {
    let machine = Machine::detect_host().unwrap();
    let baseline = Baseline::fit(Preset::Generic, &machine);
    let now = "2026-11-24T10:00:00Z".to_owned();
    let profile = Profile::new(&machine, &baseline, &baseline.knobs, now).unwrap();
    let mut profile = serde_json::to_value(profile).unwrap();
    profile["evidence"] = json!({
        "verdict": "gain", "gain_percent": 5.0, "interval_percent": [1.0, 9.0], "pairs": 7,
        "baseline_s": 2.0, "score_s": 1.9, "quality": null,
        "workload": {
            "name": "i2v", "model": "ti2v-5b", "stages": ["read"], "clips": 1, "width": 64,
            "height": 64, "frames": 1, "window_width": 32, "window_height": 32,
            "window_frames": 1, "layers": 1, "steps": 1, "text_layers": 0, "text_tokens": 16,
        },
    });
    profile
}

/// A change of one value: the pointer, what is put there, and what the error says.
fn changes() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("/schema", json!(2), "/schema: this program reads 1, not 2"),
        ("/schema", json!("1"), "/schema: this program reads 1, not \"1\""),
        ("/schema", json!(null), "/schema: this program reads 1, not null"),
        ("/timestamp", json!(""), "/timestamp: not a date"),
        ("/timestamp", json!("yesterday"), "/timestamp: not a date"),
        ("/timestamp", json!(1_700_000_000), "/timestamp: invalid type"),
        ("/timestamp", json!("2026-13-45T99:99:99Z"), "/timestamp: not a date"),
        ("/tool", json!("sh -c id"), "/tool: not `wan22-tune` and a version"),
        ("/tool", json!("wan22-tune ../../x"), "/tool: not `wan22-tune` and a version"),
        ("/machine/host", json!("../../etc/passwd"), "/machine/host: not a host's name"),
        ("/machine/host", json!("/etc/passwd"), "/machine/host: not a host's name"),
        ("/machine/host", json!("a b"), "/machine/host: not a host's name"),
        ("/machine/host", json!("-rf"), "/machine/host: not a host's name"),
        ("/machine/host", json!("a..b"), "/machine/host: not a host's name"),
        ("/machine/host", json!("$(id)"), "/machine/host: not a host's name"),
        ("/machine/host", json!(""), "/machine/host: not a host's name"),
        ("/machine/host", json!("x\u{7}"), "/machine/host: the character U+0007"),
        ("/machine/host", json!("x\ny"), "/machine/host: the character U+000A"),
        ("/machine/host", json!("\u{1b}[2J"), "/machine/host: the character U+001B"),
        ("/machine/host", json!("a\u{202e}b"), "/machine/host: the character U+202E"),
        ("/machine/host", json!("h".repeat(300)), "/machine/host: not a host's name"),
        (
            "/machine/host",
            json!("h".repeat(40_000)),
            "/machine/host: text of more than 32768 bytes",
        ),
        ("/machine/fingerprint/shape", json!("0"), "/machine/fingerprint/shape: not 16 hex"),
        ("/machine/fingerprint/shape", json!("../../../../x.js"), "shape: not 16 hex"),
        ("/machine/fingerprint/identity", json!("ABCDEF0123456789"), "identity: not 16 hex"),
        ("/machine/allowed", json!("0-4294967295"), "/machine/allowed: "),
        ("/hardware_profile/cpu_cores", json!(0), "/hardware_profile/cpu_cores: it takes 1 to"),
        ("/hardware_profile/cpu_cores", json!(-1), "/hardware_profile/cpu_cores: invalid value"),
        ("/hardware_profile/vram_gb", json!(1.0e300), "/hardware_profile/vram_gb: invalid type"),
        ("/hardware_profile/total_memory_gb", json!(u64::MAX), "total_memory_gb: no machine has"),
        ("/hardware_profile/cpu_model", json!("x".repeat(201)), "cpu_model: a name of more than"),
        ("/hardware_profile/is_rtx_4080", json!("yes"), "is_rtx_4080: invalid type"),
        ("/optimal_settings/memory_fraction", json!(1.5), "memory_fraction: it takes more than 0"),
        ("/optimal_settings/memory_fraction", json!(0.0), "memory_fraction: it takes more than 0"),
        ("/optimal_settings/memory_fraction", json!(-0.5), "memory_fraction: it takes more than 0"),
        ("/optimal_settings/memory_fraction", json!("NaN"), "memory_fraction: invalid type"),
        (
            "/optimal_settings/tile_size",
            json!([512]),
            "/optimal_settings/tile_size: invalid length",
        ),
        ("/optimal_settings/tile_size", json!([64, 64]), "tile_size: not the candidate's"),
        ("/optimal_settings/num_threads", json!(12_345), "num_threads: not the candidate's"),
        ("/optimal_settings/batch_size", json!(77), "batch_size: not the candidate's"),
        ("/optimal_settings/io_threads", json!(0), "io_threads: it takes 1 to"),
        ("/optimal_settings/cpu_affinity", json!([0, 0]), "cpu_affinity: not ascending"),
        ("/optimal_settings/cpu_affinity", json!([70_000]), "cpu_affinity: not ascending"),
        (
            "/optimal_settings/cpu_affinity",
            json!(vec![0; 10_000]),
            "/optimal_settings/cpu_affinity: a list of more than 8192 elements",
        ),
        ("/launch/cpus", json!(""), "/launch/cpus: a process needs a CPU"),
        ("/launch/cpus", json!("0-99999999"), "/launch/cpus: `0-99999999`"),
        ("/launch/cpus", json!("all"), "/launch/cpus: `all`"),
        ("/launch/cpus", json!([0, 1]), "/launch/cpus: invalid type"),
        (
            "/launch/memory/policy",
            json!("migrate"),
            "/launch/memory/policy: unknown variant `migrate`",
        ),
        (
            "/launch/memory",
            json!({"policy": "bind", "nodes": ""}),
            "/launch/memory/nodes: no nodes",
        ),
        (
            "/launch/memory",
            json!({"policy": "interleave", "nodes": "0-1"}),
            "/launch/memory: the candidate leaves it at the default",
        ),
        ("/workers/io_workers", json!(9), "/workers: not the candidate's"),
        ("/candidate/affinity", json!("one-moon"), "/candidate/affinity: "),
        ("/candidate/allocator", json!("/tmp/evil.so"), "/candidate/allocator: "),
        ("/candidate/intra_op_threads", json!(0), "/candidate/intra_op_threads: it takes 1 to"),
        ("/candidate/intra_op_threads", json!(-1), "/candidate/intra_op_threads: "),
        ("/candidate/tile_size", json!(17), "/candidate/tile_size: it takes a multiple of 16"),
        ("/candidate/batch_size", json!(1_000_000), "/candidate/batch_size: it takes 1 to 1024"),
        ("/candidate/precision", json!({"a": 1}), "/candidate/precision: "),
        ("/evidence/verdict", json!("trust me"), "/evidence/verdict: no verdict"),
        ("/evidence/gain_percent", json!(100.0), "/evidence/gain_percent: no such gain"),
        (
            "/evidence/gain_percent",
            json!(null),
            "/evidence/gain_percent: the verdict says otherwise",
        ),
        ("/evidence/interval_percent", json!([6.0, 9.0]), "interval_percent: not around the gain"),
        ("/evidence/score_s", json!(-1.0), "/evidence/score_s: no time"),
        ("/evidence/pairs", json!(99_999_999), "/evidence/pairs: more pairs"),
        ("/evidence/workload/name", json!("../../i2v"), "/evidence/workload/name: not the name"),
    ]
}

/// A new member: where, its key, its value, and what the error says.
fn additions() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let environment = "/launch/environment";
    let no_such = "a profile may not set this variable";
    vec![
        ("", "command", json!("id"), "unknown field `command`"),
        ("", "__proto__", json!({}), "unknown field `__proto__`"),
        ("/launch", "exec", json!(["sh"]), "/launch/exec: unknown field"),
        ("/machine", "url", json!("http://x"), "/machine/url: unknown field"),
        ("/optimal_settings", "model_path", json!("/x"), "model_path: unknown field"),
        ("/evidence", "hook", json!("/x"), "/evidence/hook: unknown field"),
        (
            "/evidence/workload",
            "weights",
            json!("/x"),
            "/evidence/workload/weights: there is no such",
        ),
        ("/candidate", "../../x", json!(1), "/candidate/..~1..~1x: there is no such knob"),
        (environment, "PATH", json!("/tmp"), no_such),
        (environment, "LD_LIBRARY_PATH", json!("/tmp"), no_such),
        (environment, "LD_AUDIT", json!("/tmp/evil.so"), no_such),
        (environment, "PYTHONPATH", json!("/tmp"), no_such),
        (environment, "BASH_ENV", json!("/tmp/x"), no_such),
        (environment, "GCONV_PATH", json!("/tmp"), no_such),
        (environment, "TORCH_LOGS_OUT", json!("/tmp/x"), no_such),
        (environment, "OMP_NUM_THREADS=1 X", json!("1"), no_such),
        (environment, "LD_PRELOAD", json!("/tmp/evil.so"), "LD_PRELOAD: `/tmp/evil.so` is not"),
        (environment, "LD_PRELOAD", json!("libc.so.6"), "LD_PRELOAD: `libc.so.6` is not"),
        (environment, "LD_PRELOAD", json!("../libjemalloc.so.2"), "LD_PRELOAD: "),
        (environment, "LD_PRELOAD", json!("libjemalloc.so.2:/tmp/x.so"), "LD_PRELOAD: "),
        (environment, "LD_PRELOAD", json!("libjemalloc.so.2"), "the candidate does not set it"),
        (environment, "GLIBC_TUNABLES", json!("glibc.malloc.check=3"), "GLIBC_TUNABLES: "),
        (environment, "MALLOC_CONF", json!("prof:true,prof_prefix:/tmp/x"), "MALLOC_CONF: "),
        (environment, "OMP_NUM_THREADS", json!("2; id"), "OMP_NUM_THREADS: `2; id` is not"),
        (environment, "OMP_NUM_THREADS", json!("0"), "OMP_NUM_THREADS: `0` is not"),
        (environment, "OMP_NUM_THREADS", json!("9999"), "the candidate makes it"),
        (environment, "OMP_NUM_THREADS", json!(2), "/launch/environment/OMP_NUM_THREADS: invalid"),
        (environment, "NUMA_INTERLEAVE_NODES", json!("0,$(id)"), "NUMA_INTERLEAVE_NODES: "),
        (environment, "PYTORCH_CUDA_ALLOC_CONF", json!("backend:/x"), "PYTORCH_CUDA_ALLOC_CONF: "),
        (environment, "ONEDNN_MAX_CPU_ISA", json!("ALL"), "ONEDNN_MAX_CPU_ISA: `ALL` is not"),
    ]
}

/// Texts that are no profile at all, or that two readers would read differently.
fn texts() -> Vec<(String, &'static str)> {
    let text = serde_json::to_string(&good()).unwrap();
    let with = |old: &str, new: &str| text.replacen(old, new, 1);
    let fraction = "\"memory_fraction\":0.8";
    assert!(text.contains(fraction), "{text}");
    vec![
        (String::new(), "EOF while parsing"),
        ("[]".to_owned(), "the whole file: a profile is a JSON object"),
        ("null".to_owned(), "the whole file: a profile is a JSON object"),
        ("{}".to_owned(), "/schema: the key is missing"),
        ("{".to_owned(), "EOF while parsing"),
        ("#!/bin/sh\nid\n".to_owned(), "expected value"),
        (format!("{text}x"), "trailing characters"),
        (format!("{text}{text}"), "trailing characters"),
        (format!("\u{feff}{text}"), "expected value"),
        (text[..text.len() / 2].to_owned(), "EOF while parsing"),
        (with("\"schema\":1", "\"schema\":1,\"schema\":1"), "/schema: the key stands here twice"),
        (
            with("\"OMP_NUM_THREADS\":", "\"OMP_NUM_THREADS\":\"1\",\"OMP_NUM_THREADS\":"),
            "/launch/environment/OMP_NUM_THREADS: the key stands here twice",
        ),
        (with(fraction, "\"memory_fraction\":NaN"), "/optimal_settings/memory_fraction: "),
        (with(fraction, "\"memory_fraction\":Infinity"), "/optimal_settings/memory_fraction: "),
        (with(fraction, "\"memory_fraction\":1e999"), "memory_fraction: number out of range"),
        (with(fraction, "\"memory_fraction\":0x1"), "/optimal_settings"),
        (with(fraction, "\"memory_fraction\":0.8/*c*/"), "/optimal_settings"),
        (with("\"schema\":1", "\"schema\":01"), "/schema: "),
        (with("\"workers\":{", "\"workers\":{\"x\\u0000y\":1,"), "/workers: the character U+0000"),
        (format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "nested more than 8 deep"),
        (
            with("\"workers\":{", &format!("\"workers\":{{\"x\":{}", "[".repeat(99))),
            "/workers/x/0/",
        ),
        (
            with("\"candidate\":{", &format!("\"candidate\":{{{}", many_keys())),
            "/candidate: an object of more than 256 keys",
        ),
        (with("\"tool\":\"", "\"tool\":\"\\ud800"), "/tool: "),
    ]
}

fn many_keys() -> String {
    (0..300).map(|i| format!("\"k{i}\":1,")).collect()
}

fn error_of(text: &str) -> String {
    Profile::parse(text).expect_err("it is refused").to_string()
}

#[test]
fn each_hostile_profile_is_refused_for_its_own_reason() {
    let good = good();
    Profile::parse(&good.to_string()).expect("the profile itself is good");
    let mut refused: BTreeSet<String> = BTreeSet::new();
    for (pointer, value, expected) in changes() {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        let said = error_of(&bad.to_string());
        assert!(said.contains(expected), "{pointer}: {said}");
        refused.insert(bad.to_string());
    }
    for (pointer, key, value, expected) in additions() {
        let mut bad = good.clone();
        bad.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
        let said = error_of(&bad.to_string());
        assert!(said.contains(expected), "{pointer}/{key}: {said}");
        refused.insert(bad.to_string());
    }
    for (text, expected) in texts() {
        let said = error_of(&text);
        assert!(said.contains(expected), "{said}; expected {expected}");
        assert!(!said.contains('\n') && said.len() < 2000, "{said}");
        refused.insert(text);
    }
    assert!(refused.len() >= 60, "{}", refused.len());
}

#[test]
fn no_value_may_be_of_another_type_and_no_key_may_be_missing() {
    let good = good();
    let mut places = Vec::new();
    collect(&good, String::new(), &mut places);
    for place in places {
        // Evidence may be absent, and so may be what an older version did not write.
        if place.starts_with("/evidence") || place == "/machine/allowed" {
            continue;
        }
        let mut bad = good.clone();
        *bad.pointer_mut(&place).unwrap() = json!([{"x": [true]}]);
        let said = error_of(&bad.to_string());
        assert!(said.starts_with('/') || said.starts_with("the whole"), "{place}: {said}");
        let (above, key) = place.rsplit_once('/').unwrap();
        let may_be_none = ["numa_nodes", "cpu_affinity"].contains(&key);
        if above == "/candidate" || may_be_none || allow_list::depends_on_the_machine(key) {
            continue;
        }
        let mut bad = good.clone();
        bad.pointer_mut(above).unwrap().as_object_mut().unwrap().remove(key);
        let said = Profile::parse(&bad.to_string()).expect_err(&place).to_string();
        assert!(said.contains(key), "without {place}: {said}");
    }
}

fn collect(value: &Value, place: String, into: &mut Vec<String>) {
    if let Some(members) = value.as_object() {
        for (key, value) in members {
            collect(value, format!("{place}/{key}"), into);
        }
    }
    if !place.is_empty() {
        into.push(place);
    }
}

#[test]
fn only_regular_files_of_at_most_a_mebibyte_are_read() {
    let world = World::new();
    let at = |name: &str| world.path().join(name);
    fs::create_dir(at("folder")).unwrap();
    fs::write(at("large"), " ".repeat((1 << 20) + 1)).unwrap();
    fs::write(at("binary"), [0xff, 0xfe]).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink("pipe", at("link-to-pipe")).unwrap();
    for (name, expected) in [
        ("folder", "not a regular file"),
        ("pipe", "not a regular file"),
        ("link-to-pipe", "not a regular file"),
        ("large", "larger than 1.0 MiB"),
        ("binary", "not a text in UTF-8"),
        ("absent", "No such file"),
    ] {
        let said = format!("{:#}", Profile::read(&at(name)).unwrap_err());
        assert!(said.contains(expected), "{name}: {said}");
    }
    for device in ["/dev/zero", "/dev/tty", "/dev/null"] {
        assert!(Profile::read(device.as_ref()).is_err(), "{device}");
    }
    fs::write(at("good"), good().to_string()).unwrap();
    std::os::unix::fs::symlink("good", at("link")).unwrap();
    assert!(Profile::read(&at("link")).is_ok(), "orchestrators mount their files as links");
}

#[test]
fn exec_and_export_name_file_place_and_reason() {
    let world = World::new();
    let mut bad = good();
    bad["launch"]["environment"]["LD_AUDIT"] = json!("/tmp/evil.so");
    fs::write(world.path().join("bad.json"), bad.to_string()).unwrap();
    let run =
        world.tuner(&["exec", "--force", "--profile", "bad.json", "--", "true"]).run().exits(125);
    let place = "profile bad.json: /launch/environment/LD_AUDIT: a profile may not set";
    assert!(run.stderr.contains(place), "{}", run.stderr);
    let run = world.tuner(&["export", "--format", "env", "bad.json"]).run();
    assert_eq!((run.status, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.contains(place), "{}", run.stderr);
}

#[test]
fn a_launch_that_is_not_the_candidates_is_refused() {
    let world = World::new();
    let mut bad = good();
    let first =
        bad["launch"]["cpus"].as_str().unwrap().split(['-', ',']).next().unwrap().to_owned();
    if bad["launch"]["cpus"] == first {
        eprintln!("SKIPPED: this machine has one CPU, of which no other set can be made");
        return;
    }
    bad["launch"]["cpus"] = json!(first);
    fs::write(world.path().join("bad.json"), bad.to_string()).unwrap();
    let run = world.tuner(&["exec", "--profile", "bad.json", "--", "true"]).run().exits(125);
    assert!(run.stderr.contains("/launch/cpus: the candidate comes to"), "{}", run.stderr);
}

/// Names files in every text that a profile has, and looks whether any of them is opened.
#[test]
fn no_file_that_a_profile_names_is_opened() {
    if Command::new("strace").arg("-V").output().is_err() {
        panic!("strace is needed: `make test` installs it");
    }
    let world = World::new();
    let mut texts = Vec::new();
    collect(&good(), String::new(), &mut texts);
    for (number, place) in texts.into_iter().enumerate() {
        let mut bad = good();
        if !bad.pointer(&place).is_some_and(Value::is_string) {
            continue;
        }
        let secret = format!("wan22-named-{number}");
        fs::write(world.path().join(&secret), "secret").unwrap();
        let path = world.path().join(&secret).display().to_string();
        *bad.pointer_mut(&place).unwrap() = json!(path);
        fs::write(world.path().join("bad.json"), bad.to_string()).unwrap();
        let output = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=%file,execve", env!("CARGO_BIN_EXE_wan22-tune")])
            .args(["exec", "--force", "--profile", "bad.json", "--", "true"])
            .current_dir(world.path())
            .output()
            .unwrap();
        let trace = String::from_utf8_lossy(&output.stderr);
        assert!(trace.contains("bad.json"), "strace traced nothing: {trace}");
        let calls = trace.lines().filter(|line| !line.starts_with("wan22-tune"));
        let touched: Vec<&str> = calls.filter(|line| line.contains(&secret)).collect();
        assert!(touched.is_empty(), "{place}: {touched:?}");
    }
}
