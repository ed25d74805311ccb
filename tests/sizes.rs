//! A job of the user's own in several sizes: searched on the smallest, proven on the largest that the
//! budget pays for.

mod harness;

use harness::{Run, Tuner, World};
use wan22_tune::trial::{Outcome, Phase, Trial};

/// Prints a number instead of taking that long: frames times steps, half of it with `fast`. With `greedy`
/// it is quicker yet and dies with more than 50 frames. It waits where a file says so. With another
/// it refuses fewer than four steps.
const JOB: &str = r#"#!/bin/sh
frames=$1 steps=$2 mode=$3
[ "$mode" = greedy ] && [ "$frames" -gt 50 ] && { echo out of memory >&2; exit 3; }
[ -e strict ] && [ "$steps" -lt 4 ] && { echo at least 4 steps >&2; exit 2; }
[ -e slow ] && [ "$((frames * steps))" -gt 1000 ] && sleep 600
case $mode in fast) part=2;; greedy) part=4;; *) part=1;; esac
echo "t = $((frames * steps / part))"
"#;

fn world() -> World {
    World::with_job(JOB)
}

fn tuner(world: &World, budget: &str, sizes: &[&str]) -> Tuner {
    let usual = ["--metric", "t = (.+)", "--no-built-in", "--repetitions", "1"];
    let sizes: Vec<&str> = sizes.iter().flat_map(|size| ["--size", size]).collect();
    let job =
        ["--knob", "mode=plain|fast|greedy", "--", "./job.sh", "{frames}", "{steps}", "{mode}"];
    world.tuner(&[&["--budget", budget], &usual[..], &sizes, &job].concat())
}

fn tune(world: &World, budget: &str, sizes: &[&str]) -> Run {
    tuner(world, budget, sizes).run()
}

fn of_phase(trials: &[Trial], phase: Phase) -> Vec<&Trial> {
    trials.iter().filter(|trial| trial.phase == phase).collect()
}

#[test]
fn the_search_is_short_and_the_claim_is_of_the_whole() {
    let world = world();
    let run = tune(&world, "10m", &["frames=8,40", "steps=4,20"]).exits(0);
    // With no more than 50 frames the greedy one wins.
    let says = "Gain: 75.0% less of the metric at frames=40 steps=20 than the baseline";
    assert!(run.stdout.starts_with(says), "{}", run.stdout);
    let results = world.results();
    let searched = of_phase(&results.trials, Phase::Search);
    assert!(searched.iter().all(|trial| trial.workload == "command frames=8 steps=4"));
    let pairs = of_phase(&results.trials, Phase::Confirmation);
    assert!(pairs.iter().all(|trial| trial.workload == "command frames=40 steps=20"));
    let profile = std::fs::read_to_string(world.folder().join("profile.json")).unwrap();
    let compact: String = profile.split_whitespace().collect();
    assert!(compact.contains(r#""own_sizes":{"frames":40,"steps":20}"#), "{profile}");
    // What is left to run is the whole job.
    assert!(run.stdout.contains("./job.sh 40 20 "), "{}", run.stdout);
}

/// The whole job takes too long for pairs: a finalist is run with all its frames and one step before.
#[test]
fn a_finalist_that_lacks_the_whole_jobs_memory_is_none() {
    let world = world();
    std::fs::write(world.path().join("slow"), "").unwrap();
    let run = tune(&world, "2m", &["frames=8,40,81", "steps=4,20"]).exits(0);
    let says = "Gain: 50.0% less of the metric at frames=40 steps=20 than the baseline";
    assert!(run.stdout.starts_with(says), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("command frames=81 steps=20: timeout"), "{}", run.stderr);
    let trials = world.results().trials;
    let tests: Vec<&Trial> = trials.iter().filter(|trial| trial.strategy == "memory").collect();
    assert!(tests.iter().all(|trial| trial.workload == "command frames=81 steps=1"));
    for (mode, outcome) in [("greedy", Outcome::OutOfMemory), ("fast", Outcome::Ok)] {
        let mut of_mode = tests.iter().filter(|trial| trial.knobs["mode"].to_string() == mode);
        assert_eq!(of_mode.next().map(|trial| trial.outcome), Some(outcome), "{tests:?}");
        assert!(of_mode.next().is_none(), "once is enough");
    }
    let pairs = of_phase(&trials, Phase::Confirmation);
    assert!(pairs.iter().all(|trial| trial.knobs["mode"].to_string() != "greedy"));
    let report = std::fs::read_to_string(world.folder().join("report.html")).unwrap();
    assert!(
        report.contains("What is claimed is not of the whole job, frames=81 steps=20."),
        "{report}"
    );
}

/// Which size pairs run is known once all that the budget pays for have run.
#[test]
fn a_tune_that_is_stopped_between_sizes_says_so_and_goes_on_there() {
    let world = world();
    std::fs::write(world.path().join("slow"), "").unwrap();
    let sizes = ["frames=8,40,81", "steps=4,20"];
    let run = tuner(&world, "2m", &sizes).run_until(&world, 2);
    let says =
        "command frames=81 steps=20: stopped before the baseline ran it: `wan22-tune resume ";
    assert!(run.stderr.contains(says), "{}", run.stderr);
    assert!(!run.stderr.contains("the confirmation runs a smaller size"), "{}", run.stderr);
    assert_eq!(world.results().tune.confirmation, None);
    let folder = world.folder();
    let run = world.tuner(&["resume", folder.to_str().unwrap()]).run().exits(0);
    assert!(run.stderr.contains("command frames=81 steps=20: timeout"), "{}", run.stderr);
    let confirmation = world.results().tune.confirmation.map(|size| size.to_string());
    assert_eq!(confirmation.as_deref(), Some("command frames=40 steps=20"));
}

/// One step is none to this program: finalists are tested with the fewest that its user has.
#[test]
fn a_program_that_refuses_a_single_step_loses_no_finalist() {
    let world = world();
    for file in ["slow", "strict"] {
        std::fs::write(world.path().join(file), "").unwrap();
    }
    let run = tune(&world, "2m", &["frames=8,40,81", "steps=4,20"]).exits(0);
    let says = "Gain: 50.0% less of the metric at frames=40 steps=20 than the baseline";
    assert!(run.stdout.starts_with(says), "{}{}", run.stdout, run.stderr);
    let note = "command frames=81 steps=1: the baseline fails there, too: finalists are tested at \
                command frames=81 steps=4";
    assert!(run.stderr.contains(note), "{}", run.stderr);
    let trials = world.results().trials;
    let of = |strategy: &str, steps: u32| {
        let size = format!("command frames=81 steps={steps}");
        let tests = trials.iter().filter(|t| t.strategy == strategy && t.workload == size);
        tests.map(|t| (t.knobs["mode"].to_string(), t.outcome)).collect::<Vec<_>>()
    };
    assert_eq!(of("memory-baseline", 1), [("plain".to_owned(), Outcome::Crashed)]);
    assert!(of("memory", 1).iter().all(|(_, outcome)| *outcome != Outcome::Ok));
    let tested = [("greedy".to_owned(), Outcome::OutOfMemory), ("fast".to_owned(), Outcome::Ok)];
    assert!(tested.iter().all(|test| of("memory", 4).contains(test)), "{:?}", of("memory", 4));
    assert_eq!(of("memory-baseline", 4), [("plain".to_owned(), Outcome::Ok)]);
}

#[test]
fn a_size_that_stands_nowhere_or_is_a_knob_is_refused() {
    for (sizes, says) in [
        (
            &["frames=8,40", "steps=4,20", "width=1,2"][..],
            "--size width: write {width} where it stands",
        ),
        (&["frames=8,40", "steps=4,20", "mode=1,2"], "--size mode: there is a knob of this name"),
        (&["frames=40,8"], "begin with the smallest"),
        (&["frames=8,40"], "word 3 of the command has `{steps}`, and no knob is called steps: "),
    ] {
        let run = tune(&world(), "10s", sizes);
        assert_eq!(run.status, Some(2), "{sizes:?}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{sizes:?}: {}", run.stderr);
    }
    let run = world().tuner(&["--budget", "9s", "--size", "frames=1,2"]).run().exits(2);
    assert!(run.stderr.contains("--size is for a job of your own"), "{}", run.stderr);
}
