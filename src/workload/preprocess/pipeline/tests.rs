//! The pipeline under faults, and its frames.

use super::*;
use crate::workload::preprocess::Frames;
use crate::workload::preprocess::pools::tests::unbound;
use proptest::prelude::*;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

const SIDE: u32 = 16;
const AREA: usize = (SIDE * SIDE) as usize;

/// Where a run is made to fail.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    MissingFile,
    BrokenImage,
    ModelError,
    ModelPanic,
    NotANumber,
    NoOutputFolder,
}

#[derive(Clone, Debug)]
struct Case {
    pools: [usize; 3],
    clips: usize,
    batch_size: usize,
    per_clip: usize,
    fault: Option<(Fault, usize)>,
}

/// Grey images whose value tells the clip: clip `i` has value `10 * i`.
fn images(folder: &Path, case: &Case) -> Vec<PathBuf> {
    let image = |clip: usize| {
        let path = folder.join(format!("{clip}.png"));
        let grey = image::Rgb([10 * clip as u8; 3]);
        image::RgbImage::from_pixel(SIDE, SIDE, grey).save(&path).unwrap();
        match case.fault {
            Some((Fault::MissingFile, at)) if at == clip => fs::remove_file(&path).unwrap(),
            Some((Fault::BrokenImage, at)) if at == clip => fs::write(&path, "no").unwrap(),
            _ => {}
        }
        path
    };
    (0..case.clips).map(image).collect()
}

/// Repeats each clip's picture `per_clip` times, or fails as the case asks.
fn model(case: &Case, batch: &Batch) -> anyhow::Result<StageOutput> {
    let mut clips: Vec<_> = batch.planes.chunks(3 * AREA).map(<[f32]>::to_vec).collect();
    assert_eq!(clips.len(), batch.clips.len());
    if let Some((fault, clip)) = case.fault.filter(|(_, clip)| batch.clips.contains(clip)) {
        match fault {
            Fault::ModelError => anyhow::bail!("no model"),
            Fault::ModelPanic => panic!("native code complains"),
            Fault::NotANumber => clips[clip - batch.clips.start][7] = f32::NAN,
            _ => {}
        }
    }
    let planes = clips.iter().flat_map(|clip| clip.repeat(case.per_clip)).collect();
    Ok(StageOutput::Frames(Frames { per_clip: case.per_clip, width: SIDE, height: SIDE, planes }))
}

fn run_case(case: &Case, folder: &Path, output: &Path) -> Result<StageClock, StageError> {
    let images = images(folder, case);
    let Case { clips, batch_size, pools: [io, preprocess, batch], .. } = *case;
    let (width, height) = (SIDE, SIDE);
    let plan = PipelinePlan { images: &images, clips, batch_size, width, height, output };
    let clock = StageClock::default();
    run(&unbound(io, preprocess, batch), &plan, &clock, |batch| {
        clock.run(Stage::Decode, format_args!("clips {:?}", batch.clips), || model(case, batch))
    })?;
    Ok(clock)
}

/// Runs a case with a watchdog, and checks what it leaves or says.
fn check(case: Case) {
    let (done, end) = mpsc::channel();
    let runner = thread::spawn(move || {
        let folder = tempfile::tempdir().unwrap();
        let lost = case.fault.is_some_and(|(fault, _)| fault == Fault::NoOutputFolder);
        let output = if lost { folder.path().join("lost") } else { folder.path().to_owned() };
        let result = run_case(&case, folder.path(), &output);
        match case.fault {
            None => check_frames(&case, &output, &result.unwrap()),
            Some((fault, clip)) => check_error(fault, clip, result.unwrap_err()),
        }
        _ = done.send(());
    });
    let outcome = end.recv_timeout(Duration::from_secs(60));
    assert_ne!(outcome, Err(mpsc::RecvTimeoutError::Timeout), "the pipeline hangs");
    runner.join().unwrap();
}

fn check_frames(case: &Case, output: &Path, clock: &StageClock) {
    for (clip, frame) in (0..case.clips).flat_map(|c| (0..case.per_clip).map(move |f| (c, f))) {
        let path = output.join(format!("clip-{clip:04}-frame-{frame:03}.jpg"));
        let picture = image::open(&path).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (SIDE, SIDE));
        assert!(picture.get_pixel(8, 8).0[0].abs_diff(10 * clip as u8) < 4);
    }
    let stages: Vec<_> = clock.seconds().into_keys().collect();
    assert_eq!(stages, ["decode", "pack", "preprocess", "read", "write"]);
}

fn check_error(fault: Fault, clip: usize, error: StageError) {
    let text = format!("{:#}", anyhow::Error::from(error));
    let (start, part) = match fault {
        Fault::MissingFile => ("read", format!("{clip}.png")),
        Fault::BrokenImage => ("preprocess", format!("{clip}.png")),
        Fault::ModelError => ("decode", "no model".to_owned()),
        Fault::ModelPanic => ("decode", "native code complains".to_owned()),
        Fault::NotANumber => ("write", format!("clip-{clip:04}-frame-")),
        Fault::NoOutputFolder => ("write", "lost".to_owned()),
    };
    assert!(text.starts_with(start) && text.contains(&part), "{fault:?}: {text}");
}

fn fault() -> impl Strategy<Value = Fault> {
    prop::sample::select(vec![
        Fault::MissingFile,
        Fault::BrokenImage,
        Fault::ModelError,
        Fault::ModelPanic,
        Fault::NotANumber,
        Fault::NoOutputFolder,
    ])
}

fn case() -> impl Strategy<Value = Case> {
    (prop::array::uniform3(1_usize..4), 1_usize..24, 1_usize..5, 1_usize..6).prop_flat_map(
        |(pools, clips, batch_size, per_clip)| {
            let fault = prop::option::of((fault(), 0..clips));
            fault.prop_map(move |fault| Case { pools, clips, batch_size, per_clip, fault })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_clip_is_written_or_the_first_failure_is_named(case in case()) {
        check(case);
    }
}

#[test]
fn a_job_without_pictures_makes_every_batch_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (images, output) = (&[], folder.path());
    let plan = PipelinePlan { images, clips: 3, batch_size: 2, width: SIDE, height: SIDE, output };
    let mut seen = Vec::new();
    run(&unbound(1, 1, 1), &plan, &StageClock::default(), |batch| {
        assert!(batch.planes.is_empty());
        seen.push(batch.clips.clone());
        let values = batch.clips.clone().map(|clip| clip as f32).collect();
        Ok(StageOutput::Numbers(crate::workload::preprocess::Numbers { per_clip: 1, values }))
    })
    .unwrap();
    assert_eq!(seen, [0..2, 2..3]);
    assert_eq!(fs::read(folder.path().join("clip-0002.f32")).unwrap(), 2.0_f32.to_le_bytes());
}

#[test]
fn pools_prepare_the_next_batch_while_the_model_works() {
    let folder = tempfile::tempdir().unwrap();
    let case = Case { pools: [1, 1, 1], clips: 3, batch_size: 1, per_clip: 1, fault: None };
    let images = images(folder.path(), &case);
    let mut late = Some(fs::read(&images[2]).unwrap());
    fs::remove_file(&images[2]).unwrap();
    assert!(Command::new("mkfifo").arg(&images[2]).status().unwrap().success());
    let (width, height, output) = (SIDE, SIDE, folder.path());
    let plan = PipelinePlan { images: &images, clips: 3, batch_size: 1, width, height, output };
    let clock = StageClock::default();
    let packed = || clock.seconds().get("pack").copied().unwrap_or_default();
    run(&unbound(1, 1, 1), &plan, &clock, |batch| {
        // The third picture arrives while the model is held at the first, and is packed.
        if let Some(picture) = late.take() {
            let before = packed();
            fs::write(&images[2], picture).unwrap();
            while packed() == before {
                thread::yield_now();
            }
        }
        clock.run(Stage::Decode, "", || model(&case, batch))
    })
    .unwrap();
}
