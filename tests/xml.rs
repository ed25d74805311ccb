//! Other people's topology files: whatever is in them, there is a plan or a reason, and no crash.

mod harness;

use std::fs;
use std::path::{Path, PathBuf};

use harness::World;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Damaged copies of each file.
const DAMAGED: usize = 20;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ext| ext == "xml")).collect();
    files.sort();
    files
}

/// One to four changes of the kinds that bad copies, old programs and bad will make.
fn damaged(text: &str, rng: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.random_range(1..5) {
        let at = rng.random_range(0..bytes.len());
        let end = (at + rng.random_range(1..200)).min(bytes.len());
        match rng.random_range(0..7) {
            0 => bytes[at] = rng.random(),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.truncate(at),
            3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            4 => line(&mut bytes, at, &[]),
            5 => {
                let again = bytes[at..end].to_vec();
                line(&mut bytes, at, &again);
            }
            _ => number(&mut bytes, at, rng),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// Puts `text` in the place of the line around `at`.
fn line(bytes: &mut Vec<u8>, at: usize, text: &[u8]) {
    let start = bytes[..at].iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    let end = bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| at + n + 1);
    bytes.splice(start..end, text.iter().copied());
}

/// Puts another number in the place of the first one from `at` on.
fn number(bytes: &mut Vec<u8>, at: usize, rng: &mut Xoshiro256PlusPlus) {
    const NUMBERS: [&str; 8] =
        ["0", "1", "-1", "4096", "4294967295", "18446744073709551615", "0xf...f", "1e99"];
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|n| at + n) else {
        return;
    };
    let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let other = NUMBERS[rng.random_range(0..NUMBERS.len())];
    bytes.splice(start..start + digits, other.bytes());
}

/// Plans for the machine of `file`: a legal plan, or a reason.
fn plan(world: &World, file: &Path, verb: &str, flags: &[&str]) -> Option<String> {
    let file = file.to_str().unwrap();
    let run = world.tuner(&[&[verb, "--xml", file], flags].concat()).run();
    let words = || format!("{verb} {file}: {:?} {}", run.status, run.stderr);
    match run.status {
        Some(0) => Some(run.stdout),
        Some(2) => {
            assert!(run.stderr.contains(file), "{}", words());
            None
        }
        _ => panic!("{}", words()),
    }
}

#[test]
fn every_real_file_has_a_plan() {
    let world = World::new();
    for file in files() {
        let json = plan(&world, &file, "machine", &["--json"]).expect("a plan");
        let machine: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_ne!(machine["allowed"], "", "{}", file.display());
        assert!(
            plan(&world, &file, "space", &["--expert"]).expect("a plan").contains("[baseline]")
        );
    }
}

#[test]
fn a_damaged_file_crashes_nothing() {
    let world = World::new();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(20_261_124);
    let damaged_file = world.path().join("damaged.xml");
    for file in files() {
        let text = fs::read_to_string(&file).unwrap();
        for turn in 0..DAMAGED {
            fs::write(&damaged_file, damaged(&text, &mut rng)).unwrap();
            let planned = plan(&world, &damaged_file, "machine", &[]);
            assert!(planned.is_none_or(|text| text.contains("Affinity layouts: none")));
            if turn % 5 == 0 {
                plan(&world, &damaged_file, "space", &[]);
            }
        }
    }
    for text in ["", "\n", "<topology version=\"2.0\"/>", "\u{fffd}\0<topology"] {
        fs::write(&damaged_file, text).unwrap();
        assert_eq!(plan(&world, &damaged_file, "machine", &[]), None, "{text}");
    }
    assert_eq!(plan(&world, &world.path().join("absent.xml"), "machine", &[]), None);
    assert_eq!(plan(&world, world.path(), "space", &[]), None);
}
