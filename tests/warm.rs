//! A user's own worker: a Python program without torch that stays loaded from trial to trial.

mod harness;

use std::path::Path;

use harness::{Run, World};
use wan22_tune::trial::{Outcome, Phase, Trial};

const WORKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/warm_job.py");

/// Two knobs that the worker changes while it runs, one that takes a new process, one that it
/// ignores.
const SPACE: &str = "schema = 1
name = 'warm'
why = 'for a test'
[knob.vae_tile_size]
why = ''
values = [64, 96, 128, 192, 256, 384]
[knob.precision]
why = ''
values = ['fp32', 'bf16', 'bf16-vae']
[knob.batch_size]
why = ''
values = [1, 2, 4]
[knob.malloc_arenas]
why = ''
values = [1, 4]
";

fn tune(world: &World, environment: &[(&str, &str)], flags: &[&str]) -> Run {
    std::fs::write(world.path().join("warm.toml"), SPACE).unwrap();
    let usual = ["--space", "warm.toml", "--budget", "10m"];
    let worker = ["--worker", "--", "python3", WORKER];
    let mut tuner = world.tuner(&[&usual[..], flags, &worker].concat()).env("LOADS", "loads");
    for (name, value) in environment {
        tuner = tuner.env(name, value);
    }
    tuner.run()
}

/// How often the worker was loaded.
fn loads(world: &World) -> usize {
    std::fs::read_to_string(world.path().join("loads")).unwrap().lines().count()
}

fn of_search(trials: &[Trial]) -> Vec<&Trial> {
    trials.iter().filter(|trial| trial.phase == Phase::Search).collect()
}

#[test]
fn a_worker_stays_loaded_over_the_search_and_every_pair_is_fresh() {
    let world = World::new();
    // It is worth staying in a process that took so long to load, however busy the machine is.
    let run = tune(&world, &[("LOAD_S", "1")], &["--trials", "12"]).exits(0);
    assert!(run.stdout.starts_with("Gain: "), "{}", run.stdout);
    let trials = world.results().trials;
    assert!(trials.iter().all(|trial| trial.outcome == Outcome::Ok), "{trials:?}");
    let is_fresh = |trial: &&Trial| trial.process.is_none();
    let pairs = trials.iter().filter(|trial| trial.phase == Phase::Confirmation);
    assert!(pairs.clone().count() >= 2 && pairs.clone().all(|trial| is_fresh(&trial)));
    let mut baselines = trials.iter().filter(|trial| trial.phase.is_baseline());
    assert!(baselines.all(|trial| is_fresh(&trial)), "its times are of one kind");
    let searched = of_search(&trials);
    let started = searched.iter().filter(|trial| is_fresh(trial)).count();
    assert!(started < searched.len() / 2, "{started} of {}", searched.len());
    // A trial that was checked counts with what the fresh process said, and the baseline's first is of
    // the process that said what runs today.
    assert_eq!(loads(&world), trials.iter().filter(is_fresh).count());
    let load_s = [trials[0].overhead_s, trials[0].setup_s.unwrap()];
    assert!(load_s.iter().all(|&seconds| seconds > 0.3), "{load_s:?}");
    // What it does not take is no difference.
    assert!(
        searched.iter().all(|trial| trial.knobs["batch_size"] == trials[0].knobs["batch_size"])
    );
}

/// A worker whose first run after a change takes no longer is not warmed up each time; one whose first run
/// takes three times as long is, and what it measures is true.
#[test]
fn a_warm_up_is_left_out_only_where_first_runs_take_no_longer() {
    let tuned = |fault: &str| {
        let world = World::new();
        let environment = [("FAULT", fault), ("RUNS", "runs")];
        let run = tune(&world, &environment, &["--trials", "24", "--repetitions", "1"]);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        let trials = world.results().trials;
        let runs = std::fs::read_to_string(world.path().join("runs")).unwrap();
        let runs: Vec<&str> = runs.lines().collect();
        // The first process warms up to say what its defaults are, and runs the baseline then.
        let after_changes = runs.chunk_by(|a, b| a == b);
        let of_one_change: Vec<usize> = after_changes.map(<[_]>::len).collect();
        (of_one_change, trials)
    };
    let ((even, _), (uneven, slow)) = (tuned(""), tuned("slow-at-first"));
    assert!(even[..3].iter().all(|&runs| runs > 1), "not before it is known: {even:?}");
    assert!(even.contains(&1), "{even:?}");
    assert!(uneven.iter().all(|&runs| runs > 1), "{uneven:?}");
    let usual_s = slow[0].samples[0].seconds;
    for trial in of_search(&slow) {
        let number = |name: &str| trial.knobs[name].to_string();
        let tile = match number("vae_tile_size").as_str() {
            "64" => 1.4,
            "96" => 1.3,
            "128" => 1.1,
            "192" => 0.8,
            "256" => 0.9,
            _ => 1.0,
        };
        let precision = match number("precision").as_str() {
            "bf16" => 0.6,
            "bf16-vae" => 0.5,
            _ => 1.0,
        };
        let ratio = trial.samples[0].seconds / usual_s / (tile * precision);
        assert!((ratio - 1.0).abs() < 0.01, "{ratio} {trial:?}");
    }
}

#[test]
fn a_worker_that_dies_costs_one_trial() {
    for (fault, outcome, says) in [
        ("dies", Outcome::Crashed, "exit status 3"),
        ("raises", Outcome::OutOfMemory, "MemoryError: no room for small tiles"),
        ("cuda", Outcome::OutOfDeviceMemory, "torch.OutOfMemoryError: Allocation on device"),
    ] {
        let world = World::new();
        let flags = ["--strategy", "random", "--trials", "10"];
        tune(&world, &[("FAULT", fault)], &flags).exits(0);
        let trials = world.results().trials;
        let small = ["64", "96", "128"];
        let is_small = |t: &&Trial| small.contains(&t.knobs["vae_tile_size"].to_string().as_str());
        assert!(trials.iter().any(|trial| is_small(&trial)));
        for trial in &trials {
            let expected = if is_small(&trial) { outcome } else { Outcome::Ok };
            assert_eq!(trial.outcome, expected, "{}", trial.detail);
            assert!(expected == Outcome::Ok || trial.detail.contains(says), "{}", trial.detail);
        }
    }
}

/// Its fourth trial finds no memory, whichever that is.
#[test]
fn what_fails_in_a_process_that_ran_other_trials_is_measured_in_a_fresh_one() {
    let world = World::new();
    let run = tune(&world, &[("FAULT", "leaks")], &["--trials", "12"]).exits(0);
    let said = "a process that had run other trials failed: out-of-memory (MemoryError: full of \
                what ran before); a fresh one did not, and counts: ";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let trials = world.results().trials;
    assert!(trials.iter().all(|trial| trial.outcome == Outcome::Ok), "{trials:?}");
    let is_known = |number| trials.iter().any(|trial| trial.number == number);
    assert!(trials.iter().filter_map(|trial| trial.process).all(is_known));
}

#[test]
fn a_knob_that_a_warm_process_gets_wrong_takes_a_new_one_from_then_on() {
    let world = World::new();
    let run = tune(&world, &[("FAULT", "warms-wrongly")], &["--trials", "12"]).exits(0);
    let word = "takes a new process from here on: changed in one that ran,";
    assert!(run.stderr.contains(word), "{}", run.stderr);
}

#[test]
fn the_conformance_test_passes_a_worker_and_says_what_is_wrong_with_what_is_none() {
    let world = World::new();
    let doctor =
        |command: &[&str]| world.tuner(&[&["doctor", "--worker", "--"], command].concat()).run();
    let run = doctor(&["python3", WORKER]).exits(0);
    assert!(run.stdout.contains("changed there: precision, vae_tile_size"), "{}", run.stdout);
    let run = doctor(&["echo", "hello"]).exits(1);
    assert!(run.stdout.contains("! answers a job"), "{}", run.stdout);
    assert!(run.stdout.contains("`hello` is no message"), "{}", run.stdout);
}

/// The one that everybody's tests stand in for is one, too.
#[test]
fn the_stand_in_for_the_built_in_worker_conforms() {
    let world = World::new();
    let fake = Path::new(env!("CARGO_BIN_EXE_wan22-tune")).with_file_name("examples/fake-worker");
    let run = world.tuner(&["doctor", "--worker", "--", fake.to_str().unwrap()]).run().exits(0);
    assert!(run.stdout.contains("exits after a job"), "{}", run.stdout);
}

#[test]
fn frames_that_a_worker_hands_over_are_compared_and_an_ugly_one_does_not_win() {
    let world = World::new();
    tune(&world, &[("PICTURES", "1")], &["--trials", "16"]).exits(0);
    let trials = world.results().trials;
    let is = |trial: &&Trial, word| trial.knobs["precision"].to_string() == word;
    for trial in trials.iter().filter(|trial| is(trial, "bf16-vae")) {
        assert_eq!(trial.outcome, Outcome::PoorQuality, "{}", trial.detail);
        // 20 log10(255 / 100).
        assert_eq!(trial.detail, "PSNR 8.1 dB in frame 2 against the baseline's; it takes 30.0");
    }
    let near: Vec<_> = trials.iter().filter(|trial| is(trial, "bf16")).collect();
    let psnr_db = |trial: &&Trial| trial.quality.unwrap().psnr_db;
    assert!(near.iter().all(|trial| (psnr_db(trial) - 48.131).abs() < 1e-3), "{near:?}");
    let profile = std::fs::read_to_string(world.folder().join("profile.json")).unwrap();
    assert!(profile.contains("\"precision\": \"bf16\""), "{profile}");
}

#[test]
fn a_worker_that_hands_no_frames_over_is_tuned_and_that_is_said() {
    let world = World::new();
    let run = tune(&world, &[], &["--trials", "3"]);
    assert!(
        run.stderr.contains("the worker hands no frames over: pictures are not compared"),
        "{}",
        run.stderr
    );
}

#[test]
fn without_a_tuner_a_worker_runs_once_and_prints_where_it_always_did() {
    let run = std::process::Command::new("python3").arg(WORKER).output().unwrap();
    assert!(run.status.success());
    let said = String::from_utf8(run.stdout).unwrap();
    assert_eq!(said.lines().last(), Some("run 1"));
}

#[test]
fn under_a_profile_a_worker_takes_its_values_from_it() {
    let world = World::new();
    tune(&world, &[], &["--trials", "12"]).exits(0);
    let profile = world.folder().join("profile.json");
    let code = "import sys; sys.path.insert(0, sys.argv[1]); import wan22_tune; \
                print(wan22_tune.knob('precision', 'none'), wan22_tune.knob('missing', 7))";
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/python");
    let exec =
        ["exec", "--profile", profile.to_str().unwrap(), "--", "python3", "-c", code, folder];
    let run = world.tuner(&exec).run().exits(0);
    assert!(run.stdout.starts_with("bf16") && run.stdout.ends_with(" 7\n"), "{}", run.stdout);
}

#[test]
fn a_knob_in_the_words_of_a_worker_is_refused() {
    let world = World::new();
    std::fs::create_dir(world.path().join("wan")).unwrap();
    std::fs::write(world.path().join("wan/model_index.json"), "{}").unwrap();
    let own = ["--worker", "--knob", "blocks=0..40", "--"];
    let app = ["--app", "diffusers", "--model", "wan", "--prompt"];
    for (flags, words, place) in [
        (&own[..], &["sh", "{blocks}"][..], "`{blocks}`"),
        (&own, &["sh", "-c", "exec ./job.sh --swap {blocks}"], "`{blocks}`"),
        (&app, &["fox-{precision}"], "`{precision}`"),
    ] {
        let run = world.tuner(&[&["--dry-run"], flags, words].concat()).run();
        assert_eq!(run.status, Some(2), "{words:?}: {}", run.stdout);
        let says = format!("{place}: a worker is told its knobs by messages: leave it out");
        assert!(run.stderr.contains(&says), "{words:?}: {}", run.stderr);
    }
}

/// A worker of a knob and a switch: the nearer the blocks are to 30 the better, and best with `fast`.
const OWN: &str = "import os, sys
sys.path.insert(0, os.environ['PYSRC'])
import wan22_tune
def run():
    blocks, fast = wan22_tune.knob('blocks', 7), wan22_tune.knob('fast', False)
    if not isinstance(fast, bool): raise TypeError(repr(fast))
    wan22_tune.took((1 + abs(blocks - 30) / 10 + (0 if fast else 2)) * (1 + 0.001 * (os.getpid() % 5)))
wan22_tune.serve(run)
";

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");

fn with_script(world: &World, text: &str, flags: &[&str]) -> Run {
    std::fs::write(world.path().join("own.py"), text).unwrap();
    world.tuner(&[flags, &["--", "python3", "own.py"]].concat()).env("PYSRC", PYTHON).run()
}

#[test]
fn the_baseline_of_a_workers_own_knobs_is_what_its_script_runs_by_itself() {
    let world = World::new();
    let knobs = ["--no-built-in", "--knob", "blocks=0..40", "--knob", "fast=off|on"];
    let flags = ["--budget", "10m", "--trials", "30", "--worker"];
    with_script(&world, OWN, &[&flags[..], &knobs].concat()).exits(0);
    let trials = world.results().trials;
    let first = |name: &str| trials[0].knobs[name].to_string();
    assert_eq!((first("blocks"), first("fast")), ("7".to_owned(), "false".to_owned()));
    assert!(trials.iter().all(|trial| trial.outcome == Outcome::Ok), "{trials:?}");
    let profile = world.folder().join("profile.json");
    let code = "import sys; sys.path.insert(0, sys.argv[1]); import wan22_tune; \
                print(repr(wan22_tune.knob('fast', False)))";
    let exec = ["exec", "--profile", profile.to_str().unwrap(), "--", "python3", "-c", code];
    assert_eq!(world.tuner(&[&exec[..], &[PYTHON]].concat()).run().stdout, "True\n");
}

#[test]
fn a_knob_that_a_worker_reads_without_a_default_is_named() {
    let world = World::new();
    let text = OWN.replace("def run():", "def run():\n    wan22_tune.knob('vae_tile_size')");
    let run =
        with_script(&world, &text, &["--budget", "10m", "--trials", "2", "--worker"]).exits(0);
    let says = "the worker reads vae_tile_size and does not say what it runs today, so that it is not tuned";
    assert!(run.stderr.contains(says), "{}", run.stderr);
}

#[test]
fn a_worker_is_told_a_switch_as_json_has_it_and_reads_it_in_its_own_words() {
    let world = World::new();
    let text = OWN
        .replace("knob('fast', False)", "knob('fast', 'off')")
        .replace("isinstance(fast, bool)", "fast in ('off', 'on')")
        .replace("if fast else", "if fast == 'on' else");
    let doctor = ["doctor", "--worker", "--knob", "fast=off|on"];
    let run = with_script(&world, &text, &doctor).exits(0);
    assert!(run.stdout.contains("fast false (JSON's true or false)"), "{}", run.stdout);
}

#[test]
fn a_worker_that_does_not_say_what_it_runs_today_is_not_guessed_at() {
    let world = World::new();
    let flags = ["--budget", "10m", "--worker", "--knob", "other=0..40"];
    let run = with_script(&world, OWN, &flags).exits(2);
    assert!(run.stderr.contains("--knob 'other=… default:VALUE'"), "{}", run.stderr);
}

#[test]
fn a_pipeline_keeps_what_its_script_set_and_gets_it_back() {
    let world = World::new();
    let job = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/pipeline_job.py");
    let measure = ["measure", "--baseline", "--worker", "--", "python3", job];
    let run = world.tuner(&measure).env("STATE", "state").run().exits(0);
    let state = std::fs::read_to_string(world.path().join("state")).unwrap();
    let own = "torch.bfloat16 torch.float32 0 high 3";
    assert!(state.lines().count() > 1 && state.lines().all(|line| line == own), "{state}");
    for line in ["precision            bf16\n", "vae_tile_size        0\n"] {
        assert!(run.stdout.contains(line), "{}", run.stdout);
    }
    let doctor = ["doctor", "--worker", "--knob", "compile=off|on", "--", "python3", job];
    let run = world.tuner(&doctor).run().exits(0);
    let types = "reads back               transformer bfloat16, vae float32\n";
    assert!(run.stdout.contains(types), "{}", run.stdout);
    let changed = "changed there: compile, matmul_precision, vae_tile_size";
    assert!(run.stdout.contains(changed), "{}", run.stdout);
}

/// A worker by hand, which writes no more than it has to, and counts its threads itself.
const RAW: &str = "import json, sys
for line in sys.stdin:
    job = json.loads(line)
    def say(kind, **content): print(json.dumps({kind: {'trial': job['trial'], **content}}), flush=True)
    if job['version'] == 0 and VERSION: say('failed', outcome='wrong-output', detail='version 0')
    if job['version'] == 0: print('hello', flush=True)
    say('ready', setup_s=0.1, effect={'intra_op_threads': 64, 'inter_op_threads': 64})
    for _ in range(job['repetitions']['least']): say('sample', sample={'seconds': 0.5, MORE}, wall_s=0.5)
    say('done', peak_rss_bytes=1000)
";

#[test]
fn little_is_asked_of_a_worker_and_that_is_looked_at() {
    let world = World::new();
    let doctor = |more: &str, version: &str| {
        let text = RAW.replace("MORE", more).replace("VERSION", version);
        with_script(&world, &text, &["doctor", "--worker"])
    };
    doctor("", "True").exits(0);
    let run = doctor("", "False");
    assert!(run.stdout.contains("! refuses another protocol"), "{}", run.stdout);
    for value in ["0", "-1", "1e308", "float('nan')"] {
        let metric = format!("'metric': {{'value': {value}, 'goal': 'min'}}");
        let run = doctor(&metric, "True");
        assert_eq!(run.status, Some(1), "{value}: {}", run.stdout);
        assert!(run.stdout.contains("! answers a job"), "{value}: {}", run.stdout);
    }
}

#[test]
fn in_production_a_value_is_of_the_kind_of_its_default() {
    let code = "import sys; sys.path.insert(0, sys.argv[1]); from wan22_tune import knob; \
                print([knob('a', ''), knob('b', ''), knob('b'), knob('c'), knob('d'), knob('e', 2), \
                knob('g', 'off'), knob('g', 'no'), knob('g', 'sdpa')])";
    let mut python = std::process::Command::new("python3");
    let values = [("A", "4"), ("B", "1_2"), ("C", "inf"), ("D", "-1.5e3"), ("E", "9"), ("G", "1")];
    values.iter().for_each(|(name, value)| {
        python.env(format!("WAN22_{name}"), value);
    });
    let run = python.args(["-c", code, PYTHON]).env("WAN22_AS_IS", "e,f").output().unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    assert_eq!(said, "['4', '1_2', '1_2', 'inf', -1500.0, 2, 'on', 'yes', '1']\n");
}
