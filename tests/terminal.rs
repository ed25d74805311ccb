//! What a terminal, a pipe, a signal, a lock and a full disk may do to a command: never lose what it
//! was started for. And what the text of others may do to a terminal: nothing.

#[path = "harness/folders.rs"]
mod folders;
mod harness;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread::sleep;
use std::time::{Duration, Instant};

use folders::MadeUp;
use harness::{Run, Tuner, World};
use rustix::process::{Pid, Signal, kill_process};
use wan22_tune::io::lock::Lock;
use wan22_tune::io::printable::is_hidden;

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// Starts a tune whose stderr is full.
fn start(mut tuner: Tuner) -> Child {
    let pipes = tuner.0.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(full());
    pipes.spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until a signal that was sent is no more pending.
fn wait_until_delivered(child: &Child) {
    let is_pending = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let mut masks = status.lines().filter_map(|line| line.strip_prefix("ShdPnd:"));
        masks.any(|mask| mask.trim().contains(|digit: char| digit != '0'))
    };
    while is_pending() {
        sleep(Duration::from_millis(5));
    }
    // The handler's own few instructions.
    sleep(Duration::from_millis(100));
}

fn wait_for_trials(world: &World, trials: usize) {
    for _ in 0..6000 {
        if world.has_trials(trials) {
            return;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("no {trials} trials within five minutes");
}

/// Waits for a tune, which must have finished with what there is.
fn finished(world: &World, child: Child, why: &str) -> String {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{why}: {output:?}");
    let folder = world.folder();
    for file in ["profile.json", "report.html"] {
        assert!(folder.join(file).is_file(), "{why}: {file}");
    }
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_line_that_can_not_be_written_changes_no_status() {
    let world = World::new();
    let status = |args: &[&str]| {
        let mut tuner = world.tuner(args);
        let child = tuner.0.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(full());
        let output = child.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    // It warns that there is no profile, and says what it applied.
    let exec = ["exec", "--auto", "--without-memory-policy", "--", "sh", "-c", "echo ran; exit 7"];
    assert_eq!(status(&exec), (Some(7), "ran\n".to_owned()));
    assert_eq!(status(&["machine", "--xml", "/none"]).0, Some(2));
    assert_eq!(status(&["machine", "--nonsense"]).0, Some(2));
    assert_eq!(status(&["exec", "--profile", "/none", "--", "true"]).0, Some(125));
    assert_eq!(status(&["resume", "/none"]).0, Some(1));
}

#[test]
fn a_log_that_has_reached_the_limit_of_files_keeps_no_command_from_starting() {
    let world = World::new();
    let exec = world.tuner(&["exec", "--auto", "--without-memory-policy", "--", "sh", "-c"]);
    let mut limited = Command::new("sh");
    let script = "ulimit -f 0; exec \"$0\" \"$@\" 'echo ran; exit 7' 2>log";
    limited.args(["-c", script]).arg(exec.0.get_program()).args(exec.0.get_args());
    let output = limited.current_dir(world.path()).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(7), "ran\n"), "{output:?}");
    assert_eq!(fs::read_to_string(world.path().join("log")).unwrap(), "");
}

#[test]
fn a_reader_that_has_gone_away_is_no_failure() {
    let world = World::new();
    fs::write(world.path().join("made.csv"), "a:ord,value\n1,3\n2,4\n").unwrap();
    for args in [&["replay", "made.csv"][..], &["machine"], &["doctor", "--json"], &["man"]] {
        let mut tuner = world.tuner(args);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = tuner.0.stdin(Stdio::null()).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{args:?}");
    }
    let mut tuner = world.tuner(&["machine"]);
    let output = tuner.0.stdin(Stdio::null()).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "a full disk is one");
}

#[test]
fn a_tune_goes_on_without_its_onlookers() {
    let world = World::new();
    let mut child = start(world.tune(&["--budget", "10m", "--json", "--strategy", "random"]));
    let mut first = String::new();
    BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"event\":\"started\""), "{first}");
    // Its reader is gone by now.
    wait_for_trials(&world, 3);
    signal(&child, Signal::TERM);
    finished(&world, child, "--json | head -1");
}

#[test]
fn signals_of_schedulers_finish_a_tune_with_what_there_is() {
    std::thread::scope(|scope| {
        for name in [
            Signal::TERM,
            Signal::HUP,
            Signal::USR1,
            Signal::USR2,
            Signal::QUIT,
            Signal::XCPU,
            Signal::ALARM,
            Signal::POWER,
        ] {
            scope.spawn(move || {
                let world = World::new();
                let child = start(world.tune(&["--budget", "10m", "--strategy", "random"]));
                wait_for_trials(&world, 2);
                // The same request, once more.
                signal(&child, name);
                signal(&child, Signal::TERM);
                let printed = finished(&world, child, &format!("{name:?}"));
                assert!(printed.contains("wan22-tune exec --profile"), "{name:?}: {printed}");
            });
        }
    });
}

/// A tune that can't finish, since it asks the worker for its version.
fn asking(world: &World) -> Child {
    world.script("worker", ": >asked\nexec sleep 60");
    let child = start(world.tune(&["--budget", "10m"]).env("WAN22_WORKER", "./worker"));
    while !world.path().join("asked").exists() {
        sleep(Duration::from_millis(20));
    }
    child
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    for first in [Signal::INT, Signal::USR1] {
        let world = World::new();
        let mut child = asking(&world);
        signal(&child, first);
        // One that arrives together with the first is lost in it.
        wait_until_delivered(&child);
        signal(&child, Signal::INT);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{first:?}");
    }
}

#[test]
fn another_request_is_one_that_comes_two_seconds_later() {
    let world = World::new();
    let mut child = asking(&world);
    let begun = Instant::now();
    signal(&child, Signal::HUP);
    while child.try_wait().unwrap().is_none() {
        signal(&child, Signal::TERM);
        sleep(Duration::from_millis(100));
    }
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(begun.elapsed() >= Duration::from_secs(2), "what came before was the same request");
}

#[test]
fn nohup_stays_in_force() {
    let world = World::new();
    let tuner = world.tune(&["--budget", "10m", "--strategy", "random"]);
    let mut deaf = Command::new("sh");
    deaf.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(tuner.0.get_program());
    deaf.args(tuner.0.get_args()).current_dir(world.path());
    for (name, value) in tuner.0.get_envs() {
        deaf.env(name, value.unwrap());
    }
    let child = start(Tuner(deaf));
    wait_for_trials(&world, 2);
    signal(&child, Signal::HUP);
    let before = world.results().trials.len();
    wait_for_trials(&world, before + 3);
    signal(&child, Signal::TERM);
    finished(&world, child, "nohup");
}

#[test]
fn a_wait_for_the_machine_is_not_charged() {
    let world = World::new();
    let held = Lock::take_in(world.path(), false, &AtomicBool::new(false)).unwrap();
    let waits = ["--budget", "10m", "--wait", "--strategy", "random"];
    let mut tuner = world.tune(&waits);
    let pipes = tuner.0.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut note = String::new();
    errors.read_line(&mut note).unwrap();
    assert!(note.starts_with("note: waiting for pid "), "{note}");
    // It would show in any rounding of times.
    sleep(Duration::from_millis(1100));
    let released = jiff::Timestamp::now();
    drop(held);
    std::thread::spawn(move || errors.lines().count());
    wait_for_trials(&world, 2);
    signal(&child, Signal::TERM);
    finished(&world, child, "after the wait");
    let started: jiff::Timestamp = world.results().tune.started.parse().unwrap();
    assert!(started >= released, "{started} is before {released}");
}

#[test]
fn a_signal_ends_the_wait_for_the_machine() {
    let world = World::new();
    let _held = Lock::take_in(world.path(), false, &AtomicBool::new(false)).unwrap();
    let mut tuner = world.tune(&["--budget", "10m", "--wait", "--", "true"]);
    let pipes = tuner.0.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    errors.read_line(&mut said).unwrap();
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(75));
    errors.read_line(&mut said).unwrap();
    assert!(said.trim_end().ends_with("; the wait was ended by a signal"), "{said}");
    assert!(!world.path().join("results").exists(), "nothing was begun");
}

#[test]
fn the_lock_tells_nobody_what_a_command_is_given() {
    let world = World::new();
    let secret = "--token=secret";
    let child = start(world.tuner(&["--budget", "10m", "--", "sh", "-c", "sleep 0.01", secret]));
    wait_for_trials(&world, 1);
    let text = fs::read_to_string(world.path().join("wan22-tune.lock")).unwrap();
    signal(&child, Signal::TERM);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    assert!(text.contains("--budget 10m -- …`, since "), "{text}");
    assert!(!text.contains("secret") && !text.contains("sleep"), "{text}");
}

#[test]
fn what_can_not_be_written_at_the_end_is_named_and_the_verdict_said() {
    let world = World::new();
    let mut tuner = world.tune(&["--budget", "10m", "--strategy", "random"]);
    let pipes = tuner.0.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = pipes.spawn().unwrap();
    wait_for_trials(&world, 2);
    let folder = world.folder();
    fs::write(folder.join("plots"), "in the way").unwrap();
    signal(&child, Signal::TERM);
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stdout.contains("the profile keeps the baseline"), "{stdout}");
    assert!(!stdout.contains("\nReport "), "it is not there: {stdout}");
    assert!(stdout.contains("\nUse it   wan22-tune exec --profile "), "{stdout}");
    let last = stderr.lines().last().unwrap();
    let shown = folder.strip_prefix(world.path()).unwrap().display();
    let command = format!("`wan22-tune report {shown}` makes the rest");
    assert!(last.contains("plots") && last.ends_with(&command), "{last}");
    assert!(folder.join("profile.json").is_file());
    fs::remove_file(folder.join("plots")).unwrap();
    world.tuner(&["report", shown.to_string().as_str()]).run().exits(0);
    assert!(folder.join("report.html").is_file());
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A title for the terminal, a C1 sequence, a bidirectional override; a formula for a spreadsheet.
const HOSTILE: &str = "=1+1\x1b]0;owned\x07\u{9b}31m\u{202e}x";

/// The command's output, in which nothing acts on a terminal.
fn harmless(world: &World, args: &[&str]) -> Run {
    let run = world.tuner(args).run();
    for text in [&run.stdout, &run.stderr] {
        let hidden = text.chars().find(|&c| is_hidden(c) && c != '\n' && c != '\t');
        assert_eq!(hidden, None, "{args:?}: {text:?}");
    }
    assert!(!run.stderr.contains("panicked"), "{args:?}: {}", run.stderr);
    run
}

fn hostile_folder(world: &World) -> String {
    let mut made = MadeUp::new(HOSTILE, "package:1 [numa(memory=64GB)] l3:1 core:8 pu:1");
    made.candidates = 4;
    made.model_name = HOSTILE.to_owned();
    made.write(world.path()).to_str().unwrap().to_owned()
}

#[test]
fn nothing_that_others_wrote_reaches_the_terminal() {
    let world = World::new();
    let folder = hostile_folder(&world);
    let folder = folder.as_str();
    for args in [
        &["compare", folder][..],
        &["report", folder],
        &["report", folder, "--format", "markdown"],
        &["report", folder, "--format", "csv"],
    ] {
        let run = harmless(&world, args);
        assert_eq!(run.status, Some(0), "{args:?}: {}", run.stderr);
    }
    for args in [&["compare", folder, "--json"][..], &["report", folder, "--format", "json"]] {
        let run = harmless(&world, args);
        let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert!(value.to_string().contains(&serde_json::to_string(HOSTILE).unwrap()[1..20]));
    }
    let table = harmless(&world, &["compare", folder, "--csv"]).stdout;
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let host = reader.headers().unwrap().iter().position(|name| name == "host").unwrap();
    let row = reader.records().next().unwrap().unwrap();
    assert_eq!(&row[host], "'=1+1 ]0;owned  31m x");
}

#[test]
fn what_is_refused_is_quoted_without_what_steers_a_terminal() {
    let world = World::new();
    let folder = hostile_folder(&world);
    let there = Path::new(&folder);
    let break_file = |name: &str, old: &str, new: &str| {
        let path = there.join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{name}: {old}");
        fs::write(&path, text.replace(old, new)).unwrap();
        text
    };
    for (name, old, new) in [
        ("trials.csv", ",ok,", &format!(",{HOSTILE},")[..]),
        ("machine.json", "\"source\":\"", "\"source\":\"\\u001b]0;owned\\u0007\\u009b31m"),
        ("space.toml", "preset = \"", "preset = \"\\u001b]0;owned\\u0007"),
    ] {
        let before = break_file(name, old, new);
        for verb in ["report", "resume", "compare"] {
            let run = harmless(&world, &[verb, &folder]);
            assert!(run.stderr.contains("owned"), "{verb} {name}: {}", run.stderr);
        }
        fs::write(there.join(name), before).unwrap();
    }
    fs::write(world.path().join("made.csv"), format!("{HOSTILE}:odd,value\n1,2\n")).unwrap();
    for args in [
        &["replay", "made.csv"][..],
        &["replay", HOSTILE],
        &["exec", "--profile", HOSTILE, "--", "true"],
        &["verify", HOSTILE],
        &["machine", "--xml", HOSTILE],
        &["space", "--space", HOSTILE],
        &["--budget", "1s", "--baseline", HOSTILE],
        &["machine", HOSTILE],
    ] {
        let run = harmless(&world, args);
        assert_ne!(run.status, Some(0), "{args:?}");
        assert!(run.stderr.contains("31m"), "{args:?}: {}", run.stderr);
    }
    // A command's last words end up in the message about it.
    let word = "printf 'a\\033]0;owned\\007b' >&2; exit 3";
    let run = harmless(&world, &["--budget", "10m", "--", "sh", "-c", word]).exits(1);
    assert!(run.stderr.contains("owned"), "{}", run.stderr);
}
