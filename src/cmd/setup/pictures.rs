//! The pictures of a job of the user's own, as flags and space describe them.

use crate::cli::{CustomJobArgs, RunnerArgs};
use crate::cmd::{Usage, terminal};
use crate::knobs::program_environment::is_own;
use crate::runner::pictures::{NO_FFMPEG, reads_videos};
use crate::space::{Changes, KnobEntry, SpaceFile};
use crate::workload::custom::pictures::{self, PictureJob};
use crate::workload::custom::{CommandJob, CustomJob, WorkerJob};

/// Files that a run writes as pictures.
pub fn of_files(files: String) -> PictureJob {
    PictureJob { files: Some(files), ..PictureJob::default() }
}

/// Refuses a limit for pictures where there are none, and videos that nothing here reads.
///
/// # Errors
/// [`Usage`] that says what to type or to install.
pub fn check(args: &CustomJobArgs, runner: &RunnerArgs, is_worker: bool) -> Result<(), Usage> {
    if runner.min_psnr.is_some() && args.output.is_none() && !is_worker {
        let cure = "name the pictures of your command, as in --output 'out/*.png'";
        return Err(Usage(format!("--min-psnr: {cure}")));
    }
    let Some(files) = &args.output else { return Ok(()) };
    let patterns = pictures::patterns(files).map_err(Usage)?;
    let is_of_videos = patterns.iter().all(|pattern| pictures::is_video(pattern));
    if is_of_videos && !reads_videos() {
        return Err(Usage(format!("--output {files}: {NO_FFMPEG}")));
    }
    Ok(())
}

/// Files that nobody named, where they can be read.
pub fn readable(files: &str) -> Option<String> {
    if files.split('|').any(pictures::is_video) && !reads_videos() {
        terminal::tell(&format!("pictures are not compared: {NO_FFMPEG}"));
        return None;
    }
    Some(files.to_owned())
}

/// Says that nothing looks at what a command makes, where a knob of its own may make it less.
pub fn warn(command: &CommandJob, file: &SpaceFile) {
    let is_looked_at =
        command.metric.is_some() || command.check.is_some() || command.pictures.is_some();
    // Of an app's own it is said where its pictures are looked for.
    let may = |entry: KnobEntry| {
        let is_of_app = entry.flag.is_some() || entry.pointer.is_some();
        !is_of_app && entry.changes != Some(Changes::Nothing)
    };
    let may_change = |name: &String| is_own(name) && file.entry(name).is_ok_and(may);
    if !is_looked_at && file.knob.keys().any(may_change) {
        terminal::tell(
            "nothing looks at what the command makes, and a candidate that makes less may win: name \
             pictures by --output 'out/*.png', or give a --check",
        );
    }
}

/// A job that knows what its space says of pictures.
pub fn with_changes(job: CustomJob, file: &SpaceFile) -> CustomJob {
    let of_kind = |kind: Changes| {
        let is_of = |name: &&String| file.entry(name).is_ok_and(|e| e.changes == Some(kind));
        file.knob.keys().filter(is_of).cloned().collect()
    };
    let with = |pictures: PictureJob| PictureJob {
        changing: of_kind(Changes::Picture),
        neutral: of_kind(Changes::Nothing),
        ..pictures
    };
    match job {
        CustomJob::Command(job) => {
            CustomJob::Command(CommandJob { pictures: job.pictures.map(with), ..job })
        }
        CustomJob::Worker(job) => {
            CustomJob::Worker(WorkerJob { pictures: job.pictures.map(with), ..job })
        }
        CustomJob::Module(_) => job,
    }
}
