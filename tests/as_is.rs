//! The baseline of a command of one's own: what its user runs today, left alone.

mod harness;

use harness::World;
use serde_json::{Value as Json, json};
use wan22_tune::knobs::placement;
use wan22_tune::machine::CpuSet;

/// What a caller may have set.
const OWN: [(&str, &str); 4] = [
    ("OMP_NUM_THREADS", "3"),
    ("KMP_BLOCKTIME", "7"),
    ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"),
    ("GLIBC_TUNABLES", "glibc.malloc.top_pad=131072"),
];

/// A job that notes its environment and costs the less the larger its batch is.
fn world() -> World {
    World::with_job(
        "env | sort > new.env; mv new.env trial.env\n\
         echo \"cost=$((20 - WAN22_BATCH_SIZE + WAN22_INTER_OP_THREADS))\"",
    )
}

/// Runs the tuner as that caller, who has `more` set too.
fn run(world: &World, args: &[&str], more: &[(&str, &str)]) -> harness::Run {
    let mut tuner = world.tuner(args);
    tuner.0.envs(OWN).envs(more.iter().copied());
    tuner.run()
}

fn environment(world: &World) -> String {
    std::fs::read_to_string(world.path().join("trial.env")).unwrap()
}

#[test]
fn the_callers_environment_is_left_alone_and_a_preset_replaces_it() {
    let world = world();
    let measure = ["measure", "--baseline", "--metric", "cost=(.*)", "--", "./job.sh"];
    let measured = run(&world, &measure, &[("WAN22_BATCH_SIZE", "4")]).exits(0);
    for (name, value) in OWN {
        assert!(environment(&world).contains(&format!("{name}={value}\n")), "{name}");
    }
    assert!(!environment(&world).contains("MALLOC_ARENA_MAX"), "nothing is added");
    assert!(measured.stdout.contains("intra_op_threads     3\n"), "{}", measured.stdout);
    assert!(environment(&world).contains("WAN22_BATCH_SIZE=4\n"), "what is handed over today");
    let preset = ["measure", "--baseline", "generic", "--metric", "cost=(.*)", "--", "./job.sh"];
    assert_eq!(run(&world, &preset, &[]).status, Some(0));
    let environment = environment(&world);
    assert!(!environment.contains("OMP_NUM_THREADS=3\n"), "{environment}");
    assert!(!environment.contains("KMP_BLOCKTIME"), "{environment}");
    // Only the knob for it touches this one.
    assert!(environment.contains("PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True\n"));
    let nobody = run(&world, &["--dry-run", "--baseline", "as-is"], &[]).exits(2);
    assert!(nobody.stderr.contains("or give a command after `--`"), "{}", nobody.stderr);
}

#[test]
fn a_candidate_sets_what_it_tunes_and_so_does_production() {
    let world = world();
    let knobs = ["--knob", "batch_size", "--knob", "inter_op_threads", "--knob", "malloc_arenas"];
    let flags =
        ["--budget", "10m", "--trials", "30", "--metric", "cost=(.*)", "--repetitions", "1"];
    let job = ["--", "./job.sh"];
    let tuned = run(&world, &[&flags[..], &knobs, &job].concat(), &[]).exits(0);
    let profile = std::fs::read_to_string(world.folder().join("profile.json")).unwrap();
    let profile: Json = serde_json::from_str(&profile).unwrap();
    assert_eq!(profile["candidate"]["batch_size"], 8, "{}", tuned.stdout);
    let as_is = profile["launch"]["as_is"].as_array().unwrap();
    assert!(as_is.contains(&json!("intra_op_threads")) && !as_is.contains(&json!("batch_size")));
    let space = std::fs::read_to_string(world.folder().join("space.toml")).unwrap();
    assert!(space.contains("[tune.as_is]") && space.contains("KMP_BLOCKTIME = \"7\""), "{space}");
    let page = std::fs::read_to_string(world.folder().join("report.html")).unwrap();
    assert!(page.contains("as it ran before, with GLIBC_TUNABLES="));
    // The preset has one thread across operators, today's default is as many as there are cores.
    assert!(
        tuned.stdout.contains("Against the preset 5995wx, which was measured too"),
        "{}",
        tuned.stdout
    );
    let path = world.folder().join("profile.json");
    let path = path.to_str().unwrap();
    let exec = run(&world, &["exec", "--profile", path, "--", "env"], &[("OMP_NUM_THREADS", "5")]);
    for line in ["OMP_NUM_THREADS=5\n", "KMP_BLOCKTIME=7\n", "WAN22_BATCH_SIZE=8\n"] {
        assert!(exec.stdout.contains(line), "{line}{}", exec.stdout);
    }
    // A narrower mask of the caller's stays, too.
    let all = placement::bound().unwrap();
    let one: CpuSet = all.iter().take(1).collect();
    placement::bind_or_keep(&one).unwrap();
    for more in [&[][..], &["--adapt"]] {
        let look = ["--profile", path, "--", "grep", "Cpus_allowed_list", "/proc/self/status"];
        let exec = run(&world, &[&["exec"], more, &look].concat(), &[]);
        assert_eq!(exec.stdout, format!("Cpus_allowed_list:\t{one}\n"), "{}", exec.stderr);
    }
    placement::bind_or_keep(&all).unwrap();
    let export = |form: &str| run(&world, &["export", "--format", form, path], &[]).stdout;
    assert!(!export("sh").contains("OMP_NUM_THREADS"), "{}", export("sh"));
    let verify = ["verify", path, "--budget", "1m", "--metric", "cost=(.*)", "--repetitions", "1"];
    run(&world, &[&verify[..], &job].concat(), &[]).exits(0);
    let mut foreign = profile;
    foreign["launch"]["as_is"] = json!(["batch_size"]);
    std::fs::write(world.path().join("foreign.json"), foreign.to_string()).unwrap();
    let refused = run(&world, &["exec", "--profile", "foreign.json", "--", "env"], &[]).exits(125);
    assert!(refused.stderr.contains("/launch/as_is"), "{}", refused.stderr);
}

/// A shell that has read an export has variables of knobs that nobody chose, too.
#[test]
fn what_an_export_left_to_the_program_is_no_choice_of_today() {
    let world = world();
    let measure = ["measure", "--baseline", "--metric", "cost=(.*)", "--", "./job.sh"];
    let exported = [
        ("WAN22_BATCH_SIZE", "4"),
        ("WAN22_INTER_OP_THREADS", "1"),
        ("WAN22_AS_IS", "batch_size,precision"),
    ];
    run(&world, &measure, &exported).exits(0);
    let environment = environment(&world);
    let left = environment.lines().find_map(|line| line.strip_prefix("WAN22_AS_IS=")).unwrap();
    let left: Vec<&str> = left.split(',').collect();
    assert!(left.contains(&"batch_size") && !left.contains(&"inter_op_threads"), "{left:?}");
    assert!(!environment.contains("WAN22_BATCH_SIZE=4\n"), "{environment}");
}

/// Earlier versions chose a value of each knob that only a program can apply, and so does the rest of
/// their tunes.
#[test]
fn a_tune_of_a_version_that_left_nothing_to_the_program_goes_on_as_it_began() {
    let world = world();
    let knobs = ["--knob", "batch_size", "--knob", "inter_op_threads"];
    let flags = ["--budget", "10m", "--trials", "4", "--metric", "cost=(.*)", "--repetitions", "1"];
    run(&world, &[&flags[..], &knobs, &["--", "./job.sh"]].concat(), &[]).exits(0);
    let (folder, space) = (world.folder(), world.folder().join("space.toml"));
    let text = std::fs::read_to_string(&space).unwrap();
    let mut older: toml::Table = text.parse().unwrap();
    let removed = older["tune"].as_table_mut().unwrap().remove("program_as_is");
    assert!(removed.is_some(), "{text}");
    std::fs::write(&space, toml::to_string(&older).unwrap()).unwrap();
    let more = ["resume", folder.to_str().unwrap(), "--budget", "10m", "--trials", "8"];
    run(&world, &more, &[]).exits(0);
    assert!(!environment(&world).contains("WAN22_AS_IS"), "all values are chosen");
}
