//! What plots hold, worked out by hand.

use super::*;

/// Trials start a second after the one before and last 2 s plus 3.01 times their score.
#[test]
fn progress_by_hand() {
    let made = Made::new()
        .trial(Phase::Calibration, &[], Ok(1.0))
        .baseline(&[4.0])
        .search(&[("batch_size", number(1))], 5.0)
        .fails(&[("batch_size", number(4))], Outcome::Crashed, "")
        .search(&[("vae_tile_size", number(192))], 3.0);
    let progress = ProgressPlot::of(&made.results).unwrap().unwrap();
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
    let expected = [
        (7.01 + 14.04, Some(4.0), TrialKind::Baseline),
        (22.05 + 17.05, Some(5.0), TrialKind::Search),
        (40.10 + 2.0, None, TrialKind::Search),
        (43.10 + 11.03, Some(3.0), TrialKind::Search),
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
    let progress = ProgressPlot::of(&made.results).unwrap().unwrap();
    assert_eq!(progress.best.iter().map(|best| best.1).collect::<Vec<_>>(), [4.0, 3.0, 3.5]);
}

#[test]
fn a_time_that_is_none_is_refused_by_name() {
    let mut made = gain();
    made.results.trials[2].started = "yesterday".to_owned();
    let refused = format!("{:#}", ProgressPlot::of(&made.results).unwrap_err());
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
    let response = ResponsePlot::of(&made.results).unwrap();
    let panels: Vec<&str> = response.panels.iter().map(|panel| panel.knob.as_str()).collect();
    assert_eq!(panels, ["vae_tile_size", "batch_size"]);
    let rows = &response.panels[0].rows;
    assert_eq!((&rows[0].value, &rows[1].value), (&number(192), &number(384)));
    assert_eq!((rows[0].baseline, rows[1].baseline), (false, true));
    assert_eq!(rows[0].scores, [3.0, 3.4]);
    assert_eq!((rows[0].median_s, rows[1].median_s), (3.2, 4.25));
    assert_eq!(ResponsePlot::of(&Made::new().baseline(&[4.0]).results), None);
}

#[test]
fn threads_are_counted_at_what_was_measured() {
    let threads = |count| [("intra_op_threads", number(count))];
    let made = Made::new().baseline(&[1.0, 1.0]);
    let made = [(2, 2.0), (4, 1.4), (5, 1.2)].into_iter().fold(made, |made, (count, score)| {
        made.search(&threads(count), score).search(&threads(count), score)
    });
    let laws = ScalingPlot::of(&made.results).unwrap();
    let counts: Vec<f64> = laws.0.stages[0].points.iter().map(|point| point.threads).collect();
    assert_eq!(counts, [2.0, 4.0, 5.0, 8.0]);
    let text = Picture::new("scaling", &laws).unwrap().wide.text;
    // Below the axis stand its numbers, from left to right, and then what they are of.
    let words: Vec<&str> = text.lines().filter(|line| !line.starts_with('<')).collect();
    let end = words.iter().position(|word| *word == "intra_op_threads").unwrap();
    assert_eq!(words[end - 4..end], ["2", "4", "5", "8"]);
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
        assert!(!said.contains("seconds per clip"), "{}: {words:?}", picture.name);
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
    let progress = ProgressPlot::of(&made.results).unwrap().unwrap();
    let phases: Vec<Phase> = progress.phases.iter().map(|phase| phase.0).collect();
    assert_eq!(phases, [Phase::Baseline, Phase::Search]);
    let kinds: Vec<TrialKind> = progress.points.iter().map(|point| point.kind).collect();
    use TrialKind::{Baseline, Invalidated, Search, Sentinel};
    assert_eq!(kinds, [Baseline, Baseline, Invalidated, Sentinel, Sentinel, Search]);
    assert_eq!(progress.best.iter().map(|best| best.1).collect::<Vec<_>>(), [4.0]);
    let text = Picture::new("progress", &progress).unwrap().wide.text;
    assert!(text.contains("baseline again, as sentinel") && text.contains("invalidated"), "{text}");
}

#[test]
fn pairs_by_hand() {
    let at =
        |batch, threads| [("batch_size", number(batch)), ("intra_op_threads", number(threads))];
    let made = Made::new().baseline(&[4.0]).search(&at(4, 8), 3.0).search(&at(4, 4), 2.0);
    let more = [at(4, 4).as_slice(), &[("io_workers", number(2))]].concat();
    let PairsPlot { grids, .. } = PairsPlot::of(&made.clone().search(&more, 5.0).results).unwrap();
    let names: Vec<[&str; 2]> =
        grids.iter().map(|grid| [grid.across.as_str(), grid.down.as_str()]).collect();
    assert_eq!(names, [["batch_size", "intra_op_threads"]]);
    assert_eq!(grids[0].columns, [number(2), number(4)]);
    let row = |threads, cells: [Option<f64>; 2]| (number(threads), cells.to_vec());
    assert_eq!(grids[0].rows, [row(4, [None, Some(3.5)]), row(8, [Some(4.0), Some(3.0)])]);
    // Four of six cells are enough.
    let third = made.search(&at(4, 1), 9.0);
    assert_eq!(PairsPlot::of(&third.results).unwrap().grids[0].rows.len(), 3);
    assert_eq!(PairsPlot::of(&Made::new().baseline(&[4.0]).results), None);
}

#[test]
fn places_by_hand() {
    let machine = crate::machine::Machine::synthetic("package:1 l3:2 core:2 pu:2");
    let set = |cpus: &[u32]| cpus.iter().copied().collect::<crate::machine::CpuSet>();
    let mut placement = crate::knobs::placement::Placement::shared(set(&[0, 2]));
    (placement.model, placement.io) = (set(&[0, 1]), set(&[2, 4]));
    let PlacementPlot(groups) = PlacementPlot::of(&machine, &placement).unwrap();
    let users =
        |group: &plots::placement::L3Group| -> Vec<(u32, CpuOwner)> { group.cores.concat() };
    use CpuOwner::{Both, Model, Nobody, Workers};
    assert_eq!(users(&groups[0]), [(0, Both), (1, Model), (2, Workers), (3, Nobody)]);
    assert_eq!(users(&groups[1]), [(4, Workers), (5, Nobody), (6, Nobody), (7, Nobody)]);
    assert_eq!(groups[1].name, "L3 group 1, node 0");
}

#[test]
fn stages_by_hand() {
    let stages = StagesPlot::of(&gain().results).unwrap();
    let names: Vec<&str> = stages.rows.iter().map(|row| row.name).collect();
    assert_eq!(names, ["read", "preprocess", "pack", "encode", "denoise", "decode", "write"]);
    // Half of a clip's time, and six tenths in the others: 1.1 busy seconds per second.
    assert_eq!((stages.rows[4].baseline_s, stages.rows[4].best_s), (Some(2.0), Some(1.5)));
    assert!(stages.overlap().0.is_some_and(|overlap| (overlap - 1.1).abs() < 1e-9));
    let alone = StagesPlot::of(&Made::new().baseline(&[4.0]).results).unwrap();
    assert_eq!((alone.clip.baseline_s, alone.clip.best_s), (Some(4.0), None));
    assert_eq!(StagesPlot::of(&Made::new().results), None);
}

#[test]
fn drift_by_hand() {
    let drift = |scores: &[f64]| DriftPlot::of(&Made::new().baseline(scores).results).unwrap();
    let steady = drift(&[4.0; 5]).unwrap();
    assert_eq!((steady.spread(), steady.slowdown()), (Some(0.0), Some(0.0)));
    let two = drift(&[3.0, 5.0]).unwrap();
    assert_eq!(two.slowdown(), None);
    assert!((two.spread().unwrap() - 2.0_f64.sqrt() / 4.0).abs() < 1e-12);
    assert!(drift(&[4.0, 4.1, 4.2, 4.3, 4.4]).unwrap().slowdown().unwrap() > 0.08);
    assert_eq!(drift(&[4.0]), None);
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

    fn draw<B: plots::canvas::Backend>(&self, _canvas: &plots::canvas::Canvas<B>) -> Result<()> {
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
