//! The main job with the real worker: real pictures, real libtorch, true widths.
#![cfg(feature = "torch")]

mod harness;

use std::path::Path;

use harness::World;
use wan22_tune::trial::{Outcome, Phase};

#[test]
fn a_short_tune_measures_real_work_and_leaves_a_profile() {
    let world = World::new();
    // The baseline and a candidate are enough, however long they take on this machine.
    world.tuner(&["--budget", "20m"]).run_until(&world, 2).exits(0);
    let results = world.results();
    let baseline = &results.trials[0];
    assert_eq!(baseline.outcome, Outcome::Ok, "{}", baseline.detail);
    assert!((2..=5).contains(&baseline.samples.len()));
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

/// A user's own model in diffusers layout: the goldens' tiny one, as diffusers saved it.
#[test]
fn every_job_of_a_users_own_weights_is_tuned() {
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/wan");
    // A clip that fits into one VAE tile: the picture is the reference's on any machine. By the name that
    // the flag had once.
    let clip = &["--job", "128x128x5", "--steps", "2"][..];
    // The larger sizes of `encode` are cut into tiles.
    let jobs = [
        ("i2v", 80.0, clip, "decode denoise encode pack preprocess read text write"),
        ("encode", 20.0, &[], "encode pack preprocess read text write"),
        ("vae-decode", 80.0, clip, "decode write"),
    ];
    for (job, least_db, size, stages) in jobs {
        let world = World::new();
        let flags = [&["--budget", "20m", "--workload", job, "--weights", weights], size].concat();
        let run = world.tuner(&flags).run_until(&world, 3);
        assert_eq!(run.status, Some(0), "{job}: {}", run.stderr);
        let results = world.results();
        let trial = results.trials.iter().find(|trial| trial.phase == Phase::Baseline).unwrap();
        assert_eq!(trial.outcome, Outcome::Ok, "{job}: {}", trial.detail);
        let measured = trial.samples[0].stages.keys().map(String::as_str);
        assert_eq!(measured.collect::<Vec<_>>().join(" "), stages);
        assert!(trial.quality.is_some_and(|quality| quality.psnr_db > least_db), "{job}");
        assert_eq!(results.tune.weights.as_deref(), Some(weights));
        assert!(world.folder().join("profile.json").exists());
    }
}

#[test]
fn weights_that_do_not_fit_are_named_tensor_by_tensor() {
    let world = World::new();
    let folder = world.path().join("model");
    for part in ["transformer", "vae", "text_encoder"] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/wan").join(part);
        std::fs::create_dir_all(folder.join(part)).unwrap();
        for file in std::fs::read_dir(source).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), folder.join(part).join(file.file_name())).unwrap();
        }
    }
    let config = folder.join("transformer/config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("\"ffn_dim\": 112"), "{text}");
    std::fs::write(&config, text.replace("\"ffn_dim\": 112", "\"ffn_dim\": 96")).unwrap();
    let flags = ["--budget", "2m", "--weights", folder.to_str().unwrap()];
    let run = world.tuner(&flags).run().exits(2);
    assert!(!world.path().join("results").exists(), "no trial was started");
    let tensor = "blocks.0.ffn.net.0.proj.weight is [112, 48], should be [96, 48]";
    assert!(run.stderr.contains("misshapen") && run.stderr.contains(tensor), "{}", run.stderr);
}
