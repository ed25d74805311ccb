//! Whatever is read may be broken: mutated and made-up input is refused or understood, never a
//! panic. Seeded, so that a failure comes again.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use wan22_tune::machine::CpuSet;
use wan22_tune::profile::Profile;
use wan22_tune::runner::Repetitions;
use wan22_tune::runner::response::Response;
use wan22_tune::space::{Space, SpaceFile};
use wan22_tune::trial::journal;
use wan22_tune::workload::{BUILT_IN, WorkloadFile};

/// Mutants of each text.
const MUTANTS: u64 = 400;

/// What breaks parsers.
const SPLINTERS: [&str; 22] = [
    "",
    "\n",
    "\r\n",
    "\"",
    "'",
    ",",
    ",,",
    "=",
    "{",
    "}",
    "[",
    "]",
    "-1",
    "NaN",
    "inf",
    "1e999",
    "18446744073709551616",
    "null",
    "\u{0}",
    "\u{feff}",
    "ß",
    "%s",
];

/// Some bytes cut, doubled, replaced or swapped for a splinter.
fn mutant(text: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(0..20)).min(bytes.len());
        let piece = bytes[at..end].to_vec();
        match rng.random_range(0..5) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..at, piece)),
            2 => bytes.truncate(at),
            3 => drop(bytes.splice(at..end, (0..3).map(|_| rng.random::<u8>()))),
            _ => drop(bytes.splice(at..end, SPLINTERS.choose(rng).unwrap().bytes())),
        }
    }
    bytes
}

/// Feeds mutants of `text` to `read`, which says whether it took them; both must happen, or the
/// mutants are no test.
fn feed(text: &[u8], mut read: impl FnMut(&[u8]) -> bool) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(10);
    let taken = (0..MUTANTS).filter(|_| read(&mutant(text, &mut rng))).count() as u64;
    assert!(taken < MUTANTS, "no mutant was refused");
    assert!(read(text), "the text itself is refused");
}

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");

/// A file of the committed results.
fn committed(name: &str) -> Vec<u8> {
    let folders = std::fs::read_dir(RESULTS).unwrap().map(|entry| entry.unwrap().path());
    let last = folders.map(|folder| folder.join(name)).filter(|path| path.is_file()).max();
    std::fs::read(last.unwrap()).unwrap()
}

#[test]
fn journals() {
    let whole = committed("trials.csv");
    let rows = journal::parse(&whole).unwrap().len();
    feed(&whole, |bytes| {
        let trials = journal::parse(bytes);
        if let Ok(trials) = &trials {
            assert!(trials.len() <= 2 * rows);
            let sane = |seconds: f64| seconds.is_finite() && seconds >= 0.0;
            let samples = trials.iter().flat_map(|trial| &trial.samples);
            assert!(samples.map(|sample| sample.seconds).all(sane));
        }
        trials.is_ok()
    });
}

#[test]
fn profiles() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.json");
    feed(&committed("profile.json"), |bytes| {
        std::fs::write(&path, bytes).unwrap();
        Profile::read(&path).is_ok()
    });
}

#[test]
fn spaces_and_workloads() {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    feed(&committed("space.toml"), |bytes| {
        SpaceFile::parse(&text(bytes)).is_ok_and(|file| Space::reopen(&file).is_ok())
    });
    feed(BUILT_IN[0].1.as_bytes(), |bytes| WorkloadFile::parse(&text(bytes)).is_ok());
}

#[test]
fn cpu_lists() {
    feed(b"0-3,8,10-11,64-127", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(set) = text.parse::<CpuSet>() else { return false };
        // What is understood is written in one form, which means the same.
        assert_eq!(set.to_string().parse::<CpuSet>().unwrap(), set, "{text}");
        true
    });
}

#[test]
fn messages_of_workers() {
    let ready = r#"{"ready":{"trial":3,"setup_s":0.5,"effect":EFFECT}}"#;
    let effect = serde_json::to_string(&wan22_tune::launch::Effect::default()).unwrap();
    let sample = r#"{"sample":{"trial":3,"sample":{"seconds":1.5,"stages":{"decode":0.5},"minor_faults":7,"run_queue_share":0.1},"wall_s":3.0}}"#;
    let done = r#"{"done":{"trial":3,"peak_rss_bytes":1073741824}}"#;
    let said = [&ready.replace("EFFECT", &effect), sample, sample, done].join("\n");
    feed(said.as_bytes(), |bytes| {
        let mut answer = Response::new(3, Repetitions::exactly(2));
        let text = String::from_utf8_lossy(bytes);
        let heard = text.lines().all(|line| answer.receive(line).is_ok());
        let sane = |seconds: f64| seconds.is_finite() && seconds > 0.0;
        assert!(answer.samples.iter().all(|sample| sane(sample.seconds)));
        heard && answer.complete().is_ok()
    });
}
