//! Folders that somebody else hands in: nothing hangs, nothing runs unseen, nothing is written
//! elsewhere.

mod harness;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::World;

fn copied(world: &World, name: &str) -> PathBuf {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/2026-11-29-vm");
    let folder = world.path().join(name);
    fs::create_dir(&folder).unwrap();
    for name in ["machine.json", "space.toml", "trials.csv"] {
        fs::copy(kept.join(name), folder.join(name)).unwrap();
    }
    folder
}

#[test]
fn pipes_and_devices_are_named_and_never_read() {
    for file in ["machine.json", "space.toml", "trials.csv"] {
        for device in [false, true] {
            let world = World::new();
            let (odd, good) = (copied(&world, "odd"), copied(&world, "good"));
            fs::remove_file(odd.join(file)).unwrap();
            if device {
                symlink("/dev/zero", odd.join(file)).unwrap();
            } else {
                let made = Command::new("mkfifo").arg(odd.join(file)).status().unwrap();
                assert!(made.success());
            }
            for command in ["report", "resume"] {
                let run = world.tune(&[command, "odd"]).run();
                assert_eq!(run.status, Some(1), "{command}: {}", run.stderr);
                assert!(run.stderr.contains(file), "{command}: {}", run.stderr);
                assert!(run.stderr.contains("not a regular file"), "{command}: {}", run.stderr);
            }
            let run = world.tuner(&["compare", "odd", good.to_str().unwrap()]).run().exits(0);
            assert!(run.stderr.contains("not a regular file; skipped"), "{}", run.stderr);
        }
    }
    let world = World::new();
    let folder = copied(&world, "good");
    let fifo = world.path().join("fifo.csv");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let report = ["report", folder.to_str().unwrap(), "--splice"];
    for args in [&["replay"][..], &report] {
        let run = world.tuner(&[args, &["fifo.csv"]].concat()).run().exits(1);
        assert!(run.stderr.contains("fifo.csv: not a regular file"), "{}", run.stderr);
    }
}

#[test]
fn a_long_cell_and_an_impossible_node_stop_nothing() {
    let world = World::new();
    let (long, odd) = (copied(&world, "long"), copied(&world, "odd"));
    let text = fs::read_to_string(long.join("trials.csv")).unwrap();
    let word = "w".repeat(70_000);
    fs::write(long.join("trials.csv"), text.replace(",tcmalloc,", &format!(",{word},"))).unwrap();
    let run = world.tuner(&["report", "long"]).run();
    assert!(matches!(run.status, Some(0 | 1)), "{}", run.stderr);
    let machine = fs::read_to_string(odd.join("machine.json")).unwrap();
    fs::write(
        odd.join("machine.json"),
        machine.replacen("\"number\": 0", "\"number\": 2147483647", 1),
    )
    .unwrap();
    let run = world.tuner(&["report", "odd"]).run().exits(1);
    assert!(run.stderr.contains("number 2147483647 of a node"), "{}", run.stderr);
    copied(&world, "good");
    let run = world.tuner(&["compare", "long", "odd", "good"]).run().exits(0);
    assert!(run.stderr.contains("odd/machine.json"), "{}", run.stderr);
}

#[test]
fn nothing_is_written_out_of_the_folder() {
    let world = World::new();
    let folder = copied(&world, "linked");
    let elsewhere = world.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, folder.join("plots")).unwrap();
    let run = world.tuner(&["report", "linked"]).run().exits(1);
    assert!(run.stderr.contains("linked/plots: a link out of the folder"), "{}", run.stderr);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn what_others_may_have_written_runs_only_when_it_is_trusted() {
    let world = World::new();
    let job = ["--metric", "t=(.)", "--", "sh", "-c", "echo t=1"];
    let tune = [&["--budget", "10m", "--trials", "1"], &job[..]].concat();
    world.tune(&tune).run().exits(0);
    let folder = world.folder();
    let resume = ["resume", folder.to_str().unwrap(), "--budget", "10m", "--trials", "2"];
    let mode = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (path, usual) in [
        (folder.clone(), 0o755),
        (folder.join("space.toml"), 0o644),
        (folder.join("trials.csv"), 0o644),
    ] {
        for more in [0o020, 0o002] {
            mode(&path, usual | more);
            let before = fs::read(folder.join("trials.csv")).unwrap();
            let run = world.tune(&resume).run().exits(2);
            for words in ["may write to it", "-- sh -c echo t=1", "--trust"] {
                assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
            }
            assert_eq!(fs::read(folder.join("trials.csv")).unwrap(), before);
        }
        mode(&path, usual);
    }
    mode(&folder, 0o777);
    world.tune(&[&resume[..], &["--trust"]].concat()).run().exits(0);
}

#[test]
fn a_parent_names_the_results_in_it() {
    let world = World::new();
    copied(&world, "one");
    copied(&world, "two");
    let run = world.tuner(&["report", "."]).run().exits(1);
    assert!(run.stderr.contains("name one of these: ./one, ./two"), "{}", run.stderr);
}

#[test]
fn a_table_with_semicolons_is_named_as_such() {
    let world = World::new();
    fs::write(world.path().join("semi.csv"), "a:ord;b:ord;value\n1;2;3\n").unwrap();
    let run = world.tuner(&["replay", "semi.csv"]).run().exits(1);
    assert!(run.stderr.contains("separated by semicolons; save it with commas"), "{}", run.stderr);
}
