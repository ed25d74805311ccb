//! One tune: calibration, baseline, search, confirmation, in one journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytesize::ByteSize;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::architecture::Architecture;
use crate::budget::Budget;
use crate::calibrate;
use crate::confirm::{Confirmation, WORTH_HAVING};
use crate::journal::Journal;
use crate::machine::Machine;
use crate::measure::answer::Answer;
use crate::measure::process::{self, Limit, Programs};
use crate::measure::{NoiseWatch, wire};
use crate::profile::Profile;
use crate::ranking;
use crate::search::{Measure, Observation, Stop};
use crate::settings::{Baseline, Knobs, Settings};
use crate::space::{Candidate, Space};
use crate::trial::{Outcome, Phase, Trial};
use crate::workload::{Stage, Workload, WorkloadFile};

/// How much slower than the baseline a candidate may be before its trial is cut.
const SLOWEST: f64 = 3.0;

/// What rounding leaves of two pictures that should be equal: float32 keeps 120 dB, another order
/// of sums takes some 20.
const NEUTRAL_DB: f64 = 80.0;

/// What one trial runs besides knobs: the same for all trials of a tune.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The machine.
    pub machine: Machine,
    /// The baseline fitted to it.
    pub baseline: Baseline,
    /// The programs.
    pub programs: Programs,
    /// How the models are built.
    pub parts: Architecture,
    /// The user's own weights, in diffusers layout.
    pub weights: Option<PathBuf>,
    /// Memory that a trial may take.
    pub memory_bytes: u64,
    /// The worst picture that may win, in dB.
    pub min_psnr_db: f64,
    /// Input pictures.
    pub images: Vec<PathBuf>,
    /// Where a trial's launch file and frames go.
    pub scratch: PathBuf,
    /// Seeds everything.
    pub seed: u64,
    /// Repetitions a trial.
    pub repetitions: u32,
    /// Set when somebody wants the tuner to finish.
    pub stop: Arc<AtomicBool>,
}

/// What one trial is asked to do.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The part of the tune.
    pub phase: Phase,
    /// Confirmation pair.
    pub pair: Option<u64>,
    /// Who proposed it.
    pub strategy: &'a str,
    /// What to run.
    pub workload: &'a Workload,
    /// How to run it.
    pub knobs: &'a Knobs,
    /// What it may take before it counts as too slow.
    pub limit: Duration,
    /// What is left of the budget for it; when this ends first, nothing was learnt of it.
    pub left: Duration,
}

impl Bench {
    /// Runs one trial; whatever goes wrong in it is its outcome.
    ///
    /// # Errors
    /// The tuner itself can't go on: no process can be started, no file written.
    pub fn run(&self, number: u64, order: &Order<'_>) -> Result<Trial> {
        let started = jiff::Timestamp::now().to_string();
        let noise = NoiseWatch::start();
        let answer = self.answer(number, order)?;
        let measured: f64 = answer.samples.iter().map(|sample| sample.seconds).sum();
        Ok(Trial {
            number,
            started,
            phase: order.phase,
            pair: order.pair,
            strategy: order.strategy.to_owned(),
            seed: self.seed,
            workload: order.workload.to_string(),
            knobs: order.knobs.values(),
            overhead_s: (answer.wall_s - measured * f64::from(order.workload.sizes.clips)).max(0.0),
            outcome: answer.outcome,
            detail: answer.detail,
            samples: answer.samples,
            peak_rss_bytes: answer.peak_rss_bytes,
            setup_s: answer.setup_s,
            wall_s: answer.wall_s,
            noise: noise.finish(),
            stage_rss_bytes: answer.stage_rss_bytes,
            quality: answer.quality,
            peak: answer.peak,
            effect: answer.effect.map(|effect| effect.digest()).unwrap_or_default(),
            tool: crate::TOOL.to_owned(),
        })
    }

    fn answer(&self, number: u64, order: &Order<'_>) -> Result<Answer> {
        let settings = match self.settings(order.workload, order.knobs) {
            Ok(settings) => settings,
            Err(problem) => {
                let mut answer = Answer::new(number, self.repetitions);
                answer.fail(Outcome::Illegal, problem);
                return Ok(answer);
            }
        };
        let job = self.job(number, order, settings)?;
        let launch = self.scratch.join("launch.json");
        let profile = Profile::new(&self.machine, &self.baseline, order.knobs, String::new());
        profile.map_err(anyhow::Error::msg)?.write(&launch)?;
        let time = order.limit.min(order.left);
        let limit = Limit { time, memory_bytes: self.memory_bytes };
        let stop = || self.stop.load(Ordering::Relaxed);
        let mut answer = process::run(&self.programs, &launch, &job, limit, &stop)?;
        if answer.outcome == Outcome::Timeout && order.left < order.limit {
            answer.outcome = Outcome::Interrupted;
            answer.detail = "its share of the budget was over".to_owned();
        }
        self.judge(&mut answer, &job.settings);
        Ok(answer)
    }

    /// What `knobs` come to here.
    ///
    /// # Errors
    /// Why the machine can't run them, or has too little memory for the job under them.
    pub fn settings(&self, workload: &Workload, knobs: &Knobs) -> Result<Settings, String> {
        let settings = knobs.resolve(&self.machine)?;
        let bytes = self.bytes(workload, knobs);
        if bytes > self.memory_bytes {
            let (bytes, most) = (ByteSize(bytes), ByteSize(self.memory_bytes));
            return Err(format!("it needs about {bytes} of memory; --max-memory is {most}"));
        }
        Ok(settings)
    }

    fn bytes(&self, workload: &Workload, knobs: &Knobs) -> u64 {
        let number = knobs.precision.bytes();
        let batch = knobs.batch_size.min(workload.sizes.clips);
        workload.memory_bytes(&self.parts, number, batch, knobs.vae_tile_size)
    }

    /// Fails an answer whose settings did not take, or whose picture is not good enough.
    fn judge(&self, answer: &mut Answer, settings: &Settings) {
        let mismatches = answer.effect.as_ref().map(|effect| effect.mismatches(settings));
        let differences = mismatches.unwrap_or_default();
        if !differences.is_empty() {
            answer.fail(Outcome::Misapplied, differences.join("; "));
        }
        let Some(quality) = answer.quality else { return };
        let worst = quality.worst_db();
        let is_neutral = settings.numerics.is_neutral() && quality.seam_psnr_db.is_none();
        if is_neutral && worst < NEUTRAL_DB {
            let detail = format!("PSNR {worst:.1} dB although no knob that was set may change it");
            answer.fail(Outcome::WrongOutput, detail);
        } else if worst < self.min_psnr_db {
            let least = self.min_psnr_db;
            let detail = format!("PSNR {worst:.1} dB against the reference; it takes {least:.1}");
            answer.fail(Outcome::PoorQuality, detail);
        }
    }

    fn job(&self, number: u64, order: &Order<'_>, settings: Settings) -> Result<wire::Job> {
        let output = self.scratch.join("frames");
        if output.exists() {
            std::fs::remove_dir_all(&output).context("emptying the frames folder")?;
        }
        std::fs::create_dir_all(&output).context("making the frames folder")?;
        Ok(wire::Job {
            version: wire::VERSION,
            trial: number,
            workload: order.workload.clone(),
            settings,
            repetitions: self.repetitions,
            warmup: 1,
            images: if order.workload.has(Stage::Read) { self.images.clone() } else { Vec::new() },
            output,
            weights: self.weights.clone(),
            references: self.scratch.clone(),
            seed: self.seed,
        })
    }
}

/// Told what happens, as it happens.
pub trait Watch {
    /// A trial starts.
    fn started(&self, order: &Order<'_>);
    /// A trial ended and is in the journal; all so far.
    fn finished(&self, trials: &[Trial]);
}

/// A tune under way.
pub struct Session<'a> {
    bench: &'a Bench,
    watch: &'a dyn Watch,
    budget: Budget,
    journal: Journal,
    trials: Vec<Trial>,
}

impl<'a> Session<'a> {
    /// A session that writes to `journal`.
    pub fn new(bench: &'a Bench, watch: &'a dyn Watch, budget: Budget, journal: Journal) -> Self {
        Self { bench, watch, budget, journal, trials: Vec::new() }
    }

    /// What its trials run with.
    pub fn bench(&self) -> &'a Bench {
        self.bench
    }

    /// All trials so far.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    fn run(&mut self, order: &Order<'_>) -> Result<Trial> {
        let trial = self.measure(order)?;
        self.record(trial)
    }

    fn measure(&self, order: &Order<'_>) -> Result<Trial> {
        self.watch.started(order);
        self.bench.run(self.journal.next_number(), order)
    }

    fn record(&mut self, trial: Trial) -> Result<Trial> {
        self.journal.append(&trial)?;
        self.trials.push(trial.clone());
        self.watch.finished(&self.trials);
        Ok(trial)
    }

    fn is_stopped(&self) -> bool {
        self.bench.stop.load(Ordering::Relaxed)
    }

    /// Runs the baseline on the smallest size of `job` and says which one fits the machine.
    ///
    /// # Errors
    /// The baseline does not run here: nothing can be compared with it.
    pub fn calibrate(&mut self, job: &WorkloadFile) -> Result<Workload> {
        let knobs = self.bench.baseline.knobs.clone();
        let smallest = job.rung(0);
        let mut trial = self.measure(&self.of_baseline(Phase::Calibration, &smallest, &knobs))?;
        let bench = self.bench;
        let fits = |workload: &Workload| bench.bytes(workload, &knobs) <= bench.memory_bytes;
        let target_s = calibrate::target_s(self.budget.total());
        let fitted =
            trial.score_s().map(|score| calibrate::fit(job, &bench.parts, score, target_s, fits));
        if fitted.as_ref() == Some(&smallest) {
            // This was the baseline's trial already: a small budget can't pay for it twice.
            trial.phase = Phase::Baseline;
        }
        let trial = self.record(trial)?;
        self.needed(&trial)?;
        Ok(fitted.unwrap_or(smallest))
    }

    /// Measures the baseline, unless the calibration came to the same.
    ///
    /// # Errors
    /// As [`Session::calibrate`].
    pub fn baseline(&mut self, workload: &Workload) -> Result<()> {
        if self.trials.iter().any(|trial| trial.phase == Phase::Baseline) {
            return Ok(());
        }
        let knobs = self.bench.baseline.knobs.clone();
        let trial = self.run(&self.of_baseline(Phase::Baseline, workload, &knobs))?;
        self.needed(&trial).map(|_| ())
    }

    fn of_baseline<'o>(&self, phase: Phase, workload: &'o Workload, knobs: &'o Knobs) -> Order<'o> {
        let left = self.budget.left();
        Order { phase, pair: None, strategy: "", workload, knobs, limit: left, left }
    }

    /// The score of a trial without which the tune makes no sense.
    fn needed(&self, trial: &Trial) -> Result<f64> {
        if self.is_stopped() {
            bail!("stopped before the baseline was measured; nothing can be said");
        }
        trial.score_s().with_context(|| {
            format!(
                "the baseline does not run here ({}): {}; see `wan22-tune measure --baseline`",
                trial.outcome, trial.detail
            )
        })
    }

    /// What is left for the search: all of it while there is nothing to confirm.
    fn left_for_search(&self) -> Duration {
        match self.finalist() {
            None => self.budget.left(),
            Some(_) => self.budget.left_for_search(self.baseline_trial()),
        }
    }

    /// What a confirmation pair takes: as long as the one before; before the first, as two trials
    /// of the baseline, since finalists are no slower.
    fn pair(&self) -> Duration {
        let confirming = self.trials.iter().rev().filter(|t| t.phase == Phase::Confirmation);
        let walls: Vec<f64> = confirming.take(2).map(|trial| trial.wall_s).collect();
        match walls[..] {
            [finalist, baseline] => Duration::from_secs_f64(1.1 * (finalist + baseline)),
            _ => self.baseline_trial() * 2,
        }
    }

    fn baseline_trial(&self) -> Duration {
        let trial = self.trials.iter().find(|trial| trial.phase == Phase::Baseline);
        Duration::from_secs_f64(trial.map_or(1.0, |trial| trial.wall_s))
    }

    /// The time limit of a trial, from the baseline's.
    fn limit(&self) -> Duration {
        self.baseline_trial().mul_f64(SLOWEST) + Duration::from_secs(2)
    }

    /// Runs the best candidate against the baseline, in pairs of random order, until the answer
    /// is clear or the budget spent.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    pub fn confirm(&mut self, workload: &Workload) -> Result<()> {
        let Some(finalist) = self.finalist() else { return Ok(()) };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.bench.seed);
        let baseline = self.bench.baseline.knobs.clone();
        for pair in 1.. {
            let confirmation = Confirmation::of(&self.trials, &baseline.values());
            if confirmation.is_some_and(|confirmation| confirmation.is_decided())
                || self.is_stopped()
                || self.budget.left() < self.pair()
            {
                return Ok(());
            }
            let mut turns = [&baseline, &finalist];
            if rng.random() {
                turns.reverse();
            }
            for knobs in turns {
                self.run(&Order {
                    phase: Phase::Confirmation,
                    pair: Some(pair),
                    strategy: "",
                    workload,
                    knobs,
                    limit: self.limit(),
                    left: self.budget.left(),
                })?;
            }
        }
        Ok(())
    }

    /// The best ranked knobs, if they promise more than the baseline.
    fn finalist(&self) -> Option<Knobs> {
        let baseline = &self.bench.baseline.knobs;
        let ranking = ranking::rank(&self.trials);
        let usual = ranking.iter().find(|ranked| ranked.knobs == baseline.values())?;
        let best = ranking.first()?;
        let values = best.knobs.iter().map(|(name, value)| (name.as_str(), value));
        let promises = best.score_s < usual.score_s * (1.0 - WORTH_HAVING);
        // What is in the journal was knobs before.
        baseline.with(values).ok().filter(|_| promises)
    }
}

/// The search's eyes: candidates become trials of the session.
pub struct Searching<'s, 'a> {
    /// The session.
    pub session: &'s mut Session<'a>,
    /// The space.
    pub space: &'s Space,
    /// The workload.
    pub workload: &'s Workload,
    /// The strategy's name.
    pub strategy: &'s str,
}

impl Searching<'_, '_> {
    fn knobs(&self, candidate: &Candidate) -> Result<Knobs, String> {
        self.session.bench.baseline.knobs.with(self.space.named(candidate))
    }

    fn identity_of(&self, knobs: &Knobs) -> Option<u64> {
        let settings = knobs.resolve(&self.session.bench.machine).ok()?;
        Some(settings.identity(self.workload))
    }

    /// The same settings with as many knobs as can be at the baseline's value: a tile larger than
    /// the picture, say, is no change that anybody should ship.
    fn plainest(&self, mut knobs: Knobs) -> Knobs {
        let identity = self.identity_of(&knobs);
        for (name, usual) in self.session.bench.baseline.knobs.values() {
            if let Ok(plainer) = knobs.with([(name.as_str(), &usual)])
                && self.identity_of(&plainer) == identity
            {
                knobs = plainer;
            }
        }
        knobs
    }
}

impl Measure for Searching<'_, '_> {
    fn identity(&self, candidate: &Candidate) -> Option<u64> {
        self.identity_of(&self.knobs(candidate).ok()?)
    }

    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop> {
        if self.session.is_stopped() {
            return Err(Stop::Interrupted);
        }
        let left = self.session.left_for_search();
        if left < self.session.baseline_trial() {
            return Err(Stop::Budget);
        }
        let knobs = self.plainest(self.knobs(candidate).map_err(anyhow::Error::msg)?);
        let order = Order {
            phase: Phase::Search,
            pair: None,
            strategy: self.strategy,
            workload: self.workload,
            knobs: &knobs,
            limit: self.session.limit(),
            left,
        };
        let trial = self.session.run(&order)?;
        Ok(Observation { candidate: candidate.clone(), cost: trial.score_s() })
    }
}

/// A results folder that does not exist yet: `<date>-<machine>`, numbered when taken.
///
/// # Errors
/// The folder can't be made.
pub fn new_folder(parent: &Path, host: &str) -> Result<PathBuf> {
    let today = jiff::Zoned::now().date();
    let host: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    for number in 1..1000 {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let folder = parent.join(format!("{today}-{host}{suffix}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| folder.display().to_string()),
        }
    }
    bail!("{}: a thousand results of today; name another folder with --results", parent.display())
}
