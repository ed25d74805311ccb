//! Going on after a break: `resume` continues the same search, or says why it can't.

mod harness;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use harness::{Run, Tuner, World};
use wan22_tune::trial::{Outcome, Phase, Trial};

/// A tune that was killed in mid-search, with at least this many finished trials.
fn killed(world: &World, trials: usize) {
    let tuner = world.tune(&["--budget", "10m", "--strategy", "random", "--seed", "9"]);
    tuner.kill_after(world, trials);
}

fn resume(world: &World, more: &[&str]) -> Tuner {
    let folder = world.folder();
    world.tune(&[&["resume", folder.to_str().unwrap()], more].concat())
}

fn searched(trials: &[Trial]) -> Vec<Trial> {
    let proposed = |t: &&Trial| t.phase == Phase::Search && t.outcome != Outcome::Interrupted;
    trials.iter().filter(proposed).cloned().collect()
}

#[test]
fn a_killed_tune_goes_on_as_if_it_had_not_been() {
    let world = World::new();
    killed(&world, 6);
    let before = world.results().trials;
    let trials = (before.len() + 6).to_string();
    resume(&world, &["--budget", "10m", "--trials", &trials]).run().exits(0);
    let after = world.results();
    assert_eq!(after.trials[..before.len()], before, "finished trials are kept");
    assert!(after.trials.len() > before.len() + 2);
    let numbers: Vec<u64> = after.trials.iter().map(|trial| trial.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(world.folder().join("profile.json").exists());
    // The same search without a break proposes the same, in the same order.
    let whole = World::new();
    let flags = ["--budget", "10m", "--trials", &trials, "--strategy", "random", "--seed", "9"];
    whole.tune(&flags).run();
    let knobs =
        |trials: &[Trial]| searched(trials).into_iter().map(|t| t.knobs).collect::<Vec<_>>();
    let (with, without) = (knobs(&after.trials), knobs(&whole.results().trials));
    let common = with.len().min(without.len());
    assert!(common > searched(&before).len(), "{common}");
    assert_eq!(with[..common], without[..common]);
}

#[test]
fn the_trial_that_was_under_way_is_a_row_and_is_repeated_once() {
    let world = World::new();
    let tuner = world.tune(&["--budget", "10m", "--strategy", "random"]);
    // Candidates of batch size 1 hang, so the kill meets one of them.
    tuner.env("FAKE_WORKER", "hang").kill_in(&world, |trials| {
        trials.iter().any(|t| t.phase == Phase::Search) && world.is_running("\"batch_size\":1,")
    });
    let before = world.results().trials.len();
    let most = (before + 6).to_string();
    let run = resume(&world, &["--budget", "10m", "--trials", &most]).run().exits(0);
    let trials = world.results().trials;
    let row = &trials[before];
    assert_eq!(row.outcome, Outcome::Interrupted);
    assert_eq!(row.detail, "the tuner died while it ran");
    // What looks good is measured again besides.
    let same = |trial: &&Trial| {
        let of_search = trial.phase == Phase::Search;
        of_search && trial.knobs == row.knobs && trial.outcome == Outcome::Ok
    };
    assert_eq!(trials[before + 1..].iter().filter(same).count(), 1);
    assert!(!run.stdout.contains("panicked"));
}

#[test]
fn without_more_time_it_spends_what_was_left() {
    let world = World::new();
    // A third of it is gone with the first trial.
    let tuner = world.tune(&["--budget", "20s"]).env("FAKE_WORKER_FIRST_S", "6");
    tuner.kill_after(&world, 2);
    resume(&world, &[]).run().exits(0);
    let results = world.results();
    assert_eq!(results.tune.budget_s, 20.0);
    let spent = results.spent_s().unwrap();
    assert!((6.0..24.0).contains(&spent), "{spent}");
    let folder = world.folder();
    let Run { status, stderr, .. } = resume(&world, &[]).run();
    // Either the budget is spent to the last second, or a moment of it is left to do nothing in.
    assert!(status == Some(0) || stderr.contains("give it more time, such as --budget 30m"));
    assert!(folder.join("profile.json").exists());
}

#[test]
fn more_minutes_are_more_of_the_same_search() {
    let world = World::new();
    world.tune(&["--budget", "10m", "--trials", "3"]).run();
    let before = world.results();
    resume(&world, &["--budget", "5m", "--trials", "6"]).run().exits(0);
    let after = world.results();
    assert_eq!(after.trials[..before.trials.len()], before.trials);
    assert!(searched(&after.trials).len() > searched(&before.trials).len());
    let granted = after.tune.budget_s;
    assert!((300.0..600.0).contains(&granted), "what was spent and five minutes: {granted}");
}

/// Changes a file of the results folder.
fn edit(world: &World, name: &str, from: &str, to: &str) {
    let path = world.folder().join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn what_has_changed_is_named_with_both_values() {
    let world = World::new();
    world.tune(&["--budget", "10m", "--trials", "1"]).run();
    let refused = |tuner: Tuner, says: &[&str]| {
        let run = tuner.run().exits(1);
        for words in says {
            assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
        }
    };
    let again = || resume(&world, &["--budget", "3s"]);
    refused(again().env("FAKE_LIBTORCH", "2.14.0"), &["libtorch differs", "none", "2.14.0"]);
    let whole = std::fs::read_to_string(world.folder().join("machine.json")).unwrap();
    let machine: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let model = machine["cpu"]["model"].to_string();
    edit(&world, "machine.json", &model, "\"Z80\"");
    refused(again(), &["machine.cpu.model differs", "\"Z80\"", &model]);
    edit(&world, "machine.json", "\"Z80\"", &model);
    edit(&world, "space.toml", "tool = \"wan22-tune ", "tool = \"wan22-tune 0.0.1-");
    refused(again(), &["tool differs", "0.0.1-", wan22_tune::TOOL]);
    edit(&world, "space.toml", "wan22-tune 0.0.1-", "wan22-tune ");
    edit(&world, "space.toml", "values = [\"none\",", "values = [\"none\", \"spread\",");
    refused(again(), &["space.knob.affinity.values"]);
    edit(&world, "space.toml", "\"spread\", ", "");
    let steps = world.results().workload.sizes.steps;
    edit(&world, "space.toml", &format!("\nsteps = {steps}\n"), "\nsteps = 77\n");
    refused(again(), &["workload", "steps=77", &format!("steps={steps}")]);
}

#[test]
fn a_folder_that_can_not_go_on_says_why() {
    let world = World::new();
    let run = world.tune(&["resume", "nowhere"]).run().exits(1);
    assert!(run.stderr.contains("nowhere/machine.json"), "{}", run.stderr);
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/2026-11-23-epyc-2-cores");
    let run = world.tune(&["resume", old.to_str().unwrap()]).run().exits(1);
    assert!(run.stderr.contains("tune.arguments is missing"), "{}", run.stderr);
}

#[test]
fn a_second_tune_on_the_machine_is_told_who_is_there_or_waits() {
    let world = World::new();
    let mut first = world.tune(&["--budget", "10m", "--seed", "41"]).start();
    first.wait_for_trials(&world, 1);
    let second = World::new();
    let at = world.path().to_str().unwrap();
    let refused = second.tune(&["--budget", "3s"]).env("WAN22_LOCK_DIR", at).run().exits(75);
    assert!(refused.stderr.contains(&format!("pid {}, `", first.id())), "{}", refused.stderr);
    assert!(refused.stderr.contains("--budget 10m --seed 41`, since 2"), "{}", refused.stderr);
    assert!(!second.path().join("results").exists());
    second.tune(&["measure", "--baseline"]).env("WAN22_LOCK_DIR", at).run().exits(75);
    let waits = second.tune(&["--budget", "10m", "--trials", "2", "--wait"]);
    let mut waits = waits.env("WAN22_LOCK_DIR", at).0;
    let pipes = waits.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut waits = pipes.spawn().unwrap();
    let mut said = BufReader::new(waits.stderr.take().unwrap());
    let mut note = String::new();
    said.read_line(&mut note).unwrap();
    assert!(note.starts_with("note: waiting for pid"), "{note}");
    assert!(!second.path().join("results").exists());
    first.interrupt();
    assert_eq!(first.end().status, Some(0));
    said.read_to_string(&mut note).unwrap();
    assert!(waits.wait().unwrap().success(), "{note}");
}

#[test]
fn death_releases_the_lock() {
    let world = World::new();
    world.tune(&["--budget", "10m"]).kill_after(&world, 1);
    resume(&world, &["--budget", "10m", "--trials", "3"]).run().exits(0);
}
