//! The main job with the real worker: real pictures, real libtorch, true widths.
#![cfg(feature = "torch")]

mod world;

use wan22_tune::trial::Outcome;
use world::World;

#[test]
fn a_short_tune_measures_real_work_and_leaves_a_profile() {
    let world = World::new();
    // The baseline and a candidate are enough, however long they take on this machine.
    let run = world.tuner(&["--budget", "20m"]).run_until(&world, 2);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let results = world.results();
    let baseline = &results.trials[0];
    assert_eq!(baseline.outcome, Outcome::Ok, "{}", baseline.detail);
    assert_eq!(baseline.samples.len(), 3);
    assert!(!baseline.effect.is_empty());
    for stage in ["read", "preprocess", "encode", "denoise", "decode", "write"] {
        assert!(baseline.stage_s(stage).is_some_and(|seconds| seconds > 0.0), "{stage}");
    }
    // The VAE's decoder alone has 555 million weights of four bytes.
    assert!(baseline.peak_rss_bytes.is_some_and(|bytes| bytes > 555_000_000 * 4));
    let failed = |trial: &&wan22_tune::trial::Trial| trial.outcome == Outcome::Misapplied;
    assert_eq!(results.trials.iter().find(failed), None, "nothing was misapplied");
    assert!(world.folder().join("profile.json").exists());
    assert!(world.folder().join("plots/progress.png").exists());
    assert!(
        !std::fs::read_dir(world.folder())
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with(".trial") })
    );
}
