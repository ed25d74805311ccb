//! The worker as its tuner sees it: a job on stdin, messages on stdout.
#![cfg(feature = "torch")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use wan22_tune::architecture::EXPERTS;
use wan22_tune::knobs::affinity::{Placement, bound};
use wan22_tune::knobs::memory::MemoryPolicy;
use wan22_tune::knobs::{
    ConvBackend, MatmulPrecision, MemoryFormat, Numerics, Precision, Settings, Workers,
};
use wan22_tune::launch::Effect;
use wan22_tune::runner::Repetitions;
use wan22_tune::runner::protocol::{Job, Message, VERSION};
use wan22_tune::trial::{Outcome, Peak, Quality, Sample};
use wan22_tune::workload::{BUILT_IN, Sizes, Stage, Workload, WorkloadFile};

/// The least work that goes through every stage.
fn job(images: Vec<PathBuf>, output: &Path) -> Job {
    let cpus = bound().unwrap();
    Job {
        version: VERSION,
        trial: 3,
        workload: Workload {
            sizes: Sizes {
                clips: 2,
                width: 64,
                height: 64,
                frames: 5,
                window_width: 32,
                window_height: 32,
                window_frames: 1,
                layers: 1,
                steps: 1,
                text_layers: 1,
                text_tokens: 8,
                context_tokens: 16,
            },
            ..WorkloadFile::parse(BUILT_IN[0].1).unwrap().size(0)
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
            numerics: Numerics::default(),
            environment: [].into(),
            custom: [].into(),
        },
        repetitions: Repetitions::exactly(2),
        warmup: 0,
        images,
        output: output.to_owned(),
        weights: Some(goldens("wan")),
        references: output.to_owned(),
        seed: 1,
        module: None,
    }
}

fn goldens(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(part)
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

/// What a good trial says: its samples, between `ready` and `done`.
struct Told {
    effect: Effect,
    samples: Vec<Sample>,
    peak_rss_bytes: u64,
    stage_rss_bytes: BTreeMap<String, u64>,
    quality: Option<Quality>,
    peak: Option<Peak>,
}

fn told(job: &Job) -> Told {
    let (mut messages, success) = answer(&text(job));
    assert!(success, "{messages:?}");
    let last = messages.pop();
    let Some(Message::Done { trial: 3, peak_rss_bytes, stage_rss_bytes, quality, peak }) = last
    else {
        panic!("{last:?}");
    };
    let Message::Ready { trial: 3, setup_s, effect } = messages.remove(0) else {
        panic!("{messages:?}");
    };
    assert!(setup_s > 0.0);
    let sample = |message| match message {
        Message::Sample { trial: 3, sample, .. } => sample,
        other => panic!("{other:?}"),
    };
    let samples: Vec<Sample> = messages.into_iter().map(sample).collect();
    let Repetitions { least, most } = job.repetitions;
    assert!((least..=most).contains(&(samples.len() as u32)), "{samples:?}");
    Told { effect: *effect, samples, peak_rss_bytes, stage_rss_bytes, quality, peak }
}

fn picture(folder: &Path) -> PathBuf {
    let image = folder.join("picture.png");
    image::RgbImage::from_pixel(40, 50, image::Rgb([10, 200, 90])).save(&image).unwrap();
    image
}

fn assert_as_asked(effect: &Effect, job: &Job) {
    // Whatever of the environment the test itself was started with is not the worker's doing.
    let environment = effect.environment.clone();
    let asked = Settings { environment, ..job.settings.clone() };
    assert_eq!(effect.mismatches(&asked), [""; 0]);
}

#[test]
fn a_trial_says_ready_then_its_samples_then_done_and_leaves_frames() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(vec![picture(folder.path())], folder.path());
    let told = told(&job);
    assert_as_asked(&told.effect, &job);
    for sample in told.samples {
        let stages: Vec<_> = sample.stages.keys().map(String::as_str).collect();
        let models = ["decode", "denoise", "encode", "text"];
        let mut expected = [&models[..], &["pack", "preprocess", "read", "write"]].concat();
        expected.sort();
        assert_eq!(stages, expected);
        let busy: f64 = models.iter().map(|stage| sample.stages[*stage]).sum();
        assert!(busy <= sample.seconds, "{sample:?}");
    }
    let stages: Vec<_> = told.stage_rss_bytes.keys().map(String::as_str).collect();
    assert_eq!(stages, Vec::<&str>::new(), "without a warm-up nothing is watched");
    for clip in ["0000", "0001"] {
        let frame = folder.path().join(format!("clip-{clip}-frame-000.jpg"));
        assert_eq!(image::open(frame).unwrap().into_rgb8().dimensions(), (32, 32));
    }
}

#[test]
fn every_job_runs_its_own_stages_and_keeps_what_it_makes() {
    let kept = [
        ("i2v", "clip-0001-frame-000.jpg"),
        ("t2v", "clip-0001-frame-000.jpg"),
        ("i2v-a14b", "clip-0001-frame-000.jpg"),
        ("t2v-a14b", "clip-0001-frame-000.jpg"),
        ("encode", "clip-0001.f32"),
        ("vae-decode", "clip-0001-frame-000.jpg"),
        ("preprocess", ""),
    ];
    for ((name, text), (_, file)) in BUILT_IN.iter().zip(kept) {
        let folder = tempfile::tempdir().unwrap();
        let mut job = job(vec![picture(folder.path())], folder.path());
        let stages = WorkloadFile::parse(text).unwrap().size(0).stages;
        job.workload = Workload { name: (*name).to_owned(), stages, ..job.workload };
        job.images.truncate(job.workload.has(Stage::Read).into());
        (job.repetitions, job.warmup) = (Repetitions::exactly(1), 1);
        let told = told(&job);
        let mut expected: Vec<String> = job.workload.stages.iter().map(Stage::to_string).collect();
        expected.sort();
        let ran: Vec<String> = told.samples[0].stages.keys().cloned().collect();
        assert_eq!(ran, expected, "{name}");
        let watched: Vec<String> = told.stage_rss_bytes.keys().cloned().collect();
        assert_eq!(watched, expected, "{name}");
        assert!(told.stage_rss_bytes.values().all(|&bytes| bytes <= told.peak_rss_bytes));
        assert!(file.is_empty() || folder.path().join(file).exists(), "{name}");
        assert_eq!(told.quality.is_some(), *name != "preprocess", "{name}");
    }
}

/// The decoder alone has 555 million weights of 4 bytes.
#[test]
fn what_is_short_beside_its_set_up_is_measured_as_often_as_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(vec![picture(folder.path())], folder.path());
    // Loading libtorch takes some hundred times as long as a clip of the tiny model.
    job.repetitions = Repetitions { least: 1, most: 3 };
    assert_eq!(told(&job).samples.len(), 3);
    job.repetitions = Repetitions { least: 2, most: 1 };
    let (messages, success) = answer(&text(&job));
    let [Message::Failed { outcome: Outcome::Illegal, detail, .. }] = &messages[..] else {
        panic!("{messages:?}");
    };
    let wanted = "job.repetitions is 2 to 1: give at least 1 and no fewer at most";
    assert_eq!((detail.as_str(), success), (wanted, false));
}

#[test]
fn random_weights_have_their_true_size_and_are_found_where_they_lie() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(Vec::new(), folder.path());
    let stages = vec![Stage::Decode, Stage::Write];
    job.workload = Workload { name: "vae-decode".to_owned(), stages, ..job.workload };
    job.weights = None;
    (job.repetitions, job.warmup) = (Repetitions::exactly(1), 1);
    let told = told(&job);
    assert!(told.effect.weights_bytes.values().sum::<u64>() > 1 << 30);
    assert!(told.peak_rss_bytes > 2_220_000_000);
    assert!(told.stage_rss_bytes["decode"] > 2_220_000_000);
    assert!(told.stage_rss_bytes["write"] > 2_220_000_000, "its weights lie there meanwhile");
}

#[test]
fn numbers_and_tiles_are_compared_with_the_reference_that_the_first_trial_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(vec![picture(folder.path())], folder.path());
    let sizes =
        Sizes { width: 64, height: 96, window_width: 64, window_height: 96, ..job.workload.sizes };
    job.workload.sizes = sizes;
    (job.warmup, job.repetitions, job.settings.vae_tile_size) = (1, Repetitions::exactly(1), 32);
    let tiled = told(&job);
    let peak = tiled.peak.expect("who makes the reference measures the peak");
    assert!(peak.gflops > 1.0 && peak.bf16_gflops > Some(0.1) && peak.gb_s > 0.1, "{peak:?}");
    let quality = tiled.quality.unwrap();
    assert!(quality.seam_psnr_db.unwrap() <= quality.psnr_db && quality.psnr_db < 60.0);
    // The same once more: the reference is there.
    assert_eq!((told(&job).peak, told(&job).quality.unwrap()), (None, quality));
    job.settings.vae_tile_size = 384;
    let whole = told(&job).quality.unwrap();
    assert!(whole.psnr_db > 80.0 && whole.seam_psnr_db.is_none(), "{whole:?}");
    assert!(quality.seam_ssim.unwrap() < quality.ssim && whole.seam_ssim.is_none(), "{quality:?}");
    let halves = Numerics { precision: Precision::Bf16Vae, ..Numerics::default() };
    job.settings.numerics = halves;
    let half = told(&job);
    assert_as_asked(&half.effect, &job);
    let quality = half.quality.unwrap();
    assert!((20.0..70.0).contains(&quality.psnr_db), "{quality:?}");
    assert!((30.0..60.0).contains(&quality.prediction_db.unwrap()), "{quality:?}");
    job.settings.numerics = Numerics {
        precision: Precision::Bf16,
        memory_format: MemoryFormat::ChannelsLast,
        conv_backend: ConvBackend::SlowConv3d,
        matmul_precision: MatmulPrecision::Highest,
    };
    let mixed = told(&job);
    assert_as_asked(&mixed.effect, &job);
    let quality = mixed.quality.unwrap();
    assert!(quality.psnr_db > 80.0, "the VAE stays in float32");
    // Its products are bfloat16 all the same where the processor has AMX.
    job.settings.numerics.matmul_precision = MatmulPrecision::Medium;
    let mixed = told(&job);
    assert_as_asked(&mixed.effect, &job);
    let quality = mixed.quality.unwrap();
    assert!(quality.psnr_db > 40.0, "{quality:?}");
    assert!((30.0..60.0).contains(&quality.prediction_db.unwrap()), "{quality:?}");
    assert!((30.0..60.0).contains(&quality.embedding_db.unwrap()), "{quality:?}");
    let numbers = [quality.prediction_db, quality.embedding_db].map(Option::unwrap);
    assert_eq!(quality.worst_db(), numbers[0].min(numbers[1]));
}

/// Calibration goes from one size to another, of which the VAE may see as much.
#[test]
fn another_size_of_the_job_has_a_reference_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(vec![picture(folder.path())], folder.path());
    (job.warmup, job.repetitions) = (1, Repetitions::exactly(1));
    let small = told(&job).quality.unwrap();
    job.workload.sizes = Sizes { width: 96, height: 96, ..job.workload.sizes };
    let large = told(&job).quality.unwrap();
    for quality in [small, large] {
        assert!(quality.worst_db() > 80.0, "{quality:?}");
    }
}

/// I2V-A14B's shape, made of the goldens: 2 * 6 + 4 channels in, two experts, VAE 2.1.
fn a14b(folder: &Path) -> PathBuf {
    let copy = |from: &str, to: &str| {
        std::fs::create_dir_all(folder.join(to)).unwrap();
        for file in std::fs::read_dir(goldens(from)).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), folder.join(to).join(file.file_name())).unwrap();
        }
    };
    copy("vae21", "vae");
    copy("wan/text_encoder", "text_encoder");
    std::fs::write(folder.join("model_index.json"), "{\"boundary_ratio\": 0.9}").unwrap();
    for expert in EXPERTS {
        copy("wan/transformer", expert);
        let config = folder.join(expert).join("config.json");
        let text = std::fs::read_to_string(&config).unwrap();
        assert!(text.contains("\"in_channels\": 6"), "{text}");
        std::fs::write(&config, text.replace("\"in_channels\": 6", "\"in_channels\": 16")).unwrap();
        for shard in
            std::fs::read_dir(folder.join(expert)).unwrap().map(|file| file.unwrap().path())
        {
            if shard.extension().is_some_and(|extension| extension == "safetensors") {
                widen(&shard);
            }
        }
    }
    folder.to_owned()
}

/// Gives a patch embedding 16 channels instead of 6, the same again and again.
fn widen(shard: &Path) {
    const CHANNEL: usize = 4 * 2;
    let bytes = std::fs::read(shard).unwrap();
    let views = SafeTensors::deserialize(&bytes).unwrap();
    let mut data = BTreeMap::new();
    for (name, view) in views.iter() {
        let (mut shape, mut values) = (view.shape().to_vec(), view.data().to_vec());
        if name == "patch_embedding.weight" {
            shape[1] = 16;
            let rows = view.data().chunks(6 * CHANNEL);
            values = rows.flat_map(|row| row.iter().cycle().take(16 * CHANNEL).copied()).collect();
        }
        data.insert(name.to_owned(), (view.dtype(), shape, values));
    }
    let tensors = data.iter().map(|(name, (dtype, shape, values))| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), values).unwrap())
    });
    std::fs::write(shard, safetensors::serialize(tensors, None).unwrap()).unwrap();
}

#[test]
fn two_experts_denoise_around_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(vec![picture(folder.path())], folder.path());
    job.weights = Some(a14b(&folder.path().join("a14b")));
    let sizes = Sizes { window_frames: 5, steps: 2, ..job.workload.sizes };
    job.workload.sizes = sizes;
    (job.warmup, job.repetitions) = (1, Repetitions::exactly(1));
    let told = told(&job);
    assert_as_asked(&told.effect, &job);
    assert!(folder.path().join("clip-0001-frame-004.jpg").exists());
    assert!(told.quality.unwrap().worst_db() > 80.0);
    let mut files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let of_velocity = |path: &PathBuf| path.to_string_lossy().contains("reference-predicted-");
    let bytes = std::fs::read(files.find(of_velocity).expect("two frames of latents")).unwrap();
    let (_, predicted) = SafeTensors::deserialize(&bytes).unwrap().tensors().remove(0);
    assert_eq!(predicted.shape()[..2], [2, 6], "a velocity from each expert");
    // Without the picture there is nothing to denoise around.
    job.workload.stages = vec![Stage::Denoise, Stage::Decode, Stage::Write];
    assert!(refusal(&text(&job)).2.contains("give encode too"));
}

#[test]
fn a_hundred_repetitions_take_no_more_memory_than_ten() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(vec![picture(folder.path())], folder.path());
    job.warmup = 1;
    let mut peak = |repetitions| {
        job.repetitions = Repetitions::exactly(repetitions);
        told(&job).peak_rss_bytes as f64
    };
    let (ten, hundred) = (peak(10), peak(100));
    assert!(hundred < 1.02 * ten, "{ten} bytes grew to {hundred}");
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
        (&format!("{{\"version\": {VERSION}}}"), "missing field"),
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
        ("frames is 4", |job| job.workload.sizes.frames = 4),
        ("width is 40", |job| job.workload.sizes.width = 40),
        ("layers is 3", |job| job.workload.sizes.layers = 3),
        ("/no/such/vae/config.json", |job| job.weights = Some("/no/such".into())),
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
