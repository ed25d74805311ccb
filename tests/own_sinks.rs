//! Knobs of a command's own that go into a file or a variable.

mod harness;

use std::path::Path;

use harness::{Run, World};
use serde_json::{Value as Json, json};

fn tune(world: &World, flags: &[&str], words: &[&str]) -> Run {
    world.tuner(&[&["--no-built-in"], flags, &["--"], words].concat()).run()
}

#[test]
fn a_file_is_copied_and_never_touched() {
    let world = World::new();
    let seed = "123456789012345678901234567890";
    let config =
        format!(r#"{{"name": "wan", "seed": {seed}, "offload": {{"blocks": 20, "fast": false}}}}"#);
    std::fs::write(world.path().join("c.json"), &config).unwrap();
    let job = "#!/bin/sh\n[ \"$1\" = --config ] || exit 1\n\
               b=$(sed -n 's/.*\"blocks\": \\([0-9]*\\).*/\\1/p' \"$2\")\n\
               grep -q '\"fast\": true' \"$2\" && f=0 || f=4\n\
               echo \"cost=$(((b - 8) * (b - 8) + f + 2))\"\n";
    world.script("job.sh", job);
    let flags = [
        "--budget",
        "10m",
        "--trials",
        "40",
        "--repetitions",
        "1",
        "--metric",
        "cost=(.*)",
        "--knob",
        "blocks=0..24 json:c.json#/offload/blocks",
        "--knob",
        "fast=off|on json:c.json#/offload/fast",
    ];
    let run = tune(&world, &flags, &["./job.sh", "--config", "c.json"]).exits(0);
    let first = &world.results().trials[0].knobs;
    assert_eq!(
        (first["blocks"].to_string(), first["fast"].to_string()),
        ("20".into(), "false".into())
    );
    assert_eq!(std::fs::read_to_string(world.path().join("c.json")).unwrap(), config);
    let patched = world.folder().join("json/c.json");
    let patched = std::fs::read_to_string(patched).unwrap();
    let best = config.replace("20,", "8,").replace("false", "true");
    assert_eq!(patched, best, "{}", run.stdout);
    let folder = Path::new("results").join(world.folder().file_name().unwrap());
    let line = format!("Command  ./job.sh --config {}/json/c.json\n", folder.display());
    assert!(run.stdout.contains(&line), "{}", run.stdout);
}

#[test]
fn a_file_and_a_variable_get_the_words_that_they_have_today() {
    let world = World::new();
    std::fs::write(world.path().join("c.json"), "{\"mode\": \"on\", \"flag\": 0}").unwrap();
    let job = "#!/bin/sh\n\
               grep -q '\"mode\": \"off\"' \"$2\" && a=0 || a=4\n\
               grep -q '\"flag\": 1' \"$2\" && b=0 || b=2\n\
               [ \"$MY_MODE\" = fast-off ] && c=0 || c=1\n\
               echo \"cost=$((a + b + c + 1))\"\n";
    world.script("job.sh", job);
    let mut flags = vec!["--budget", "10m", "--trials", "12", "--repetitions", "1"];
    flags.extend(["--metric", "cost=(.*)"]);
    flags.extend(["--knob", "mode=off|on json:c.json#/mode"]);
    flags.extend(["--knob", "flag=0|1 json:c.json#/flag"]);
    flags.extend(["--knob", "speed=fast-on|fast-off env:MY_MODE"]);
    let run = tune(&world, &flags, &["./job.sh", "--config", "c.json"]).exits(0);
    let first = &world.results().trials[0].knobs;
    assert_eq!((first["mode"].to_string(), first["flag"].to_string()), ("on".into(), "0".into()));
    let patched = std::fs::read_to_string(world.folder().join("json/c.json")).unwrap();
    let patched: Json = serde_json::from_str(&patched).unwrap();
    assert_eq!(patched, json!({"mode": "off", "flag": 1}), "{}", run.stdout);
}

/// Numbers and switches stay ones beside words, and a mark that an editor put before the text is no fault.
#[test]
fn what_a_file_holds_keeps_its_kind() {
    let world = World::new();
    let config = "\u{feff}{\"level\": 4, \"fast\": true, \"tile\": \"auto\"}\r\n";
    std::fs::write(world.path().join("c.json"), config).unwrap();
    world.script("job.sh", "cat \"$1\" >> seen; echo >> seen; echo cost=1");
    let mut flags = vec!["--budget", "1m", "--trials", "12", "--repetitions", "1"];
    flags.extend(["--metric", "cost=(.*)"]);
    flags.extend(["--knob", "level=1|3+|4 json:c.json#/level"]);
    flags.extend(["--knob", "fast=True|False json:c.json#/fast"]);
    tune(&world, &flags, &["./job.sh", "c.json"]).exits(0);
    let seen = std::fs::read_to_string(world.path().join("seen")).unwrap();
    let copies: Vec<&str> = seen.lines().filter(|line| line.contains("level")).collect();
    assert_eq!(copies[0], config.trim_end(), "today's");
    let with =
        |level: &str, fast: &str| config.trim_end().replace('4', level).replace("true", fast);
    for (level, fast) in [("1", "false"), ("\"3+\"", "true")] {
        assert!(copies.contains(&&*with(level, fast)), "{level} {fast}: {seen}");
    }
    std::fs::write(world.path().join("c.json"), "{\"fast\": true, // now\n}").unwrap();
    let knob = ["--dry-run", "--knob", "fast=off|on json:c.json#/fast"];
    let run = tune(&world, &knob, &["./job.sh", "c.json"]).exits(2);
    assert!(
        run.stderr.contains("comments, NaN and a comma at the end are none of it"),
        "{}",
        run.stderr
    );
}
