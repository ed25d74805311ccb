//! A profile is proven again, and copies of the baseline prove nothing.

mod harness;

use harness::World;

/// A tune that has found something, and its profile.
fn profile(world: &World) -> String {
    let run = world
        .tune(&["--budget", "10m", "--trials", "16", "--seed", "3", "--workload", "encode"])
        .run();
    assert!(run.stdout.starts_with("Gain: "), "{}", run.stdout);
    world.folder().join("profile.json").to_str().unwrap().to_owned()
}

#[test]
fn a_profile_holds_until_it_is_no_longer_what_it_was() {
    let world = World::new();
    let profile = profile(&world);
    // It ends as soon as the answer is clear.
    let verify = ["verify", profile.as_str(), "--budget", "10m", "--workload", "encode"];
    let run = world.tune(&verify).run().exits(0);
    assert!(
        run.stdout.starts_with("The profile holds: its gain is proven again."),
        "{}",
        run.stdout
    );
    let run = world.tune(&[&verify[..], &["--json"]].concat()).run();
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((json["holds"].as_bool(), json["same_machine"].as_bool()), (Some(true), Some(true)));
    assert!(json["gain"]["low"].as_f64().unwrap() > 0.0, "{json}");
    // The same settings on a machine that has become half as fast.
    let run = world.tune(&verify).env("FAKE_WORKER_SLOWER", "2").run().exits(5);
    assert!(run.stdout.starts_with("The profile has drifted: "), "{}", run.stdout);
    assert!(run.stdout.contains("% more time per clip than when it was made"), "{}", run.stdout);
    // On another machine of this shape it may take any time; what it gains decides.
    let text = std::fs::read_to_string(&profile).unwrap();
    let mut other: serde_json::Value = serde_json::from_str(&text).unwrap();
    other["machine"]["fingerprint"]["identity"] = "0123456789abcdef".into();
    other["machine"]["host"] = "other".into();
    std::fs::write(world.path().join("other.json"), other.to_string()).unwrap();
    let elsewhere = [&["verify", "other.json"], &verify[2..], &["--json"]].concat();
    let run = world.tune(&elsewhere).env("FAKE_WORKER_SLOWER", "2").run();
    assert_eq!(run.status, Some(0), "{}{}", run.stdout, run.stderr);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(json["same_machine"].as_bool(), Some(false), "{json}");
    assert!(json["loss"].is_null() && json["recorded"].is_null(), "{json}");
    // Nothing can be said of settings that do not run.
    let within = |budget| [&verify[..2], &["--budget", budget, "--workload", "encode"]].concat();
    // For half of the budget it is asked again whether the machine has recovered.
    let run = world.tune(&within("16s")).env("FAKE_WORKER", "always-status").run().exits(1);
    assert!(
        run.stderr.contains("the profile fails here: crashed: exit status 3"),
        "{}",
        run.stderr
    );
    // A budget that ends inside the first runs is no fault of the profile.
    let run = world.tune(&within("8s")).env("FAKE_WORKER", "always-hang").run().exits(1);
    assert!(run.stderr.contains("the budget was over before one run of it ended; give more"));
    world.tune(&["verify", "/nowhere.json"]).run().exits(1);
}

#[test]
fn monitoring_sees_what_was_found() {
    let world = World::new();
    let profile = profile(&world);
    let verify = ["verify", &profile, "--workload", "encode", "--prometheus", "wan22.prom"];
    let holds = |fault: &str, budget: &str| {
        let _ = std::fs::remove_file(world.path().join("wan22.prom"));
        world.tune(&[&verify[..], &["--budget", budget]].concat()).env("FAKE_WORKER", fault).run();
        let text = std::fs::read_to_string(world.path().join("wan22.prom")).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix("wan22_verify_holds "));
        assert!(text.contains("# TYPE wan22_verify_timestamp_seconds gauge"), "{text}");
        value.map(str::to_owned)
    };
    assert_eq!(holds("", "10m").as_deref(), Some("1"));
    assert_eq!(holds("always-status", "16s").as_deref(), Some("0"));
    assert_eq!(holds("always-hang", "8s"), None);
}

#[test]
fn copies_of_the_baseline_prove_nothing() {
    let world = World::new();
    let run = world.tune(&["--budget", "8s", "--self-test"]).run().exits(0);
    assert!(run.stdout.starts_with("Self-test passed: "), "{}", run.stdout);
    assert!(!world.path().join("results").exists(), "a self-test leaves no results");
}
