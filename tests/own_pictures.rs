//! Pictures of somebody's own job: a fast and ugly one must not win.

mod harness;

use harness::{Run, World};
use wan22_tune::trial::{Outcome, Phase, Trial};

const JOB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/picture_job.py");

/// A tune of the job over these looks, of which the first is today's.
fn tune(world: &World, looks: &str, flags: &[&str]) -> Run {
    let knob = format!("look={looks} changes:picture");
    let usual = ["--budget", "10m", "--metric", "t = (.+)", "--no-built-in"];
    let job = ["--knob", &knob, "--", "python3", JOB, "{look}"];
    world.tuner(&[&usual[..], flags, &job].concat()).run()
}

/// The first trial of a look in the search.
fn of_look(trials: &[Trial], look: &str) -> Trial {
    let has = |trial: &&Trial| trial.knobs["look"].to_string() == look;
    let mut searched = trials.iter().filter(|trial| trial.phase == Phase::Search);
    searched.find(has).unwrap_or_else(|| panic!("{look}: {trials:?}")).clone()
}

#[test]
fn the_fastest_picture_that_is_good_enough_wins_and_is_shown_beside_the_baselines() {
    let world = World::new();
    let run = tune(&world, "whole|same|near|ugly", &["--output", "out/*.png"]).exits(0);
    // 6 instead of 9: a third less.
    assert!(run.stdout.starts_with("Gain: 33.3% less of the metric"), "{}", run.stdout);
    let trials = world.results().trials;
    let baseline = trials[0].quality.unwrap();
    assert_eq!((baseline.psnr_db, baseline.ssim), (200.0, 1.0));
    let near = of_look(&trials, "near").quality.unwrap();
    // 20 log10(255): each value of the second frame is off by 1.
    assert!((near.psnr_db - 48.131).abs() < 1e-3, "{near:?}");
    let ugly = of_look(&trials, "ugly");
    assert_eq!(ugly.outcome, Outcome::PoorQuality);
    // 20 log10(255 / 90).
    assert_eq!(ugly.detail, "PSNR 9.0 dB in frame 2 against the baseline's; it takes 30.0");
    let same = of_look(&trials, "same");
    assert_eq!(same.detail, "the picture is the baseline's, though look changed");
    let report = std::fs::read_to_string(world.folder().join("report.html")).unwrap();
    assert!(report.contains("<figcaption>the baseline</figcaption>"));
    assert!(report.contains("The frame that differs most from the baseline's of the same seed: "));
}

/// What is missing or not a picture is a failed trial with its reason, and never a number.
#[test]
fn a_run_without_its_pictures_fails_and_no_other_runs_are_taken_for_them() {
    let world = World::new();
    let looks = "whole|none|fewer|small|text";
    let run = tune(&world, looks, &["--output", "out/*.png", "--repetitions", "1"]);
    assert!(run.stdout.starts_with("No significant gain"), "{}{}", run.stdout, run.stderr);
    let trials = world.results().trials;
    for (look, says) in [
        (
            "none",
            "it wrote no file that --output 'out/*.png' means; the 2 that are there are of earlier runs",
        ),
        ("fewer", "1 frames, the baseline made 2"),
        ("small", "frame 1 has 8 x 12 pixels, the baseline's 16 x 12 pixels"),
        (
            "text",
            "9.png: ffmpeg reads everything but PNG, JPEG and AVI of JPEGs, and it is not on PATH: \
             install it (apt install ffmpeg), or have pictures written",
        ),
    ] {
        let trial = of_look(&trials, look);
        // Where there is an ffmpeg it says the same in other words.
        let is_said =
            trial.detail == says || (look == "text" && trial.detail.starts_with("9.png: "));
        assert!(is_said, "{look}: {}", trial.detail);
        assert_eq!((trial.outcome, trial.quality), (Outcome::WrongOutput, None), "{look}");
    }
}

#[test]
fn a_limit_of_ones_own_is_kept_and_what_is_none_is_refused() {
    let world = World::new();
    let flags = ["--output", "out/*.png", "--min-psnr", "9", "--repetitions", "1"];
    let run = tune(&world, "whole|near|ugly", &flags);
    assert!(
        run.stdout.starts_with("Gain: 66.7% less of the metric"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    for (flags, says) in [
        (&["--output", "out/*.png", "--min-psnr", "nan"][..], "give a number from 0 to 200"),
        (&["--output", "out/*.png", "--min-psnr", "inf"], "give a number from 0 to 200"),
        (&["--output", "out/"], "give files, as in 'out/*.png|*.mp4'"),
        (&["--output", "[a"], "is no pattern of files"),
        (&["--min-psnr", "40"], "name the pictures of your command"),
    ] {
        let run = tune(&World::new(), "whole|near", flags);
        assert_eq!(run.status, Some(2), "{flags:?}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{flags:?}: {}", run.stderr);
    }
}

#[test]
fn a_knob_that_should_change_the_picture_and_does_not_is_named() {
    let world = World::new();
    let run = tune(&world, "whole|same", &["--output", "out/*.png", "--repetitions", "1"]);
    let says = "The picture is the baseline's bit for bit in every trial that changed look: the program \
                may not read it.";
    assert!(run.stdout.contains(says), "{}{}", run.stdout, run.stderr);
}

#[test]
fn a_job_without_a_fixed_seed_is_told_so_at_once() {
    let world = World::new();
    std::fs::write(world.path().join("unseeded"), "").unwrap();
    let run = tune(&world, "whole|near", &["--output", "out/*.png", "--repetitions", "2"]).exits(1);
    assert!(
        run.stderr.contains("PSNR 9.0 dB in frame 2 against the baseline's own"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("give the job a fixed seed"), "{}", run.stderr);
}

/// Frames of a video come from ffmpeg, for which a script stands here.
#[test]
fn a_video_is_read_by_ffmpeg() {
    let world = World::new();
    let script = "#!/bin/sh\nwhile [ \"$1\" != -i ]; do shift; done\n\
                  grep -q broken \"$2\" && { echo no moov atom >&2; exit 1; }\n\
                  for shade in $(cat \"$2\"); do printf 'P6\\n1 1\\n255\\n'\"$shade$shade$shade\"; done\n";
    world.script("ffmpeg", script);
    let job = "case $1 in whole) s=9;; near) s=6;; *) s=3;; esac; echo t = $s; mkdir -p out; \
               case $1 in broken) echo broken;; whole) echo '\\100 \\101';; *) echo '\\100 \\102';; esac \
               >out/$(date +%s%N).mp4";
    let all = format!("{}:{}", world.path().display(), std::env::var("PATH").unwrap());
    let words = [
        "--budget",
        "10m",
        "--metric",
        "t = (.+)",
        "--no-built-in",
        "--output",
        "out/*.mp4",
        "--repetitions",
        "1",
        "--knob",
        "look=whole|near|broken changes:picture",
        "--",
        "sh",
        "-c",
        job,
        "sh",
        "{look}",
    ];
    let run = world.tuner(&words).env("PATH", &all).run();
    assert!(
        run.stdout.starts_with("Gain: 33.3% less of the metric"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    let trials = world.results().trials;
    let broken = of_look(&trials, "broken");
    assert!(
        broken.detail.ends_with(".mp4: ffmpeg ended with exit status: 1: no moov atom"),
        "{}",
        broken.detail
    );
    let near = of_look(&trials, "near").quality.unwrap();
    assert!((near.psnr_db - 48.131).abs() < 1e-3, "{near:?}");
    world.tuner(&words).env("PATH", "/nowhere").run().exits(2);
}
