//! Fleets without a scheduler: any launcher, this machine, Kubernetes' manifest, and mistakes.

mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use harness::{Run, World};
use serde_json::Value;
use wan22_tune::fleet::{Folder, Probe};
use wan22_tune::io::lock::Lock;
use wan22_tune::machine::Machine;

/// A tune of a command of three candidates, which ends when all of them were measured and the best is proven.
const TUNE: [&str; 6] = [
    "--poll=0.2",
    "--budget=60s",
    "--cold",
    "--no-built-in",
    "--knob=last=1..3",
    "--metric=t=(.*)",
];

/// The same on two nodes that are this machine.
fn fleet(world: &World, words: &[&str]) -> Run {
    let engine = ["fleet", "dir", "--engine=env WHERE={node}", "--nodes=a,b", "--each=node"];
    world.tuner(&[&engine[..], &TUNE, words, &["--", "echo", "t={last=3}"]].concat()).run()
}

fn rows(world: &World) -> String {
    fs::read_to_string(world.path().join("dir/fleet.csv")).unwrap()
}

#[test]
fn any_launcher_starts_jobs_and_a_second_call_none() {
    let world = World::new();
    fleet(&world, &[]).exits(0);
    let dir = world.path().join("dir");
    let found: Value = serde_json::from_slice(&fs::read(dir.join("fleet.json")).unwrap()).unwrap();
    assert_eq!(found["comparison"]["runs"].as_array().unwrap().len(), 2);
    let nodes = found["nodes"].as_array().unwrap().iter();
    let nodes: Vec<_> = nodes.map(|node| [&node["node"], &node["state"]]).collect();
    assert_eq!(nodes, [["a", "tuned"], ["b", "tuned"]]);
    for path in ["report.html", "profiles/fleet.json", "nodes/a/results", "nodes/b/results"] {
        assert!(dir.join(path).exists(), "{path}");
    }
    let before = rows(&world);
    assert_eq!(before.matches(",tune done,").count(), 2, "{before}");
    let again =
        world.tuner(&["fleet", "dir", "--engine=none", "--each=node", "--json"]).run().exits(0);
    assert_eq!(serde_json::from_str::<Value>(&again.stdout).unwrap()["nodes"], found["nodes"]);
    for folders in ["dir", "dir/nodes"] {
        let compared = world.tuner(&["compare", "--json", folders]).run();
        let compared: Value = serde_json::from_str(&compared.stdout).unwrap();
        assert_eq!(compared["runs"].as_array().unwrap().len(), 2, "{folders}");
    }
    let kept = world.tuner(&["profiles", "--folder", "dir/profiles", "verify"]).run();
    assert_eq!(kept.status, Some(0), "{}{}", kept.stdout, kept.stderr);
    assert_eq!(fleet(&world, &["--quiet"]).status, Some(0));
    assert_eq!(rows(&world), before);
    let other = fleet(&world, &["--seed=2"]).exits(2);
    assert!(other.stderr.contains("fleet.toml: begun in"), "{}", other.stderr);
}

/// The folder keeps the engine, the nodes and who is tuned: nothing but it is typed again.
#[test]
fn the_folder_alone_goes_on_as_it_was_asked() {
    let world = World::new();
    let flags = ["fleet", "dir", "--engine=env WHERE={node}", "--nodes=n1", "--each=node"];
    let job = ["--", "echo", "t={last=3}"];
    world.tuner(&[&flags[..], &TUNE, &job].concat()).run().exits(0);
    let states = |words: &[&str]| {
        let run = world.tuner(&[&["fleet", "dir", "--json", "--poll=0.2"], words].concat()).run();
        assert_eq!(run.status, Some(0), "{words:?}: {}", run.stderr);
        let found: Value = serde_json::from_str(&run.stdout).unwrap();
        let nodes = found["nodes"].as_array().unwrap().iter();
        nodes.map(|node| node["node"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let before = rows(&world);
    assert_eq!(states(&[]), "n1");
    assert_eq!(rows(&world), before, "there is nothing left to do");
    // What is named anew is kept in its place, and one look with another engine is not.
    assert_eq!(states(&["--nodes=n[1-2]"]), "n1 n2");
    assert!(rows(&world).contains(",n2,,tune done,"), "{}", rows(&world));
    assert_eq!(states(&["--engine=none"]), "n1 n2");
    assert_eq!(states(&["--exclude=n1"]), "n2");
    assert_eq!(states(&[]), "n2");
    assert_eq!(states(&["--exclude="]), "n1 n2");
    let file = world.path().join("dir/fleet.toml");
    let kept = fs::read_to_string(&file).unwrap();
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the engine's command may hold a password");
    let flags = r#"flags = ["--engine=env WHERE={node}", "--each=node", "--nodes=n[1-2]"]"#;
    assert!(kept.contains(flags), "{kept}");

    for (words, said) in [
        (&["--engine=local"][..], "begun with --engine 'env WHERE={node}': with 'local'"),
        (&["--budget=7s", "--cold"], "with other flags tunes could not be compared"),
        (&["--seed=2"], "give --budget and all flags as at first"),
        (&["--nodes="], "name the nodes with --nodes, such as --nodes n1,n2"),
    ] {
        let run = world.tuner(&[&["fleet", "dir"][..], words].concat()).run();
        assert_eq!(run.status, Some(2), "{words:?}: {}", run.stderr);
        assert!(run.stderr.contains(said), "{words:?}: {}", run.stderr);
        let now = fs::read_to_string(world.path().join("dir/fleet.toml")).unwrap();
        assert_eq!(now, kept, "what is refused is not kept");
    }
}

/// The states of all nodes, as `--status` has them.
fn states(world: &World) -> Vec<String> {
    let run = world.tuner(&["fleet", "dir", "--status", "--json"]).run();
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    let nodes = found["nodes"].as_array().unwrap().iter();
    let text = |node: &Value, key: &str| node[key].as_str().unwrap().to_owned();
    let row =
        |node| format!("{} {} {}", text(node, "node"), text(node, "state"), text(node, "detail"));
    nodes.map(row).collect()
}

/// Slurm's job is the one in which the command was typed: the launcher says whose a job is.
#[test]
fn inside_somebodys_slurm_job_a_launcher_still_names_its_nodes() {
    let world = World::new();
    let flags = ["fleet", "dir", "--engine=env WHERE={node}", "--nodes=a,b", "--each=node"];
    let tune = ["--poll=0.2", "--budget=60s", "--", "false"];
    let mut tuner = world.tuner(&[&flags[..], &tune].concat());
    tuner.0.env("SLURM_JOB_ID", "77").env("SLURMD_NODENAME", "login");
    let run = tuner.run();
    assert_eq!(run.status, Some(6), "{}{}", run.stdout, run.stderr);
    for node in ["a", "b"] {
        let status = fs::read(world.path().join("dir/nodes").join(node).join("status.json"));
        let status: Value = serde_json::from_slice(&status.unwrap()).unwrap();
        assert!(status["job"].is_null() && status["is_broken"] == true, "{status}");
    }
    assert!(!world.path().join("dir/nodes/login").exists());
}

/// The folder tells how nodes stand whose jobs another call, or another engine, started.
#[test]
fn the_folder_alone_says_what_failed_and_what_runs() {
    let world = World::new();
    let engine = ["fleet", "dir", "--engine=local", "--nodes=a,b", "--each=node", "--poll=0.2"];
    let run = world.tuner(&[&engine[..], &["--budget=60s", "--", "false"]].concat()).run();
    assert_eq!(run.status, Some(6), "{}{}", run.stdout, run.stderr);
    let said = states(&world);
    assert!(said.iter().all(|row| row[1..].starts_with(" failed the baseline")), "{said:?}");
    let gathered = world.tuner(&["fleet", "dir", "--engine=none", "--each=node"]).run();
    assert_eq!(gathered.stdout.matches("failed").count(), 4, "{}", gathered.stdout);

    let node = world.path().join("dir/nodes/a");
    let status = r#"{"task": "tune", "job": null, "began": "", "status": null, "detail": "", "is_broken": false}"#;
    fs::write(node.join("status.json"), status).unwrap();
    let lock = Lock::take_in(&node, false, &AtomicBool::new(false)).unwrap();
    assert_eq!(states(&world)[0], "a running tune");
    drop(lock);
    assert_eq!(states(&world)[0], "a planned idle");
}

/// A pod that is evicted is started again only where it did not end well.
#[test]
fn a_tune_that_is_ended_without_a_scheduler_asks_to_be_started_again() {
    let world = World::with_job("sleep 0.1; echo t=$1");
    let flags = ["fleet", "dir", "--manifest=k8s", "--pod-image=wan22:1", "--nodes=a"];
    let job = ["--", "./job.sh", "{last=3}"];
    world.tuner(&[&flags[..], &TUNE, &job].concat()).run().exits(0);
    // Pods work where the folder is.
    fs::copy(world.path().join("job.sh"), world.path().join("dir/job.sh")).unwrap();
    let here = || world.tuner(&["fleet", "dir", "--here=tune"]).env("WAN22_FLEET_NODE", "a");
    let running = here().start();
    let folder = Folder::new(world.path().join("dir"));
    for _ in 0..6000 {
        if folder.tuned("a").trials() > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    running.interrupt();
    running.end().exits(6);
    assert_eq!(folder.tuned("a").done(), None);
    here().run().exits(0);
    assert!(folder.tuned("a").done().is_some());
}

#[test]
fn what_fails_everywhere_is_told_once() {
    let world = World::new();
    // The baseline does not run: neither node is tried again.
    let engine = ["fleet", "dir", "--engine=local", "--nodes=a,b", "--each=node", "--poll=0.2"];
    let run = world.tuner(&[&engine[..], &["--budget=60s", "--", "false"]].concat()).run().exits(6);
    assert_eq!(rows(&world).matches("tune submitted").count(), 2, "{}", rows(&world));
    assert!(run.stdout.contains("\na failed: "), "{}", run.stdout);

    let usage = |words: &[&str], said: &str| {
        let world = World::new();
        let run = world.tuner(&[&["fleet", "dir"], words].concat()).run();
        assert_eq!(run.status, Some(2), "{words:?}: {}", run.stderr);
        assert!(run.stderr.contains(said), "{words:?}: {}", run.stderr);
    };
    usage(&["--engine=local"], "no fleet yet: give --budget 30m");
    usage(&["--engine=ssh", "--budget=60s"], "a command with {node}");
    usage(&["--engine=ssh {node}", "--budget=60s"], "name the nodes with --nodes");
    usage(&["--engine=local", "--nodes=n[1", "--budget=60s"], "a bracket");
    usage(&["--status"], "no fleet: fleet.toml is missing; --budget 30m instead begins one");
    usage(&["--each=both"], "give node, class, or class=2");
    usage(
        &["--engine=local", "--poll=0.2", "--budget=60s", "--images=nowhere"],
        "a node says: --images",
    );
}

#[test]
fn a_dry_run_and_a_manifest_start_nothing() {
    let world = World::new();
    let planned = fleet(&world, &["--dry-run"]).exits(0);
    assert!(planned.stdout.contains("\nenv WHERE=a sh -c 'cd "), "{}", planned.stdout);
    assert!(planned.stdout.contains("at most 2 tunes of 1 min"), "{}", planned.stdout);
    assert!(!world.path().join("dir").exists());
    let words = ["--manifest=k8s", "--pod-image=wan22:1"];
    let manifest = fleet(&world, &words).exits(0);
    let job: Value = serde_saphyr::from_str(&manifest.stdout).unwrap();
    assert_eq!((&job["kind"], &job["spec"]["completions"]), (&"Job".into(), &2.into()));
    let asked = fs::read_to_string(world.path().join("dir/fleet.toml")).unwrap();
    assert!(asked.contains("\"--knob=last=1..3\""), "{asked}");
    // What the cluster's jobs leave is gathered by the folder alone; here they left nothing.
    world.tuner(&["fleet", "dir"]).run().exits(6);
    assert_eq!(rows(&world).lines().count(), 1, "nothing was started");
}

/// An engine, which does the same with both words, for a tune that one node begins.
fn on(world: &World, words: &[&str]) -> Run {
    let job = ["--", "echo", "t={last=3}"];
    world.tuner(&[&["fleet", "dir", "--each=node"], &TUNE[..], words, &job].concat()).run()
}

#[test]
fn what_a_folder_keeps_changes_with_a_word_and_by_its_owner_alone() {
    let world = World::new();
    let engine = ["--engine=env WHERE={node}", "--nodes=n1"];
    on(&world, &engine).exits(0);
    let again = on(&world, &[&engine[..], &["--tries=2"]].concat()).exits(0);
    let says = "fleet.toml: it says no --tries, the call --tries=2: that is kept from now on";
    assert!(again.stderr.contains(says), "{}", again.stderr);
    let file = world.path().join("dir/fleet.toml");
    let kept = fs::read_to_string(&file).unwrap();
    // Somebody else may have written it.
    let everybody = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    everybody(0o666);
    let other = on(&world, &[&engine[..], &["--tries=3"]].concat()).exits(2);
    let says =
        "everybody may write to it, and it says --tries=2, the call --tries=3: type all flags";
    assert!(other.stderr.contains(says), "{}", other.stderr);
    on(&world, &[&["--tries=2"], &engine[..]].concat()).exits(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), kept);
}

#[test]
fn a_folder_that_keeps_no_engine_says_what_to_type() {
    let world = World::new();
    let engine = ["--engine=env WHERE={node}", "--nodes=n1,n2"];
    on(&world, &engine).exits(0);
    let file = world.path().join("dir/fleet.toml");
    let text = fs::read_to_string(&file).unwrap();
    let older: Vec<&str> = text.lines().filter(|line| !line.starts_with("flags")).collect();
    let older = older.join("\n") + "\n";
    fs::write(&file, &older).unwrap();
    for (words, says) in [
        (&[][..], "type it as then, such as --engine 'ssh {node}' --nodes n1,n2"),
        (&["--engine=local"], "with 'local' a node's name may mean another machine"),
    ] {
        let run = world.tuner(&[&["fleet", "dir", "--poll=0.2"], words].concat()).run();
        assert_eq!(run.status, Some(2), "{words:?}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{words:?}: {}", run.stderr);
        assert_eq!(fs::read_to_string(&file).unwrap(), older, "a wrong call binds nothing");
    }
    let status = world.tuner(&["fleet", "dir", "--status"]).run();
    assert!(status.stdout.contains("n2"), "{}{}", status.stdout, status.stderr);
    world.tuner(&[&["fleet", "dir", "--quiet"], &engine[..]].concat()).run().exits(0);
    assert!(fs::read_to_string(&file).unwrap().contains("--engine=env WHERE={node}"));
}

/// A dry run where Slurm's programs print this: nothing runs, and `sinfo` lists `nodes`.
fn planned(world: &World, nodes: &str, words: &[&str]) -> Run {
    world.script("sinfo", &format!("[ -z \"$SINFO_PARTITION\" ] && cat <<'N'\n{nodes}\nN"));
    for silent in ["scontrol", "squeue", "sbatch"] {
        world.script(silent, "exit 0");
    }
    let path = format!("{}:{}", world.path().display(), std::env::var("PATH").unwrap());
    let fixed = ["fleet", "50%j", "--engine=slurm", "--dry-run", "--budget=30m", "--each=node"];
    let tuner = world.tuner(&[&fixed[..], words, &["--", "true"]].concat());
    tuner.env("PATH", &path).env("SINFO_PARTITION", "debug").env("SBATCH_PARTITION", "").run()
}

/// Of two partitions, one has half an hour for a job.
const NODES: &str = "n1|idle|8|(null)|(null)|short*|30:00|none\n\
                     n2|idle|8|(null)|(null)|short*|30:00|none\n\
                     n2|idle|8|(null)|(null)|long|infinite|none\n\
                     n3|idle|8|(null)|(null)|long|infinite|none";

#[test]
fn the_nodes_are_those_of_the_partition_that_jobs_get() {
    let world = World::new();
    let nodes = |run: &Run| {
        let names = run.stdout.lines().filter_map(|line| line.split_once("--nodelist="));
        let names: Vec<&str> = names.filter_map(|(_, rest)| rest.split(' ').next()).collect();
        names.join(" ")
    };
    let default = planned(&world, NODES, &[]).exits(0);
    assert_eq!(nodes(&default), "n1 n2");
    assert!(default.stdout.contains("/50%%j/log/probe-n1.log"), "{}", default.stdout);
    let none = NODES.replace('*', "");
    assert_eq!(nodes(&planned(&world, &none, &[]).exits(0)), "n1 n2 n3");
    for (words, says) in [
        (&["--nodes=n3"][..], "there is no node n3 in the default partition: `sinfo -N` lists"),
        (&["--partition=long", "--nodes=n9"], "there is no node n9 in partition long: "),
        (&["--exclude=n[1-2]"], "Slurm lists no node in the default partition that --nodes,"),
    ] {
        let run = planned(&world, NODES, words);
        assert!(run.status == Some(1) && run.stderr.contains(says), "{}", run.stderr);
    }
    // A node that the fleet knows, and Slurm no longer, hinders nobody.
    fs::create_dir_all(world.path().join("50%j/nodes/n7")).unwrap();
    let left = planned(&world, NODES, &["--nodes=n[1,7]"]).exits(0);
    assert!(left.stdout.contains("gone: sinfo does not list it any more"), "{}", left.stdout);
}

#[test]
fn a_tune_that_its_partition_cuts_goes_on_in_the_next_job() {
    let world = World::new();
    let machine = Machine::from_synthetic("package:1 [numa(memory=8GB)] core:4 pu:2").unwrap();
    let (folder, probe) = (Folder::new(world.path().join("50%j")), Probe { worker: None, machine });
    ["n1", "n2", "n3"].iter().for_each(|node| folder.put_probe(node, &probe).unwrap());
    let cut = planned(&world, NODES, &[]).exits(0);
    assert_eq!(cut.stdout.matches(" --time=30 ").count(), 2, "{}", cut.stdout);
    // Alone on a node a job still has no more memory than is usual.
    assert_eq!(cut.stdout.matches(" --exclusive --mem=0 ").count(), 2, "{}", cut.stdout);
    let whole = planned(&world, &NODES.replace('*', ""), &[]).exits(0);
    assert_eq!(whole.stdout.matches(" --time=40 ").count(), 3, "{}", whole.stdout);
}

#[test]
fn a_folder_that_is_moved_is_left_alone() {
    let world = World::with_job("while [ -e hold ]; do sleep 0.05; done");
    let [dir, hold] = ["dir", "hold"].map(|name| world.path().join(name));
    fs::write(&hold, "").unwrap();
    let words = ["fleet", "dir", "--engine=local", "--nodes=a", "--poll=0.2", "--budget=6s"];
    let running = world.tuner(&[&words[..], &["--", "./job.sh"]].concat()).start();
    while !dir.join("nodes/a/results").exists() {
        std::thread::sleep(Duration::from_millis(50));
    }
    fs::rename(&dir, world.path().join("moved")).unwrap();
    let run = running.end();
    fs::remove_file(hold).unwrap();
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("dir/fleet.toml: gone: if its folder was moved"), "{}", run.stderr);
    assert!(!dir.join("fleet.json").exists());
}

#[test]
fn a_folder_that_is_damaged_or_of_another_version_says_what_to_type() {
    let world = World::new();
    let words = ["fleet", "dir", "--engine=local", "--nodes=a", "--poll=0.2", "--budget=60s"];
    world.tuner(&[&words[..], &["--", "false"]].concat()).run().exits(6);
    let file = world.path().join("dir/fleet.toml");
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let damaged = world.tuner(&["fleet", "dir", "--status"]).run().exits(1);
    assert!(damaged.stderr.contains("it is damaged: put it back"), "{}", damaged.stderr);
    // What another version began is gathered, and not gone on with.
    fs::write(&file, whole.replace("wan22-tune 0", "wan22-tune 99")).unwrap();
    let other = world.tuner(&["fleet", "dir", "--poll=0.2"]).run().exits(2);
    assert!(other.stderr.contains("--engine none gathers what is there"), "{}", other.stderr);
    world.tuner(&["fleet", "dir", "--engine=none"]).run().exits(6);
}

/// Slurm's programs, of which `sbatch` loses its answer but not the job.
fn slow_slurm(world: &World) -> String {
    let answer =
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation";
    let jobs = world.path().join("jobs");
    let jobs = jobs.display();
    world.script("sbatch", &format!("echo \"$*\" >> {jobs}; echo '{answer}' >&2; exit 1"));
    world.script("squeue", &format!("wc -l < {jobs}"));
    format!("{}:{}", world.path().display(), std::env::var("PATH").unwrap())
}

#[test]
fn a_submission_whose_answer_is_lost_is_found_and_not_repeated() {
    let world = World::new();
    let path = slow_slurm(&world);
    let run =
        world.tuner(&["--budget=60s", "--nodes=2", "--", "true"]).env("PATH", &path).run().exits(0);
    assert!(run.stdout.contains("Submitted as job 1."), "{}", run.stdout);
    let jobs = fs::read_to_string(world.path().join("jobs")).unwrap();
    assert_eq!(jobs.lines().count(), 1, "{jobs}");
    assert!(jobs.contains("--job-name=wan22-tune-"), "{jobs}");
}
