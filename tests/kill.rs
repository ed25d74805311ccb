//! kill -9 of the tuner at random moments, again and again: no finished trial is lost, no process
//! is left, and going on ends in a valid profile. `KILLS=20` for a short look.

mod harness;

use std::path::Path;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use harness::{Tuner, World};
use wan22_tune::profile::Profile;
use wan22_tune::trial::{Outcome, Trial, journal};

/// Kills when nobody asks for more.
const KILLS: u32 = 100;

/// The longest that a tuner lives before it is killed.
const LONGEST: Duration = Duration::from_millis(1500);

/// Processes that work in `folder`: the tuner's children inherit its.
fn processes_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let place = std::fs::read_link(entry.path().join("cwd"));
        if place.is_ok_and(|place| place.starts_with(folder)) {
            found.push(format!("{:?}", std::fs::read_to_string(entry.path().join("cmdline"))));
        }
    }
    found
}

/// The tune from its start, or from where it was killed once it can go on.
fn next(world: &World) -> Tuner {
    let folders = std::fs::read_dir(world.path().join("results"));
    let can_go_on = |folder: &std::path::PathBuf| folder.join("space.toml").exists();
    let paths = folders.into_iter().flatten().flatten().map(|entry| entry.path());
    let Some(folder) = paths.into_iter().find(can_go_on) else {
        let _ = std::fs::remove_dir_all(world.path().join("results"));
        return world.tune(&["--budget", "30m", "--strategy", "random"]);
    };
    world.tune(&["resume", folder.to_str().unwrap(), "--budget", "30m"])
}

fn journaled(world: &World) -> Vec<Trial> {
    let folders = std::fs::read_dir(world.path().join("results")).into_iter().flatten().flatten();
    let journals = folders.map(|entry| entry.path().join("trials.csv"));
    let journals: Vec<_> = journals.filter(|path| path.exists()).collect();
    journals.first().map(|path| journal::read(path).unwrap()).unwrap_or_default()
}

#[test]
fn no_kill_at_any_moment_loses_a_trial_or_leaves_a_process() {
    let kills = std::env::var("KILLS").map_or(KILLS, |text| text.parse().expect("KILLS=20"));
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(6);
    let world = World::new();
    let mut before: Vec<Trial> = Vec::new();
    for kill in 0..kills {
        let running = next(&world).start();
        std::thread::sleep(rng.random_range(Duration::ZERO..LONGEST));
        running.kill();
        let after = journaled(&world);
        assert!(after.len() >= before.len(), "kill {kill}: a trial is lost");
        assert_eq!(after[..before.len()], before, "kill {kill}: a trial has changed");
        before = after;
        let mut left = processes_in(world.path());
        for _ in 0..1200 {
            if left.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            left = processes_in(world.path());
        }
        assert_eq!(left, Vec::<String>::new(), "kill {kill}: a process is left after a minute");
    }
    // One row may be that of the trial that was killed last; a slow machine has no other before.
    next(&world).run_until(&world, before.len() + 2).exits(0);
    let folder = world.folder();
    Profile::read(&folder.join("profile.json")).unwrap();
    let trials = world.results().trials;
    assert_eq!(trials[..before.len()], before);
    let numbers: Vec<u64> = trials.iter().map(|trial| trial.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let died = trials.iter().filter(|trial| trial.outcome == Outcome::Interrupted).count();
    assert!(died <= kills as usize + 1, "{died} rows of interrupted trials for {kills} kills");
}
