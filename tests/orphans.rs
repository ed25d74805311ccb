//! What trials leave behind: ended and collected, and nothing that others wait for.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::process::{getpid, set_child_subreaper};
use wan22_tune::runner::process::orphans;

/// Children of this process, and how many of them are dead.
fn children() -> (usize, usize) {
    let own = std::process::id().to_string();
    let mut found = (0, 0);
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if fields[1] == own {
            found.0 += 1;
            found.1 += usize::from(fields[0] == "Z");
        }
    }
    found
}

/// Runs a script in a group of its own, as trials do, to its end.
fn run(script: &str) {
    let mut shell: Child =
        Command::new("sh").args(["-c", script]).process_group(0).spawn().unwrap();
    assert!(shell.wait().unwrap().success());
}

/// One test: all of it is about this very process's children.
#[test]
fn orphans_of_trials_are_ended_and_collected_and_nothing_else() {
    set_child_subreaper(Some(getpid())).unwrap();
    assert_eq!(orphans::sweep(), 1, "nothing to do is one look");
    // Somebody else's child, which has ended and is to be waited for.
    let mut other = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
    let leave = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 600 & done";
    for _ in 0..20 {
        run(leave);
        orphans::sweep();
        assert_eq!(children().0, 1, "of 20 orphans none is left, dead or alive");
        assert_eq!(orphans::sweep(), 1, "later runs pay nothing");
    }
    // Sessions and groups of their own, and some that end by themselves.
    run("setsid sleep 600 & setsid sh -c 'sleep 600 & exec sleep 600' & true & true &");
    orphans::sweep();
    assert_eq!(children().0, 1);
    // While a trial runs, only the dead are collected.
    run("sleep 600 & true & sh -c 'exit 3' &");
    for _ in 0..1000 {
        orphans::reap(other.id());
        if children() == (2, 1) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(children(), (2, 1), "the sleeper and the other, which is dead");
    orphans::sweep();
    assert_eq!(other.wait().unwrap().code(), Some(7));
    assert_eq!(children(), (0, 0));
}
