//! Journals that lost rows, or were changed by others: what still holds is used, what does not is
//! named, and a proven profile stays.

mod harness;

use std::fs;
use std::path::{Path, PathBuf};

use harness::{Run, World};
use wan22_tune::knobs::{Value, Values};
use wan22_tune::results::{Folder, Results};
use wan22_tune::space::TuneEnd;
use wan22_tune::trial::journal::{Journal, Reading};
use wan22_tune::trial::{Outcome, Phase, Sample, Trial, journal};

/// A folder whose profile proves a gain of 73.1% in four pairs; its last trial is number 31.
fn proven(world: &World) -> PathBuf {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/2026-11-29-vm");
    let folder = world.path().join("proven");
    fs::create_dir(&folder).unwrap();
    for name in ["machine.json", "space.toml", "trials.csv", "profile.json"] {
        fs::copy(kept.join(name), folder.join(name)).unwrap();
    }
    folder
}

fn report(world: &World, folder: &Path, more: &[&str]) -> Run {
    world.tuner(&[&["report", folder.to_str().unwrap()], more].concat()).run()
}

/// Goes on with three trials more than these.
fn resume(world: &World, folder: &Path, trials: usize) -> Run {
    let trials = (trials + 3).to_string();
    let more = ["--budget", "10m", "--trials", &trials];
    world.tune(&[&["resume", folder.to_str().unwrap()], &more[..]].concat()).run()
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

#[test]
fn a_profile_is_never_replaced_by_one_with_less_proof() {
    let world = World::new();
    let folder = proven(&world);
    let (journal, profile) = (folder.join("trials.csv"), folder.join("profile.json"));
    let whole = fs::read_to_string(&journal).unwrap();
    let proof = fs::read(&profile).unwrap();
    let rows = lines(&whole);
    let without = rows.iter().filter(|row| !row.contains(",confirmation,"));
    let losses = [
        ("emptied", String::new()),
        ("header", rows[0].to_owned()),
        ("nothing but NUL", "\0".repeat(23_057)),
        ("cut within a row", whole[..15_000].to_owned()),
        ("cut between rows", rows[..17].concat()),
        ("no confirmation", without.copied().collect()),
    ];
    for (what, text) in losses {
        fs::write(&journal, text).unwrap();
        let run = report(&world, &folder, &[]);
        assert_eq!(run.status, Some(1), "{what}: {}", run.stderr);
        for words in ["a gain of 73.1% in 4 pairs", "wan22-tune resume", "--force"] {
            assert!(run.stderr.contains(words), "{what}: {}", run.stderr);
        }
        assert_eq!(fs::read(&profile).unwrap(), proof, "{what}");
        assert!(!folder.join("report.html").exists(), "{what}");
    }
    report(&world, &folder, &["--force"]).exits(0);
    assert_eq!(fs::read(folder.join("profile.old.json")).unwrap(), proof);
    assert_ne!(fs::read(&profile).unwrap(), proof);
    // The whole journal proves more than the profile that is there now.
    fs::write(&journal, &whole).unwrap();
    assert_eq!(report(&world, &folder, &[]).status, Some(0));
    let proves = |bytes: &[u8]| {
        let profile: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        profile["evidence"]["pairs"].as_u64()
    };
    assert_eq!(proves(&fs::read(&profile).unwrap()), Some(4));
}

#[test]
fn rows_that_are_there_twice_count_once() {
    let world = World::new();
    let folder = proven(&world);
    let journal = folder.join("trials.csv");
    let whole = fs::read_to_string(&journal).unwrap();
    let rows = lines(&whole);
    fs::write(&journal, [whole.clone(), rows[1..].concat()].concat()).unwrap();
    let before = fs::read(folder.join("profile.json")).unwrap();
    let run = report(&world, &folder, &[]).exits(0);
    assert!(run.stdout.contains("31 trials: 31 ok"), "{}", run.stdout);
    assert!(run.stderr.contains("line 33: trial 1 again, as on line 2; counted once"));
    assert_eq!(fs::read(folder.join("profile.json")).unwrap(), before);
    // Another order says the same.
    let turned: String = rows[..1].iter().chain(rows[1..].iter().rev()).copied().collect();
    fs::write(&journal, turned).unwrap();
    let run = report(&world, &folder, &["--format", "json"]);
    assert_eq!(run.stderr, "");
    let turned = run.stdout;
    fs::write(&journal, whole).unwrap();
    assert_eq!(turned, report(&world, &folder, &["--format", "json"]).stdout);
}

#[test]
fn a_zeroed_or_torn_row_costs_that_row() {
    let world = World::new();
    let folder = proven(&world);
    let journal = folder.join("trials.csv");
    let whole = fs::read_to_string(&journal).unwrap();
    let rows = lines(&whole);
    let half = format!("{}\n", &rows[6][..rows[6].len() / 2]);
    let open = format!("{},\"the worker\n", &rows[6][..60]);
    let damaged = [
        ("\0".repeat(200) + "\n", "NUL bytes"),
        (half, "cells instead of"),
        (open, "cells instead of"),
        (rows[6].replacen(",search,", ",serch,", 1), "phase: `serch` makes no sense"),
    ];
    for (row, why) in damaged {
        let text = [&rows[..6].concat(), &*row, &rows[7..].concat()].concat();
        fs::write(&journal, text).unwrap();
        let trials = Results::open(&Folder::new(&folder)).unwrap();
        assert_eq!(trials.trials.len(), 30);
        let run = report(&world, &folder, &[]).exits(0);
        assert!(run.stdout.starts_with("Gain: 73.1%"), "{}", run.stdout);
        for words in ["line 7: ", why, "trial 6 is missing"] {
            assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
        }
        let replay = [
            "replay",
            journal.to_str().unwrap(),
            "--strategy",
            "random",
            "--seeds",
            "1",
            "--budget",
            "3",
        ];
        for args in [&["compare", folder.to_str().unwrap()][..], &replay] {
            let run = world.tuner(args).run();
            assert_eq!(run.status, Some(0), "{args:?}: {}", run.stderr);
            assert!(run.stderr.contains(why), "{args:?}: {}", run.stderr);
        }
    }
}

/// The journal of a folder as this version writes it, with checksums.
fn checked(folder: &Path) -> String {
    let results = Results::open(&Folder::new(folder)).unwrap();
    let journal = folder.join("trials.csv");
    fs::remove_file(&journal).unwrap();
    let mut new = Journal::create(&journal, results.space.given.baseline.keys(), 9).unwrap();
    results.trials.iter().for_each(|trial| new.append(trial).unwrap());
    fs::read_to_string(journal).unwrap()
}

#[test]
fn a_damaged_header_costs_nothing_where_the_checksums_agree() {
    let world = World::new();
    let folder = proven(&world);
    let journal = folder.join("trials.csv");
    let whole = checked(&folder);
    let rows = lines(&whole);
    let (header, below) = (rows[0], rows[1..].concat());
    let zeroed = "\0".repeat(header.len() - 1);
    let sector = format!("{}{}", "\0".repeat(512), &whole[512..]);
    let damaged = [
        ("zeroed", format!("{zeroed}\n{below}"), 31),
        ("zeroed with its end", format!("{zeroed}\0{below}"), 30),
        ("torn", format!("{}\n{below}", &header[..300]), 31),
        ("gone", below.clone(), 31),
        ("a sector", sector, 31),
        ("one letter of a knob", whole.replacen("knob.intra", "knob.intrb", 1), 31),
        ("one letter of a result", whole.replacen(",wall_s,", ",wall_t,", 1), 31),
        ("one letter of the checksum", whole.replacen(",checksum", ",checksun", 1), 31),
        ("not text", format!("\u{feff}\"{}{below}", header.replacen(',', "\"", 2)), 31),
    ];
    let before = Results::open(&Folder::new(&folder)).unwrap();
    for (what, text, trials) in damaged {
        fs::write(&journal, text).unwrap();
        let results = Results::open(&Folder::new(&folder)).unwrap();
        assert_eq!(results.trials.len(), trials, "{what}: {:?}", results.lost);
        assert_eq!(results.trials, before.trials[31 - trials..], "{what}");
        assert!(results.is_checked, "{what}");
        let run = report(&world, &folder, &["--format", "csv"]);
        assert_eq!(run.status, Some(0), "{what}: {}", run.stderr);
        let said = "row 1 of trials.csv (the names of the columns) was damaged: read as this \
                    program writes them";
        assert!(run.stderr.contains(said), "{what}: {}", run.stderr);
    }
    let run = report(&world, &folder, &[]).exits(0);
    assert!(run.stdout.starts_with("Gain: 73.1%"), "{}", run.stdout);
}

#[test]
fn a_damaged_header_over_rows_that_prove_nothing_is_refused_and_the_profile_stays() {
    let world = World::new();
    let folder = proven(&world);
    let (journal, profile) = (folder.join("trials.csv"), folder.join("profile.json"));
    let proof = fs::read(&profile).unwrap();
    let old = fs::read_to_string(&journal).unwrap();
    assert!(!old.contains("crc32-"), "a journal of an older version");
    let text = checked(&folder);
    let forged = text.replace("crc32-", "crc32-0");
    for text in [old, forged] {
        let (header, below) = text.split_once('\n').unwrap();
        let damaged = format!("{}\n{below}", "\0".repeat(header.len()));
        fs::write(&journal, &damaged).unwrap();
        for command in [["report"], ["resume"]] {
            let words = [&command[..], &[folder.to_str().unwrap()]].concat();
            let run = world.tune(&words).run().exits(1);
            for words in ["row 1 (the names of the columns)", "NUL", "put a whole copy"] {
                assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
            }
            assert!(!run.stderr.contains("before its first trial"), "{}", run.stderr);
            assert_eq!(fs::read(&profile).unwrap(), proof);
            assert_eq!(fs::read_to_string(&journal).unwrap(), damaged);
        }
    }
}

#[test]
fn resume_writes_a_damaged_header_anew() {
    let world = World::new();
    world.tune(&["--budget", "10m", "--strategy", "random"]).kill_after(&world, 4);
    let folder = world.folder();
    let journal = folder.join("trials.csv");
    let text = fs::read_to_string(&journal).unwrap();
    let (header, below) = text.split_once('\n').unwrap();
    let before = world.results().trials;
    fs::write(&journal, format!("{}\n{below}", "\0".repeat(header.len()))).unwrap();
    let run = resume(&world, &folder, before.len()).exits(0);
    assert!(run.stderr.contains("row 1 of trials.csv"), "{}", run.stderr);
    let after = fs::read_to_string(&journal).unwrap();
    assert_eq!(after.split_once('\n').unwrap().0, header);
    let results = world.results();
    assert_eq!(results.trials[..before.len()], before);
    assert!(results.trials.len() > before.len());
    assert_eq!(results.lost, [] as [String; 0]);
}

fn knobs(threads: i64) -> Values {
    [("threads".to_owned(), Value::Integer(threads))].into()
}

fn trial(number: u64) -> Trial {
    let sample = Sample { seconds: 0.1 * number as f64, ..Sample::default() };
    Trial {
        number,
        started: format!("2026-11-24T12:00:0{number}Z"),
        knobs: knobs(number as i64),
        detail: "a \"quoted\", detail".to_owned(),
        samples: vec![sample; 2],
        peak_rss_bytes: Some(4_330_868_736),
        wall_s: 1.25,
        ..Trial::default()
    }
}

fn written(trials: &[Trial]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trials.csv");
    let mut journal = Journal::create(&path, knobs(1).keys(), 2).unwrap();
    trials.iter().for_each(|trial| journal.append(trial).unwrap());
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_changed_cell_costs_its_row_and_another_form_costs_nothing() {
    let trials: Vec<Trial> = (1..=3).map(trial).collect();
    let text = written(&trials);
    let quoted: String = text
        .lines()
        .map(|line| {
            let row = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            let row = row.into_records().next().unwrap().unwrap();
            let cells = row.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
            cells.rev().collect::<Vec<_>>().join(",") + "\r\n"
        })
        .collect();
    let same = [
        text.replace('\n', "\r\n"),
        format!("\u{feff}{text}"),
        text.replace("4330868736", "4330868736.0").replace(",1.25,", ",1.250,"),
        text.trim_end().to_owned(),
        quoted,
    ];
    for text in same {
        assert_eq!(journal::parse(text.as_bytes()).unwrap(), trials, "{text}");
    }
    let changed = [
        text.replacen("4330868736", "4330868737", 1),
        text.replacen("0.1,0.1", "0.1,0.2", 1),
        text.replacen("1.25", "1.2", 1),
        text.replacen("quoted", "quotes", 1),
    ];
    for text in changed {
        let reading = Reading::of(text.as_bytes()).unwrap();
        assert_eq!(reading.trials, trials[1..], "{text}");
        let why = "line 2: its cells do not match its checksum; passed over";
        assert_eq!(reading.notes, [why, "trial 1 is missing: its row was lost"]);
    }
}

/// Three rounds of the baseline (9 threads) and a finalist that fails in the second.
fn confirming() -> Vec<Trial> {
    let of = |number: u64, phase, pair: u64, threads, outcome| Trial {
        phase,
        pair: (pair > 0).then_some(pair),
        knobs: knobs(threads),
        outcome,
        ..trial(number)
    };
    use Outcome::{Crashed, Ok};
    vec![
        of(1, Phase::Baseline, 0, 9, Ok),
        of(2, Phase::Confirmation, 1, 9, Ok),
        of(3, Phase::Confirmation, 1, 4, Ok),
        of(4, Phase::Confirmation, 2, 4, Crashed),
        of(5, Phase::Confirmation, 2, 9, Ok),
        of(6, Phase::Confirmation, 3, 9, Ok),
        of(7, Phase::Confirmation, 3, 4, Ok),
    ]
}

#[test]
fn a_lost_row_may_have_been_a_failure() {
    let whole = written(&confirming());
    let without = |line: usize| -> Vec<Trial> {
        let mut rows = lines(&whole);
        rows[line] = "\0\0\n";
        journal::parse(rows.concat().as_bytes()).unwrap()
    };
    let counted = |trials: &[Trial], threads: i64| -> Vec<u64> {
        let of = trials.iter().filter(|t| t.knobs == knobs(threads) && t.outcome == Outcome::Ok);
        of.map(|trial| trial.number).collect()
    };
    // The finalist's failure: what it measured until that round does not count.
    assert_eq!(counted(&without(4), 4), [7]);
    assert_eq!(counted(&without(4), 9), [1, 2, 5, 6]);
    // The baseline's row: the finalist has one in that round, so no failure can be lost.
    assert_eq!(counted(&without(5), 4), [3, 7]);
    // The last row, which is the finalist's.
    assert_eq!(counted(&without(7), 4), [] as [u64; 0]);
    assert_eq!(counted(&without(6), 4), [3, 7]);
}

#[test]
fn resume_goes_on_with_what_report_reads() {
    let world = World::new();
    world.tune(&["--budget", "10m", "--strategy", "random"]).kill_after(&world, 5);
    let journal = world.folder().join("trials.csv");
    let before = world.results();
    assert_eq!((before.tune.ended, before.is_complete()), (None, Some(false)));
    let text = fs::read_to_string(&journal).unwrap();
    let whole = &text[..=text.rfind('\n').unwrap()];
    let rows = lines(whole);
    // As a spreadsheet saves it, with a row zeroed.
    let zeroed = [&rows[..4].concat(), "\0\0\0\n", &rows[5..].concat()].concat();
    let saved = format!("\u{feff}{}", zeroed.replace('\n', "\r\n"));
    fs::write(&journal, &saved).unwrap();
    let folder = world.folder();
    let run = resume(&world, &folder, before.trials.len()).exits(0);
    assert!(run.stderr.contains("line 5: NUL bytes"), "{}", run.stderr);
    assert_eq!(fs::read_to_string(folder.join("trials.old.csv")).unwrap(), saved);
    let after = world.results();
    let kept: Vec<Trial> = before.trials.iter().filter(|t| t.number != 4).cloned().collect();
    assert_eq!(after.trials[..kept.len()], kept);
    assert!(after.trials.len() > kept.len());
    assert_eq!(after.lost, ["trial 4 is missing: its row was lost"]);
    let text = fs::read_to_string(&journal).unwrap();
    assert!(text.starts_with("trial,") && !text.contains('\r'), "{text}");
    assert!(matches!(
        after.tune.ended,
        Some(TuneEnd::Budget | TuneEnd::Decided | TuneEnd::Exhausted)
    ));
    assert_eq!(after.is_complete(), Some(true));
}

#[test]
fn a_stopped_tune_says_so_in_its_folder() {
    let world = World::new();
    let run =
        world.tune(&["--budget", "10m", "--strategy", "random"]).run_until(&world, 4).exits(0);
    assert!(run.stdout.contains("Cut short: "), "{}", run.stdout);
    let results = world.results();
    assert_eq!(results.tune.ended, Some(TuneEnd::Stopped));
    assert_eq!(results.tune.trials, Some(results.trials.len()));
    let profile = fs::read_to_string(world.folder().join("profile.json")).unwrap();
    let profile: serde_json::Value = serde_json::from_str(&profile).unwrap();
    assert_eq!(profile["evidence"]["complete"], false);
    let space = fs::read_to_string(world.folder().join("space.toml")).unwrap();
    assert!(space.contains("\nended = \"stopped\"\n"), "{space}");
}
