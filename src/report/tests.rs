//! What people read of tunes that went well, badly, or nowhere.

use std::path::Path;

use insta::assert_snapshot;

use super::fixture::{Made, number, simulated, word};
use super::plots::drift::Drift;
use super::plots::pairs::Pairs;
use super::plots::placement::{Places, User};
use super::plots::progress::{Kind, Progress};
use super::plots::response::Response;
use super::plots::scaling::Laws;
use super::plots::stages::Stages;
use super::*;
use crate::trial::{Outcome, Phase};
use crate::workload::custom::metric::{Direction, MetricValue};
use crate::workload::custom::{CommandJob, CustomJob};

fn summary_of(made: &Made) -> String {
    summary(&made.results, &Folder::new("results/2026-11-22-host"))
}

/// The verdict alone.
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
    Gain: 25.0% less time a clip than the baseline (95% interval 24.8% to 25.2%, 5 pairs).

                    baseline  finalist
    seconds a clip      4.00      3.00
    vae_tile_size        384       192
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
    No significant gain: no candidate was faster than the baseline; the profile keeps the baseline.

    The baseline takes 4.00 s a clip.

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
    No significant gain: the best candidate was not confirmed; the profile keeps the baseline.
    No significant gain: 1 pair of confirmation can prove nothing, a longer tune has time for more; the profile keeps the baseline.
    No significant gain: the finalist took 0.0% more time a clip than the baseline, which is within the noise (95% interval of the saving −131.4% to 56.8%, 4 pairs); the profile keeps the baseline.
    No gain: the finalist took 33.3% more time a clip than the baseline (95% interval 33.0% to 33.7%, 5 pairs); the profile keeps the baseline.
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

/// Trials start a second after the one before and last 2 s plus 3.01 times their score.
#[test]
fn progress_by_hand() {
    let made = Made::new()
        .trial(Phase::Calibration, &[], Ok(1.0))
        .baseline(&[4.0])
        .search(&[("batch_size", number(1))], 5.0)
        .fails(&[("batch_size", number(4))], Outcome::Crashed, "")
        .search(&[("vae_tile_size", number(192))], 3.0);
    let progress = Progress::of(&made.results).unwrap().unwrap();
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
    let expected = [
        (7.01 + 14.04, Some(4.0), Kind::Baseline),
        (22.05 + 17.05, Some(5.0), Kind::Search),
        (40.10 + 2.0, None, Kind::Search),
        (43.10 + 11.03, Some(3.0), Kind::Search),
    ];
    assert_eq!(progress.points.len(), expected.len());
    for (point, (end_s, score_s, kind)) in progress.points.iter().zip(expected) {
        near(point.end_s, end_s);
        assert_eq!((point.score_s, point.kind), (score_s, kind));
    }
    assert_eq!(progress.best.iter().map(|best| best.1).collect::<Vec<_>>(), [4.0, 3.0]);
    near(progress.best[1].0, 54.13);
    let phases: Vec<Phase> = progress.phases.iter().map(|phase| phase.0).collect();
    assert_eq!(phases, [Phase::Calibration, Phase::Baseline, Phase::Search]);
    let ends = progress.phases.iter().map(|phase| phase.2);
    ends.zip([7.01, 22.05, 54.13]).for_each(|(a, b)| near(a, b));
}

#[test]
fn a_best_that_is_measured_again_and_slower_is_no_longer_the_best_so_far() {
    let lucky: &[(&str, crate::knobs::Value)] = &[("batch_size", number(1))];
    let made = Made::new().baseline(&[4.0]).search(lucky, 3.0).search(lucky, 4.0);
    let progress = Progress::of(&made.results).unwrap().unwrap();
    assert_eq!(progress.best.iter().map(|best| best.1).collect::<Vec<_>>(), [4.0, 3.0, 3.5]);
}

#[test]
fn a_time_that_is_none_is_refused_by_name() {
    let mut made = gain();
    made.results.trials[2].started = "yesterday".to_owned();
    let refused = format!("{:#}", Progress::of(&made.results).unwrap_err());
    assert!(refused.starts_with("trials.csv: trial 3: started: `yesterday`"), "{refused}");
}

#[test]
fn the_response_of_a_knob_by_hand() {
    let tile = |side| ("vae_tile_size", number(side));
    let made = Made::new()
        .baseline(&[4.0, 4.2])
        .search(&[tile(192)], 3.0)
        .search(&[tile(192), ("batch_size", number(1))], 3.4)
        .search(&[("batch_size", number(1))], 4.5);
    let response = Response::of(&made.results).unwrap();
    let panels: Vec<&str> = response.panels.iter().map(|panel| panel.knob.as_str()).collect();
    assert_eq!(panels, ["vae_tile_size", "batch_size"]);
    let rows = &response.panels[0].rows;
    assert_eq!((&rows[0].value, &rows[1].value), (&number(192), &number(384)));
    assert_eq!((rows[0].baseline, rows[1].baseline), (false, true));
    assert_eq!(rows[0].scores, [3.0, 3.4]);
    assert_eq!((rows[0].median_s, rows[1].median_s), (3.2, 4.25));
    assert_eq!(Response::of(&Made::new().baseline(&[4.0]).results), None);
}

#[test]
fn threads_are_counted_at_what_was_measured() {
    let threads = |count| [("intra_op_threads", number(count))];
    let made = Made::new().baseline(&[1.0, 1.0]);
    let made = [(2, 2.0), (4, 1.4), (5, 1.2)].into_iter().fold(made, |made, (count, score)| {
        made.search(&threads(count), score).search(&threads(count), score)
    });
    let laws = Laws::of(&made.results).unwrap();
    let counts: Vec<f64> = laws.0.stages[0].points.iter().map(|point| point.threads).collect();
    assert_eq!(counts, [2.0, 4.0, 5.0, 8.0]);
    let text = Picture::new("scaling", &laws).unwrap().wide.text;
    // Below the axis stand its numbers, from left to right, and then what they are of.
    let words: Vec<&str> = text.lines().filter(|line| !line.starts_with('<')).collect();
    let end = words.iter().position(|word| *word == "intra_op_threads").unwrap();
    assert_eq!(words[end - 4..end], ["2", "4", "5", "8"]);
}

/// Frames a second, forty for each second that a trial of it takes: 10 and then 20 with five pairs.
fn frames_a_second() -> Made {
    let small: &[(&str, crate::knobs::Value)] = &[("vae_tile_size", number(192))];
    let made = Made::new().baseline(&[4.0]).search(small, 2.0);
    let mut made = made.trial(Phase::Sentinel, &[], Ok(4.0)).pairs(small, &[(4.0, 2.0); 5]);
    for sample in made.results.trials.iter_mut().flat_map(|trial| &mut trial.samples) {
        sample.metric = Some(MetricValue { value: 40.0 / sample.seconds, goal: Direction::Max });
        sample.stages.clear();
    }
    made.results.tune.own = Some(CustomJob::Command(CommandJob {
        words: vec!["./job".to_owned()],
        folder: "/".to_owned(),
        profile_env: "WAN22_PROFILE".to_owned(),
        warmup: 0,
        timeout_s: None,
        metric: Some("json:/fps".to_owned()),
        goal: Direction::Max,
        check: None,
    }));
    made
}

#[test]
fn a_metric_to_be_large_is_itself_in_plots_and_data() {
    let Made { results, .. } = frames_a_second();
    let value: serde_json::Value = serde_json::from_str(&json(&results).unwrap()).unwrap();
    assert_eq!(value["goal"], "max");
    for (who, metric) in [("baseline", 10.0), ("best", 20.0)] {
        assert_eq!((&value[who]["score_s"], &value[who]["metric"]), (&().into(), &metric.into()));
    }
    let ranked = csv(&results).unwrap();
    let rows: Vec<Vec<&str>> = ranked.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0][..2], ["rank", "metric"]);
    assert_eq!((rows[1][1], rows[2][1]), ("20", "10"));
    for picture in pictures(&results).unwrap().iter().filter(|picture| picture.name != "placement")
    {
        let text = &picture.wide.text;
        let words: Vec<&str> = text.lines().filter(|line| !line.starts_with('<')).collect();
        let said = [picture.title.as_str(), text].join(" ");
        assert!(said.contains("metric (more is better)"), "{}: {words:?}", picture.name);
        assert!(!said.contains("seconds a clip"), "{}: {words:?}", picture.name);
        if picture.name == "progress" {
            assert!(words.contains(&"10.0") && words.contains(&"20.0"), "{words:?}");
        }
    }
}

#[test]
fn sentinels_and_void_trials_are_told_from_others() {
    let one: &[(&str, crate::knobs::Value)] = &[("batch_size", number(1))];
    let sentinel = |made: Made, score| made.trial(Phase::Sentinel, &[], Ok(score));
    let made = Made::new().baseline(&[4.0, 4.0]).search(one, 3.0);
    // The baseline takes half as long again, twice: the trial before it can't be judged.
    let made = sentinel(sentinel(made, 6.0), 6.0).search(&[("batch_size", number(4))], 5.0);
    let progress = Progress::of(&made.results).unwrap().unwrap();
    let phases: Vec<Phase> = progress.phases.iter().map(|phase| phase.0).collect();
    assert_eq!(phases, [Phase::Baseline, Phase::Search]);
    let kinds: Vec<Kind> = progress.points.iter().map(|point| point.kind).collect();
    use Kind::{Baseline, Search, Sentinel, Void};
    assert_eq!(kinds, [Baseline, Baseline, Void, Sentinel, Sentinel, Search]);
    assert_eq!(progress.best.iter().map(|best| best.1).collect::<Vec<_>>(), [4.0]);
    let text = Picture::new("progress", &progress).unwrap().wide.text;
    assert!(text.contains("baseline again, as sentinel") && text.contains("void"), "{text}");
}

#[test]
fn pairs_by_hand() {
    let at =
        |batch, threads| [("batch_size", number(batch)), ("intra_op_threads", number(threads))];
    let made = Made::new().baseline(&[4.0]).search(&at(4, 8), 3.0).search(&at(4, 4), 2.0);
    let more = [at(4, 4).as_slice(), &[("io_workers", number(2))]].concat();
    let Pairs { grids, .. } = Pairs::of(&made.clone().search(&more, 5.0).results).unwrap();
    let names: Vec<[&str; 2]> =
        grids.iter().map(|grid| [grid.across.as_str(), grid.down.as_str()]).collect();
    assert_eq!(names, [["batch_size", "intra_op_threads"]]);
    assert_eq!(grids[0].columns, [number(2), number(4)]);
    let row = |threads, cells: [Option<f64>; 2]| (number(threads), cells.to_vec());
    assert_eq!(grids[0].rows, [row(4, [None, Some(3.5)]), row(8, [Some(4.0), Some(3.0)])]);
    // Four of six cells are enough.
    let third = made.search(&at(4, 1), 9.0);
    assert_eq!(Pairs::of(&third.results).unwrap().grids[0].rows.len(), 3);
    assert_eq!(Pairs::of(&Made::new().baseline(&[4.0]).results), None);
}

#[test]
fn places_by_hand() {
    let machine = crate::machine::Machine::from_synthetic("package:1 l3:2 core:2 pu:2").unwrap();
    let set = |cpus: &[u32]| cpus.iter().copied().collect::<crate::machine::CpuSet>();
    let mut placement = crate::knobs::placement::Placement::shared(set(&[0, 2]));
    (placement.model, placement.io) = (set(&[0, 1]), set(&[2, 4]));
    let Places(groups) = Places::of(&machine, &placement).unwrap();
    let users = |group: &plots::placement::Group| -> Vec<(u32, User)> { group.cores.concat() };
    use User::{Both, Model, Nobody, Workers};
    assert_eq!(users(&groups[0]), [(0, Both), (1, Model), (2, Workers), (3, Nobody)]);
    assert_eq!(users(&groups[1]), [(4, Workers), (5, Nobody), (6, Nobody), (7, Nobody)]);
    assert_eq!(groups[1].name, "L3 group 1, node 0");
}

#[test]
fn stages_by_hand() {
    let stages = Stages::of(&gain().results).unwrap();
    let names: Vec<&str> = stages.rows.iter().map(|row| row.name).collect();
    assert_eq!(names, ["read", "preprocess", "pack", "encode", "denoise", "decode", "write"]);
    // Half of a clip's time, and six tenths in the others: 1.1 busy seconds a second.
    assert_eq!((stages.rows[4].baseline_s, stages.rows[4].best_s), (Some(2.0), Some(1.5)));
    assert!(stages.overlap().0.is_some_and(|overlap| (overlap - 1.1).abs() < 1e-9));
    let alone = Stages::of(&Made::new().baseline(&[4.0]).results).unwrap();
    assert_eq!((alone.clip.baseline_s, alone.clip.best_s), (Some(4.0), None));
    assert_eq!(Stages::of(&Made::new().results), None);
}

#[test]
fn drift_by_hand() {
    let drift = |scores: &[f64]| Drift::of(&Made::new().baseline(scores).results).unwrap();
    let steady = drift(&[4.0; 5]).unwrap();
    assert_eq!((steady.spread(), steady.slowdown()), (Some(0.0), Some(0.0)));
    let two = drift(&[3.0, 5.0]).unwrap();
    assert_eq!(two.slowdown(), None);
    assert!((two.spread().unwrap() - 2.0_f64.sqrt() / 4.0).abs() < 1e-12);
    assert!(drift(&[4.0, 4.1, 4.2, 4.3, 4.4]).unwrap().slowdown().unwrap() > 0.08);
    assert_eq!(drift(&[4.0]), None);
}

#[test]
fn failures_are_grouped_by_what_they_say() {
    let made = Made::new()
        .fails(&[], Outcome::Timeout, "killed after 30 s")
        .fails(&[], Outcome::Crashed, "fp32: no kernel at 0x7f")
        .fails(&[], Outcome::Timeout, "killed after 31.5 s")
        .fails(&[], Outcome::Crashed, "signal 9");
    assert_snapshot!(tables::trials::failures(&made.results).to_terminal(), @r#"
    times  outcome  cause                    trials
        2  timeout  killed after # s         1, 3
        1  crashed  fp32: no kernel at 0x7f  2
        1  crashed  signal 9                 4
    "#);
}

#[test]
fn the_markdown_of_a_gain() {
    assert_snapshot!(markdown(&gain().results), @r#"
    `wan22-tune --budget 4m` on Test CPU, 8 cores:

    **Gain: 25.0% less time a clip than the baseline (95% interval 24.8% to 25.2%, 5 pairs).**

    |  | baseline | finalist |
    | --- | ---: | ---: |
    | seconds a clip | 4.00 | 3.00 |
    | vae_tile_size | 384 | 192 |
    | intra_op_threads | 8 | same |
    | preprocess_workers | 2 | same |
    | batch_size | 2 | same |
    | affinity | none | same |

    | busy seconds a clip | baseline | best |
    | --- | ---: | ---: |
    | read | 0.400 | 0.300 |
    | preprocess | 0.400 | 0.300 |
    | pack | 0.400 | 0.300 |
    | encode | 0.400 | 0.300 |
    | denoise | 2.00 | 1.50 |
    | decode | 0.400 | 0.300 |
    | write | 0.400 | 0.300 |

    14 trials: 13 ok, 1 timeout. Budget 4 min: 2 min 17 s measured, 28 s (11.7% of the budget, 16.0% of a trial measured in full) to start and warm up workers, 14 s between trials.
    "#);
}

#[test]
fn the_ranking_as_csv() {
    let text = csv(&gain().results).unwrap();
    let mut rows = text.lines();
    let knobs = gain().results.space.given.baseline;
    let knobs: Vec<String> = knobs.keys().map(|name| format!("knob.{name}")).collect();
    let header = format!("rank,score_s,trials,baseline,{}", knobs.join(","));
    assert_eq!(rows.next(), Some(header.as_str()));
    let shown: Vec<usize> = ["rank", "score_s", "trials", "baseline"]
        .into_iter()
        .chain(["knob.affinity", "knob.allocator", "knob.batch_size", "knob.vae_tile_size"])
        .map(|name| header.split(',').position(|column| column == name).unwrap())
        .collect();
    let cells = |row: &str| {
        let cells: Vec<&str> = row.split(',').collect();
        shown.iter().map(|&column| cells[column]).collect::<Vec<_>>().join(",")
    };
    let rows: Vec<String> = rows.map(cells).collect();
    assert_eq!(
        rows,
        [
            "1,3,1,false,none,glibc,2,192",
            "2,3.5,1,false,compact,glibc,4,384",
            "3,4,1,true,none,glibc,2,384"
        ]
    );
}

#[test]
fn the_json_says_what_the_summary_says() {
    let value: serde_json::Value = serde_json::from_str(&json(&gain().results).unwrap()).unwrap();
    assert_eq!(value["verdict"]["claim"], true);
    assert_eq!(value["best"]["knobs"]["vae_tile_size"], 192);
    assert_eq!(value["trials"]["outcomes"]["timeout"], 1);
    let empty: serde_json::Value =
        serde_json::from_str(&json(&Made::new().results).unwrap()).unwrap();
    assert_eq!(empty["verdict"]["claim"], false);
    assert!(empty["best"].is_null() && empty["stages"].is_null() && empty["importance"].is_null());
}

/// A clip takes twice as long with each smaller tile, whatever the batch and the workers.
#[test]
fn the_json_tells_what_each_knob_explains_and_how_the_cost_answers() {
    let mut made = Made::new().baseline(&[1.0]);
    for (batch, workers) in [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2), (4, 2)] {
        for (tile, seconds) in [(384, 1.0), (256, 2.0), (192, 4.0)] {
            let others = [("batch_size", batch), ("preprocess_workers", workers)];
            let values = [others[0], others[1], ("vae_tile_size", tile)];
            made = made.search(&values.map(|(name, value)| (name, number(value))), seconds);
        }
    }
    let value: serde_json::Value = serde_json::from_str(&json(&made.results).unwrap()).unwrap();
    let first = &value["importance"][0];
    assert_eq!(first["knob"], "vae_tile_size");
    assert!(first["share"].as_f64().unwrap() > 0.7, "{first}");
    assert!((0.0..0.3).contains(&first["error"].as_f64().unwrap()), "{first}");
    let curve = first["curve"].as_array().unwrap();
    let at = |size: i64| curve.iter().find(|at| at["value"] == size).unwrap();
    let ratio = |size| at(size)["ratio"].as_f64().unwrap();
    assert!(ratio(384) < ratio(256) && ratio(256) < ratio(192));
    assert_eq!(at(192)["observed"], 6);
    assert!(at(192)["log_error"].as_f64().unwrap() > 0.0);
}

/// Every file below a folder, by name.
fn files(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn machine_space_and_journal_alone_give_the_same_bytes_again() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::new(place.path());
    simulated(40).write(&folder);
    let make = || {
        write(&folder, &Results::open(&folder).unwrap(), false).unwrap();
        files(folder.path())
    };
    let first = make();
    let endings = |ending: &str| first.keys().filter(|name| name.ends_with(ending)).count();
    assert!(endings(".svg") >= 4 && endings(".svg") == endings(".png"));
    fs::remove_file(folder.profile()).unwrap();
    fs::remove_file(folder.report()).unwrap();
    fs::remove_dir_all(folder.plots()).unwrap();
    assert!(make() == first);
    crate::profile::Profile::read(&folder.profile()).unwrap();
}

#[test]
fn every_kind_of_tune_has_a_page() {
    let mut single = gain();
    single.results.workload.sizes.clips = 1;
    let tunes = [
        Made::new(),
        Made::new().baseline(&[4.0]),
        Made::new().fails(&[], Outcome::Crashed, "signal 9"),
        Made::new().baseline(&[4.0]).search(&[("batch_size", number(1))], 3.0),
        single,
    ];
    for made in tunes {
        let pictures = pictures(&made.results).unwrap();
        let page = page::page(&made.results, &pictures, None).unwrap();
        assert!(page.contains(&verdict_of(&made).replace('<', "&lt;")));
    }
}

#[test]
fn strings_from_files_stay_strings() {
    let evil = "<script>alert(1)</script>\"'&|\u{1b}[31m";
    let mut made = Made::new().baseline(&[4.0]).search(&[("affinity", word(evil))], 3.0).fails(
        &[],
        Outcome::Crashed,
        evil,
    );
    let Results { machine, tune, workload, space, .. } = &mut made.results;
    let strings = [&mut machine.host, &mut machine.cpu.model, &mut machine.kernel];
    let strings = strings.into_iter().chain([&mut tune.command, &mut tune.tool]);
    strings.chain([&mut workload.name, &mut space.name]).for_each(|s| evil.clone_into(s));
    machine.notes.push(evil.to_owned());
    space.knobs[4].levels.push(word(evil));
    let pictures = pictures(&made.results).unwrap();
    let page = page::page(&made.results, &pictures, None).unwrap();
    assert!(page.matches("&lt;script&gt;alert(1)").count() > 10);
    assert_eq!(page.matches("<script").count(), 1, "the sorting of tables");
    let svgs = pictures.into_iter().map(|picture| picture.svg);
    for text in svgs.chain([page, markdown(&made.results), summary_of(&made)]) {
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    let cell = "| affinity | none | &lt;script&gt;alert(1)&lt;/script&gt;\"'&amp;\\| \\[31m |";
    assert!(markdown(&made.results).contains(cell));
}

#[test]
fn a_page_needs_nothing_else() {
    let made = gain();
    let pictures = pictures(&made.results).unwrap();
    let page = page::page(&made.results, &pictures, None).unwrap();
    assert!(!page.contains("http:") && !page.contains("https:"));
}

#[test]
fn plots_use_the_embedded_font_and_colours_that_the_dark_scheme_knows() {
    for picture in pictures(&simulated(30).results).unwrap() {
        assert!(picture.svg.contains("@font-face{font-family:\"DejaVu Sans\""));
        let families = picture.wide.text.matches("font-family=").count();
        assert!(families > 0);
        assert_eq!(picture.wide.text.matches("font-family=\"DejaVu Sans\"").count(), families);
        let known: Vec<String> =
            plots::palette::all().map(|colour| format!("{:06X}", colour.light)).collect();
        for part in picture.wide.text.split("=\"#").skip(1) {
            assert!(known.contains(&part[..6].to_owned()), "#{} in {}", &part[..6], picture.name);
        }
    }
}

/// A plot of words alone.
struct Words(&'static str);

impl plots::Plot for Words {
    fn title(&self) -> String {
        self.0.to_owned()
    }

    fn legend(&self) -> plots::Legend {
        Vec::new()
    }

    fn height(&self, _width: f64) -> f64 {
        10.0
    }

    fn draw<B: plotters::prelude::DrawingBackend>(
        &self,
        _canvas: &plots::canvas::Canvas<B>,
    ) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        Ok(())
    }
}

#[test]
fn bitmaps_hold_the_words() {
    let dark_dots = |words| {
        let picture = Picture::new("words", &Words(words)).unwrap();
        let image = image::load_from_memory(&picture.png).unwrap().to_luma8();
        image.pixels().filter(|pixel| pixel.0[0] < 128).count()
    };
    assert_eq!(dark_dots(""), 0);
    let (one, two) = (dark_dots("baseline"), dark_dots("baseline baseline"));
    // Glyphs fall on whole pixels, so twice the words are about twice the ink.
    assert!(one > 200 && two.abs_diff(2 * one) < one / 4, "{one} {two}");
}
