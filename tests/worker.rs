//! The worker as its tuner sees it: a job on stdin, messages on stdout.
#![cfg(feature = "torch")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wan22_tune::launch::{MemoryPolicy, Placement, bound};
use wan22_tune::measure::wire::{Job, Message, VERSION};
use wan22_tune::settings::{Settings, Workers};
use wan22_tune::trial::Outcome;
use wan22_tune::workload::Workload;

/// The least work that goes through every stage.
fn job(images: Vec<PathBuf>, output: &Path) -> Job {
    let cpus = bound().unwrap();
    Job {
        version: VERSION,
        trial: 3,
        workload: Workload {
            name: "i2v".to_owned(),
            clips: 2,
            width: 32,
            height: 32,
            frames: 1,
            layers: 0,
            steps: 1,
            text_layers: 0,
        },
        settings: Settings {
            intra_op_threads: 1,
            inter_op_threads: 1,
            placement: Placement {
                process: cpus.clone(),
                model: cpus.clone(),
                io: cpus.clone(),
                preprocess: cpus.clone(),
                batch: cpus,
            },
            memory: MemoryPolicy::Default,
            weights_memory: MemoryPolicy::Default,
            workers: Workers { io: 1, preprocess: 1, batch: 1 },
            tile_size: 512,
            vae_tile_size: 384,
            batch_size: 2,
            environment: [].into(),
        },
        repetitions: 2,
        warmup: 0,
        images,
        output: output.to_owned(),
        seed: 1,
    }
}

/// Everything that the worker says to `input`, and whether it exited with 0.
fn answer(input: &str) -> (Vec<Message>, bool) {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_wan22-worker"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    worker.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = worker.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap();
    (text.lines().map(parse).collect(), output.status.success())
}

/// How and why a trial failed that says nothing but that.
fn refusal(input: &str) -> (u64, Outcome, String) {
    let (messages, success) = answer(input);
    assert!(!success, "{messages:?}");
    match &messages[..] {
        [Message::Failed { trial, outcome, detail }] => (*trial, *outcome, detail.clone()),
        other => panic!("{other:?}"),
    }
}

fn text(job: &Job) -> String {
    serde_json::to_string(job).unwrap()
}

#[test]
fn a_trial_says_ready_then_its_samples_then_done_and_leaves_frames() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("picture.png");
    image::RgbImage::from_pixel(40, 50, image::Rgb([10, 200, 90])).save(&image).unwrap();
    let job = job(vec![image], folder.path());
    let (messages, success) = answer(&text(&job));
    assert!(success, "{messages:?}");
    let [
        Message::Ready { trial: 3, setup_s, effect },
        samples @ ..,
        Message::Done { trial: 3, peak_rss_bytes },
    ] = &messages[..]
    else {
        panic!("{messages:?}");
    };
    assert!(*setup_s > 0.0);
    // Whatever of the environment the test itself was started with is not the worker's doing.
    let asked = Settings { environment: effect.environment.clone(), ..job.settings };
    assert_eq!(effect.mismatches(&asked), [""; 0]);
    assert!(effect.weights_bytes.values().sum::<u64>() > 1 << 30);
    // The decoder alone has 555 million weights of 4 bytes.
    assert!(*peak_rss_bytes > 2_220_000_000);
    assert_eq!(samples.len(), 2);
    for message in samples {
        let Message::Sample { trial: 3, sample } = message else { panic!("{message:?}") };
        let stages: Vec<_> = sample.stages.keys().map(String::as_str).collect();
        let expected = ["decode", "denoise", "encode", "pack", "preprocess", "read", "write"];
        assert_eq!(stages, expected);
        let model = ["encode", "denoise", "decode"].map(|stage| sample.stages[stage]);
        assert!(model.iter().sum::<f64>() <= sample.seconds, "{sample:?}");
    }
    for clip in ["0000", "0001"] {
        let frame = folder.path().join(format!("clip-{clip}-frame-000.jpg"));
        assert_eq!(image::open(frame).unwrap().into_rgb8().dimensions(), (32, 32));
    }
}

#[test]
fn a_broken_picture_fails_the_trial_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("broken.jpg");
    std::fs::write(&image, "no picture").unwrap();
    let job = Job { warmup: 1, ..job(vec![image], folder.path()) };
    let (trial, outcome, detail) = refusal(&text(&job));
    assert_eq!((trial, outcome), (3, Outcome::Crashed));
    assert!(detail.starts_with("preprocess: ") && detail.contains("broken.jpg"), "{detail}");
}

#[test]
fn what_is_no_job_is_refused() {
    let other_version = text(&Job { version: 99, ..job(Vec::new(), Path::new("/")) });
    let cases = [
        ("", "standard input is empty"),
        ("rubbish", "no whole JSON"),
        ("{\"version\": 1,", "no whole JSON"),
        ("{\"version\": 1}", "missing field"),
        (&other_version, "version 99"),
    ];
    for (input, expected) in cases {
        let (_, outcome, detail) = refusal(input);
        assert_eq!(outcome, Outcome::WrongOutput, "{input}");
        assert!(detail.contains(expected), "{input}: {detail}");
    }
}

#[test]
fn what_no_worker_can_run_is_illegal_and_named() {
    type Change = fn(&mut Job);
    let changes: [(&str, Change); 7] = [
        ("frames is 4", |job| job.workload.frames = 4),
        ("width is 40", |job| job.workload.width = 40),
        ("layers is 31", |job| job.workload.layers = 31),
        ("`t3v`", |job| job.workload.name = "t3v".to_owned()),
        ("batch_size is 0", |job| job.settings.batch_size = 0),
        ("workers.io is 0", |job| job.settings.workers.io = 0),
        ("images is empty", |job| job.images.clear()),
    ];
    for (expected, change) in changes {
        let mut job = job(vec!["a.jpg".into()], Path::new("/"));
        change(&mut job);
        let (trial, outcome, detail) = refusal(&text(&job));
        assert_eq!((trial, outcome), (3, Outcome::Illegal), "{detail}");
        assert!(detail.contains(expected), "{detail}");
    }
}

#[test]
fn a_pool_on_cpus_that_are_not_there_is_misapplied() {
    let mut job = job(vec!["a.jpg".into()], Path::new("/"));
    job.settings.placement.preprocess = [8191].into_iter().collect();
    let (_, outcome, detail) = refusal(&text(&job));
    assert_eq!(outcome, Outcome::Misapplied, "{detail}");
    assert!(detail.contains("pre pool to CPUs 8191"), "{detail}");
}
