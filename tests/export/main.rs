//! Every dialect, read back by a program that is not ours.

mod python;
mod scripts;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use strum::VariantArray;
use wan22_tune::knobs::memory::{MemoryMode, MemoryPolicy};
use wan22_tune::knobs::placement::Layout;
use wan22_tune::knobs::{Baseline, Knobs, Preset, Value, allow_list, program_environment};
use wan22_tune::machine::Machine;
use wan22_tune::profile::Profile;
use wan22_tune::profile::export::{Dialect, Export};

/// Profiles of machines with one node and with several, with whatever knobs exist on them.
fn profiles() -> impl Strategy<Value = Profile> {
    let machines = select(vec![
        "package:1 core:2 pu:1",
        "package:2 [numa(memory=8GB)] l3:2 core:4 pu:2",
        "package:1 [numa(memory=64GB)] l3:8 core:8 pu:2",
    ]);
    let layouts = select(Layout::VARIANTS);
    let modes = select(MemoryMode::VARIANTS);
    let allocators = select(vec!["glibc", "glibc-keep", "jemalloc", "tcmalloc", "mimalloc"]);
    let isas = select(vec!["newest", "avx2", "avx512-core"]);
    (machines, layouts, modes, allocators, isas, 1_usize..70).prop_filter_map(
        "what the machine lacks",
        |(machine, layout, mode, allocator, isa, threads)| {
            let machine = Machine::from_synthetic(machine).unwrap();
            let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
            let word = |word: &str| Value::Word(word.to_owned());
            let values = [
                ("affinity", word(layout.into())),
                ("memory_mode", word(mode.into())),
                ("allocator", word(allocator)),
                ("onednn_isa", word(isa)),
                ("intra_op_threads", Value::Integer(threads as i64)),
            ];
            let knobs = baseline.knobs.with(values.iter().map(|(name, value)| (*name, value)));
            let knobs: Knobs = knobs.unwrap();
            let made = "2026-11-24T10:00:00Z".to_owned();
            Profile::new(&machine, &baseline, &knobs, made).ok()
        },
    )
}

fn for_all(check: impl Fn(&Profile)) {
    let mut runner =
        TestRunner::new(Config { cases: 8, failure_persistence: None, ..Config::default() });
    runner
        .run(&profiles(), |profile| {
            check(&profile);
            Ok(())
        })
        .unwrap();
}

/// The text in a file of its own.
struct Exported {
    folder: tempfile::TempDir,
    path: PathBuf,
    text: String,
}

fn export(profile: &Profile, dialect: Dialect, name: &str, command: &[&str]) -> Exported {
    let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    let variables = Default::default();
    let export = Export { profile, file: None, command: &command, variables: &variables };
    let text = export.text(dialect).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, &text).unwrap();
    Exported { folder, path, text }
}

fn run(program: &str, arguments: &[&OsStr], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.envs(environment.iter().copied());
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{program} is needed, `make test` installs it: {error}"))
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// `NAME=value` pairs with NULs between.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The profile's variables as `got` has them: a library by its file's name, wherever that lies.
fn environment_of(profile: &Profile, got: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let allowed: Vec<&str> = allow_list::allowed().map(|(name, _)| name).collect();
    let ours = got.iter().filter(|(name, _)| allowed.contains(&name.as_str()));
    let by_name = |list: &str| {
        let names = list.split(':').map(|file| file.rsplit('/').next().unwrap());
        names.collect::<Vec<_>>().join(":")
    };
    let value = |name: &str, value: &str| match name {
        "LD_PRELOAD" => by_name(value),
        _ => value.to_owned(),
    };
    assert!(!profile.launch.environment.is_empty());
    ours.map(|(name, text)| (name.clone(), value(name, text))).collect()
}

fn assert_environment(profile: &Profile, got: &BTreeMap<String, String>) {
    assert_eq!(environment_of(profile, got), profile.launch.environment);
    for (knob, value) in &profile.candidate {
        assert_eq!(got[&program_environment::variable(knob)], value.to_string());
    }
    for (tile, stride) in [("TILE_SIZE", "TILE_STRIDE"), ("VAE_TILE_SIZE", "VAE_TILE_STRIDE")] {
        let pixels = |name: &str| got[&format!("WAN22_{name}")].parse::<u32>().unwrap();
        assert_eq!(pixels(stride), pixels(tile) / 4 * 3 / 16 * 16, "{stride}");
    }
}

const POLLUTED: [(&str, &str); 3] =
    [("OMP_NUM_THREADS", "77"), ("OMP_PROC_BIND", "true"), ("KMP_AFFINITY", "x y")];

/// Takes the test for libraries out of a script, for machines that lack them.
fn without_library_test(exported: &Exported) {
    let lines = exported.text.lines().filter(|line| !line.contains("is installed here"));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    fs::write(&exported.path, text).unwrap();
}

/// A profile whose launch loads this library.
fn with_library(library: &str) -> Profile {
    let machine = Machine::from_synthetic("package:1 [numa(memory=8GB)] core:2 pu:1").unwrap();
    let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
    let made = "2026-11-24T10:00:00Z".to_owned();
    let mut profile = Profile::new(&machine, &baseline, &baseline.knobs, made).unwrap();
    profile.launch.environment.insert("LD_PRELOAD".to_owned(), library.to_owned());
    profile
}

/// A profile that leaves every knob outside the program as it is, of a machine with more CPUs than any.
fn left_as_it_is() -> Profile {
    let machine = Machine::from_synthetic("package:8 [numa(memory=8GB)] core:512 pu:1").unwrap();
    let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
    let baseline = baseline.as_is(&machine, &BTreeMap::new());
    let made = "2026-11-24T10:00:00Z".to_owned();
    let profile = Profile::new(&machine, &baseline, &baseline.knobs, made).unwrap();
    assert!(profile.launch.environment.is_empty() && !profile.launch.as_is.is_empty());
    profile
}
