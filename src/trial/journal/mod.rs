//! Journal: the append-only `trials.csv`, from which every other artefact derives.
//!
//! One row per trial, one line per row, written in one write and synced before the next trial
//! starts. Units stand in the header (`_s` seconds, `_bytes`); an empty cell is "not known". The
//! last cell of a row is a checksum over the others.

mod checksum;
mod header;
mod loss;
mod reading;
mod repair;
mod row;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::io::atomic_write::{Disk, Live};
use crate::io::input;
use crate::io::number::maybe;
use crate::knobs::Values;
use crate::trial::{Sample, Trial};
use crate::{stats, workload};

pub use reading::Reading;
pub(crate) use reading::separated;

/// A journal of a hundred thousand trials is smaller.
pub const LARGEST_BYTES: u64 = 128 << 20;

/// Columns before and after those of knobs, samples and stages.
const IDENTITY: [&str; 7] = ["trial", "started", "phase", "pair", "strategy", "seed", "workload"];
const RESULT: [&str; 3] = ["outcome", "detail", "score_s"];
const RESOURCES: [&str; 10] = [
    "peak_rss_bytes",
    "setup_s",
    "overhead_s",
    "wall_s",
    "minor_faults",
    "run_queue_share",
    "steal_share",
    "pressure_share",
    "effect",
    "tool",
];

/// Columns that a journal may lack: those of older versions do. A new column belongs here.
const OPTIONAL: [&str; 20] = [
    "node",
    "process",
    "spent_s",
    "slice_s",
    "metric",
    "goal",
    "throttled_periods",
    "cpu_quota",
    "frequency_mhz",
    "temperature_c",
    "psnr_db",
    "ssim",
    "seam_psnr_db",
    "seam_ssim",
    "prediction_db",
    "embedding_db",
    "peak_gflops",
    "peak_bf16_gflops",
    "peak_gb_s",
    "peak_device_bytes",
];

/// The most repetitions that a journal has columns for.
pub const MOST_SAMPLES: usize = 9;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    disk: Box<dyn Disk>,
    columns: Vec<String>,
    samples: usize,
    next: u64,
}

impl Journal {
    /// Starts a journal with a column for each of `knobs` and for `samples` repetitions.
    ///
    /// # Errors
    /// The file exists, or can't be written.
    pub fn create<'a>(
        path: &Path,
        knobs: impl Iterator<Item = &'a String>,
        samples: usize,
    ) -> Result<Self> {
        let place = || format!("journal {}", path.display());
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o644)
            .open(path)
            .with_context(place)?;
        let columns = columns(knobs, samples);
        let mut journal = Self { file, disk: Box::new(Live), columns, samples, next: 1 };
        journal.write(&line(&journal.columns)?).with_context(place)?;
        Ok(journal)
    }

    /// Opens the journal of a tune whose baseline is `baseline` to go on: every row that holds is
    /// kept. Where the file is not as this program would have left it, it is written anew, and a
    /// copy of what was there stays beside it.
    ///
    /// # Errors
    /// The file can't be read or written, is no journal, or its columns are others.
    pub fn reopen(path: &Path, baseline: &Values, samples: usize) -> Result<(Self, Vec<Trial>)> {
        let place = || format!("journal {}", path.display());
        let bytes = if path.exists() {
            input::bytes(path, LARGEST_BYTES).with_context(place)?
        } else {
            Vec::new()
        };
        let reading = Reading::like(&bytes, baseline).with_context(place)?;
        let columns = columns(baseline.keys(), samples);
        ensure!(
            reading.columns.is_empty() || reading.fits(&columns),
            "{}: its columns are not those that this program writes",
            place()
        );
        repair::repair(path, &bytes, &reading, &columns).with_context(place)?;
        let open = OpenOptions::new().append(true).custom_flags(libc::O_NOFOLLOW).open(path);
        let (file, next) = (open.with_context(place)?, reading.next_number());
        Ok((Self { file, disk: Box::new(Live), columns, samples, next }, reading.trials))
    }

    /// The same journal on another disk.
    #[must_use]
    pub fn on(self, disk: Box<dyn Disk>) -> Self {
        Self { disk, ..self }
    }

    /// The number for the next trial.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Adds a row and waits until it is on the disk.
    ///
    /// # Errors
    /// The write or the sync failed: the row may be lost, and the tune has to stop.
    pub fn append(&mut self, trial: &Trial) -> Result<()> {
        ensure!(trial.samples.len() <= self.samples, "more repetitions than columns");
        let cell = |column: &String| match column.as_str() {
            checksum::COLUMN => String::new(),
            column => cell(trial, column),
        };
        let cells = self.columns.iter().map(cell).collect();
        self.write(&line(&sealed(&self.columns, cells))?)?;
        // Of trials that ran side by side the later may end first.
        self.next = self.next.max(trial.number + 1);
        Ok(())
    }

    /// Adds a line; one that could not be written whole is taken back.
    fn write(&mut self, line: &[u8]) -> Result<()> {
        let before = self.file.metadata().context("looking at the journal")?.len();
        if let Err(error) = self.disk.write(&mut self.file, line) {
            // If this fails too, readers know a torn line.
            let _ = self.file.set_len(before);
            return Err(error).context("writing the journal");
        }
        self.disk.sync(&self.file).context("syncing the journal")
    }
}

fn columns<'a>(knobs: impl Iterator<Item = &'a String>, samples: usize) -> Vec<String> {
    let fixed = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let mut columns = fixed(&IDENTITY);
    columns.extend(knobs.map(|knob| format!("knob.{knob}")));
    columns.extend(fixed(&RESULT));
    columns.extend((1..=samples).map(|n| format!("sample.{n}_s")));
    columns.extend((1..=samples).map(|n| format!("metric.{n}")));
    columns.extend(workload::stages().map(|stage| format!("stage.{stage}_s")));
    columns.extend(workload::stages().map(|stage| format!("rss.{stage}_bytes")));
    columns.extend(fixed(&OPTIONAL));
    columns.extend(fixed(&RESOURCES));
    columns.push(checksum::COLUMN.to_owned());
    columns
}

/// The cells of a row with their checksum.
fn sealed(columns: &[String], mut cells: Vec<String>) -> Vec<String> {
    let named = columns.iter().map(String::as_str).zip(cells.iter().map(String::as_str));
    let sum = checksum::of(named);
    let place = columns.iter().position(|column| column == checksum::COLUMN);
    place.into_iter().for_each(|place| cells[place].clone_from(&sum));
    cells
}

/// One CSV line in memory, so that it reaches the file in one write.
fn line<S: AsRef<[u8]>>(cells: &[S]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells)?;
    writer.into_inner().context("a CSV line")
}

fn cell(trial: &Trial, column: &str) -> String {
    let (family, rest) = column.split_once('.').unwrap_or((column, ""));
    let name = rest.strip_suffix("_s").unwrap_or(rest);
    match family {
        "knob" => maybe(trial.knobs.get(rest)),
        "sample" => maybe(nth(trial, name).map(|sample| sample.seconds)),
        "metric" if !rest.is_empty() => {
            maybe(nth(trial, name).and_then(|sample| sample.metric).map(|metric| metric.value))
        }
        "stage" => maybe(trial.stage_s(name)),
        "rss" => {
            let stage = rest.strip_suffix("_bytes").unwrap_or(rest);
            maybe(trial.stage_rss_bytes.get(stage))
        }
        _ => fixed_cell(trial, column),
    }
}

fn nth<'a>(trial: &'a Trial, number: &str) -> Option<&'a Sample> {
    number.parse::<usize>().ok().and_then(|n| trial.samples.get(n - 1))
}

/// The median over an ok trial's samples.
fn median(trial: &Trial, of: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
    trial.score()?;
    stats::median(trial.samples.iter().filter_map(of))
}

fn fixed_cell(trial: &Trial, column: &str) -> String {
    match column {
        "trial" => trial.number.to_string(),
        "started" => trial.started.clone(),
        "node" => trial.node.clone(),
        "phase" => trial.phase.to_string(),
        "pair" => maybe(trial.pair),
        "strategy" => trial.strategy.clone(),
        "seed" => trial.seed.to_string(),
        "workload" => trial.workload.clone(),
        "outcome" => trial.outcome.to_string(),
        // One row is one line, so that a torn row can be told from a whole one.
        "detail" => trial.detail.split_whitespace().collect::<Vec<_>>().join(" "),
        // What is measured, in seconds, whatever it is that the trial is ranked by.
        "score_s" => maybe(median(trial, |sample| Some(sample.seconds))),
        "slice_s" => maybe(median(trial, |sample| sample.slice_s)),
        "metric" => maybe(median(trial, |sample| sample.metric.map(|metric| metric.value))),
        "goal" => maybe(trial.samples.iter().find_map(|s| s.metric).map(|metric| metric.goal)),
        "peak_rss_bytes" => maybe(trial.peak_rss_bytes),
        "peak_device_bytes" => maybe(trial.peak_device_bytes),
        "setup_s" => maybe(trial.setup_s),
        "overhead_s" => trial.overhead_s.to_string(),
        "wall_s" => trial.wall_s.to_string(),
        "process" => maybe(trial.process),
        "spent_s" => maybe(trial.spent_s),
        "minor_faults" => maybe(trial.minor_faults()),
        "run_queue_share" => maybe(trial.run_queue_share()),
        "steal_share" => maybe(trial.noise.steal_share),
        "pressure_share" => maybe(trial.noise.pressure_share),
        "throttled_periods" => maybe(trial.noise.throttled_periods),
        "cpu_quota" => maybe(trial.noise.cpu_quota),
        "frequency_mhz" => maybe(trial.noise.frequency_mhz),
        "temperature_c" => maybe(trial.noise.temperature_c),
        "psnr_db" => maybe(trial.quality.map(|quality| quality.psnr_db)),
        "ssim" => maybe(trial.quality.map(|quality| quality.ssim)),
        "seam_psnr_db" => maybe(trial.quality.and_then(|quality| quality.seam_psnr_db)),
        "seam_ssim" => maybe(trial.quality.and_then(|quality| quality.seam_ssim)),
        "prediction_db" => maybe(trial.quality.and_then(|quality| quality.prediction_db)),
        "embedding_db" => maybe(trial.quality.and_then(|quality| quality.embedding_db)),
        "peak_gflops" => maybe(trial.peak.map(|peak| peak.gflops)),
        "peak_bf16_gflops" => maybe(trial.peak.and_then(|peak| peak.bf16_gflops)),
        "peak_gb_s" => maybe(trial.peak.map(|peak| peak.gb_s)),
        "effect" => trial.effect.clone(),
        "tool" => trial.tool.clone(),
        other => unreachable!("no column {other}"),
    }
}

/// Reads every row that holds; what is damaged is passed over and noted.
///
/// # Errors
/// The file can't be read, or is no journal.
pub fn read(path: &Path) -> Result<Vec<Trial>> {
    let place = || format!("journal {}", path.display());
    parse(&input::bytes(path, LARGEST_BYTES).with_context(place)?).with_context(place)
}

/// The journal of a tune whose baseline is `baseline`: every row that holds, each knob's cells of
/// the kind that its value there has; what is damaged is passed over and noted.
///
/// # Errors
/// The file can't be read, or is no journal.
pub fn open(path: &Path, baseline: &Values) -> Result<Reading> {
    let place = || format!("journal {}", path.display());
    let bytes = input::bytes(path, LARGEST_BYTES).with_context(place)?;
    Reading::like(&bytes, baseline).with_context(place)
}

/// As [`read`], from bytes.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8]) -> Result<Vec<Trial>> {
    Ok(Reading::of(bytes)?.trials)
}

/// The whole number that `number` is, where it is one and no digit of it can be lost.
fn whole(number: f64) -> Option<i64> {
    let exact = number.fract() == 0.0 && number.abs() < (1_u64 << 53) as f64;
    exact.then_some(number as i64)
}
