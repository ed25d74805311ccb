//! What comes from outside a trial: signals, a machine that fails or sleeps, programs and folders
//! that change places. None of it is held against a candidate.

mod harness;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{Run, Running, World};
use wan22_tune::knobs::Values;
use wan22_tune::results::{Folder, Results};
use wan22_tune::trial::{Outcome, Phase, Trial};

/// A job whose batch sizes take 8 down to 1 of a metric, after `first`.
const METRIC: &str = "echo m=$((8 / WAN22_BATCH_SIZE))";

/// A world with a job that does `first` before it prints its metric.
fn world(first: &str) -> World {
    World::with_job(&format!("{first}\n{METRIC}"))
}

/// Flags of a tune of the job, with so much time.
fn flags(budget: &str) -> [&str; 11] {
    let metric = "m=([0-9]+)";
    [
        "--budget",
        budget,
        "--metric",
        metric,
        "--repetitions",
        "1",
        "--strategy",
        "random",
        "--",
        "./job.sh",
        "it",
    ]
}

fn tune(world: &World, budget: &str) -> Run {
    world.tuner(&flags(budget)).run()
}

/// What a tune of the job says and leaves that finds the best batch size and whose trials are
/// `settled`: chance may not come to it within the first trials.
fn tune_well(first: &str, settled: impl Fn(&[Trial]) -> bool) -> (Run, Vec<Trial>) {
    for trials in ["24", "96", "384"] {
        let world = world(first);
        let run = world.tuner(&[&["--trials", trials], &flags("10m")[..]].concat()).run();
        assert!(matches!(run.status, Some(0 | 1)), "{}", run.stderr);
        let trials = world.results().trials;
        if run.stdout.starts_with("Gain: 75.0% less of the metric") && settled(&trials) {
            return (run, trials);
        }
    }
    panic!("it never came to that");
}

/// The candidates whose rows are like this.
fn candidates(trials: &[Trial], wanted: impl Fn(&Trial) -> bool) -> Vec<Values> {
    trials.iter().filter(|trial| wanted(trial)).map(|trial| trial.knobs.clone()).collect()
}

/// Fails this many runs in a row, of whatever candidate, from the first of another batch size on.
fn failing(runs: u32) -> String {
    format!(
        "[ \"$WAN22_BATCH_SIZE\" = 2 ] || touch down\n\
         if [ -e down ] && [ $(cat fails 2>/dev/null | wc -c) -lt {runs} ]; then\n\
             printf x >> fails; echo no network >&2; exit 1\n\
         fi"
    )
}

#[test]
fn what_strikes_the_baseline_too_costs_no_candidate_its_chance() {
    let with = |trials: &[Trial], outcome| candidates(trials, |trial| trial.outcome == outcome);
    let (run, trials) = tune_well(&failing(5), |trials| {
        let ran = with(trials, Outcome::Ok);
        // All of them had another chance.
        with(trials, Outcome::Crashed).iter().all(|values| ran.contains(values))
    });
    assert!(run.stderr.contains("the baseline fails too (crashed: exit status 1: no network)"));
    let failed = with(&trials, Outcome::Crashed);
    assert_eq!(failed.len(), 5, "{failed:?}");
    assert!(failed.contains(&trials[0].knobs), "the baseline was asked");
}

#[test]
fn a_machine_that_stays_broken_ends_the_tune_without_a_verdict() {
    let broken = |budget| {
        let world = world(&failing(1_000_000));
        let run = tune(&world, budget);
        world.path().join("down").exists().then_some((world, run))
    };
    let (world, run) = ["8s", "32s", "128s"].into_iter().find_map(broken).expect("a fault");
    assert_eq!(run.status, Some(1), "{}{}", run.stdout, run.stderr);
    let folder = world.folder();
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(run.stderr.contains("the baseline fails, which ran before"), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("wan22-tune resume results/{name}")), "{}", run.stderr);
    assert!(!run.stdout.contains("No gain") && !run.stderr.contains("No gain"), "{}", run.stdout);
    assert!(!folder.join("profile.json").exists());
    let broken = world.results().trials;
    world.script("job.sh", METRIC);
    let more = ["--budget", "10m", "--trials", &(broken.len() + 60).to_string()];
    world.tuner(&[&["resume", folder.to_str().unwrap()], &more[..]].concat()).run().exits(0);
    let trials = world.results().trials;
    assert_eq!(trials[..broken.len()], broken);
    let baseline = &trials[0].knobs;
    let failed = candidates(&broken, |t| t.outcome == Outcome::Crashed && t.knobs != *baseline);
    let again = candidates(&trials[broken.len()..], |trial| trial.outcome == Outcome::Ok);
    assert!(failed.iter().any(|values| again.contains(values)), "{failed:?}");
}

#[test]
fn who_is_ended_by_others_is_interrupted_and_after_three_times_given_up() {
    let is_one = |trial: &&Trial| trial.knobs["batch_size"].to_string() == "1";
    let (_, trials) = tune_well("[ \"$WAN22_BATCH_SIZE\" != 1 ] || kill -TERM $$", |trials| {
        trials.iter().any(|trial| is_one(&trial))
    });
    let own: Vec<&Trial> = trials.iter().filter(is_one).collect();
    assert!(own.iter().all(|trial| trial.outcome == Outcome::Interrupted), "{own:?}");
    let detail = &own[0].detail;
    assert!(detail.starts_with("killed by signal 15"), "{detail}");
    assert!(detail.contains("which the tuner did not send"), "{detail}");
    for trial in &own {
        let times = own.iter().filter(|other| other.knobs == trial.knobs).count();
        assert!(times <= 3, "{times} times {:?}", trial.knobs);
    }
}

/// Processes below `parent`, itself first.
fn family(parent: u32) -> Vec<u32> {
    let mut found = vec![parent];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        found.extend(text.unwrap_or_default().split_whitespace().flat_map(str::parse::<u32>));
        next += 1;
    }
    found
}

fn signal(name: &str, processes: &[u32]) {
    let pids = processes.iter().map(u32::to_string);
    // Some may have ended by now.
    let _ = Command::new("kill").arg(format!("-{name}")).args(pids).output().unwrap();
}

fn journal(running: &mut Running, world: &World, trials: usize) -> String {
    running.wait_for_trials(world, trials);
    fs::read_to_string(world.folder().join("trials.csv")).unwrap()
}

#[test]
fn a_trial_that_slept_with_its_tuner_says_nothing() {
    let world = world("sleep 0.3");
    let mut running = world.tuner(&flags("10m")).start();
    let is_told = |text: &str| text.contains("the tuner did not run for");
    let mut rows = 2;
    for _ in 0..10 {
        let text = journal(&mut running, &world, rows);
        if is_told(&text) {
            break;
        }
        rows = text.lines().count() + 1;
        let mut all = family(running.id());
        // The tuner, the job's shell, and what that waits for.
        while all.len() < 3 && fs::exists(format!("/proc/{}/exe", running.id())).unwrap() {
            std::thread::sleep(Duration::from_millis(5));
            all = family(running.id());
        }
        signal("STOP", &all);
        std::thread::sleep(Duration::from_millis(1600));
        signal("CONT", &all);
    }
    signal("INT", &[running.id()]);
    let run = running.end().exits(0);
    let trials = world.results().trials;
    let slept: Vec<&Trial> = trials.iter().filter(|trial| is_told(&trial.detail)).collect();
    assert!(!slept.is_empty(), "{}", run.stderr);
    assert!(slept.iter().all(|trial| trial.outcome == Outcome::Interrupted), "{slept:?}");
    assert!(trials.iter().all(|trial| trial.outcome != Outcome::Timeout));
}

#[test]
fn a_stop_of_all_processes_is_held_against_nobody() {
    let world = world("sleep 0.2");
    let mut running = world.tuner(&flags("10m")).start();
    running.wait_for_trials(&world, 4);
    // The trial's processes first, as a scheduler may.
    let mut all = family(running.id());
    all.reverse();
    signal("TERM", &all);
    running.end().exits(0);
    let outcomes = [Outcome::Ok, Outcome::Interrupted];
    let trials = world.results().trials;
    assert!(trials.iter().all(|trial| outcomes.contains(&trial.outcome)), "{trials:?}");
}

/// The tuner under another path, which is one file with it or a copy.
fn tuner_at(path: &Path) {
    let tuner = env!("CARGO_BIN_EXE_wan22-tune");
    if fs::hard_link(tuner, path).is_err() {
        fs::copy(tuner, path).unwrap();
    }
}

#[test]
fn a_program_that_is_replaced_in_mid_run_runs_on() {
    let world = world("sleep 0.1");
    let place = world.path().join("wan22-tune");
    tuner_at(&place);
    let mut command = Command::new(&place);
    command.args(flags("10m")).current_dir(world.path()).env("WAN22_LOCK_DIR", world.path());
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut tuner = quiet.spawn().unwrap();
    let mut wait_for = |trials| {
        while !world.has_trials(trials) && tuner.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for(3);
    world.script("stub", "exit 0");
    fs::rename(world.path().join("stub"), &place).unwrap();
    wait_for(8);
    signal("INT", &[tuner.id()]);
    assert!(tuner.wait().unwrap().success());
    let trials = world.results().trials;
    assert!(trials.len() >= 8);
    let outcomes = [Outcome::Ok, Outcome::Interrupted];
    assert!(trials.iter().all(|trial| outcomes.contains(&trial.outcome)), "{trials:?}");
}

#[test]
fn a_results_folder_that_is_moved_in_mid_run_gets_the_rest() {
    let world = world("sleep 0.1");
    let mut running = world.tuner(&flags("10m")).start();
    running.wait_for_trials(&world, 3);
    let moved = world.path().join("moved");
    fs::rename(world.path().join("results"), &moved).unwrap();
    let folder = fs::read_dir(&moved).unwrap().next().unwrap().unwrap().path();
    let rows = || fs::read_to_string(folder.join("trials.csv")).unwrap().lines().count();
    while rows() < 9 && fs::exists(format!("/proc/{}/exe", running.id())).unwrap() {
        std::thread::sleep(Duration::from_millis(20));
    }
    signal("INT", &[running.id()]);
    running.end().exits(0);
    let trials = Results::open(&Folder::new(&folder)).unwrap().trials;
    assert!(trials.len() >= 8);
    let outcomes = [Outcome::Ok, Outcome::Interrupted];
    assert!(trials.iter().all(|trial| outcomes.contains(&trial.outcome)), "{trials:?}");
    assert!(folder.join("profile.json").exists() && folder.join("report.html").exists());
    let left = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!world.path().join("results").exists());
}

#[test]
fn a_baseline_that_fails_names_the_command_to_look_with() {
    let world = World::new();
    world.script("job.sh", "exit 3");
    let run = tune(&world, "10m").exits(1);
    let hint = "see `wan22-tune measure --baseline -- COMMAND`";
    assert!(run.stderr.contains(hint), "{}", run.stderr);
}

/// The job fails for good once a row of the confirmation is there: whoever runs next, a finalist or
/// the baseline, it is the machine's fault.
#[test]
fn a_fault_that_begins_in_the_confirmation_is_not_the_finalists() {
    let down = "grep -qs ,confirmation, results/*/trials.csv && { echo no network >&2; exit 1; }";
    let confirmed = |budget| {
        let world = world(down);
        let run = world.tuner(&[&["--trials", "8"], &flags(budget)[..]].concat()).run();
        let is_begun = |trial: &Trial| trial.phase == Phase::Confirmation;
        world.results().trials.iter().any(is_begun).then_some((world, run))
    };
    // It asks again for as long as half of the budget.
    let (world, run) = ["20s", "80s", "320s"].into_iter().find_map(confirmed).expect("a pair");
    let run = run.exits(1);
    assert!(run.stderr.contains("the baseline fails, which ran before"), "{}", run.stderr);
    assert!(run.stderr.contains("`wan22-tune resume results/"), "{}", run.stderr);
    assert!(!run.stdout.contains("No significant gain"), "{}", run.stdout);
    assert!(!world.folder().join("profile.json").exists());
}

#[test]
fn a_first_run_that_somebody_else_ends_is_tried_again_and_then_named() {
    let once = world("[ -e ended ] || { touch ended; kill -TERM $$; }");
    once.tuner(&[&["--trials", "2"], &flags("10m")[..]].concat()).run().exits(0);
    let outcomes: Vec<Outcome> = once.results().trials.iter().map(|t| t.outcome).collect();
    assert_eq!(outcomes[..2], [Outcome::Interrupted, Outcome::Ok]);

    let always = world("kill -TERM $$");
    let run = tune(&always, "10m").exits(1);
    let says = "the baseline was interrupted each time (killed by signal 15";
    assert!(run.stderr.contains(says), "{}", run.stderr);
}
