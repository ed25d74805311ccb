//! What a disk can do to a tune: torn lines, failing calls, no room.

mod harness;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use harness::World;
use wan22_tune::io::atomic_write;
use wan22_tune::io::atomic_write::Disk;
use wan22_tune::knobs::{Value, Values};
use wan22_tune::trial::journal::Journal;
use wan22_tune::trial::{Sample, Trial, journal};

fn knobs(threads: i64) -> Values {
    BTreeMap::from([("threads".to_owned(), Value::Integer(threads))])
}

fn trial(number: u64) -> Trial {
    let sample = |n: u64| Sample { seconds: 0.1 * (number + n) as f64, ..Sample::default() };
    Trial {
        number,
        started: "2026-11-24T12:00:00Z".to_owned(),
        knobs: knobs(number as i64),
        detail: "a \"quoted\", detail".to_owned(),
        samples: vec![sample(1), sample(2), sample(3)],
        tool: wan22_tune::TOOL.to_owned(),
        ..Trial::default()
    }
}

fn journal_of(path: &Path, trials: u64) -> Journal {
    let mut journal = Journal::create(path, knobs(1).keys(), 3).unwrap();
    (1..=trials).for_each(|number| journal.append(&trial(number)).unwrap());
    journal
}

fn numbers(path: &Path) -> Vec<u64> {
    journal::read(path).unwrap().iter().map(|trial| trial.number).collect()
}

#[test]
fn a_journal_cut_at_any_byte_keeps_every_whole_row_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole.csv"), folder.path().join("cut.csv"));
    journal_of(&whole, 3);
    let bytes = fs::read(&whole).unwrap();
    for length in 0..=bytes.len() {
        fs::write(&cut, &bytes[..length]).unwrap();
        let lines = bytes[..length].iter().filter(|byte| **byte == b'\n').count() as u64;
        // A checksum tells a row that lacks nothing but its line's end.
        let is_row = lines > 0 && bytes.get(length) == Some(&b'\n');
        let rows: Vec<u64> = (1..lines.max(1) + u64::from(is_row)).collect();
        assert_eq!(numbers(&cut), rows, "cut after {length} bytes");
        let (mut journal, trials) = Journal::reopen(&cut, &knobs(1), 3).unwrap();
        assert_eq!(trials.len(), rows.len());
        let next = journal.next_number();
        assert_eq!(next, rows.len() as u64 + 1);
        journal.append(&trial(next)).unwrap();
        assert_eq!(numbers(&cut), (1..=next).collect::<Vec<_>>());
    }
}

#[test]
fn a_journal_of_other_columns_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trials.csv");
    journal_of(&path, 2);
    let before = fs::read(&path).unwrap();
    let other = BTreeMap::from([("workers".to_owned(), Value::Integer(1))]);
    let refused = Journal::reopen(&path, &other, 3).unwrap_err().to_string();
    assert!(refused.contains("its columns are not those"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// A disk whose call of one kind fails, the first time or later.
#[derive(Debug)]
struct Failing {
    call: &'static str,
    after: Cell<u32>,
}

impl Failing {
    fn new(call: &'static str, after: u32) -> Self {
        Self { call, after: Cell::new(after) }
    }

    fn check(&self, call: &str) -> io::Result<()> {
        if call != self.call {
            return Ok(());
        }
        let left = self.after.get();
        self.after.set(left.saturating_sub(1));
        if left == 0 { Err(io::Error::other("the disk says no")) } else { Ok(()) }
    }
}

impl Disk for Failing {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.check("write") {
            // As a full disk does it.
            file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.check("sync")?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check("rename")?;
        fs::rename(from, to)
    }
}

#[test]
fn a_row_that_can_not_be_written_is_an_error_and_tears_no_other() {
    for call in ["write", "sync"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.csv");
        let mut journal = journal_of(&path, 2).on(Box::new(Failing::new(call, 0)));
        let error = format!("{:#}", journal.append(&trial(3)).unwrap_err());
        assert!(error.contains("the journal: the disk says no"), "{call}: {error}");
        let rows = numbers(&path);
        assert!(rows.starts_with(&[1, 2]), "{call}: {rows:?}");
        let (mut journal, trials) = Journal::reopen(&path, &knobs(1), 3).unwrap();
        journal.append(&trial(trials.len() as u64 + 1)).unwrap();
        assert_eq!(numbers(&path).len(), trials.len() + 1);
    }
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    // The second sync is the folder's: the new file has its name by then.
    for (call, after, stays) in
        [("write", 0, "old"), ("sync", 0, "old"), ("rename", 0, "old"), ("sync", 1, "new")]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.json");
        atomic_write::replace(&path, b"old").unwrap();
        let disk = Failing::new(call, after);
        let error = atomic_write::replace_on(&disk, &path, b"new").unwrap_err();
        assert!(format!("{error:#}").contains("profile.json: the disk says no"), "{error:#}");
        assert_eq!(fs::read_to_string(&path).unwrap(), stays, "{call} {after}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{call}: nothing is left over");
    }
}

/// A small file system of its own; `None` where this user may not mount one.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(place: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(place).unwrap();
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "none"]).arg(place);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(place.to_owned()))
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(
            Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success()
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_ends_the_tune_with_its_rows_whole_and_it_goes_on_when_there_is_room() {
    let world = World::new();
    let Some(disk) = SmallDisk::mount(&world.path().join("results"), "64k") else {
        eprintln!("SKIPPED: a full disk needs the right to mount a tmpfs");
        return;
    };
    let run = world.tune(&["--budget", "10m", "--strategy", "random"]).run().exits(1);
    assert!(run.stderr.contains("No space left on device"), "{}", run.stderr);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    let folder = world.folder();
    let rows = fs::read(folder.join("trials.csv")).unwrap_or_default();
    let before = journal::parse(&rows).unwrap();
    disk.grow("32m");
    if !folder.join("space.toml").exists() {
        // It was full before the first trial.
        assert!(before.is_empty());
        return;
    }
    let more = ["--budget", "10m", "--trials", &(before.len() + 3).to_string()];
    world.tune(&[&["resume", folder.to_str().unwrap()], &more[..]].concat()).run().exits(0);
    let after = journal::read(&folder.join("trials.csv")).unwrap();
    assert_eq!(after[..before.len()], before);
    assert!(folder.join("profile.json").exists());
}

#[test]
fn a_report_on_a_full_disk_says_the_verdict_and_what_makes_the_rest() {
    let world = World::new();
    let place = world.path().join("full");
    let Some(disk) = SmallDisk::mount(&place, "4m") else {
        eprintln!("SKIPPED: a full disk needs the right to mount a tmpfs");
        return;
    };
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/2026-11-29-vm");
    for name in ["machine.json", "space.toml", "trials.csv"] {
        fs::copy(kept.join(name), place.join(name)).unwrap();
    }
    let page = place.join("report.html");
    fs::write(&page, "an older one").unwrap();
    // Room for nothing, and for the profile.
    for (free, has_profile) in [(0, false), (40 << 10, true)] {
        let filler = File::create(place.join("filler")).unwrap();
        let _ = io::copy(&mut io::repeat(1), &mut &filler);
        filler.set_len(filler.metadata().unwrap().len() - free).unwrap();
        let run = world.tuner(&["report", "full"]).run();
        assert_eq!(run.status, Some(1), "{free}: {}", run.stderr);
        assert!(run.stdout.starts_with("Gain: 73.1%"), "{free}: {}", run.stdout);
        assert!(!run.stdout.contains("report.html"), "{free}: {}", run.stdout);
        assert_eq!(run.stdout.contains("\nUse it   "), has_profile, "{free}: {}", run.stdout);
        assert_eq!(place.join("profile.json").exists(), has_profile, "{free}");
        let cure = "make room, then `wan22-tune report full` makes the rest";
        assert!(run.stderr.contains("No space left on device"), "{free}: {}", run.stderr);
        assert!(run.stderr.trim_end().ends_with(cure), "{free}: {}", run.stderr);
        assert_eq!(fs::read_to_string(&page).unwrap(), "an older one", "{free}");
    }
    disk.grow("16m");
    let run = world.tuner(&["report", "full"]).run();
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.contains("\nReport   full/report.html\n"), "{}", run.stdout);
}
