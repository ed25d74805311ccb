//! A zoo of broken workers: each gets its own outcome, none ends the search, none wins.

mod harness;

use harness::World;
use wan22_tune::trial::{Outcome, Trial};

/// Trials of a tune that has to come to some candidate: chance may not come to it within the first.
const TRIALS: [&str; 3] = ["8", "32", "128"];

/// What has to be within one of them.
const WENT_ON: &str = "batch size 1 was tried, and something after it";

/// Runs a tune in which candidates of batch size 1 suffer `fault`; what their trials say.
fn outcome_of(fault: &str) -> (Outcome, String) {
    outcome_under(fault, "fp32")
}

fn outcome_under(fault: &str, precision: &str) -> (Outcome, String) {
    let told =
        |trials| outcome_within(trials, &[("FAKE_WORKER", fault)], &["--precision", precision]);
    TRIALS.into_iter().find_map(told).expect(WENT_ON)
}

/// The same within this many trials, with these variables and more flags; `None` where it came to no such
/// trial, or to nothing after it.
fn outcome_within(
    trials: &str,
    variables: &[(&str, &str)],
    more: &[&str],
) -> Option<(Outcome, String)> {
    let world = World::new();
    let flags = [&["--budget", "10m", "--trials", trials, "--strategy", "random"], more].concat();
    let tuner = world.tune(&flags);
    variables.iter().fold(tuner, |tuner, (name, value)| tuner.env(name, value)).run().exits(0);
    let results = world.results();
    let failed = first_of_one(&results.trials)?;
    assert_eq!(failed.score(), None, "a failure has no score");
    if failed.number == results.trials.last()?.number {
        return None;
    }
    let profile = std::fs::read_to_string(world.folder().join("profile.json")).unwrap();
    assert!(!profile.contains(r#""batch_size": 1,"#), "a failure won");
    Some((failed.outcome, failed.detail.clone()))
}

/// The first trial of batch size 1 that was not cut short by the end of the budget.
fn first_of_one(trials: &[Trial]) -> Option<&Trial> {
    let of_one = |trial: &&Trial| trial.knobs["batch_size"].to_string() == "1";
    trials.iter().filter(of_one).find(|trial| trial.outcome != Outcome::Interrupted)
}

#[test]
fn a_worker_that_hangs_times_out() {
    let (outcome, detail) = outcome_of("hang");
    assert_eq!(outcome, Outcome::Timeout);
    assert!(detail.ends_with("in which it was not ready to measure"), "{detail}");
}

#[test]
fn a_worker_that_ignores_signals_times_out() {
    assert_eq!(outcome_of("ignore-term").0, Outcome::Timeout);
}

#[test]
fn what_a_worker_leaves_behind_is_killed() {
    assert_eq!(outcome_of("setsid").0, Outcome::WrongOutput);
    let world = World::new();
    let measure = world.tune(&["measure", "--baseline", "--repetitions", "1"]);
    measure.env("FAKE_WORKER", "always-setsid").run().exits(1);
    // Whatever a trial starts works in the tuner's folder.
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut folders =
        processes.filter_map(|entry| std::fs::read_link(entry.path().join("cwd")).ok());
    assert_eq!(folders.find(|folder| folder.starts_with(world.path())), None);
}

#[test]
fn a_worker_that_floods_or_prints_rubbish_is_cut_off() {
    assert_eq!(outcome_of("flood").0, Outcome::WrongOutput);
    let (outcome, detail) = outcome_of("rubbish");
    assert_eq!(outcome, Outcome::WrongOutput);
    assert!(detail.contains("Segmentation fault (just kidding)"), "{detail}");
}

#[test]
fn numbers_that_make_no_sense_are_wrong_output() {
    for fault in ["nan", "negative", "missing", "infinite"] {
        assert_eq!(outcome_of(fault).0, Outcome::WrongOutput, "{fault}");
    }
}

#[test]
fn a_worker_that_says_too_little_or_answers_another_job_is_wrong_output() {
    for fault in ["silent", "short", "other-job"] {
        assert_eq!(outcome_of(fault).0, Outcome::WrongOutput, "{fault}");
    }
}

#[test]
fn a_worker_that_dies_has_crashed_and_its_last_words_are_kept() {
    let (outcome, detail) = outcome_of("status");
    assert_eq!((outcome, detail.as_str()), (Outcome::Crashed, "exit status 3: no such device"));
    let (outcome, detail) = outcome_of("abort");
    assert_eq!(outcome, Outcome::Crashed);
    assert!(detail.starts_with("killed by signal 6"), "{detail}");
    let (outcome, detail) = outcome_of("segfault");
    assert_eq!(outcome, Outcome::Crashed);
    assert!(detail.starts_with("killed by signal 11"), "{detail}");
}

/// Neither a SIGKILL that the kernel did not count as a lack of memory nor a scheduler's SIGTERM is
/// the candidate's fault.
#[test]
fn a_worker_that_others_end_is_interrupted() {
    for (fault, number) in [("killed", 9), ("terminated", 15)] {
        let world = World::new();
        let measure = world.tune(&["measure", "--baseline", "--repetitions", "1"]);
        let run = measure.env("FAKE_WORKER", &format!("always-{fault}")).run();
        assert_eq!(run.status, Some(1), "{fault}: {}", run.stdout);
        let words = format!("interrupted: killed by signal {number}");
        assert!(run.stderr.contains(&words), "{fault}: {}", run.stderr);
        assert!(run.stderr.contains("which the tuner did not send"), "{}", run.stderr);
    }
}

#[test]
fn a_worker_that_takes_too_much_memory_is_stopped_wherever_it_hides_it() {
    let limits = ["--workload", "preprocess", "--max-memory", "768MiB"];
    for fault in ["devour", "devour-in-a-child"] {
        // A busy machine needs seconds to fill so much; three times the baseline's are allowed.
        let variables = [("FAKE_WORKER", fault), ("FAKE_WORKER_FIRST_S", "3")];
        let told = |trials| outcome_within(trials, &variables, &limits);
        let (outcome, detail) = TRIALS.into_iter().find_map(told).expect(WENT_ON);
        assert_eq!(outcome, Outcome::OutOfMemory, "{fault}: {detail}");
        assert!(detail.ends_with("the limit is 805306368"), "{detail}");
    }
}

#[test]
fn a_slow_candidate_is_stopped_after_its_first_repetition() {
    let told = |trials| {
        let world = World::new();
        let flags = ["--budget", "10m", "--trials", trials, "--strategy", "random"];
        assert_eq!(world.tune(&flags).env("FAKE_WORKER", "slow").run().status, Some(0));
        first_of_one(&world.results().trials).cloned()
    };
    let slow = TRIALS.into_iter().find_map(told).expect("batch size 1 was tried");
    assert_eq!((slow.outcome, slow.samples.len()), (Outcome::Ok, 1), "{}", slow.detail);
    assert!(slow.detail.starts_with("cut after 9.000 s: early stop above"), "{}", slow.detail);
    assert_eq!(slow.score(), Some(9.0));
}

#[test]
fn what_a_worker_admits_is_believed() {
    assert_eq!(outcome_of("poor"), (Outcome::PoorQuality, "PSNR 12 dB".to_owned()));
}

#[test]
fn a_fast_and_ugly_picture_does_not_win() {
    let (outcome, detail) = outcome_under("ugly", "bf16-vae");
    assert_eq!(outcome, Outcome::PoorQuality);
    assert_eq!(detail, "PSNR 12.0 dB against the reference; it takes 30.0");
}

/// The baseline's own picture is good enough, whatever it is, unless the user says otherwise.
#[test]
fn a_threshold_that_is_given_holds_for_every_picture() {
    let world = World::new();
    let measure = |more: &[&str]| {
        let words = ["measure", "--baseline", "--repetitions", "1", "--precision", "bf16-vae"];
        world.tune(&[&words[..], more].concat()).env("FAKE_WORKER", "always-moved").run()
    };
    measure(&[]).exits(0);
    let strict = measure(&["--min-psnr", "70"]);
    let wanted = "poor-quality: PSNR 60.0 dB against the reference; it takes 70.0";
    assert!(strict.status == Some(1) && strict.stderr.contains(wanted), "{}", strict.stderr);
}

#[test]
fn what_should_be_neutral_and_moves_the_picture_is_wrong_output() {
    let (outcome, detail) = outcome_under("moved", "fp32");
    assert_eq!(outcome, Outcome::WrongOutput);
    assert_eq!(detail, "PSNR 60.0 dB although no knob that was set may change it");
}

#[test]
fn settings_that_did_not_take_are_misapplied_however_fast() {
    let tries = [
        ("wrong-mask", "affinity: model pool's CPUs: asked for "),
        ("wrong-pool-mask", "affinity: io pool's CPUs: asked for "),
        ("wrong-policy", "memory_mode: memory policy: asked for "),
        ("wrong-threads", "intra_op_threads: asked for "),
        ("wrong-pool-size", "preprocess_workers: preprocess pool's threads: asked for "),
        ("wrong-allocator", "allocator: asked for glibc, got mimalloc"),
        ("wrong-openmp", "omp_runtime: OpenMP library: asked for libgomp, got libiomp5"),
        ("wrong-environment", "malloc_arenas: MALLOC_ARENA_MAX: asked for 4, got not set"),
        ("wrong-numerics", "matmul_precision: asked for highest, got not reported"),
    ];
    let world = World::new();
    for (fault, words) in tries {
        let measure = world.tune(&["measure", "--baseline", "--repetitions", "1"]);
        let run = measure.env("FAKE_WORKER", &format!("always-{fault}")).run();
        assert_eq!(run.status, Some(1), "{fault}: {}", run.stdout);
        assert!(run.stderr.contains(&format!("misapplied: {words}")), "{fault}: {}", run.stderr);
    }
}

/// Runs a tune with a worker on which `fault` befalls every candidate with `knob` at `value`: it
/// is tried once, and everybody is told. The trial's detail; `None` where the value does not exist.
fn unsupported(fault: &str, knob: &str, value: &str) -> Option<String> {
    let world = World::new();
    let flags =
        ["--budget", "10m", "--trials", "40", "--strategy", "random", "--precision", "fp32"];
    let run = world.tune(&flags).env("FAKE_WORKER", fault).run().exits(0);
    let results = world.results();
    let (_, levels) = results.space.knob(knob).unwrap();
    levels.levels.iter().find(|level| level.to_string() == value)?;
    let has = |trial: &&Trial| {
        trial.outcome == Outcome::Misapplied && trial.knobs[knob].to_string() == value
    };
    let tried: Vec<&Trial> = results.trials.iter().filter(has).collect();
    let [only] = tried[..] else { panic!("{} trials of {knob} = {value}", tried.len()) };
    assert!(results.trials.last().unwrap().number > only.number + 5, "the search went on");
    let words = format!("{knob} = {value} could not be applied in trial {}", only.number);
    assert_eq!(run.stderr.matches(&words).count(), 1, "{}", run.stderr);
    assert_eq!(run.stdout.matches(&words).count(), 1, "{}", run.stdout);
    let page = std::fs::read_to_string(world.folder().join("report.html")).unwrap();
    assert!(page.contains(&words));
    Some(only.detail.clone())
}

#[test]
fn the_search_goes_on_without_a_value_that_did_not_take() {
    let detail = unsupported("always-keep-not-taken", "allocator", "glibc-keep").unwrap();
    assert!(detail.contains("GLIBC_TUNABLES: asked for glibc.malloc.mmap_max=0:"), "{detail}");
    // Not every kernel has them.
    if let Some(detail) = unsupported("always-no-huge-pages", "huge_pages", "libtorch") {
        assert_eq!(detail, "huge_pages: asked for some, got none in 1024 MiB");
    }
}
