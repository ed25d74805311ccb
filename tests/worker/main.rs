//! The worker as its tuner sees it: a job on stdin, messages on stdout.
#![cfg(feature = "torch")]

mod experts;
mod refused;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use wan22_tune::architecture::EXPERTS;
use wan22_tune::knobs::memory::MemoryPolicy;
use wan22_tune::knobs::placement::{Placement, bound};
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
                guidance: true,
                text_layers: 1,
                text_tokens: 8,
                context_tokens: 16,
            },
            ..WorkloadFile::parse(BUILT_IN[0].1).unwrap().full()
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
            as_is: [].into(),
        },
        repetitions: Repetitions::exactly(2),
        warmup: 0,
        cold_stages: Vec::new(),
        images,
        output: output.to_owned(),
        weights: Some(goldens("wan")),
        references: output.to_owned(),
        seed: 1,
        knobs: [].into(),
        stop_above_s: None,
        pictures: false,
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
fn error_of(input: &str) -> (u64, Outcome, String) {
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
    let Some(Message::Done { trial: 3, peak_rss_bytes, stage_rss_bytes, quality, peak, .. }) = last
    else {
        panic!("{last:?}");
    };
    let Message::Ready { trial: 3, setup_s, effect, .. } = messages.remove(0) else {
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
    assert_eq!(effect.mismatches(&asked), []);
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

/// They are measured all the same; their memory is not watched and their output not compared.
#[test]
fn cold_stages_have_no_warm_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(vec![picture(folder.path())], folder.path());
    (job.repetitions, job.warmup) = (Repetitions::exactly(1), 1);
    job.cold_stages = vec![Stage::Text, Stage::Encode, Stage::Decode];
    let told = told(&job);
    let models = ["text", "encode", "denoise", "decode"];
    assert!(models.iter().all(|stage| told.samples[0].stages[*stage] > 0.0));
    let watched = models.map(|stage| told.stage_rss_bytes.contains_key(stage));
    assert_eq!(watched, [false, false, true, false]);
    let quality = told.quality.unwrap();
    assert!(quality.prediction_db.is_some() && quality.embedding_db.is_none(), "{quality:?}");
    assert!(folder.path().join("clip-0001-frame-000.jpg").exists());
}

/// Two frames' worth of tokens of a job of three latent frames, one of its two blocks and steps.
#[test]
fn a_sample_is_scored_by_the_whole_job() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(vec![picture(folder.path())], folder.path());
    let sizes = job.workload.sizes.clone();
    let whole = Sizes { frames: 9, window_frames: 9, layers: 2, steps: 2, ..sizes };
    job.workload.job = Some(whole);
    let sample = &told(&job).samples[0];
    let slice_s = sample.slice_s.unwrap();
    let models: f64 =
        ["text", "encode", "denoise", "decode"].iter().map(|stage| sample.stages[*stage]).sum();
    // Sums in another order differ in their last digit.
    assert!(sample.seconds > slice_s && sample.seconds > 0.999_999 * models, "{sample:?}");
    let plain = &told(&self::job(vec![picture(folder.path())], folder.path())).samples[0];
    assert!(plain.slice_s.is_none(), "{plain:?}");
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
    // In these units, however slow the machine is and whatever else it does.
    let is_sane = |rate: f64| (1e-3..1e6).contains(&rate);
    let rates = [peak.gflops, peak.bf16_gflops.unwrap(), peak.gb_s];
    assert!(rates.into_iter().all(is_sane), "{peak:?}");
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

#[test]
fn hundreds_of_repetitions_take_no_more_memory_than_ten() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(vec![picture(folder.path())], folder.path());
    job.warmup = 1;
    let mut peak = |repetitions| {
        job.repetitions = Repetitions::exactly(repetitions);
        told(&job).peak_rss_bytes as f64
    };
    // Processes of the same job differ by 4 MB, however often they measure: 20 kB each would be twice that.
    let (ten, hundreds) = (peak(10), peak(410));
    assert!(hundreds < ten + 8e6, "{ten} bytes grew to {hundreds}");
}
