//! What a command that `exec` starts is and has.

use super::*;

#[test]
fn exec_is_the_command_with_its_process_signals_and_descriptors() {
    let world = World::new();
    write(&world, "p.json", &profile());
    let exec = |words: &[&str]| {
        world.tuner(&[&["exec", "--profile", "p.json", "--"], words].concat()).run()
    };
    // A wrapper that stayed would be the parent, and would turn a signal into a status.
    let run = exec(&["sh", "-c", "kill -TERM $$"]);
    assert_eq!(run.status, None, "ended by the signal itself: {}", run.stderr);
    // Whatever descriptors this test was started with, and no more.
    let list = ["sh", "-c", "ls /proc/$$/fd; exit 42"];
    let plain = Command::new(list[0]).args(&list[1..]).output().unwrap().stdout;
    let run = exec(&list);
    assert_eq!((run.status, run.stdout), (Some(42), String::from_utf8(plain).unwrap()));
    let run = exec(&["sh", "-c", "yes | head -n 1"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), "y\n"), "a broken pipe ends a writer");
    assert_eq!(exec(&["printf", "%s|", "a b", "", "*"]).stdout, "a b||*|");
    let mut plain = Command::new(env!("CARGO_BIN_EXE_wan22-tune"));
    plain.args(["exec", "--profile", "p.json", "--", "sh", "-c", "echo $$"]);
    let child = plain.current_dir(world.path()).stdout(std::process::Stdio::piped()).spawn();
    let child = child.unwrap();
    let pid = child.id();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(said.trim(), pid.to_string(), "it is the same process");
}

#[test]
fn exec_logs_in_one_line_what_was_applied_and_read_back() {
    let world = World::new();
    let profile = profile();
    write(&world, "p.json", &profile);
    let run = world.tuner(&["exec", "--profile", "p.json", "--", "true"]).run();
    let cpus = &profile.launch.cpus;
    assert_eq!((run.status, run.stderr.lines().count()), (Some(0), 1), "{}", run.stderr);
    let line = format!("p.json (same machine): CPUs {cpus} (read back {cpus}), memory ");
    assert!(run.stderr.contains(&line), "{}", run.stderr);
    assert!(run.stderr.contains("MALLOC_ARENA_MAX=4"), "{}", run.stderr);
    let run = world.tuner(&["exec", "--quiet", "--profile", "p.json", "--", "true"]).run();
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_narrower_mask_of_the_caller_does_not_change_what_the_profile_says() {
    let world = World::new();
    let profile = profile();
    write(&world, "p.json", &profile);
    let first = profile.launch.cpus.first().unwrap().to_string();
    let output = Command::new("taskset")
        .args(["-c", &first, env!("CARGO_BIN_EXE_wan22-tune"), "exec", "--profile", "p.json"])
        .args(["--", "sh", "-c", "grep Cpus_allowed_list /proc/self/status"])
        .current_dir(world.path())
        .output()
        .unwrap();
    let got = String::from_utf8(output.stdout).unwrap();
    assert_eq!(got.split_whitespace().last().unwrap(), profile.launch.cpus.to_string());
}

#[test]
fn a_profile_of_another_machine_is_refused_adapted_or_forced() {
    let world = World::new();
    write(&world, "p.json", &foreign());
    let exec = |flags: &[&str]| {
        let words = [&["exec", "--profile", "p.json"], flags, &["--", "sh", "-c"]].concat();
        world.tuner(&[&words[..], &["echo $OMP_NUM_THREADS"]].concat()).run()
    };
    let run = exec(&[]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(125), ""));
    assert!(run.stderr.contains("--adapt") && run.stderr.contains("--force"), "{}", run.stderr);
    let run = exec(&["--adapt"]);
    let cores = Machine::detect_host().unwrap().core_limit();
    let expected = (32 * cores + 32) / 64;
    assert_eq!(run.stdout.trim(), expected.max(1).to_string(), "{}", run.stderr);
    assert!(run.stderr.contains("adapted intra_op_threads 32 -> "), "{}", run.stderr);
    assert!(run.stderr.contains("adapted, never measured here"), "{}", run.stderr);
    // As it stands it names CPUs that few machines have.
    let run = exec(&["--force"]);
    match run.status {
        Some(0) => assert_eq!(run.stdout.trim(), "32"),
        status => {
            assert_eq!(status, Some(125));
            assert!(run.stderr.contains("binding to CPUs"), "{}", run.stderr);
        }
    }
    exec(&["--force", "--adapt"]).exits(2);
}
