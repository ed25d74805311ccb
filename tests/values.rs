//! Floats and switches of a command's own, from the space file to the profile and its exports.

mod harness;

use std::path::PathBuf;

use harness::{Run, World};
use serde_json::{Value as Json, json};
use wan22_tune::knobs::{Kind, Value};
use wan22_tune::results::{Folder, Results};
use wan22_tune::trial::Outcome;

/// A threshold over more than a decade, a fraction, a switch, and a knob of the tool's own.
const SPACE: &str = r#"
schema = 1
name = "mine"
why = "What the script reads."

[knob.threshold]
why = "Below it a step is taken from the cache."
range = { min = 0.01, max = 0.3, levels = 16 }
scale = "log"
default = 0.2

[knob.strength]
why = "Anything from nothing to all."
range = { min = 0, max = 1, step = 0.25 }
default = 0

[knob.compile]
why = "Whether kernels are compiled."
values = [false, true]
default = false

[[constraint]]
holds = "threshold > 0.015 || strength in [0, 0.5] || !compile"
why = "Only shows that expressions can name them."
"#;

/// The less the nearer threshold is to 0.0489 on a logarithmic scale and strength to a half, and 3
/// more without the switch. The levels are powers of 30^(1/15) times 0.01, and 0.0489 is the
/// seventh: 2 at the best.
const SCRIPT: &str = r#"#!/bin/sh
awk -v t="$WAN22_THRESHOLD" -v s="$WAN22_STRENGTH" -v c="$WAN22_COMPILE" \
  'BEGIN { d = log(t / 0.0489); print "cost=" 2 + d * d + (s - 0.5) ^ 2 + 3 * (1 - c) }'
"#;

fn world() -> World {
    let world = World::with_job(SCRIPT);
    std::fs::write(world.path().join("mine.toml"), SPACE).unwrap();
    world
}

fn tune(world: &World, flags: &[&str]) -> Run {
    let space = ["--space", "mine.toml", "--metric", "cost=(.*)", "--repetitions", "1"];
    world.tuner(&[&space[..], flags, &["--", "./job.sh"]].concat()).run()
}

fn profile(world: &World) -> Json {
    let text = std::fs::read(world.folder().join("profile.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn a_logarithmic_threshold_is_found_and_shipped() {
    let world = world();
    let run = tune(&world, &["--budget", "10m", "--trials", "60"]).exits(0);
    let best = json!({ "compile": true, "strength": 0.5, "threshold": 0.0489 });
    assert_eq!(profile(&world)["custom_knobs"], best, "{}", run.stdout);
    assert_eq!(profile(&world)["candidate"]["compile"], Json::Null);
    shipped(&world);
    headless(&world);
    rewritten(&world);
    warm_start(&world);
}

/// The winner's values in the exports, and what the command finds under `exec`.
fn shipped(world: &World) {
    let path = world.folder().join("profile.json");
    let path = path.to_str().unwrap();
    let export = |form: &str| world.tuner(&["export", "--format", form, path]).run().stdout;
    for line in ["WAN22_THRESHOLD=0.0489", "WAN22_STRENGTH=0.5", "WAN22_COMPILE=1"] {
        for form in ["env", "sh", "docker", "slurm", "numactl"] {
            assert!(export(form).contains(line), "{form}: {}", export(form));
        }
    }
    let python = export("python");
    assert!(python.contains("\"threshold\": 0.0489,"), "{python}");
    assert!(python.contains("\"compile\": True,"), "{python}");
    let exec = ["exec", "--profile", path, "--", "./job.sh"];
    assert_eq!(world.tuner(&exec).run().stdout, "cost=2\n");
    let show = world.tuner(&["space", "--space", "mine.toml"]).run();
    assert!(show.stdout.contains("[0.2] 0.239 0.3  (log)"), "{}", show.stdout);
    let shown = world.tuner(&["report", "--format", "json", path.trim_end_matches("profile.json")]);
    assert!(shown.run().stdout.contains("\"threshold\":"));
}

/// Where row 1 is damaged, the kinds still come from the baseline.
fn headless(world: &World) {
    let before = world.results();
    let journal = world.folder().join("trials.csv");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("knob.threshold", "knob.thr#shold", 1)).unwrap();
    let after = world.results();
    assert!(after.lost[0].contains("row 1 of trials.csv"), "{:?}", after.lost);
    assert_eq!((&after.trials, kinds(&after)), (&before.trials, kinds(&before)));
    std::fs::write(&journal, text).unwrap();
}

fn kinds(results: &Results) -> Vec<Kind> {
    results.trials.iter().flat_map(|trial| trial.knobs.values().map(Value::kind)).collect()
}

/// A spreadsheet writes whole floats without their point and switches in capitals.
fn rewritten(world: &World) {
    let before = world.results();
    let journal = world.folder().join("trials.csv");
    let text = std::fs::read_to_string(&journal).unwrap();
    let columns: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let place = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let (strength, compile) = (place("knob.strength"), place("knob.compile"));
    let (trial, batch) = (place("trial"), place("knob.batch_size"));
    let row = |line: &str| {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let cells = reader.records().next().unwrap().unwrap();
        let mut cells: Vec<String> = cells.iter().map(str::to_owned).collect();
        cells[strength] = cells[strength].trim_end_matches(".0").to_owned();
        cells[compile] = cells[compile].to_uppercase();
        cells[batch] += ".0";
        cells[trial] += ".0";
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(cells).unwrap();
        String::from_utf8(writer.into_inner().unwrap()).unwrap()
    };
    let rows: String = text.lines().skip(1).map(row).collect();
    std::fs::write(&journal, format!("{}\n{rows}", columns.join(","))).unwrap();
    let after = Results::open(&Folder::new(world.folder())).unwrap();
    assert_eq!(after.lost, [""; 0]);
    assert_eq!(after.trials, before.trials);
    assert_eq!(kinds(&after), kinds(&before));
}

/// The best of an earlier tune is among the first that another one tries.
fn warm_start(world: &World) {
    let earlier = world.path().join("earlier");
    std::fs::rename(world.folder(), &earlier).unwrap();
    let from = ["space", "--space", "mine.toml", "--baseline", "earlier/profile.json"];
    let space = world.tuner(&from).run();
    assert!(
        space.stdout.contains("[0.0489]") && space.stdout.contains("[true]"),
        "{}",
        space.stderr
    );
    tune(world, &["--budget", "10m", "--trials", "4", "--warm-start", "earlier"]).exits(0);
    let trials = world.results().trials;
    let best = |trial: &&wan22_tune::trial::Trial| {
        trial.knobs["threshold"] == Value::float(0.0489).unwrap()
            && trial.knobs["compile"] == Value::Switch(true)
    };
    let first = trials.iter().find(best).unwrap();
    assert_eq!((first.outcome, first.number < 5), (Outcome::Ok, true));
}

/// The folders of results, by name.
fn folders(world: &World) -> Vec<PathBuf> {
    let results = std::fs::read_dir(world.path().join("results")).unwrap();
    let mut folders: Vec<PathBuf> = results.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// The first has the day and the machine for a name, the others a number behind it.
#[test]
fn a_second_tune_starts_from_the_first_and_resumes_without_it() {
    let world = world();
    let first = tune(&world, &["--budget", "10m", "--trials", "40"]).exits(0);
    assert!(!first.stderr.contains("starting from"), "{}", first.stderr);
    let best = Results::open(&Folder::new(world.folder())).unwrap();
    let best = best.findings().ranking[0].knobs.clone();
    let flags = ["--budget", "10m", "--trials", "4", "--seed", "2"];
    let cold = tune(&world, &[&flags[..], &["--cold"]].concat());
    assert!(!cold.stderr.contains("starting from"), "{}", cold.stderr);
    let warm = tune(&world, &flags);
    assert!(warm.stderr.contains("starting from results/"), "{}", warm.stderr);
    let all = folders(&world);
    // The cold one measured too little to say anything.
    let cold = format!("{} (--cold", all[1].file_name().unwrap().display());
    assert!(!warm.stderr.contains(&cold), "{}", warm.stderr);
    let results = Results::open(&Folder::new(&all[2])).unwrap();
    let found = results.trials.iter().find(|trial| trial.knobs == best).unwrap();
    assert!(found.number < 6, "{}", found.number);
    // What could be opened is what a resumed search starts from.
    std::fs::create_dir_all(world.path().join("earlier/odd")).unwrap();
    std::fs::write(world.path().join("earlier/odd/trials.csv"), "odd").unwrap();
    std::fs::rename(&all[1], world.path().join("earlier/cold")).unwrap();
    let named = tune(&world, &[&flags[..], &["--warm-start", "earlier"]].concat());
    assert_eq!(named.stderr.matches("; skipped").count(), 1, "{}", named.stderr);
    let is_new = |path: &PathBuf| *path != all[0] && *path != all[2];
    let last = folders(&world).into_iter().find(is_new).unwrap();
    let arguments = Results::open(&Folder::new(&last)).unwrap().tune.arguments;
    let sources = arguments.iter().filter(|word| word.contains("warm-start"));
    let cold = std::path::absolute(world.path().join("earlier/cold")).unwrap();
    assert_eq!(sources.collect::<Vec<_>>(), [&format!("--warm-start={}", cold.display())]);
    std::fs::write(cold.join("machine.json"), "{}").unwrap();
    let more = ["--budget", "10m", "--trials", "5"];
    let resume = [&["resume", last.to_str().unwrap()], &more[..]].concat();
    let resumed = world.tuner(&resume).run();
    assert_eq!(resumed.status, Some(0), "{}", resumed.stderr);
    assert_eq!(resumed.stderr.matches("the search goes on without it").count(), 1);

    std::fs::remove_dir_all(&all[0]).unwrap();
    let folder = all[2].to_str().unwrap();
    let resumed =
        world.tuner(&["resume", folder, "--budget", "10m", "--trials", "6"]).run().exits(0);
    assert!(
        resumed.stderr.contains("is gone: the search goes on without it"),
        "{}",
        resumed.stderr
    );
}

#[test]
fn what_is_wrong_in_a_space_file_is_said_before_anything_runs() {
    let world = world();
    for (from, to, says) in [
        ("min = 0.01", "min = nan", "knob.threshold.range.min is NaN: give a finite number"),
        ("min = 0.01", "min = 0", "knob.threshold.range.min: 0.0: a logarithmic scale"),
        ("levels = 16", "levels = 1", "knob.threshold.range.levels: 1: give 2 to 2000"),
        ("default = 0.2", "", "knob.threshold: no such knob; there are"),
        ("default = 0.2", "default = true", "knob.threshold.scale: only numbers have one"),
        (
            "values = [false, true]",
            "range = { min = 0, max = 1 }",
            "knob.compile: `range` does not fit",
        ),
        ("default = 0.2", "default = -1", "knob.threshold.scale: `-1.0` is none of its values"),
        ("\"log\"", "\"root\"", "knob.threshold: unknown variant `root`"),
        (
            "[false, true]",
            "[false, 1]",
            "knob.compile: `1` does not fit: each of its values is true",
        ),
        ("[knob.compile]", "[knob.profile]", "WAN22_PROFILE means something else"),
        ("default = false", "default = false\nscale = \"log\"", "knob.compile.scale: only numbers"),
        ("threshold >", "threshold.x >", "constraint[0].holds"),
    ] {
        let text = SPACE.replacen(from, to, 1);
        assert_ne!(text, SPACE, "{from}");
        std::fs::write(world.path().join("mine.toml"), text).unwrap();
        let run = tune(&world, &["--dry-run"]);
        assert_eq!(run.status, Some(2), "{to}: {}{}", run.stdout, run.stderr);
        let is_said = run.stderr.contains("space mine.toml: ") && run.stderr.contains(says);
        assert!(is_said, "{to}: {}", run.stderr);
    }
    std::fs::write(world.path().join("mine.toml"), SPACE).unwrap();
    let pipeline = world.tuner(&["--budget", "9s", "--space", "mine.toml", "--dry-run"]).run();
    let says = "only a command of your own reads it: give the command after `--`";
    assert!(pipeline.stderr.contains(says), "{}", pipeline.stderr);
}

#[test]
fn a_profile_with_knobs_that_no_command_can_have_is_refused() {
    let world = world();
    assert_eq!(tune(&world, &["--budget", "10m", "--trials", "3"]).status, Some(0));
    let path = world.path().join("odd.json");
    for (name, value, says) in [
        ("batch_size", json!(2), "/custom_knobs/batch_size: its place is /candidate"),
        ("lock_dir", json!("x"), "/custom_knobs/lock_dir: `lock_dir`: WAN22_LOCK_DIR means"),
        ("a b", json!(1), "/custom_knobs/a b: `a b` is no name of a knob"),
        ("mode", json!("$(id)"), "/custom_knobs/mode: `$(id)`: a word begins with"),
        ("mode", json!([1]), "/custom_knobs/mode: "),
    ] {
        let mut odd = profile(&world);
        odd["custom_knobs"] = json!({ name: value });
        std::fs::write(&path, odd.to_string()).unwrap();
        let run = world.tuner(&["exec", "--profile", "odd.json", "--", "true"]).run();
        assert_eq!(run.status, Some(125), "{name}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{name}: {}", run.stderr);
    }
}
