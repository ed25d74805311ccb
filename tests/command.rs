//! Somebody's own program as the job, through the real tuner: small shell scripts stand for it.

mod harness;

use harness::{Run, World};
use wan22_tune::trial::{Outcome, Phase, Trial};

fn tune(world: &World, flags: &[&str]) -> Run {
    let run = [flags, &["--", "./job.sh", "an argument"]].concat();
    world.tuner(&run).run()
}

/// Tunes with more and more trials until the journal has what is `wanted`.
fn tune_until(world: &World, flags: &[&str], wanted: impl Fn(&[Trial]) -> bool) -> Run {
    for trials in ["12", "48", "192"] {
        let random = ["--budget", "10m", "--trials", trials, "--strategy", "random"];
        let run = tune(world, &[&random, flags].concat()).exits(0);
        if wanted(&world.results().trials) {
            return run;
        }
        std::fs::remove_dir_all(world.path().join("results")).unwrap();
    }
    panic!("it never came to that");
}

/// Whether all these batch sizes were tried.
fn has_batches(trials: &[Trial], sizes: &[&str]) -> bool {
    sizes.iter().all(|size| !of_batch(trials, size).is_empty())
}

/// What was measured of a batch size, without what the end of the budget cut short.
fn of_batch(trials: &[Trial], size: &str) -> Vec<Trial> {
    let has = |trial: &&Trial| trial.knobs["batch_size"].to_string() == size;
    let is_whole = |trial: &&Trial| trial.outcome != Outcome::Interrupted;
    trials.iter().filter(has).filter(is_whole).cloned().collect()
}

#[test]
fn a_number_that_the_command_prints_is_scored_and_much_of_it_may_be_good() {
    let world =
        World::with_job("echo step 1: 1 it/s; echo step 2: $((WAN22_BATCH_SIZE * 2)).5 it/s");
    let budget = ["--budget", "10m", "--trials", "24"];
    let metric = ["--metric", r"([0-9.]+) it/s", "--goal", "max"];
    let run = tune(&world, &[budget, metric].concat()).exits(0);
    // 16.5 instead of 4.5 iterations per second: 267% more.
    assert!(run.stdout.starts_with("Gain: 266.7% more of the metric"), "{}", run.stdout);
    assert!(run.stdout.contains("metric (more is better)"), "{}", run.stdout);
    let results = world.results();
    let mut largest = of_batch(&results.trials, "8");
    // A busy machine may cut one.
    largest.retain(|trial| trial.outcome == Outcome::Ok);
    assert!(largest.iter().all(|trial| trial.samples[0].metric.unwrap().value == 16.5));
    let journal = std::fs::read_to_string(world.folder().join("trials.csv")).unwrap();
    assert!(journal.lines().next().unwrap().contains("metric.1"), "{journal}");
    assert!(largest[0].samples[0].seconds < largest[0].wall_s, "seconds stay seconds");
    let measured_s: f64 = largest[0].samples.iter().map(|sample| sample.seconds).sum();
    assert!((largest[0].wall_s - largest[0].overhead_s - measured_s).abs() < 1e-6);
    let profile = std::fs::read(world.folder().join("profile.json")).unwrap();
    let profile: serde_json::Value = serde_json::from_slice(&profile).unwrap();
    assert_eq!(profile["optimal_settings"]["batch_size"], 8);
    assert_eq!(profile["evidence"]["metric"]["score"], 16.5);
    assert_eq!(profile["evidence"]["score_s"], serde_json::Value::Null);
    verified_with_its_command_alone(&world, &metric);
}

/// The profile of [`world`]'s tune, scored by `metric`'s flags, is proven again with the very
/// command.
fn verified_with_its_command_alone(world: &World, metric: &[&str]) {
    let profile = world.folder().join("profile.json");
    // It ends as soon as the answer is clear.
    let verify = ["verify", profile.to_str().unwrap(), "--budget", "2m"];
    let command = ["--", "./job.sh", "an argument"];
    let run = world.tuner(&[&verify[..], metric, &command].concat()).run().exits(0);
    assert!(run.stdout.contains("266.7% more of the metric than the baseline"), "{}", run.stdout);
    assert!(run.stdout.contains("16.500 (metric); the profile was made with 16.500"));
    let run = world.tuner(&verify).run().exits(2);
    assert!(run.stderr.contains("give it as in the tune, -- COMMAND"), "{}", run.stderr);
    // A forgotten metric is no drift.
    let run = world.tuner(&[&verify[..], &command].concat()).run().exits(2);
    let cure = "tuned by metric (more is better), not by seconds per run: give --metric";
    assert!(run.stderr.contains(cure), "{}", run.stderr);
    let export = world.tuner(&["export", "--format", "prometheus", verify[1]]).run();
    assert!(export.stdout.contains("\nwan22_profile_metric 16.5\n"), "{}", export.stdout);
}

#[test]
fn a_command_that_is_stopped_early_is_not_run_again() {
    let world = World::with_job("echo $((1000 / WAN22_BATCH_SIZE))");
    let worst = |trials: &[Trial]| {
        let searched = |trial: &Trial| trial.phase == Phase::Search && trial.outcome == Outcome::Ok;
        let mut worst = of_batch(trials, "8");
        worst.retain(searched);
        worst
    };
    let flags = ["--metric", "^([0-9]+)$", "--goal", "max"];
    tune_until(&world, &flags, |trials| !worst(trials).is_empty());
    for trial in worst(&world.results().trials) {
        assert_eq!(trial.samples.len(), 1, "{}", trial.detail);
        let beginning = "cut at a metric of 125.000: early stop below ";
        assert!(trial.detail.starts_with(beginning), "{}", trial.detail);
    }
}

#[test]
fn one_trial_of_a_command_is_measured() {
    let world = World::with_job("echo $((WAN22_BATCH_SIZE * 2))");
    let measure = ["measure", "--baseline", "--metric", "^([0-9]+)$", "--goal", "max", "--"];
    let run = world.tuner(&[&measure[..], &["./job.sh"]].concat()).run().exits(0);
    let line = "metric (more is better) 4.0000 (of 4.0000, 4.0000, 4.0000)";
    assert!(run.stdout.contains(line), "{}", run.stdout);
    let run = world.tuner(&["measure", "--baseline", "--", "./job.sh"]).run();
    let seconds = run.stdout.lines().find_map(|line| line.strip_prefix("seconds per run      "));
    let seconds = seconds.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0.0), "{}", run.stdout);
}

#[test]
fn production_finds_the_environment_of_the_trials() {
    let world =
        World::with_job("echo \"$@\" > args; env | sort > new.env; mv new.env trial.env; echo 1");
    let flags = ["--budget", "10m", "--trials", "8", "--metric", "^([0-9]+)$"];
    assert_eq!(tune(&world, &[&flags[..], &["--baseline", "5995wx"]].concat()).status, Some(0));
    let read = |name: &str| std::fs::read_to_string(world.path().join(name)).unwrap();
    assert_eq!(read("args"), "an argument\n");
    let profile = world.folder().join("profile.json");
    let exec = ["exec", "--profile", profile.to_str().unwrap(), "--", "sh", "-c"];
    let run =
        world.tuner(&[&exec[..], &["env | sort"]].concat()).env("OMP_NUM_THREADS", "77").run();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    // Names: values differ with the candidate that ran last.
    let names = |text: &str| {
        let names = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
        let ours = |name: &&str| name.starts_with("WAN22_") || name.contains("THREADS");
        names.filter(ours).map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(names(&run.stdout), names(&read("trial.env")));
    assert!(run.stdout.contains("WAN22_TILE_SIZE=512\n"), "{}", run.stdout);
    assert!(
        run.stdout.contains(&format!("WAN22_PROFILE={}\n", profile.display())),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains("=77\n"), "{}", run.stdout);
}

#[test]
fn each_way_to_fail_has_its_own_outcome() {
    // The baseline's first run is long, so that trials may be: a busy machine stops none of the others.
    let script = "begun=${WAN22_PROFILE%/*}/begun
    [ -e $begun ] || { touch $begun; sleep 2; }
    case $WAN22_BATCH_SIZE in
        1) echo loading; echo no such device >&2; exit 3;;
        4) kill -SEGV $$;;
        8) exec sleep 60;;
    esac
    yes rubbish | head -c 3000000 >&2
    echo '{\"fps\": 2}'";
    let world = World::with_job(script);
    let flags = ["--metric", "json:/fps", "--timeout", "6s"];
    tune_until(&world, &flags, |trials| has_batches(trials, &["1", "4", "8"]));
    let trials = world.results().trials;
    let says = |size: &str| {
        let trial = of_batch(&trials, size).remove(0);
        (trial.outcome, trial.detail)
    };
    assert_eq!(says("1"), (Outcome::Crashed, "exit status 3: no such device".to_owned()));
    assert_eq!(says("2"), (Outcome::Ok, String::new()));
    assert!(says("4").1.starts_with("killed by signal 11"), "{:?}", says("4"));
    assert_eq!(says("8"), (Outcome::Timeout, "killed after 6.0 s, its --timeout".to_owned()));
}

#[test]
fn the_check_reads_the_output_and_a_run_without_its_metric_has_failed() {
    let script =
        "case $WAN22_BATCH_SIZE in 1) echo fps=9 ugly;; 4) echo none;; *) echo fps=2;; esac";
    let world = World::with_job(script);
    let check = "if grep -q ugly; then echo 'a poor picture' >&2; exit 1; fi";
    let metric = ["--metric", "fps=([0-9]+)", "--goal", "max"];
    let flags = [&["--check", check, "--warmup", "1"], &metric[..]].concat();
    let run = tune_until(&world, &flags, |trials| has_batches(trials, &["1", "4"]));
    assert!(run.stdout.starts_with("No significant gain"), "{}", run.stdout);
    let trials = world.results().trials;
    let of = |size: &str| of_batch(&trials, size).remove(0);
    let checked = (Outcome::WrongOutput, "the check exited with 1: a poor picture".to_owned());
    assert_eq!((of("1").outcome, of("1").detail), checked);
    let nothing = "it printed no match of `fps=([0-9]+)`; its last words: none".to_owned();
    assert_eq!((of("4").outcome, of("4").detail), (Outcome::WrongOutput, nothing));
}

#[test]
fn a_command_that_takes_too_much_memory_is_told_from_one_that_crashes_and_neither_wins() {
    // The best number of all, and a child that keeps a line until it has seen its end. A busy machine
    // needs seconds to fill it; three times the baseline's, a tune's first run, are allowed.
    let script = "begun=${WAN22_PROFILE%/*}/begun
    [ -e $begun ] || { touch $begun; sleep 3; }
    case $WAN22_BATCH_SIZE in
        4) echo t=1; kill -ABRT $$;;
        8) echo t=1; { head -c 512M /dev/zero; sleep 600; } | tail;;
    esac
    echo t=2";
    let world = World::with_job(script);
    let flags = ["--metric", "t=([0-9])", "--max-memory", "256MiB"];
    let went_on = |trials: &[Trial]| {
        let last = trials.last().map(|trial| trial.knobs["batch_size"].to_string());
        has_batches(trials, &["4", "8"]) && last != Some("8".to_owned())
    };
    let run = tune_until(&world, &flags, went_on);
    assert!(run.stdout.starts_with("No significant gain"), "{}", run.stdout);
    let trials = world.results().trials;
    for trial in of_batch(&trials, "8") {
        assert_eq!((trial.outcome, trial.score()), (Outcome::OutOfMemory, None));
        assert!(trial.detail.starts_with("killed at "), "{}", trial.detail);
        assert!(trial.detail.ends_with(" bytes; the limit is 268435456"), "{}", trial.detail);
    }
    // Its own fault, and no want of memory.
    for trial in of_batch(&trials, "4") {
        assert_eq!(trial.outcome, Outcome::Crashed, "{}", trial.detail);
        assert!(trial.detail.starts_with("killed by signal 6"), "{}", trial.detail);
    }
    let profile = std::fs::read_to_string(world.folder().join("profile.json")).unwrap();
    assert!(profile.contains("\"batch_size\": 2,"), "the baseline's: {profile}");
}

#[test]
fn wrong_usage_is_said_before_anything_runs() {
    let world = World::with_job("touch ran");
    let wrong = [
        (&["--budget", "9s", "--"][..], "no command after `--`"),
        (&["--dry-run", "--worker"], "give the worker's command after `--`"),
        (&["--", "./job.sh"], "--budget"),
        (&["--budget", "9s", "--metric", "fps=(", "--", "./job.sh"], "is no expression"),
        (&["--budget", "9s", "--metric", "json:fps", "--", "./job.sh"], "json:/fps"),
        (&["--budget", "9s", "--goal", "max", "--", "./job.sh"], "--metric"),
        (&["--budget", "9s", "--metric", "(x)"], "COMMAND"),
        (&["--budget", "9s", "--profile-env", "LD_PRELOAD", "--", "./job.sh"], "type another"),
        (&["--budget", "9s", "--images", "x", "--", "./job.sh"], "--images"),
        (&["--budget", "9s", "--timeout", "x", "--", "./job.sh"], "such as 90s"),
        (&["--budget", "9s", "--", "./absent.sh"], "`./absent.sh`: no such command"),
        (&["--budget", "9s", "--", "no-such-program"], "`no-such-program`: no such command"),
        (&["--budget", "9s", "--repetitions", "1"], "give 2 to 9"),
    ];
    for (args, says) in wrong {
        let run = world.tuner(args).run();
        assert_eq!(run.status, Some(2), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{args:?}: {}", run.stderr);
    }
    assert!(!world.path().join("ran").exists() && !world.path().join("results").exists());
}

#[test]
fn a_command_that_binds_itself_is_reported() {
    let first = "first=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')";
    // Of looks each comes after twice the time: one of them is within as much as went before.
    let world = World::with_job(&format!("{first}; taskset -cp $first $$ >/dev/null; sleep 2"));
    let flags = ["--budget", "10m", "--repetitions", "1", "--", "./job.sh"];
    world.tuner(&flags).run_until(&world, 1).exits(0);
    let baseline = world.results().trials.remove(0);
    assert_eq!(baseline.outcome, Outcome::Ok, "{}", baseline.detail);
    let cpus = std::thread::available_parallelism().unwrap().get();
    let reported = baseline.detail.starts_with("the command bound itself to CPUs ");
    assert!(reported || cpus == 1, "{}", baseline.detail);
}

#[test]
fn a_command_that_never_works_is_a_failure_with_its_words() {
    let world = World::with_job("echo no model >&2; exit 9");
    let run = tune(&world, &["--budget", "10m"]).exits(1);
    assert!(run.stderr.contains("(crashed): exit status 9: no model"), "{}", run.stderr);
}

#[test]
fn a_signal_finishes_with_what_there_is_and_no_process_is_left() {
    let world =
        World::with_job("echo $$ > pid; sleep 0.2; [ -e slow ] && sleep 600; touch slow; true");
    let tuner = world.tuner(&["--budget", "10m", "--repetitions", "1", "--", "./job.sh"]);
    tuner.run_until(&world, 1).exits(0);
    let results = world.results();
    assert_eq!(results.trials[0].phase, Phase::Baseline);
    assert_eq!(results.trials[0].samples.len(), 1);
    let pid = std::fs::read_to_string(world.path().join("pid")).unwrap();
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists());
}

#[test]
fn a_killed_tune_of_a_command_goes_on_in_its_folder() {
    let world = World::with_job("sleep 0.05; echo ran >> log; echo t=1");
    let flags = ["--budget", "10m", "--metric", "t=(.)", "--", "./job.sh"];
    world.tuner(&flags).kill_after(&world, 3);
    let before = world.results().trials;
    let folder = world.folder();
    let more = (before.len() + 3).to_string();
    let resume = ["resume", folder.to_str().unwrap(), "--budget", "10m", "--trials", &more];
    world.tuner(&resume).run_in(std::path::Path::new("/")).exits(0);
    let after = world.results().trials;
    assert_eq!(after[..before.len()], before);
    assert!(after.len() > before.len() + 1);
}

#[test]
fn what_the_command_reads_is_found_and_what_it_does_not_read_is_dropped() {
    // Quiet seconds don't matter to a number that is printed.
    let world = World::with_job("echo t=$((16 / WAN22_BATCH_SIZE)).25");
    let flags = ["--budget", "10m", "--metric", "t=(.+)", "--repetitions", "1", "--trials"];
    let run = tune(&world, &[&flags[..], &["60"]].concat()).exits(0);
    let profile = std::fs::read_to_string(world.folder().join("profile.json")).unwrap();
    assert!(profile.contains("\"batch_size\": 8,"), "{profile}");
    let unread = "tile_size makes no difference to the command";
    assert!(run.stderr.contains(unread) && run.stdout.contains(unread), "{}", run.stdout);
    assert!(!run.stdout.contains("batch_size makes no difference"), "{}", run.stdout);
    let deaf = World::with_job("echo t=3.5");
    let run = tune(&deaf, &[&flags[..], &["24"]].concat());
    let unread =
        "tile_size, vae_tile_size, batch_size, precision, matmul_precision make no difference to";
    assert!(run.stdout.contains(unread), "{}", run.stdout);
    let tiles = |trial: &Trial| trial.knobs["tile_size"].to_string();
    let trials = deaf.results().trials;
    // Probes themselves may be repeated, as any candidate.
    let proposed = |trial: &&Trial| trial.phase == Phase::Search && trial.strategy != "probe";
    assert!(trials.iter().filter(proposed).all(|trial| tiles(trial) == tiles(&trials[0])));
}
