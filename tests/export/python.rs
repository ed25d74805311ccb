//! The Python file: what it reads, allows and starts.

use super::*;

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

#[test]
fn python_leaves_as_it_is_what_the_profile_leaves() {
    let exported = export(&left_as_it_is(), Dialect::Python, "wan22_profile.py", &[]);
    let folder = exported.folder.path();
    fs::write(folder.join("torch.py"), TORCH).unwrap();
    let code = "import os, json, torch; print(json.dumps(torch.told), os.environ['KMP_BLOCKTIME'])";
    let arguments = [exported.path.as_os_str(), OsStr::new("-c"), OsStr::new(code)];
    let environment = [
        ("PYTHONPATH", folder.to_str().unwrap()),
        ("OMP_NUM_THREADS", "3"),
        ("KMP_BLOCKTIME", "7"),
    ];
    let output = run("python3", &arguments, &environment);
    let said = stdout(&output);
    let (told, blocktime) = said.trim().rsplit_once(' ').unwrap();
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    assert_eq!((&told["omp"], blocktime), (&json!("3"), "7"));
    assert_eq!((told.get("intra"), told["inter"].is_number()), (None, false), "{told}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "the profile's CPUs are not asked for");
}
