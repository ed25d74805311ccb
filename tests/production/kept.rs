//! The profiles that a host keeps, and which of them `exec --auto` takes.

use super::*;

#[test]
fn auto_takes_this_machines_profile_before_one_of_its_shape_or_else_the_baseline() {
    let world = World::new();
    let auto = || {
        let words = ["exec", "--auto", "--folder", "user", "--folder", "system", "--", "true"];
        let run = world.tuner(&words).run().exits(0);
        run.stderr
    };
    let profiles = |words: &[&str]| {
        let folders = ["profiles", "--folder", "user", "--folder", "system"];
        world.tuner(&[&folders, words].concat()).run()
    };
    let said = auto();
    assert!(said.contains("warning: no profile for this machine in user, system"), "{said}");
    assert!(said.contains("the baseline "), "{said}");
    assert!(profiles(&["list"]).stdout.starts_with("No profiles in user, system"));

    let mut sibling = profile();
    sibling.machine.fingerprint.identity = "0123456789abcdef".to_owned();
    let path = write(&world, "sibling.json", &sibling);
    fs::create_dir(world.path().join("system")).unwrap();
    let name = FileName::of(&sibling, None).to_string();
    fs::copy(path, world.path().join("system").join(&name)).unwrap();
    assert!(auto().contains(&format!("system/{name} (same shape)")));

    write(&world, "own.json", &profile());
    write(&world, "foreign.json", &foreign());
    let own = FileName::of(&profile(), None).to_string();
    assert_eq!(profiles(&["use", "own.json"]).stdout, format!("user/{own}\n"));
    assert_eq!(profiles(&["use", "foreign.json"]).status, Some(0));
    assert!(auto().contains(&format!("user/{own} (same machine)")));

    let list = profiles(&["list"]).stdout;
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 4, "{list}");
    assert!(lines[0].starts_with("* ") && lines[0].contains("same machine"), "{list}");
    assert!(lines[1].contains("same shape") && lines[2].contains("different"), "{list}");
    let run = profiles(&["verify"]).exits(0);
    assert!(run.stdout.contains("good, for another machine"), "{}", run.stdout);
    let shown = profiles(&["show"]).stdout;
    assert!(shown.contains(&own) && shown.contains("intra_op_threads"), "{shown}");

    let mut tampered = profile();
    tampered.launch.cpus = "1000".parse().unwrap();
    write(&world, &format!("user/{own}"), &tampered);
    let said = auto();
    assert!(said.contains("/launch/cpus") && said.contains("(same shape)"), "{said}");
    let signed = ["exec", "--auto", "--signature", "a", "--allowed-signers", "b", "--", "true"];
    assert_eq!(world.tuner(&signed).run().status, Some(2), "of which file?");

    fs::write(world.path().join("user").join(&own), "{}").unwrap();
    let said = auto();
    assert!(
        said.contains("/schema: the key is missing") && said.contains("(same shape)"),
        "{said}"
    );
    let run = profiles(&["verify"]).exits(1);
    assert!(run.stdout.contains("refused: ") && run.stderr.contains("1 of 3"), "{}", run.stdout);
}

#[test]
fn auto_does_not_take_what_others_could_have_put_there() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    write(&world, "own.json", &profile());
    let folder = world.path().join("user");
    world.tuner(&["profiles", "--folder", "user", "use", "own.json"]).run();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let run = world.tuner(&["exec", "--auto", "--folder", "user", "--", "true"]).run().exits(0);
    assert!(run.stderr.contains("user: others may write to it"), "{}", run.stderr);
    assert!(run.stderr.contains("the baseline "), "{}", run.stderr);
}

#[test]
fn a_profile_may_be_kept_in_a_results_folder_begin_with_a_mark_or_lie_under_any_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    let folder = world.path().join("results");
    fs::create_dir(&folder).unwrap();
    profile().write(&folder.join("profile.json")).unwrap();
    for words in [
        &["exec", "--profile", "results", "--", "true"][..],
        &["export", "--format", "env", "results"],
        &["diff", "results", "results"],
        &["machine", "--profile", "results"],
        &["profiles", "verify", "results"],
        &["profiles", "--folder", "kept", "use", "results"],
        &["space", "--baseline", "results"],
    ] {
        let run = world.tuner(words).run();
        assert_eq!(run.status, Some(0), "{words:?}: {}", run.stderr);
    }
    let asked = ["exec", "--profile", "results", "--", "sh", "-c", "echo $WAN22_PROFILE"];
    assert!(world.tuner(&asked).run().stdout.ends_with("/results/profile.json\n"));

    let text = fs::read_to_string(folder.join("profile.json")).unwrap();
    fs::write(world.path().join("marked.json"), format!("\u{FEFF}{text}")).unwrap();
    world.tuner(&["exec", "--profile", "marked.json", "--", "true"]).run().exits(0);

    let odd = OsStr::from_bytes(b"caf\xe9.json");
    fs::write(world.path().join(odd), text).unwrap();
    let mut exec = Command::new(env!("CARGO_BIN_EXE_wan22-tune"));
    exec.current_dir(world.path()).args(["exec", "--quiet", "--profile"]).arg(odd);
    let output = exec.args(["--", "sh", "-c", "cat \"$WAN22_PROFILE\" | head -c 1"]).output();
    let output = output.unwrap();
    assert_eq!(output.stdout, b"{", "{}", String::from_utf8_lossy(&output.stderr));
}

/// A profile of this machine that a tune of `job` has proven, or has not where `gain` is `None`.
fn proven(job: &str, gain: Option<[f64; 2]>, pairs: usize) -> Profile {
    let built_in = BUILT_IN.iter().find(|(name, _)| *name == job);
    let file = built_in.map(|(_, text)| WorkloadFile::parse(text).unwrap());
    let workload = file.map_or_else(|| Workload::custom(job), |file| file.full());
    let mut profile = serde_json::to_value(profile()).unwrap();
    profile["evidence"] = json!({
        "verdict": if gain.is_some() { "gain" } else { "no significant gain" },
        "gain_percent": gain.map(|[low, high]| f64::midpoint(low, high)),
        "interval_percent": gain,
        "pairs": pairs,
        "baseline_s": 2.0,
        "score_s": 1.0,
        "workload": workload,
    });
    serde_json::from_value(profile).unwrap()
}

#[test]
fn a_profile_that_proves_less_takes_no_place_and_each_job_has_its_own() {
    let world = World::new();
    let keep = |profile: &Profile, flags: &[&str]| {
        write(&world, "p.json", profile);
        let words = [&["profiles", "--folder", "kept", "use", "p.json"], flags].concat();
        world.tuner(&words).run()
    };
    let strong = proven("i2v", Some([54.8, 85.0]), 4);
    let run = keep(&strong, &[]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let kept = world.path().join(run.stdout.trim());
    let text = fs::read_to_string(&kept).unwrap();
    for weak in [
        profile_for("i2v"),
        proven("i2v", None, 40),
        proven("i2v", Some([20.0, 85.0]), 9),
        proven("i2v", Some([54.8, 85.0]), 3),
    ] {
        let run = keep(&weak, &[]);
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
        let said = "proves more (i2v, a gain of 69.9% (54.8% or more), 4 pairs)";
        assert!(run.stderr.contains(said) && run.stderr.contains("--force"), "{}", run.stderr);
        assert_eq!(fs::read_to_string(&kept).unwrap(), text);
    }
    // Another job takes nothing away, and the one of the whole job is what --auto takes.
    assert_eq!(keep(&proven("vae-decode", Some([60.0, 70.0]), 9), &[]).status, Some(0));
    assert_eq!(keep(&proven("command", Some([60.0, 70.0]), 9), &["--job", "mine"]).status, Some(0));
    let auto = |flags: &[&str]| {
        let words = [&["exec", "--auto", "--folder", "kept"], flags, &["--", "true"]].concat();
        world.tuner(&words).run().stderr
    };
    assert!(auto(&["--job", "i2v"]).contains("-i2v.json (same machine)"));
    assert!(auto(&["--job", "vae-decode"]).contains("-vae-decode.json (same machine)"));
    assert!(auto(&["--job", "mine"]).contains("-mine.json (same machine)"));
    assert!(auto(&["--job", "t2v"]).contains("no profile for this machine and t2v"));
    assert!(!auto(&[]).contains("-vae-decode.json"), "a part of the job speaks for itself only");

    let run = keep(&proven("i2v", None, 40), &["--force"]).exits(0);
    assert!(run.stderr.contains("replaces ") && run.stderr.contains("69.9%"), "{}", run.stderr);
    assert_eq!(fs::read_dir(world.path().join("kept")).unwrap().count(), 3);
}

/// The same for a command whose words come to this digest.
fn proven_for_command(own: &str) -> Profile {
    let mut profile = serde_json::to_value(proven("command", Some([50.0, 60.0]), 4)).unwrap();
    profile["evidence"]["own"] = json!(own);
    serde_json::from_value(profile).unwrap()
}

#[test]
fn two_commands_of_ones_own_are_two_jobs() {
    let world = World::new();
    let keep = |profile: &Profile| {
        write(&world, "p.json", profile);
        world.tuner(&["profiles", "--folder", "kept", "use", "p.json"]).run()
    };
    let [one, two] = ["0123abcd", "00000000"].map(|own| keep(&proven_for_command(own)));
    assert_eq!((one.status, two.status), (Some(0), Some(0)), "{}", two.stderr);
    assert!(one.stdout.ends_with("-command-0123abcd.json\n"), "{}", one.stdout);
    assert!(two.stdout.ends_with("-command-00000000.json\n"), "{}", two.stdout);
    assert_eq!(two.stderr, "", "nothing is replaced");
    let again = keep(&proven_for_command("0123abcd"));
    assert!(again.stderr.contains("replaces ") && again.stderr.contains("-command-0123abcd"));
    assert_eq!(fs::read_dir(world.path().join("kept")).unwrap().count(), 2);
    let auto = |job: &str| {
        world
            .tuner(&["exec", "--auto", "--job", job, "--folder", "kept", "--", "true"])
            .run()
            .stderr
    };
    assert!(auto("command-00000000").contains("-command-00000000.json (same machine)"));
    assert!(auto("command-0123abcd").contains("-command-0123abcd.json (same machine)"));
    assert!(auto("command").contains("(same machine)"), "any of them");
    assert!(auto("command-11111111").contains("no profile for this machine"));
    // No path comes out of it.
    write(&world, "p.json", &proven_for_command("../../x"));
    let run = world.tuner(&["profiles", "--folder", "kept", "use", "p.json"]).run();
    assert!(run.stderr.contains("/evidence/own: not 8 hexadecimal digits"), "{}", run.stderr);
}

/// A profile of this machine that was made with `allowed` CPUs of it.
fn made_on(allowed: &CpuSet, made: &str) -> Profile {
    let mut machine = Machine::detect_host().unwrap();
    machine.allowed = allowed.clone();
    machine.limits.cpu_quota = None;
    let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
    let mut profile = Profile::new(&machine, &baseline, &baseline.knobs, made.to_owned()).unwrap();
    profile.evidence = proven("i2v", Some([50.0, 60.0]), 4).evidence;
    profile
}

#[test]
fn a_part_of_the_machine_and_the_whole_keep_a_profile_each() {
    let world = World::new();
    let machine = Machine::detect_host().unwrap();
    let all: CpuSet = machine.cores.iter().flat_map(|core| core.cpus.iter()).collect();
    if all.len() < 2 || machine.allowed != all || machine.quota_ceiling().is_some() {
        eprintln!("SKIPPED: a part of the machine needs all of at least two CPUs");
        return;
    }
    let part: CpuSet = all.first().into_iter().collect();
    let kept = world.path().join("kept");
    let keep = |profile: &Profile| {
        write(&world, "p.json", profile);
        let run = world.tuner(&["profiles", "--folder", "kept", "use", "p.json"]).run().exits(0);
        (kept.join(run.stdout.trim().strip_prefix("kept/").unwrap()), run.stderr)
    };
    // The newer one wins where nothing else decides.
    let (of_whole, of_part) = ("2026-11-24T10:00:00Z", "2026-11-25T10:00:00Z");
    let (whole, said) = keep(&made_on(&all, of_whole));
    assert_eq!(said, "");
    let fingerprint = machine.fingerprint();
    let name = format!("{}-{}-i2v.json", fingerprint.shape, fingerprint.identity);
    assert_eq!(whole, kept.join(name), "as it was before parts had names");
    let (partial, said) = keep(&made_on(&part, of_part));
    assert_eq!(said, "", "nothing is replaced");
    assert_ne!(partial, whole);
    let (_, said) = keep(&made_on(&part, of_part));
    assert_eq!(said.matches("replaces ").count(), 1, "{said}");
    assert!(said.contains(partial.file_name().unwrap().to_str().unwrap()), "{said}");
    // Each process takes the one that was made with what it may use, and `list` marks it.
    let taken = |cpus: &CpuSet, words: &[&str]| {
        let mut exec = Command::new("taskset");
        exec.args(["-c", &cpus.to_string(), env!("CARGO_BIN_EXE_wan22-tune")]).args(words);
        let output = exec.current_dir(world.path()).output().unwrap();
        let (mut said, more) = (output.stdout, output.stderr);
        said.extend(more);
        String::from_utf8(said).unwrap()
    };
    for (cpus, expected) in [(&all, &whole), (&part, &partial)] {
        let stem = expected.file_stem().unwrap().to_str().unwrap();
        let said = taken(cpus, &["exec", "--auto", "--folder", "kept", "--", "true"]);
        assert!(said.contains(&format!("kept/{stem}.json (same machine)")), "{cpus}: {said}");
        let said = taken(cpus, &["profiles", "--folder", "kept", "list"]);
        assert!(said.contains(&format!("* {stem} ")), "{cpus}: {said}");
    }
    assert_eq!(world.tuner(&["profiles", "--folder", "kept", "verify"]).run().status, Some(0));
    // A version that did not know of parts gave the one of the part the name of the whole.
    fs::rename(&partial, &whole).unwrap();
    assert_eq!(world.tuner(&["profiles", "--folder", "kept", "verify"]).run().status, Some(0));
    let (again, said) = keep(&made_on(&all, of_whole));
    assert_eq!((again, said.as_str()), (whole.clone(), ""));
    assert!(partial.is_file() && whole.is_file(), "it has a name of its own now");
}

/// A profile of a job with an interval around nothing.
fn profile_for(job: &str) -> Profile {
    proven(job, None, 0)
}

#[test]
fn a_file_under_the_name_of_an_older_version_is_read_and_replaced() {
    let world = World::new();
    let kept = world.path().join("kept");
    fs::create_dir(&kept).unwrap();
    let old = proven("i2v", Some([10.0, 20.0]), 4);
    let name = FileName { job: None, ..FileName::of(&old, None) }.to_string();
    old.write(&kept.join(&name)).unwrap();
    let auto = ["exec", "--auto", "--job", "i2v", "--folder", "kept", "--", "true"];
    let said = world.tuner(&auto).run().stderr;
    assert!(said.contains(&format!("{name} (same machine)")), "{said}");
    assert_eq!(world.tuner(&["profiles", "--folder", "kept", "verify"]).run().status, Some(0));
    write(&world, "p.json", &proven("i2v", Some([12.0, 20.0]), 4));
    let run = world.tuner(&["profiles", "--folder", "kept", "use", "p.json"]).run();
    assert!(run.stderr.contains(&format!("replaces kept/{name}")), "{}", run.stderr);
    let files: Vec<_> =
        fs::read_dir(&kept).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].to_string_lossy().ends_with("-i2v.json"), "{files:?}");
}

#[test]
fn auto_takes_the_next_best_where_the_best_can_not_be_applied() {
    let world = World::new();
    let kept = world.path().join("kept");
    fs::create_dir(&kept).unwrap();
    // CPUs that the kernel refuses to bind to, where the profile itself agrees with the machine.
    let auto = |folder: &str| {
        world.tuner(&["exec", "--auto", "--folder", folder, "--", "sh", "-c", "echo ran"]).run()
    };
    let absent = absent_allocator();
    let mut best = serde_json::to_value(proven("i2v", Some([50.0, 60.0]), 9)).unwrap();
    best["candidate"]["allocator"] = json!(absent.0);
    best["launch"]["environment"]["LD_PRELOAD"] = json!(absent.1);
    if let Some((name, value)) = absent.2 {
        best["launch"]["environment"][name] = json!(value);
    }
    let best: Profile = serde_json::from_value(best).unwrap();
    best.write(&kept.join(FileName::of(&best, None).to_string())).unwrap();
    let Ok(()) = wan22_tune::knobs::allow_list::resolved(&best.launch.environment).map(drop) else {
        let run = auto("kept");
        assert_eq!((run.status, run.stdout.as_str()), (Some(0), "ran\n"), "{}", run.stderr);
        assert!(run.stderr.contains("is passed over: no lib"), "{}", run.stderr);
        assert!(run.stderr.contains("no profile for this machine in kept can be applied"));
        assert!(run.stderr.contains("the baseline "), "{}", run.stderr);
        let listed = world.tuner(&["profiles", "--folder", "kept", "list"]).run().stdout;
        assert!(!listed.contains("* "), "nothing that --auto takes: {listed}");
        let next = proven("t2v", None, 4);
        next.write(&kept.join(FileName::of(&next, None).to_string())).unwrap();
        let run = auto("kept");
        assert!(run.stderr.contains("-t2v.json (same machine)"), "{}", run.stderr);
        // What `list` marks is what --auto takes.
        let listed = world.tuner(&["profiles", "--folder", "kept", "list"]).run().stdout;
        let starred: Vec<&str> = listed.lines().filter(|line| line.starts_with("* ")).collect();
        assert!(starred[0].contains("-t2v  same machine"), "{listed}");
        assert!(listed.contains("passed over by `wan22-tune exec --auto`: no lib"), "{listed}");
        let named = kept.join(FileName::of(&best, None).to_string());
        let words = ["exec", "--profile", named.to_str().unwrap(), "--", "true"];
        assert_eq!(world.tuner(&words).run().status, Some(125), "asked for by name");
        return;
    };
    assert_eq!(auto("kept").status, Some(0));
}

/// An allocator that this machine lacks, its library and the variable beside it; the last one where
/// it has all.
fn absent_allocator() -> (&'static str, &'static str, Option<(&'static str, &'static str)>) {
    let keep = ("MALLOC_CONF", "dirty_decay_ms:-1,muzzy_decay_ms:-1");
    let all = [
        ("jemalloc", "libjemalloc.so.2", Some(keep)),
        ("tcmalloc", "libtcmalloc_minimal.so.4", None),
        ("mimalloc", "libmimalloc.so.2", None),
    ];
    let live = wan22_tune::machine::SystemRoots::live();
    let is_absent = |library: &str| wan22_tune::machine::library::refusal(library, &live).is_some();
    all.into_iter().find(|(_, library, _)| is_absent(library)).unwrap_or(all[2])
}

#[test]
fn files_of_other_machines_are_not_read() {
    let world = World::new();
    let kept = world.path().join("kept");
    fs::create_dir(&kept).unwrap();
    let own = profile();
    own.write(&kept.join(FileName::of(&own, None).to_string())).unwrap();
    // What is no profile would be told of, if it were looked at.
    for number in 0..50 {
        let name = format!("{number:016x}-0123456789abcdef.json");
        fs::write(kept.join(name), "{}").unwrap();
        let sibling = format!("{}-{number:016x}.json", own.machine.fingerprint.shape);
        fs::write(kept.join(sibling), "{}").unwrap();
    }
    let auto = ["exec", "--auto", "--folder", "kept", "--", "true"];
    let run = world.tuner(&auto).run();
    assert_eq!((run.status, run.stderr.lines().count()), (Some(0), 1), "{}", run.stderr);
    assert!(run.stderr.contains("(same machine)"), "{}", run.stderr);
}

#[test]
fn a_home_that_is_empty_or_relative_is_none() {
    let world = World::new();
    write(&world, "p.json", &profile());
    for home in ["", ".", "relative"] {
        let mut tuner = Command::new(env!("CARGO_BIN_EXE_wan22-tune"));
        tuner.args(["profiles", "list"]).current_dir(world.path());
        let output = tuner.env("HOME", home).env_remove("XDG_DATA_HOME").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!said.contains(".local"), "{home}: {said}");
    }
}
