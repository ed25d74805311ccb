//! What people read of tunes that went well, badly, or nowhere.

mod drawn;
mod pages;

use std::path::Path;

use insta::assert_snapshot;

use super::fixture::{Made, number, simulated, word};
use super::plots::drift::DriftPlot;
use super::plots::pairs::PairsPlot;
use super::plots::placement::{CpuOwner, PlacementPlot};
use super::plots::progress::{ProgressPlot, TrialKind};
use super::plots::response::ResponsePlot;
use super::plots::scaling::ScalingPlot;
use super::plots::stages::StagesPlot;
use super::*;
use crate::results::Folder;
use crate::trial::{Outcome, Phase};
use crate::workload::custom::printed::MetricValue;
use crate::workload::metric::Direction;

fn summary_of(made: &Made) -> String {
    let written = WrittenReport { profile: true, report: true, kept: None };
    summary(&made.results, &Folder::new("results/2026-11-22-host"), &written)
}

fn verdict_of(made: &Made) -> String {
    verdict::sentence(&made.results)
}

/// Five equal pairs of 4 s and 3 s: a saving of 1 - 3/4.
fn gain() -> Made {
    Made::new()
        .baseline(&[4.0])
        .search(&[("vae_tile_size", number(192))], 3.0)
        .search(&[("affinity", word("compact")), ("batch_size", number(4))], 3.5)
        .fails(&[("intra_op_threads", number(1))], Outcome::Timeout, "killed after 30 s")
        .pairs(&[("vae_tile_size", number(192))], &[(4.0, 3.0); 5])
}

#[test]
fn the_summary_of_a_gain() {
    assert_snapshot!(summary_of(&gain()), @r#"
    Gain: 25.0% less time per clip of 1280x704x121 in 50 steps than the baseline (95% interval 24.8% to 25.2%, 5 pairs of 384x384x13 slices).

                      baseline  finalist
    seconds per clip      4.00      3.00
    vae_tile_size          384       192
    As in the baseline: intra_op_threads 8, preprocess_workers 2, batch_size 2, affinity none

    14 trials: 13 ok, 1 timeout
    Budget 4 min: 2 min 17 s measured, 28 s (11.7% of the budget, 16.0% of a trial measured in full) to start and warm up workers, 14 s between trials
    Without a choice on this machine: memory_mode

    Report   results/2026-11-22-host/report.html
    Profile  results/2026-11-22-host/profile.json
    Use it   wan22-tune exec --profile results/2026-11-22-host/profile.json -- COMMAND
    "#);
}

#[test]
fn the_summary_without_a_trial() {
    assert_snapshot!(summary_of(&Made::new()), @r#"
    No significant gain: no trial succeeded; the profile keeps the baseline.

    No trial was made
    Budget 4 min: 0 s measured, 0 s (0.0% of the budget) to start and warm up workers, 0 s between trials
    Without a choice on this machine: memory_mode

    Report   results/2026-11-22-host/report.html
    Profile  results/2026-11-22-host/profile.json
    Use it   wan22-tune exec --profile results/2026-11-22-host/profile.json -- COMMAND
    "#);
}

#[test]
fn the_summary_of_the_baseline_alone() {
    assert_snapshot!(summary_of(&Made::new().baseline(&[4.0, 4.2])), @r#"
    No significant gain: there was time for the baseline alone, and no candidate was tried; the profile keeps the baseline.

    The baseline takes 4.00 s per clip.

    2 trials: 2 ok
    Budget 4 min: 25 s measured, 4.00 s (1.7% of the budget, 14.0% of a trial measured in full) to start and warm up workers, 2.00 s between trials
    Without a choice on this machine: memory_mode

    Report   results/2026-11-22-host/report.html
    Profile  results/2026-11-22-host/profile.json
    Use it   wan22-tune exec --profile results/2026-11-22-host/profile.json -- COMMAND
    "#);
}

#[test]
fn the_summary_of_failures_alone() {
    let made = Made::new().trial(Phase::Baseline, &[], Err((Outcome::Crashed, "signal 9"))).fails(
        &[("batch_size", number(1))],
        Outcome::OutOfMemory,
        "12 GiB",
    );
    assert_snapshot!(summary_of(&made), @r#"
    No significant gain: no trial succeeded; the profile keeps the baseline.

    2 trials: 1 out-of-memory, 1 crashed
    Budget 4 min: 0 s measured, 4.00 s (1.7% of the budget) to start and warm up workers, 2.00 s between trials
    Without a choice on this machine: memory_mode

    Report   results/2026-11-22-host/report.html
    Profile  results/2026-11-22-host/profile.json
    Use it   wan22-tune exec --profile results/2026-11-22-host/profile.json -- COMMAND
    "#);
}

#[test]
fn verdicts_say_why_there_is_no_gain() {
    let change: &[(&str, crate::knobs::Value)] = &[("batch_size", number(1))];
    let searched = || Made::new().baseline(&[4.0]).search(change, 3.0);
    let failing = searched().pairs(change, &[(4.0, 3.0); 5]).trial(
        Phase::Confirmation,
        change,
        Err((Outcome::Crashed, "signal 9")),
    );
    let verdicts = [
        searched(),
        searched().pairs(change, &[(4.0, 3.0)]),
        searched().pairs(change, &[(4.0, 3.0), (3.0, 4.0), (4.0, 3.9), (3.9, 4.0)]),
        searched().pairs(change, &[(3.0, 4.0); 5]),
        failing,
    ];
    assert_snapshot!(verdicts.map(|made| verdict_of(&made)).join("\n"), @r#"
    No significant gain: no candidate was faster by enough to be worth confirming in the time left; the profile keeps the baseline.
    No significant gain: 1 pair of confirmation can prove nothing, a longer tune has time for more; the profile keeps the baseline.
    No significant gain: the finalist took 0.0% more time per clip than the baseline, which is within the noise (95% interval of the saving −131.4% to 56.8%, 4 pairs of 384x384x13 slices); the profile keeps the baseline.
    No gain: the finalist took 33.3% more time per clip than the baseline (95% interval 33.0% to 33.7%, 5 pairs of 384x384x13 slices); the profile keeps the baseline.
    No gain: the finalist failed once in its confirmation; the profile keeps the baseline.
    "#);
}

#[test]
fn a_gain_ships_the_finalist_and_anything_else_the_baseline() {
    let made = gain();
    let profile = profile(&made.results).unwrap();
    assert_eq!(profile.candidate["vae_tile_size"], number(192));
    assert_eq!(profile.timestamp, made.results.trials.last().unwrap().started);
    let evidence = profile.evidence.unwrap();
    assert_eq!(evidence.verdict, "gain");
    assert!((evidence.gain_percent.unwrap() - 25.0).abs() < 1e-9);
    // By hand: n = 5, r = 1/81, k = (25 sqrt 81)^(2/5) since normal values have four fifths of the
    // error, V = 4e-6, half width 0.0026321 in logs.
    let [low, high] = evidence.interval_percent.unwrap();
    assert!((low - 24.802).abs() < 1e-3 && (high - 25.197).abs() < 1e-3, "{low} {high}");
    assert_eq!((evidence.pairs, evidence.baseline_s, evidence.score_s), (5, Some(4.0), Some(3.0)));

    for made in [Made::new(), Made::new().baseline(&[4.0]), {
        Made::new().baseline(&[4.0]).search(&[("vae_tile_size", number(192))], 3.0)
    }] {
        let profile = crate::profile::build::profile(&made.results).unwrap();
        assert_eq!(profile.candidate, made.results.space.given.baseline);
        let evidence = profile.evidence.unwrap();
        assert_eq!(evidence.verdict, "no significant gain");
        assert_eq!((evidence.gain_percent, evidence.pairs), (None, 0));
    }
    assert_eq!(
        crate::profile::build::profile(&Made::new().results).unwrap().timestamp,
        "2026-11-22T20:00:00Z"
    );
}

/// Frames per second, forty for each second that a trial of it takes: 10 and then 20 with five pairs.
fn frames_a_second() -> Made {
    let small: &[(&str, crate::knobs::Value)] = &[("vae_tile_size", number(192))];
    let made = Made::new().baseline(&[4.0]).search(small, 2.0);
    let mut made = made.trial(Phase::Sentinel, &[], Ok(4.0)).pairs(small, &[(4.0, 2.0); 5]);
    for sample in made.results.trials.iter_mut().flat_map(|trial| &mut trial.samples) {
        sample.metric = Some(MetricValue { value: 40.0 / sample.seconds, goal: Direction::Max });
        sample.stages.clear();
    }
    let command = r#"{"command": {"words": ["./job"], "folder": "/", "profile_env": "WAN22_PROFILE",
                                  "warmup": 0, "metric": "json:/fps", "goal": "max"}}"#;
    made.results.tune.custom_job = Some(serde_json::from_str(command).unwrap());
    made
}
