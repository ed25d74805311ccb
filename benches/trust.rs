//! How far a tune's word can be trusted: whole tunes of simulated machines whose truth is known.
//!
//! `cargo bench --bench trust`, with `RUNS=100` tunes a scenario, `SEED=1` for the first of them,
//! `BUDGET=60m`, `NOISE=results/FOLDER/trials.csv` for the journal whose noise is used, and
//! `STRATEGY=portfolio`.
//!
//! The tuner's own session searches and confirms; only the trials are made up. A trial takes what
//! its candidate truly takes, times the machine's drift, times noise that is drawn from a recorded
//! journal: how much longer than the fastest one each process of the same settings took, and how
//! much each repetition in a process differs from its middle one.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

mod setting;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use wan22_tune::budget::{self, Budget};
use wan22_tune::confirm::{Confirmation, Verdict};
use wan22_tune::durable::Disk;
use wan22_tune::journal::{self, Journal};
use wan22_tune::machine::Machine;
use wan22_tune::measure::Repetitions;
use wan22_tune::measure::process::Programs;
use wan22_tune::results::Folder;
use wan22_tune::search::{Plan, StrategyName};
use wan22_tune::settings::{Baseline, Preset};
use wan22_tune::space::{Space, SpaceFile, Value, Values};
use wan22_tune::stats;
use wan22_tune::trial::{Outcome, Phase, Sample, Trial};
use wan22_tune::tune::{Bench, Order, Rig, Session, Watch};
use wan22_tune::workload::{BUILT_IN, Workload, WorkloadFile};

use setting::setting;

/// Seconds of a trial before it warms up.
const OVERHEAD_S: f64 = 5.0;

/// Seconds that pass in a repetition for each second a clip: two clips, as in its warm-up.
const CLIPS: f64 = 2.0;

/// The best candidate is faster than the next by at least this share.
const AHEAD: f64 = 0.03;

/// A clock reading's own spread.
const JITTER: f64 = 0.003;

const SPACE: &str = r#"
schema = 1
name = "simulated"
why = "twenty-four candidates whose times are known"
baseline = { intra_op_threads = 4, allocator = "glibc" }
[knob]
intra_op_threads = { why = "", values = [1, 2, 3, 4, 6, 8] }
allocator = { why = "", values = ["glibc", "jemalloc", "tcmalloc", "mimalloc"] }
"#;

/// What a simulated machine does to a tune.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// How much slower it is at the end, as a share.
    drift: f64,
    /// Whether candidates differ at all.
    differs: bool,
}

const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "nothing to find", drift: 0.0, differs: false },
    Scenario { name: "steady machine", drift: 0.0, differs: true },
    Scenario { name: "20% linear drift", drift: 0.2, differs: true },
];

fn main() -> Result<()> {
    let (runs, seed) = (setting("RUNS", 100)?, setting("SEED", 1)?);
    let total = setting("BUDGET", "60m".to_owned())?;
    let total = budget::parse(&total).map_err(anyhow::Error::msg)?;
    let strategy = setting("STRATEGY", StrategyName::Portfolio)?;
    let recorded = setting("NOISE", newest_journal()?)?;
    let noise = Noise::recorded(&recorded)?;
    println!("noise of {}: {noise}", recorded.display());
    println!(
        "{runs} tunes a scenario from seed {seed}, {} min each, {strategy}",
        total.as_secs() / 60
    );
    for scenario in SCENARIOS {
        let ends = all(runs, |run| tune(scenario, &noise, seed + run, total, strategy))?;
        report(scenario, &ends);
    }
    Ok(())
}

/// The journal of the last of the committed results.
fn newest_journal() -> Result<PathBuf> {
    let mut journals = Vec::new();
    for entry in std::fs::read_dir("results").context("results: NOISE names a journal")? {
        journals.push(entry?.path().join("trials.csv"));
    }
    journals.retain(|path| path.is_file());
    journals.sort();
    journals.pop().context("results/ holds no journal: NOISE names one")
}

/// Runs all tunes, on as many threads as there are CPUs; each has a clock of its own.
fn all(runs: u64, one: impl Fn(u64) -> Result<End> + Sync) -> Result<Vec<End>> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut ends = Vec::new();
        loop {
            let run = next.fetch_add(1, Ordering::Relaxed);
            if run >= runs {
                return Ok(ends);
            }
            ends.push(one(run)?);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut ends = Vec::new();
        for thread in threads {
            let more: Result<Vec<End>> = thread.join().expect("no tune panics");
            ends.extend(more?);
        }
        Ok(ends)
    })
}

/// How a recorded machine disturbs, as logs.
struct Noise {
    /// Of each process over the fastest one of the same settings.
    processes: Vec<f64>,
    /// Of each repetition over the middle one of its process.
    repetitions: Vec<f64>,
}

impl Noise {
    fn recorded(path: &Path) -> Result<Self> {
        let trials = journal::read(path)?;
        let mut scores: BTreeMap<&Values, Vec<f64>> = BTreeMap::new();
        let mut repetitions = Vec::new();
        for trial in &trials {
            let Some(score) = trial.score_s() else { continue };
            scores.entry(&trial.knobs).or_default().push(score);
            repetitions.extend(trial.samples.iter().map(|s| (s.seconds / score).ln()));
        }
        let mut processes = Vec::new();
        for scores in scores.values().filter(|scores| scores.len() > 2) {
            let fastest = scores.iter().copied().fold(f64::INFINITY, f64::min);
            processes.extend(scores.iter().map(|score| (score / fastest).ln()));
        }
        ensure!(processes.len() > 2, "{}: too few repeated trials to learn from", path.display());
        Ok(Self { processes, repetitions })
    }
}

impl std::fmt::Display for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |logs: &[f64], share: f64| {
            let mut sorted = logs.to_vec();
            sorted.sort_by(f64::total_cmp);
            100.0 * (sorted[((sorted.len() - 1) as f64 * share) as usize].exp() - 1.0)
        };
        write!(
            f,
            "a process is {:.1}% slower than the fastest of its kind in the middle and {:.1}% at \
             the 90th percentile of {}; a repetition at most {:.1}% slower than its middle one",
            percent(&self.processes, 0.5),
            percent(&self.processes, 0.9),
            self.processes.len(),
            percent(&self.repetitions, 1.0)
        )
    }
}

thread_local! {
    /// Simulated seconds on this thread.
    static CLOCK: Cell<f64> = const { Cell::new(0.0) };
}

fn now() -> Duration {
    Duration::from_secs_f64(CLOCK.get())
}

/// A machine whose truth is known.
struct Simulated<'a> {
    noise: &'a Noise,
    times: BTreeMap<Values, f64>,
    baseline: Values,
    drift: f64,
    total_s: f64,
    rng: RefCell<Xoshiro256PlusPlus>,
}

impl Simulated<'_> {
    fn noise_of(&self, logs: &[f64]) -> f64 {
        let rng = &mut *self.rng.borrow_mut();
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        let normal = (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        (logs.choose(rng).copied().unwrap_or(0.0) + JITTER * normal).exp()
    }
}

impl Rig for Simulated<'_> {
    fn run(&self, number: u64, order: &Order<'_>) -> Result<Trial> {
        let started_s = CLOCK.get();
        let slow = 1.0 + self.drift * started_s / self.total_s;
        let truth = self.times[order.values] * slow * self.noise_of(&self.noise.processes);
        let mut samples = Vec::new();
        let repetitions = Repetitions::USUAL.in_phase(order.phase);
        let setup_s = OVERHEAD_S + CLIPS * truth;
        let (mut wall_s, mut count) = (setup_s, 1);
        while samples.len() < count {
            let seconds = truth * self.noise_of(&self.noise.repetitions);
            wall_s += CLIPS * seconds;
            samples.push(Sample { seconds, ..Sample::default() });
            let is_first = samples.len() == 1;
            if is_first {
                count = repetitions.count(setup_s, CLIPS * seconds) as usize;
            }
            if is_first && order.hopeless_s.is_some_and(|limit| seconds > limit) {
                break;
            }
        }
        let limit_s = order.time().as_secs_f64();
        let outcome = match wall_s > limit_s {
            false => Outcome::Ok,
            true if order.ends_with_the_budget() => Outcome::Interrupted,
            true => Outcome::Timeout,
        };
        wall_s = wall_s.min(limit_s);
        CLOCK.set(started_s + wall_s);
        let started = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs_f64(started_s);
        Ok(Trial {
            number,
            started: started.to_string(),
            phase: order.phase,
            pair: order.pair,
            knobs: order.values.clone(),
            outcome,
            samples,
            wall_s,
            overhead_s: setup_s.min(wall_s),
            ..Trial::default()
        })
    }

    fn identity(&self, _: &Workload, values: &Values) -> Option<u64> {
        self.times.keys().position(|known| known == values).map(|place| place as u64)
    }

    fn baseline(&self) -> Values {
        self.baseline.clone()
    }
}

/// Nobody watches.
struct Blind;

impl Watch for Blind {
    fn started(&self, _: &Order<'_>) {}
    fn finished(&self, _: &[Trial]) {}
    fn noted(&self, _: &str) {}
}

/// A disk that may forget: nothing here has to survive.
#[derive(Debug)]
struct Careless;

impl Disk for Careless {
    fn sync(&self, _: &std::fs::File) -> std::io::Result<()> {
        Ok(())
    }
}

/// How one tune ended, against the truth.
struct End {
    claimed: bool,
    /// The profile is the truly fastest candidate.
    found: bool,
    /// What became of the truly fastest one.
    fate: Fate,
    /// The estimated saving of the one that the profile speaks of, and the true one.
    saving: Option<(f64, f64)>,
    covered: Option<bool>,
    pairs: usize,
    /// Trials of the search, repetitions and trials of the confirmation.
    trials: [usize; 3],
}

/// Where the truly fastest candidate was lost, or that it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Shipped,
    /// It was never measured.
    Unseen,
    /// It was measured and did not get into the confirmation.
    Overlooked,
    /// Its gain was not proven.
    Unproven,
    /// Its gain was proven, and another one was shipped.
    PassedOver,
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shipped => "shipped",
            Self::Unseen => "never measured",
            Self::Overlooked => "no finalist",
            Self::Unproven => "not proven",
            Self::PassedOver => "another one shipped",
        })
    }
}

fn tune(
    scenario: Scenario,
    noise: &Noise,
    seed: u64,
    total: Duration,
    strategy: StrategyName,
) -> Result<End> {
    CLOCK.set(0.0);
    let space = Space::reopen(&SpaceFile::parse(SPACE).map_err(anyhow::Error::msg)?)?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let times = truth(&space, scenario.differs, &mut rng);
    let baseline: Values = named(&space, &space.baseline());
    let drift = scenario.drift;
    let total_s = total.as_secs_f64();
    let rig = Simulated { noise, times, baseline, drift, total_s, rng: RefCell::new(rng) };
    let scratch = tempfile::tempdir_in(shared_memory())?;
    let folder = Folder::new(scratch.path());
    let bench = bench(scratch.path(), seed)?;
    let journal =
        Journal::create(&folder.journal(), rig.baseline.keys(), Repetitions::USUAL.most as usize)?;
    let journal = journal.on(Box::new(Careless));
    let budget = Budget::on(now, total);
    let workload = WorkloadFile::parse(BUILT_IN[0].1).map_err(anyhow::Error::msg)?.rung(0);
    let mut session = Session::new(&bench, &Blind, budget, &folder, journal).on(&rig);
    let plan = Plan { strategy, seed, ..Plan::default() };
    session.compete(&space, &workload, plan)?;
    Ok(end(&rig, session.trials()))
}

fn end(rig: &Simulated<'_>, trials: &[Trial]) -> End {
    let usual = rig.times[&rig.baseline];
    let fastest = rig.times.iter().min_by(|a, b| a.1.total_cmp(b.1)).expect("there are some").0;
    let confirmation = Confirmation::of(trials, &rig.baseline);
    let claimed = confirmation.as_ref().is_some_and(|c| matches!(c.verdict(), Verdict::Gain(_)));
    let true_saving = |c: &Confirmation| 1.0 - rig.times[&c.finalist] / usual;
    let gain = |c: &Confirmation| c.gain().filter(|gain| gain.low.is_finite());
    let both = confirmation.as_ref().and_then(|c| Some((gain(c)?, true_saving(c))));
    End {
        claimed,
        found: confirmation.as_ref().is_some_and(|c| claimed && c.finalist == *fastest),
        fate: fate(rig, trials, fastest),
        saving: both.filter(|_| claimed).map(|(gain, truth)| (gain.mean, truth)),
        covered: both.map(|(gain, truth)| gain.low <= truth && truth <= gain.high),
        pairs: confirmation.map_or(0, |confirmation| confirmation.pairs.len()),
        trials: [Phase::Search, Phase::Repeat, Phase::Confirmation]
            .map(|phase| trials.iter().filter(|trial| trial.phase == phase).count()),
    }
}

fn fate(rig: &Simulated<'_>, trials: &[Trial], fastest: &Values) -> Fate {
    let all = Confirmation::all(trials, &rig.baseline);
    let is_gain = |one: &Confirmation| matches!(one.verdict(), Verdict::Gain(_));
    let chosen = Confirmation::of(trials, &rig.baseline).filter(is_gain);
    match all.iter().find(|one| one.finalist == *fastest) {
        None if trials.iter().any(|trial| trial.knobs == *fastest) => Fate::Overlooked,
        None => Fate::Unseen,
        Some(_) if chosen.is_some_and(|chosen| chosen.finalist == *fastest) => Fate::Shipped,
        Some(own) if is_gain(own) => Fate::PassedOver,
        Some(_) => Fate::Unproven,
    }
}

/// What each candidate takes: the baseline a second, and one clearly less than all others.
fn truth(space: &Space, differs: bool, rng: &mut impl Rng) -> BTreeMap<Values, f64> {
    loop {
        let mut times = BTreeMap::new();
        let effects: Vec<f64> = (0..10).map(|_| rng.random_range(0.85..1.25)).collect();
        for candidate in space.candidates() {
            let (threads, allocator) = (candidate.level(0), candidate.level(1));
            let own = rng.random_range(0.95..1.05);
            let time = if differs { effects[threads] * effects[6 + allocator] * own } else { 1.0 };
            times.insert(named(space, &candidate), time);
        }
        let usual = times[&named(space, &space.baseline())];
        times.values_mut().for_each(|time| *time /= usual);
        let mut sorted: Vec<f64> = times.values().copied().collect();
        sorted.sort_by(f64::total_cmp);
        if !differs || (sorted[0] < 1.0 && sorted[1] > sorted[0] * (1.0 + AHEAD)) {
            return times;
        }
    }
}

fn named(space: &Space, candidate: &wan22_tune::space::Candidate) -> Values {
    space.named(candidate).map(|(name, value)| (name.to_owned(), Value::clone(value))).collect()
}

fn shared_memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { env::temp_dir() }
}

/// What a session wants to know of a bench, with programs that are never started.
fn bench(scratch: &Path, seed: u64) -> Result<Bench> {
    let machine = Machine::from_synthetic("package:1 l3:1 core:8 pu:1")?;
    let file = WorkloadFile::parse(BUILT_IN[0].1).map_err(anyhow::Error::msg)?;
    Ok(Bench {
        baseline: Baseline::fit(Preset::Generic, &machine),
        machine,
        programs: Programs { tuner: PathBuf::new(), worker: PathBuf::new() },
        parts: file.rung(0).model.architecture(),
        weights: None,
        memory_bytes: u64::MAX,
        min_psnr_db: Some(0.0),
        images: Vec::new(),
        scratch: scratch.to_owned(),
        seed,
        repetitions: Repetitions::USUAL,
        stop: Arc::default(),
        own: None,
    })
}

fn report(scenario: Scenario, ends: &[End]) {
    let count = |is: &dyn Fn(&End) -> bool| ends.iter().filter(|end| is(end)).count();
    let Scenario { name, .. } = scenario;
    let runs = ends.len();
    let claims = count(&|end| end.claimed);
    let pairs = ends.iter().map(|end| end.pairs as f64).sum::<f64>() / runs as f64;
    println!("{name}: {claims} of {runs} claim a gain, after {pairs:.1} pairs on average");
    let [search, repeat, confirmation] = [0, 1, 2]
        .map(|phase| ends.iter().map(|end| end.trials[phase]).sum::<usize>() as f64 / runs as f64);
    println!(
        "  trials on average: search {search:.0}, repeats {repeat:.0}, confirmation \
         {confirmation:.0}"
    );
    if scenario.differs {
        let found = count(&|end| end.found);
        let mut fates: BTreeMap<Fate, usize> = BTreeMap::new();
        ends.iter().for_each(|end| *fates.entry(end.fate).or_default() += 1);
        let fates: Vec<String> = fates.iter().map(|(fate, n)| format!("{fate} {n}")).collect();
        println!("  true best in the profile {found} of {runs} ({})", fates.join(", "));
    }
    let errors: Vec<f64> = ends
        .iter()
        .filter_map(|end| end.saving)
        .map(|(said, truth)| 100.0 * (said - truth))
        .collect();
    let sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    if let (Some(bias), Some(error)) = (stats::mean(&errors), stats::mean(&sizes)) {
        println!("  claimed minus true gain: {bias:+.2} points on average, {error:.2} in size");
    }
    let known = count(&|end| end.covered.is_some());
    let covered = count(&|end| end.covered == Some(true));
    println!("  95% interval covers the truth: {covered} of {known}");
}
