//! Every dialect, read back by a program that is not ours.

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
use wan22_tune::knobs::Value;
use wan22_tune::knobs::memory::{MemoryMode, MemoryPolicy};
use wan22_tune::knobs::placement::Layout;
use wan22_tune::knobs::{Baseline, Knobs, Preset};
use wan22_tune::knobs::{allow_list, handover};
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
                ("intra_op_threads", Value::Number(threads as i64)),
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
    let text = Export { profile, command: &command }.text(dialect).unwrap();
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
        assert_eq!(got[&handover::variable(knob)], value.to_string());
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

#[test]
fn scripts_stop_with_a_line_where_their_library_is_absent() {
    // What this machine has can't be told; a file of that name is in none of the folders.
    let profile = with_library("libmimalloc.so.2");
    for (dialect, program) in
        [(Dialect::Slurm, "srun"), (Dialect::Numactl, "numactl"), (Dialect::Sh, "taskset")]
    {
        let exported = export(&profile, dialect, "job.sh", &[]);
        let nowhere = exported.text.replace("/libmimalloc", "/absent/libmimalloc");
        fs::write(&exported.path, nowhere).unwrap();
        let folder = stand_in(&exported, program, "echo it ran");
        let path = format!("{folder}:/usr/bin:/bin");
        let script = exported.path.display().to_string();
        let arguments = match dialect {
            Dialect::Sh => vec!["-c".to_owned(), format!(". '{script}'")],
            _ => vec![script, "true".to_owned()],
        };
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let output = run("bash", &arguments, &[("PATH", path.as_str())]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{dialect}: {said}");
        let expected =
            "wan22-tune: no libmimalloc.so.2 is installed here (Debian: libmimalloc2.0)\n";
        assert_eq!((said.as_str(), output.stdout.len()), (expected, 0), "{dialect}");
    }
    let unit = export(&profile, Dialect::Systemd, "wan22.conf", &[]).text;
    let asserted = unit.lines().filter(|line| line.starts_with("AssertPathExists="));
    assert!(asserted.clone().count() > 0, "{unit}");
    assert!(asserted.into_iter().all(|line| line.ends_with("/libmimalloc.so.2")), "{unit}");
}

#[test]
fn bash_and_sh_source_what_the_profile_says_and_forget_the_rest() {
    for_all(|profile| {
        let exported = export(profile, Dialect::Sh, "profile.sh", &[]);
        without_library_test(&exported);
        for shell in ["bash", "sh"] {
            // The stand-in says what it is asked for: these CPUs are another machine's.
            let folder = stand_in(&exported, "taskset", "echo \"$2\" >&2");
            let script = format!(". '{}'; env -0", exported.path.display());
            let path = format!("{folder}:/usr/bin:/bin");
            let environment = [&POLLUTED[..], &[("PATH", path.as_str())]].concat();
            let output = run(shell, &["-c", &script].map(OsStr::new), &environment);
            let got = pairs(&stdout(&output));
            assert_environment(profile, &got);
            assert!(!got.contains_key("OMP_PROC_BIND") && !got.contains_key("KMP_AFFINITY"));
            let bound = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(bound.lines().any(|line| line == profile.launch.cpus.to_string()), "{bound}");
        }
    });
}

/// A program that stands in for one that this machine may lack; gives its folder.
fn stand_in(exported: &Exported, name: &str, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = exported.folder.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    exported.folder.path().display().to_string()
}

#[test]
fn env_files_are_read_by_env_and_by_the_rules_of_docker() {
    for_all(|profile| {
        for dialect in [Dialect::Env, Dialect::Docker, Dialect::Podman] {
            let exported = export(profile, dialect, "profile.env", &[]);
            let script = format!("env -i $(grep -v '^#' '{}') env -0", exported.path.display());
            let output = run("bash", &["-c", &script].map(OsStr::new), &[]);
            assert_environment(profile, &pairs(&stdout(&output)));
            assert_environment(profile, &docker(&exported.text));
            if profile.launch.memory == MemoryPolicy::Default || dialect == Dialect::Env {
                continue;
            }
            let flag = match profile.launch.memory {
                MemoryPolicy::Bind(_) => "--cpuset-mems ",
                _ => "--cap-add SYS_NICE",
            };
            assert!(exported.text.contains(flag), "{}", exported.text);
        }
    });
}

/// docker/cli's `opts/envfile.go`: blank lines and lines that begin with # are passed over, a name
/// may hold no blank, a line without = takes the caller's value, quotes stay as they are.
fn docker(text: &str) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').expect("no value is taken from the caller");
        assert!(!name.is_empty() && !name.contains([' ', '\t']), "{line}");
        assert!(!value.contains(['"', '\'']), "quotes would stay: {line}");
        variables.insert(name.to_owned(), value.to_owned());
    }
    variables
}

#[test]
fn systemd_reads_drop_ins_and_units_without_a_word() {
    for_all(|profile| {
        let exported = export(profile, Dialect::Systemd, "wan22.conf", &[]);
        let unit = exported.folder.path().join("demo.service");
        let drop_ins = exported.folder.path().join("demo.service.d");
        fs::create_dir(&drop_ins).unwrap();
        fs::rename(&exported.path, drop_ins.join("wan22.conf")).unwrap();
        fs::write(&unit, "[Service]\nExecStart=/bin/true\n").unwrap();
        assert_silent(&unit);
        assert_environment(profile, &systemd(&exported.text));
        let odd = ["/bin/echo", "a b", "50%", "$HOME", "quote\"d", "back\\slash", "é"];
        let whole = export(profile, Dialect::Systemd, "whole.service", &odd);
        assert_silent(&whole.path);
        assert_environment(profile, &systemd(&whole.text));
    });
}

/// `systemd-analyze verify` ends with 0 on lines that it can't read, and says so on stderr.
fn assert_silent(unit: &Path) {
    let output = run("systemd-analyze", &[OsStr::new("verify"), unit.as_os_str()], &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.is_empty() && output.status.success(), "{said}");
}

/// systemd.exec's Environment= with one assignment in double quotes a line.
fn systemd(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("Environment=\""));
    let inner = lines.map(|line| line.strip_suffix('"').unwrap());
    let plain =
        inner.map(|line| line.replace("%%", "%").replace("\\\"", "\"").replace("\\\\", "\\"));
    plain
        .map(|pair| pair.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap())
        .collect()
}

#[test]
fn a_batch_script_and_a_numactl_script_start_the_command_as_the_profile_says() {
    for_all(|profile| {
        for (dialect, program) in [(Dialect::Slurm, "srun"), (Dialect::Numactl, "numactl")] {
            let odd = ["printf", "%s|", "a b", "it's", "$HOME", "\"", "*", ""];
            let exported = export(profile, dialect, "job.sh", &odd);
            without_library_test(&exported);
            // It says what it was asked for, then becomes the command, as the real one does.
            let script = "printf '%s\\0' \"$@\" > \"$0.asked\"\nenv -0 > \"$0.env\"\n\
                          while [ \"$1\" != printf ]; do shift; done\nexec \"$@\"";
            let path = format!("{}:/usr/bin:/bin", stand_in(&exported, program, script));
            let environment = [&POLLUTED[..], &[("PATH", path.as_str())]].concat();
            let output =
                run("bash", &[exported.path.as_os_str(), OsStr::new("more")], &environment);
            assert_eq!(stdout(&output), "a b|it's|$HOME|\"|*||more|");
            let read = |suffix: &str| {
                let path = exported.folder.path().join(format!("{program}.{suffix}"));
                fs::read_to_string(path).unwrap()
            };
            let got = pairs(&read("env"));
            assert_environment(profile, &got);
            assert!(!got.contains_key("OMP_PROC_BIND"));
            let asked: Vec<String> = read("asked").split('\0').map(ToOwned::to_owned).collect();
            let has =
                |flag: &str| assert!(asked.iter().any(|word| word == flag), "{flag}: {asked:?}");
            match &profile.launch.memory {
                MemoryPolicy::Interleave(nodes) => has(&format!("--interleave={nodes}")),
                MemoryPolicy::Bind(nodes) => has(&format!("--membind={nodes}")),
                MemoryPolicy::Preferred(nodes) => has(&format!("--preferred={nodes}")),
                _ => assert!(!asked.iter().any(|word| word.starts_with("--interleave="))),
            }
            if dialect == Dialect::Numactl {
                has(&format!("--physcpubind={}", profile.launch.cpus));
            }
        }
    });
}

#[test]
fn a_yaml_parser_reads_the_pod() {
    for_all(|profile| {
        let odd = ["python", "- x: y", "#no", "\"", "é\t"];
        let exported = export(profile, Dialect::K8s, "pod.yaml", &odd);
        let pod: serde_json::Value = serde_saphyr::from_str(&exported.text).unwrap();
        assert_eq!((&pod["kind"], &pod["apiVersion"]), (&"Pod".into(), &"v1".into()));
        let container = &pod["spec"]["containers"][0];
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let variables = container["env"].as_array().unwrap().iter();
        let got: BTreeMap<String, String> =
            variables.map(|pair| (text(&pair["name"]), text(&pair["value"]))).collect();
        assert_environment(profile, &got);
        let command: Vec<String> =
            container["command"].as_array().unwrap().iter().map(text).collect();
        assert!(command.ends_with(&odd.map(ToOwned::to_owned)), "{command:?}");
        assert_eq!(container["resources"]["limits"]["cpu"], profile.launch.cpus.len().to_string());
        let nice = container["securityContext"]["capabilities"]["add"][0] == "SYS_NICE";
        assert_eq!(nice, profile.launch.memory != MemoryPolicy::Default);
    });
}

#[test]
fn a_reader_of_prometheus_text_reads_the_facts() {
    for_all(|profile| {
        let exported = export(profile, Dialect::Prometheus, "wan22.prom", &[]);
        let sample = regex_lite::Regex::new(
            r#"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)*\})? [-+0-9.eE]+$"#,
        );
        let sample = sample.unwrap();
        let mut typed = String::new();
        for line in exported.text.lines() {
            if let Some(comment) = line.strip_prefix("# TYPE ") {
                typed = comment.split(' ').next().unwrap().to_owned();
            } else if !line.starts_with("# HELP ") {
                assert!(sample.is_match(line) && line.starts_with(&typed), "{line}");
            }
        }
        assert!(exported.text.ends_with('\n'));
        let cpus = format!("cpus=\"{}\"", profile.launch.cpus);
        assert!(exported.text.contains(&cpus), "{}", exported.text);
    });
}

#[test]
fn python_reads_the_same_values_and_the_same_allow_list() {
    // Not by importing it, which would apply it: these CPUs are another machine's.
    let script = "import ast, json, sys\n\
                  lines = ast.parse(open(sys.argv[1], encoding='utf-8').read()).body\n\
                  held = {line.targets[0].id: ast.literal_eval(line.value) for line in lines\n\
                  \x20       if isinstance(line, ast.Assign) and line.targets[0].id[0].isupper()}\n\
                  json.dump(held, sys.stdout)";
    for_all(|profile| {
        let exported = export(profile, Dialect::Python, "wan22_profile.py", &[]);
        let arguments = [OsStr::new("-c"), OsStr::new(script), exported.path.as_os_str()];
        let held = stdout(&run("python3", &arguments, &[]));
        let held: serde_json::Value = serde_json::from_str(&held).unwrap();
        let launch = &profile.launch;
        let cpus: Vec<u32> = launch.cpus.iter().collect();
        assert_eq!(held["ENVIRONMENT"], json!(launch.environment));
        assert_eq!(held["CPUS"], json!(cpus));
        assert_eq!(held["MEMORY"][0], launch.memory.mode());
        let mut settings = json!(profile.optimal_settings);
        let sides = [profile.optimal_settings.tile_size, profile.optimal_settings.vae_tile_size];
        let strides = sides.map(|[side, _]| [side / 4 * 3 / 16 * 16; 2]);
        settings["tile_stride"] = json!(strides[0]);
        settings["vae_tile_stride"] = json!(strides[1]);
        assert_eq!(held["SETTINGS"], settings);
        assert_eq!(held["HANDED"]["WAN22_TILE_STRIDE"], strides[0][0].to_string());
        assert_eq!(held["KNOBS"], json!(profile.candidate));
        assert_eq!(held["WORKERS"], json!(profile.workers));
        let allowed: BTreeMap<_, _> = allow_list::allowed().collect();
        assert_eq!(held["ALLOWED"], json!(allowed));
    });
}

#[test]
fn python_and_rust_agree_on_which_values_are_allowed() {
    let values = [
        "0",
        "1",
        "8",
        "99999",
        "100000",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "٣",
        "0,1",
        "0,,1",
        "0,1,",
        "max_split_size_mb:512",
        "max_split_size_mb:0",
        "libjemalloc.so.2",
        "libjemallocXso.2",
        "libjemalloc.so.2:libjemalloc.so.2",
        "/tmp/libjemalloc.so.2",
        "AVX2",
        "AVX512_CORE",
        "avx2",
        "glibc.malloc.check=3",
        "dirty_decay_ms:-1,muzzy_decay_ms:-1",
        "active",
        "close",
        "{0:2}",
    ];
    let asked: Vec<(&str, &str, &str)> = allow_list::allowed()
        .flat_map(|(name, form)| values.map(|value| (name, form, value)))
        .collect();
    let script = "import json, re, sys\n\
                  asked = json.load(sys.stdin)\n\
                  json.dump([bool(re.fullmatch(form, value)) for _, form, value in asked], sys.stdout)";
    let mut python = Command::new("python3");
    python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    serde_json::to_writer(python.stdin.take().unwrap(), &asked).unwrap();
    let output = python.wait_with_output().unwrap();
    let matched: Vec<bool> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(matched.contains(&true) && matched.contains(&false));
    for ((name, _, value), matched) in asked.into_iter().zip(matched) {
        assert_eq!(allow_list::check(name, value).is_ok(), matched, "{name}={value:?}");
    }
}

/// A stand-in for torch that keeps what it was told.
const TORCH: &str = "import os\n\
told = {'omp': os.environ['OMP_NUM_THREADS'], 'cpus': sorted(os.sched_getaffinity(0))}\n\
def set_num_threads(n): told['intra'] = n\n\
def set_num_interop_threads(n): told['inter'] = n\n\
def set_float32_matmul_precision(word): told['precision'] = word\n\
class matmul: allow_tf32 = False\n\
class cudnn: allow_tf32 = False\n\
class backends:\n    cudnn = cudnn\n    class cuda: matmul = matmul\n\
class cuda:\n    def is_available(): return True\n\
\x20   def set_per_process_memory_fraction(x): told['fraction'] = x\n";

const PROGRAM: &str = "import json, os, sys\n\
if sys.argv[1:] == ['import']: import wan22_profile\n\
import torch\n\
torch.told['tf32'] = [torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32]\n\
torch.told['started'] = open('/proc/self/environ').read().split('\\0')\n\
torch.told['argv'] = sys.argv\n\
json.dump(torch.told, sys.stdout)\n";

#[test]
fn python_applies_it_before_torch_by_import_and_by_starting_a_program() {
    let machine = Machine::detect_host().unwrap();
    let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
    let mut knobs = baseline.knobs.clone();
    (knobs.intra_op_threads, knobs.inter_op_threads) = (1, 3);
    let made = "2026-11-24T10:00:00Z".to_owned();
    let profile = Profile::new(&machine, &baseline, &knobs, made).unwrap();
    let exported = export(&profile, Dialect::Python, "wan22_profile.py", &[]);
    let folder = exported.folder.path();
    fs::write(folder.join("torch.py"), TORCH).unwrap();
    fs::write(folder.join("program.py"), PROGRAM).unwrap();
    let program = folder.join("program.py");
    let cpus: Vec<u32> = profile.launch.cpus.iter().collect();
    for arguments in [
        vec![program.as_os_str(), OsStr::new("import")],
        vec![exported.path.as_os_str(), program.as_os_str(), OsStr::new("a b")],
        vec![exported.path.as_os_str(), OsStr::new("--"), program.as_os_str(), OsStr::new("a b")],
    ] {
        let output = run("python3", &arguments, &POLLUTED);
        let told: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!((&told["omp"], &told["cpus"]), (&json!("1"), &json!(cpus)));
        assert_eq!((&told["intra"], &told["inter"]), (&json!(1), &json!(3)));
        assert_eq!((&told["fraction"], &told["precision"]), (&json!(0.95), &json!("highest")));
        assert_eq!(told["tf32"], json!([true, true]));
        let started = told["started"].as_array().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if arguments[1] == "import" {
            assert!(said.contains("MALLOC_ARENA_MAX came too late"), "{said}");
        } else {
            assert!(started.contains(&json!("MALLOC_ARENA_MAX=4")), "{started:?}");
            assert!(!started.contains(&json!("OMP_PROC_BIND=true")), "{started:?}");
            assert_eq!(told["argv"], json!([program, "a b"]));
            assert_eq!(said, "");
        }
    }
}

#[test]
fn a_python_file_that_somebody_changed_is_refused_by_itself() {
    let machine = Machine::detect_host().unwrap();
    let baseline = Baseline::fit(Preset::Generic, &machine);
    let made = "2026-11-24T10:00:00Z".to_owned();
    let profile = Profile::new(&machine, &baseline, &baseline.knobs, made).unwrap();
    let exported = export(&profile, Dialect::Python, "wan22_profile.py", &[]);
    let changed = exported.text.replacen("\"MALLOC_ARENA_MAX\": ", "\"PYTHONSTARTUP\": ", 1);
    fs::write(&exported.path, changed).unwrap();
    let output = run("python3", &[exported.path.as_os_str(), OsStr::new("x.py")], &[]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("PYTHONSTARTUP='4' is not what a profile may set"), "{said}");
}

#[test]
fn the_python_file_runs_code_and_names_what_it_can_not_start() {
    let machine = Machine::detect_host().unwrap();
    let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
    let made = "2026-11-24T10:00:00Z".to_owned();
    let profile = Profile::new(&machine, &baseline, &baseline.knobs, made).unwrap();
    let exported = export(&profile, Dialect::Python, "wan22_profile.py", &[]);
    let python = |words: &[&str]| {
        let words = words.iter().map(OsStr::new);
        let arguments: Vec<&OsStr> =
            std::iter::once(exported.path.as_os_str()).chain(words).collect();
        run("python3", &arguments, &[])
    };
    let code = "import os, sys; print(sys.argv, __name__, os.environ['WAN22_TILE_STRIDE'])";
    assert_eq!(stdout(&python(&["-c", code, "a b"])), "['-c', 'a b'] __main__ 384\n");
    for (words, expected) in [
        (&["nowhere.py"][..], "nowhere.py: no such file: type a script, -m MODULE or -c CODE"),
        (&["-c"], "-c needs a command after it"),
        (&["-m"], "-m needs a module after it"),
        (&["-u", "x.py"], "-u: type Python's own options before this file"),
    ] {
        let output = python(words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
