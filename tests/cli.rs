//! The command line through the real program: what a person types and gets.

mod harness;

use std::process::Command;

use harness::World;

#[test]
fn wrong_usage_exits_2_and_says_what_to_type() {
    let world = World::new();
    for (args, expected) in [
        (vec!["--budget", "abc"], "such as 90s, 30m or 1h30m"),
        (vec!["--budget", "0s"], "such as 90s, 30m or 1h30m"),
        (vec![], "--budget"),
        (vec!["--budget", "9s", "--space", "nowhere"], "nor a built-in name (pipeline, "),
        (vec!["--budget", "9s", "--workload", "v2i"], "nor a built-in name (i2v, t2v, "),
        (vec!["--budget", "9s", "--precision", "fp8"], "possible values: fp32, bf16, bf16-vae"),
        (vec!["--budget", "9s", "--weights", "nowhere"], "nowhere/vae/config.json"),
        (vec!["--budget", "9s", "--max-memory", "1GB"], "--max-memory is 953.7 MiB"),
        (vec!["--budget", "9s", "--max-memory", "lots"], "lots"),
        (vec!["--budget", "9s", "--strategy", "luck"], "possible values: "),
        (vec!["--budget", "9s", "--repetitions", "1"], "--repetitions 1: give 2 to 9"),
        (vec!["--budget", "9s", "--images", "nowhere"], "nowhere"),
        (vec!["--budget", "9s", "--worker", "nowhere"], "nowhere: no such program"),
        (vec!["measure"], "--profile"),
    ] {
        let run = world.tune(&args).run();
        assert_eq!(run.status, Some(2), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(expected), "{args:?}: {}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    }
    assert!(!world.path().join("results").exists(), "a mistake leaves nothing behind");
}

#[test]
fn a_mistake_in_a_space_file_is_named_with_file_and_key() {
    let world = World::new();
    let file = world.path().join("mine.toml");
    let text = "schema = 1\nname = \"x\"\nwhy = \"x\"\n[knob.thraeds]\nwhy = \"x\"\nvalues = [1]\n";
    std::fs::write(&file, text).unwrap();
    let run = world.tune(&["--budget", "9s", "--space", "mine.toml"]).run().exits(2);
    assert!(run.stderr.contains("space mine.toml: knob.thraeds: no such knob"), "{}", run.stderr);
}

#[test]
fn a_dry_run_shows_the_space_and_starts_nothing() {
    let world = World::new();
    let run = world.tune(&["--dry-run"]).env("WAN22_WORKER", "/nowhere").run().exits(0);
    assert!(run.stdout.contains("intra_op_threads"), "{}", run.stdout);
    assert!(run.stdout.contains("candidates"), "{}", run.stdout);
    assert!(!world.path().join("results").exists());
    for (flag, value, says) in [
        ("--images", "/nowhere", "--images /nowhere"),
        ("--weights", "/nowhere", "--weights /nowhere"),
        ("--max-memory", "1KiB", "--max-memory is 1.0 KiB"),
    ] {
        let run = world.tune(&["--dry-run", flag, value]).run();
        assert_eq!(run.status, Some(2), "{flag}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{flag}: {}", run.stderr);
    }
}

#[test]
fn a_space_is_planned_for_a_machine_that_one_does_not_have() {
    let world = World::new();
    let run = world.tuner(&["space", "--synthetic", "package:2 [numa(memory=8GB)] core:4 pu:1"]);
    let run = run.run();
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.contains("intra_op_threads    1 2 3 4 6 [8]\n"), "{}", run.stdout);
    assert!(run.stdout.contains("interleave"), "{}", run.stdout);
    let xml = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machines/core-i9-hybrid.xml");
    let run = world.tuner(&["space", "--xml", xml]).run();
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.contains("performance-cores"), "{}", run.stdout);
}

#[test]
fn a_file_that_is_no_machine_is_wrong_usage() {
    let world = World::new();
    std::fs::write(world.path().join("bad.xml"), "<topology version=\"2.0\"><object").unwrap();
    for verb in ["machine", "space"] {
        for choice in [["--xml", "bad.xml"], ["--xml", "absent.xml"], ["--synthetic", "core:0"]] {
            let run = world.tuner(&[&[verb], &choice[..]].concat()).run();
            assert_eq!(run.status, Some(2), "{verb} {choice:?}: {}", run.stderr);
            assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        }
    }
}

#[test]
fn the_machine_as_json_is_read_back_by_any_json_reader() {
    let world = World::new();
    let run = world.tuner(&["machine", "--json"]).run();
    let machine: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(machine["cores"].as_array().is_some_and(|cores| !cores.is_empty()));
}

#[test]
fn a_tune_leaves_everything_behind_and_a_report_makes_it_again() {
    let world = World::new();
    let run = world
        .tune(&["--budget", "10m", "--trials", "16", "--seed", "3", "--workload", "encode"])
        .run()
        .exits(0);
    assert!(run.stdout.starts_with("Gain: "), "{}", run.stdout);
    let folder = world.folder();
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap_or_else(|_| panic!("{name}"));
    let profile: serde_json::Value = serde_json::from_slice(&read("profile.json")).unwrap();
    assert_eq!(profile["evidence"]["verdict"], "gain");
    // The fake worker is fastest with the largest batch.
    assert_eq!(profile["optimal_settings"]["batch_size"], 8);
    assert_eq!(profile["optimal_settings"].as_object().unwrap().len(), 19);
    assert_eq!(profile["hardware_profile"].as_object().unwrap().len(), 9);
    let derived = ["profile.json", "report.html", "plots/progress.svg", "plots/stages.png"];
    let before = derived.map(read);
    for name in ["profile.json", "report.html"] {
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    std::fs::remove_dir_all(folder.join("plots")).unwrap();
    world.tuner(&["report", folder.to_str().unwrap()]).run().exits(0);
    assert_eq!(derived.map(read), before);
}

#[test]
fn the_same_seed_proposes_the_same_trials() {
    let proposals = || {
        let world = World::new();
        let flags = ["--budget", "10m", "--trials", "6", "--seed", "5", "--strategy", "annealing"];
        // Beside a baseline that takes so long it does not come back, however busy the machine is.
        world.tune(&flags).env("FAKE_WORKER_FIRST_S", "2").run();
        let of_search = |trial: &wan22_tune::trial::Trial| trial.strategy == "annealing";
        let results = world.results();
        let trials: Vec<_> =
            results.trials.into_iter().filter(of_search).map(|t| t.knobs).collect();
        trials.into_iter().take(5).collect::<Vec<_>>()
    };
    let first = proposals();
    assert_eq!(first.len(), 5);
    assert_eq!(first, proposals());
}

#[test]
fn the_budget_holds_when_every_trial_hangs() {
    let world = World::new();
    // A hang that nobody cuts lasts an hour, and says something else then.
    let run = world.tune(&["--budget", "3s"]).env("FAKE_WORKER", "always-hang").run().exits(1);
    let said = "the budget was over before one run of the baseline ended: give more with --budget";
    assert!(run.stderr.contains(said), "{}", run.stderr);
}

#[test]
fn the_first_signal_finishes_with_what_there_is() {
    let world = World::new();
    let tuner = world.tune(&["--budget", "10m"]).env("FAKE_WORKER", "hang");
    tuner.run_until(&world, 2).exits(0);
    assert!(world.folder().join("profile.json").exists());
    assert!(world.results().trials.len() >= 2);
}

#[test]
fn latency_is_one_clip_at_a_time() {
    let world = World::new();
    world.tune(&["--budget", "10m", "--trials", "4", "--objective", "latency"]).run().exits(0);
    let results = world.results();
    assert_eq!(results.workload.sizes.clips, 1);
    assert!(results.trials.iter().all(|trial| trial.knobs["batch_size"].to_string() == "1"));
}

#[test]
fn a_fixed_precision_is_the_baselines_and_no_knob() {
    let world = World::new();

    world.tune(&["--budget", "10m", "--trials", "4", "--precision", "bf16"]).run().exits(0);
    let results = world.results();
    assert!(results.space.knobs.iter().all(|knob| !knob.name.ends_with("precision")));
    assert!(results.trials.iter().all(|trial| trial.knobs["precision"].to_string() == "bf16"));
    assert_eq!(results.baseline().knobs.precision.to_string(), "bf16");
    let shown = world.tuner(&["space", "--precision", "fp32"]).run().stdout;
    assert!(!shown.contains("precision"), "{shown}");
}

#[test]
fn a_job_of_ones_own_is_a_file() {
    let world = World::new();
    let text = include_str!("../search-spaces/workloads/vae-decode.toml");
    let mine = text.replace("name = \"vae-decode\"", "name = \"mine\"");
    std::fs::write(world.path().join("mine.toml"), &mine).unwrap();

    world.tune(&["--budget", "10m", "--trials", "4", "--workload", "mine.toml"]).run().exits(0);
    assert_eq!(world.results().workload.name, "mine");
    std::fs::write(world.path().join("mine.toml"), mine.replace("frames = 121", "frames = 122"))
        .unwrap();
    let run = world.tune(&["--budget", "4s", "--workload", "mine.toml"]).run().exits(2);
    let says = "workload mine.toml: job.frames is 122: give 1, 5, 9";
    assert!(run.stderr.contains(says), "{}", run.stderr);
}

#[test]
fn exec_becomes_the_command_with_its_exit_status() {
    let world = World::new();
    world.tune(&["--budget", "10m", "--trials", "2"]).run();
    let profile = world.folder().join("profile.json");
    let exec = |command: &[&str]| {
        let head = ["exec", "--profile", profile.to_str().unwrap(), "--"];
        world.tuner(&[&head[..], command].concat()).env("OMP_NUM_THREADS", "77").run()
    };
    let threads = exec(&["sh", "-c", "echo $OMP_NUM_THREADS"]).stdout;
    let profile: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&profile).unwrap()).unwrap();
    assert_eq!(threads.trim(), profile["launch"]["environment"]["OMP_NUM_THREADS"]);
    assert_eq!(exec(&["sh", "-c", "exit 7"]).status, Some(7));
    assert_eq!(exec(&["/nowhere/to/be/found"]).status, Some(127));
    assert_eq!(exec(&["/etc/passwd"]).status, Some(126));
    assert_eq!(
        world.tuner(&["exec", "--profile", "/nowhere", "--", "true"]).run().status,
        Some(125)
    );
}

#[test]
fn the_tuner_does_not_link_libtorch() {
    let output = Command::new("ldd").arg(env!("CARGO_BIN_EXE_wan22-tune")).output().unwrap();
    let libraries = String::from_utf8(output.stdout).unwrap();
    assert!(libraries.contains("libc.so"), "{libraries}");
    assert!(!libraries.contains("torch") && !libraries.contains("gomp"), "{libraries}");
}

#[test]
fn a_grid_that_the_budget_does_not_cover_is_refused() {
    let world = World::new();
    let run = world.tune(&["--budget", "60s", "--strategy", "grid"]).run().exits(2);
    assert!(run.stderr.contains("a grid over `pipeline` has up to"), "{}", run.stderr);
}

#[test]
fn a_replay_is_the_same_in_another_process() {
    let world = World::new();
    let rows = (0..60).map(|i| format!("{},{},{}\n", i % 6, i / 6, (i * 37) % 61 + 1));
    let table = world.path().join("made.csv");
    std::fs::write(&table, format!("a:ord,b:cat,value\n{}", rows.collect::<String>())).unwrap();
    let table = table.to_str().unwrap();
    let args = ["replay", table, "--seeds", "2", "--budget", "25", "--noise", "0.05"];
    let first = world.tuner(&args).run().exits(0);
    assert_eq!(first.stdout, world.tuner(&args).run().stdout);
}
