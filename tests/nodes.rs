//! One search over several nodes: agents as children of the tuner, the fake worker behind each.

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use wan22_tune::trial::{Outcome, Phase, Trial};

use harness::{Run, Running, World};

/// Agents that a test kills, and tuners.
const KILLS: u32 = 8;

fn numbers(trials: &[Trial]) -> Vec<u64> {
    trials.iter().map(|trial| trial.number).collect()
}

fn nodes(trials: &[Trial]) -> BTreeSet<&str> {
    trials.iter().map(|trial| trial.node.as_str()).collect()
}

/// Processes of the agents of the tuner `parent`.
fn agents(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let number = |name: &str| name.parse::<u32>().ok();
    let own = processes.filter_map(|entry| number(entry.file_name().to_str()?)).filter(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let of = stat.rsplit(')').next().unwrap_or_default().split_whitespace().nth(1);
        let words = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        of == Some(&parent.to_string()) && words.contains("agent")
    });
    own.collect()
}

/// Whether some process works in `folder`, as the tuner, its agents and their trials do.
fn is_busy(folder: &Path) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        fs::read_link(entry.path().join("cwd")).is_ok_and(|place| place.starts_with(folder))
    })
}

fn wait_until_idle(folder: &Path) {
    for _ in 0..6000 {
        if !is_busy(folder) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("a process is left");
}

fn tune(world: &World, budget: &str, more: &[&str]) -> harness::Tuner {
    let flags = ["--budget", budget, "--nodes", "3", "--launcher", "", "--strategy", "random"];
    world.tune(&[&flags[..], more].concat())
}

/// A tune whose launcher pipes what the agents of node n2 and of the others say through `sed`. On one
/// machine a node is told by its lock.
fn tune_changed(world: &World, [second, others]: [&str; 2], nodes: &str) -> Run {
    let script = world.path().join("launch.sh");
    let text = format!(
        "case $WAN22_LOCK_DIR in */n2) e='{second}';; *) e='{others}';; esac\n\"$@\" | sed -u \"$e\"\n"
    );
    fs::write(&script, text).unwrap();
    let launcher = format!("sh {}", script.display());
    let flags = ["--budget", "10m", "--nodes", nodes, "--launcher", &launcher, "--trials", "9"];
    world.tune(&flags).run()
}

#[test]
fn three_nodes_search_together() {
    let world = World::new();
    let run = tune(&world, "10m", &["--trials", "12"]).run().exits(0);
    let results = world.results();
    assert_eq!(nodes(&results.trials), BTreeSet::from(["n1", "n2", "n3"]));
    assert_eq!(numbers(&results.trials), (1..=results.trials.len() as u64).collect::<Vec<_>>());
    for name in ["n1", "n2", "n3"] {
        let first = results.trials.iter().find(|trial| trial.node == name).unwrap();
        assert!(matches!(first.phase, Phase::Calibration | Phase::Baseline), "{name}: {first:?}");
    }
    assert!(run.stdout.contains("n3"), "{}", run.stdout);
    let page = fs::read_to_string(world.folder().join("report.html")).unwrap();
    assert!(page.contains("The nodes"));
    assert!(world.folder().join("profile.json").exists());
    wait_until_idle(world.path());
}

/// Whether a process runs a trial's worker, and does not ask it for its version.
fn is_trial(process: &str) -> bool {
    let words = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
    words.contains("fake-worker") && !words.contains("--version")
}

/// Kills an agent if it is in mid-trial: while it is stopped it can't tell of the trial's end.
fn kill_in_trial(agent: u32) -> bool {
    signal("STOP", agent);
    let of_threads = |file: &str| -> Vec<String> {
        let threads = fs::read_dir(format!("/proc/{agent}/task")).into_iter().flatten().flatten();
        threads.filter_map(|thread| fs::read_to_string(thread.path().join(file)).ok()).collect()
    };
    let runs = |stat: &String| !stat.rsplit(") ").next().unwrap().starts_with(['T', 'Z', 'X']);
    while of_threads("stat").iter().any(runs) {
        std::thread::yield_now();
    }
    let children = of_threads("children").concat();
    let is_in_trial = children.split_whitespace().any(is_trial);
    signal(if is_in_trial { "KILL" } else { "CONT" }, agent);
    is_in_trial
}

fn signal(name: &str, process: u32) {
    let kill = Command::new("kill").args(["-s", name, &process.to_string()]).output();
    // It may have ended by now.
    kill.unwrap();
}

#[test]
fn agents_that_are_killed_lose_no_row() {
    let world = World::new();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut running: Running = tune(&world, "10m", &[]).start();
    running.wait_for_trials(&world, 3);
    let mut killed = 0;
    while killed < KILLS / 2 {
        std::thread::sleep(rng.random_range(Duration::ZERO..Duration::from_millis(200)));
        assert!(fs::exists(format!("/proc/{}/exe", running.id())).unwrap(), "the tune is over");
        let agent = agents(running.id()).choose(&mut rng).copied();
        killed += u32::from(agent.is_some_and(kill_in_trial));
    }
    let lost = |trial: &&Trial| trial.detail.contains("was lost");
    let lost_rows = || world.results().trials.iter().filter(lost).count();
    for _ in 0..6000 {
        if lost_rows() == killed as usize {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    running.interrupt();
    let run = running.end().exits(0);
    let trials = world.results().trials;
    assert_eq!(numbers(&trials), (1..=trials.len() as u64).collect::<Vec<_>>());
    assert_eq!(trials.iter().filter(lost).count(), killed as usize, "{}", run.stderr);
    assert!(trials.iter().filter(lost).all(|trial| trial.outcome == Outcome::Interrupted));
    assert!(run.stderr.contains("was lost"), "{}", run.stderr);
    wait_until_idle(world.path());
}

#[test]
fn a_tuner_that_is_killed_goes_on_with_every_row() {
    let world = World::new();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(4);
    let mut before: Vec<Trial> = Vec::new();
    for kill in 0..KILLS {
        let folder = fs::read_dir(world.path().join("results")).into_iter().flatten().flatten();
        let folder = folder.map(|entry| entry.path()).find(|path| path.join("space.toml").exists());
        let tuner = match &folder {
            Some(folder) => world.tune(&["resume", folder.to_str().unwrap(), "--budget", "10m"]),
            None => {
                let _ = fs::remove_dir_all(world.path().join("results"));
                tune(&world, "10m", &[])
            }
        };
        let mut running = tuner.start();
        if kill == 0 {
            running.wait_for_trials(&world, 1);
        }
        std::thread::sleep(rng.random_range(Duration::from_millis(300)..Duration::from_secs(4)));
        running.kill();
        wait_until_idle(world.path());
        if folder.is_some() {
            let after = world.results().trials;
            for trial in &before {
                let kept = after.iter().find(|row| row.number == trial.number);
                assert_eq!(kept, Some(trial), "kill {kill}: a row was lost or changed");
            }
            before = after;
        }
    }
    let (folder, more) = (world.folder(), (before.len() + 6).to_string());
    let resume = ["resume", folder.to_str().unwrap(), "--budget", "10m", "--trials", &more];
    world.tune(&resume).run().exits(0);
    let trials = world.results().trials;
    assert_eq!(numbers(&trials), (1..=trials.len() as u64).collect::<Vec<_>>());
    let journals = fs::read_dir(&folder).unwrap().flatten();
    let copies = journals.filter(|file| file.file_name().to_string_lossy().contains(".old"));
    assert_eq!(copies.count(), 0, "the journal was as it should be");
}

#[test]
fn a_node_of_another_version_is_refused_and_named() {
    let world = World::new();
    let edit = r#"s/"tool":"wan22-tune [^"]*","worker/"tool":"wan22-tune 0.0","worker/"#;
    let run = tune_changed(&world, [edit, ""], "2-3").exits(0);
    let said = "node n2 can't take part: its program is wan22-tune 0.0, not wan22-tune ";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    assert_eq!(nodes(&world.results().trials), BTreeSet::from(["n1", "n3"]));
    let too_few = tune_changed(&World::new(), [edit, ""], "3").exits(1);
    assert!(too_few.stderr.contains("2 of at least 3 nodes can take part"), "{}", too_few.stderr);
}

#[test]
fn a_node_of_another_class_is_refused_and_named() {
    let world = World::new();
    let edit = r#"s/"memory_bytes":[0-9]*,"gpus"/"memory_bytes":999,"gpus"/"#;
    let run = tune_changed(&world, [edit, ""], "2-3").exits(0);
    let said = "node n2 can't take part: its machine is of another class: ";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    assert_eq!(nodes(&world.results().trials), BTreeSet::from(["n1", "n3"]));
}

/// A tune of two nodes whose agents are started by this script.
fn tune_launched(world: &World, script: &str, more: &[&str]) -> Run {
    let path = world.path().join("launch.sh");
    fs::write(&path, script).unwrap();
    let launcher = format!("sh {}", path.display());
    world.tune(&[&["--nodes", "2", "--launcher", &launcher], more].concat()).run()
}

#[test]
fn a_node_that_is_silent_from_its_first_trial_on_stops_nobody() {
    let world = World::new();
    let script = "case $WAN22_LOCK_DIR in */n2) \"$@\" | sed -u 2,\\$d;; *) exec \"$@\";; esac\n";
    let run = tune_launched(&world, script, &["--budget", "12s"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let trials = world.results().trials;
    assert!(trials.iter().any(|trial| trial.phase == Phase::Search), "{}", run.stderr);
    let silent: Vec<&Trial> = trials.iter().filter(|trial| trial.node == "n2").collect();
    assert_eq!(silent.len(), 1);
    assert_eq!(silent[0].detail, "node n2 was lost: it does not answer");
}

/// The agent's hello comes again in mid-trial, with a clock of another century, and of trials that nobody
/// asked for.
#[test]
fn what_an_agent_says_wrongly_moves_no_row() {
    let world = World::new();
    let edit = r#"/"hello"/{h;p;d};/"ended"/{x;p;x;s/"started":"[^"]*"/"started":"1999-01-01T00:00:00Z"/;s/"phase":"[^"]*"/"phase":"search"/}"#;
    tune_changed(&world, [edit, ""], "3").exits(0);
    let results = world.results();
    let trials = &results.trials;
    assert_eq!(numbers(trials), (1..=trials.len() as u64).collect::<Vec<_>>());
    assert!(trials.iter().all(|trial| trial.started >= results.tune.started), "{trials:?}");
    let first = trials.iter().find(|trial| trial.node == "n2").unwrap();
    assert!(matches!(first.phase, Phase::Calibration | Phase::Baseline), "{first:?}");
}

/// The launcher is gone once the second node's agent has run a trial.
#[test]
fn a_node_whose_agent_can_not_be_started_again_stops_nobody() {
    let world = World::new();
    let script = "#!/bin/sh\ncase $WAN22_LOCK_DIR in\n\
                  */n2) \"$@\" | sed -u 2q; rm -f \"$0\";;\n*) exec \"$@\";; esac";
    world.script("launch", script);
    let launcher = world.path().join("launch").display().to_string();
    let flags = ["--budget", "10m", "--nodes", "2", "--trials", "9", "--launcher", &launcher];
    let run = world.tune(&flags).run().exits(0);
    let said = "node n2 can't take part: starting ";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    assert_eq!(nodes(&world.results().trials), BTreeSet::from(["n1", "n2"]));
}

/// Each agent runs three trials and is gone; those that are started in their place never say anything.
#[test]
fn agents_that_never_come_back_are_waited_for_as_long_as_the_budget() {
    let world = World::new();
    let script = "if [ -e $WAN22_LOCK_DIR/begun ]; then exec sleep 3600; fi\n\
                  touch $WAN22_LOCK_DIR/begun\n\"$@\" | sed -u 4q\n";
    let run = tune_launched(&world, script, &["--budget", "12s"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("its agent is started again"), "{}", run.stderr);
    assert!(world.folder().join("profile.json").exists());
}

/// The first agent of a node is gone after a trial, and something holds its lock for a while.
#[test]
fn an_agent_that_is_started_again_waits_for_the_lock() {
    let world = World::new();
    let script = "cd $WAN22_LOCK_DIR\n\
                  if [ ! -e begun ]; then\n\
                  touch begun; \"$@\" | sed -u 2q\n\
                  flock wan22-tune.lock sh -c 'touch held; sleep 1' <&- >&- 2>&- &\n\
                  until [ -e held ]; do sleep 0.05; done; exit\nfi\nexec \"$@\"\n";
    let run = tune_launched(&world, script, &["--budget", "10m", "--trials", "9"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("its agent is started again"), "{}", run.stderr);
    assert!(!run.stderr.contains("can't take part"), "{}", run.stderr);
}

#[test]
fn a_node_with_another_reference_picture_than_most_is_put_out() {
    let world = World::new();
    let [other, same] = ["other", "same"].map(|digest| {
        format!(r#"s/"references":{{[^}}]*}}/"references":{{"reference":"{digest}"}}/"#)
    });
    let run = tune_changed(&world, [&other, &same], "3").exits(0);
    let said = "node n2 can't take part: its reference picture is not that of n1, n3";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let trials = world.results().trials;
    let of_second: Vec<&Trial> = trials.iter().filter(|trial| trial.node == "n2").collect();
    assert!(of_second.iter().all(|trial| trial.phase != Phase::Confirmation));
    let last = of_second.last().unwrap();
    assert!(last.outcome == Outcome::Ok || last.detail.contains("its reference picture is not"));
    // Of two that differ one goes on.
    let world = World::new();
    let run = tune_changed(&world, [&other, &same], "2");
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let said = "came first: which of them is right nobody can tell";
    assert!(run.stderr.contains(said), "{}", run.stderr);
}

#[test]
fn what_can_not_be_is_said_before_anything_starts() {
    for (flags, said) in [
        (
            &["--nodes", "4", "--launcher", "", "--strategy", "annealing"][..],
            "annealing searches alone",
        ),
        (&["--nodes", "4", "--launcher", "ssh {node}"], "nobody says which nodes"),
        (&["--nodes", "4-2", "--launcher", ""], "type a number (4) or a range (2-8)"),
        (&["--launcher", "ssh {node}"], "--nodes"),
    ] {
        let world = World::new();
        let run = world.tune(&[&["--budget", "10s"][..], flags].concat()).run().exits(2);
        assert!(run.stderr.contains(said), "{}", run.stderr);
        assert!(!world.path().join("results").exists());
    }
}

#[test]
fn without_a_place_to_start_nodes_from_it_says_what_to_type() {
    let world = World::new();
    let mut tuner = world.tune(&["--budget", "10s", "--nodes", "2"]);
    tuner.0.env_remove("SLURM_JOB_ID").env("PATH", "/nowhere");
    let run = tuner.run().exits(2);
    assert!(run.stderr.contains("--launcher 'ssh {node}'"), "{}", run.stderr);
}

/// sbatch is a script that keeps its words and what it is given to run.
#[test]
fn outside_of_an_allocation_it_is_submitted() {
    let world = World::new();
    let script = "for word; do echo \"$word\"; done > words\ncat > script\necho 12";
    world.script("sbatch", script);
    let job = ["--", "./my job", "it's", "$HOME"];
    let mut tuner = world.tune(&[&["--budget", "30m", "--nodes", "n[2-4]"][..], &job].concat());
    tuner.0.env_remove("SLURM_JOB_ID").env("PATH", format!("{}:/bin", world.path().display()));
    let run = tuner.run().exits(0);
    assert!(run.stdout.contains("Submitted as job 12"), "{}", run.stdout);
    let words = fs::read_to_string(world.path().join("words")).unwrap();
    for word in [
        "--nodes=2-3",
        "--nodelist=n2,n3,n4",
        "--exclusive",
        "--mem=0",
        "--no-kill",
        "--time=40",
        "--signal=B:TERM@90",
        "--output=wan22-tune-%j.log",
    ] {
        assert!(words.lines().any(|line| line == word), "{words}");
    }
    let script = fs::read_to_string(world.path().join("script")).unwrap();
    assert!(script.starts_with("#!/bin/sh\nexec "), "{script}");
    let rest = r" --budget 30m --nodes 'n[2-4]' -- './my job' 'it'\''s' '$HOME'";
    assert!(script.trim_end().ends_with(rest), "{script}");
}

/// Each node asks its own worker what it runs today, before its first trial.
#[test]
fn nodes_of_a_worker_begin_with_what_it_runs_today() {
    let world = World::new();
    let job = "import os, sys\nsys.path.insert(0, os.environ['PYSRC'])\nimport wan22_tune\n\
               def run():\n  wan22_tune.knob('tile_size')\n  wan22_tune.took(1 + wan22_tune.knob('blocks', 7) / 10)\n\
               wan22_tune.serve(run)\n";
    fs::write(world.path().join("job.py"), job).unwrap();
    let nodes = ["--budget", "10m", "--nodes", "2", "--launcher", "", "--trials", "6", "--cold"];
    let knobs =
        ["--knob", "tile_size", "--knob", "blocks=0..8", "--worker", "--", "python3", "job.py"];
    let tuner = world.tuner(&[&nodes[..], &knobs].concat());
    let run = tuner.env("PYSRC", concat!(env!("CARGO_MANIFEST_DIR"), "/python")).run().exits(0);
    let trials = world.results().trials;
    assert_eq!(crate::nodes(&trials), BTreeSet::from(["n1", "n2"]));
    let mut baselines = trials.iter().filter(|trial| trial.phase == Phase::Baseline);
    assert!(baselines.all(|trial| trial.knobs["blocks"].to_string() == "7"), "{trials:?}");
    let says = "the worker reads tile_size and does not say what it runs today";
    assert_eq!(run.stderr.matches(says).count(), 1, "{}", run.stderr);
}
