//! A TorchScript module of somebody's own as the job, in the real worker.
#![cfg(feature = "torch")]

mod harness;

use harness::World;
use wan22_tune::trial::{Outcome, Phase};

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/module/block.pt");

#[test]
fn a_module_is_tuned_and_its_outputs_compared() {
    let world = World::new();
    let flags = ["--budget", "10m", "--module", MODULE, "--inputs", "1x4x32x32:f32,1x6x16:bf16"];
    let run = world.tuner(&flags).run_until(&world, 3).exits(0);
    let results = world.results();
    let baseline = &results.trials[0];
    assert_eq!((baseline.phase, baseline.outcome), (Phase::Baseline, Outcome::Ok), "{baseline:?}");
    assert_eq!(baseline.workload, "module");
    assert!(!baseline.effect.is_empty() && baseline.samples.len() == 2);
    // A sample is a call, of which each repetition makes many.
    let calls_s: f64 = baseline.samples.iter().map(|sample| sample.seconds).sum();
    assert!(baseline.wall_s - baseline.overhead_s > 2.0 * calls_s, "{baseline:?}");
    // A machine that does other things may make any trial late.
    let failed = |trial: &&wan22_tune::trial::Trial| {
        !matches!(trial.outcome, Outcome::Ok | Outcome::Interrupted | Outcome::Timeout)
    };
    assert_eq!(results.trials.iter().find(failed), None, "nothing failed");
    assert!(
        results.trials.iter().all(|trial| trial.knobs["tile_size"] == baseline.knobs["tile_size"])
    );
    assert!(
        run.stdout.contains("s per call") || run.stdout.contains("seconds per call"),
        "{}",
        run.stdout
    );
    assert!(world.folder().join("profile.json").exists());
}

#[test]
fn inputs_that_do_not_fit_are_told_in_libtorchs_words() {
    let world = World::new();
    let flags = ["--budget", "2m", "--module", MODULE, "--inputs", "1x3x32x32:f32,1x6x16:f32"];
    let run = world.tuner(&flags).run().exits(1);
    assert!(run.stderr.contains("to have 4 channels, but got 3 channels"), "{}", run.stderr);
    assert!(!run.stderr.contains("frame #0"), "{}", run.stderr);
}

#[test]
fn what_is_no_module_is_wrong_usage_or_a_failure_that_names_it() {
    let world = World::new();
    let inputs = ["--inputs", "1x4"];
    let file = |name: &str, bytes: &[u8]| {
        let path = world.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let text = file("text.pt", b"not a module");
    let broken = file("broken.pt", &std::fs::read(MODULE).unwrap()[..3000]);
    for (module, status, says) in [
        ("/nowhere.pt", 2, "--module /nowhere.pt: No such file"),
        (text.as_str(), 2, "no TorchScript module"),
        (broken.as_str(), 1, "can't be loaded"),
    ] {
        let run =
            world.tuner(&[&["--budget", "1m", "--module", module], &inputs[..]].concat()).run();
        assert_eq!(run.status, Some(status), "{module}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{module}: {}", run.stderr);
    }
    for (flags, says) in [
        (&["--module", MODULE][..], "--inputs"),
        (&["--module", MODULE, "--inputs", "1x2:f8"], "such as 1x16x8x8:f32"),
        (&["--module", MODULE, "--inputs", "no.safetensors"], "--inputs no.safetensors"),
        (&["--module", MODULE, "--inputs", "1", "--", "true"], "--module"),
    ] {
        let run = world.tuner(&[&["--budget", "1m"], flags].concat()).run();
        assert_eq!(run.status, Some(2), "{flags:?}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{flags:?}: {}", run.stderr);
    }
}
