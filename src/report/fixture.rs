//! Results made by hand, for tests.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::knobs::{Baseline, Preset, Value};
use crate::machine::Machine;
use crate::results::{Folder, Results};
use crate::space::{Given, Space, SpaceFile, Tune};
use crate::trial::journal::Journal;
use crate::trial::{Noise, Outcome, Phase, Sample, Trial};
use crate::workload::{self, BUILT_IN, WorkloadFile};

/// A tune under construction. Every trial starts a second after the one before has ended, and
/// has two seconds of overhead.
#[derive(Clone, Debug)]
pub struct Made {
    pub results: Results,
    clock_s: f64,
}

/// Eight cores with one node and one L3, and no SMT.
fn machine() -> Machine {
    let mut machine = Machine::synthetic("package:1 l3:1 core:8 pu:1");
    "host".clone_into(&mut machine.host);
    "Test CPU".clone_into(&mut machine.cpu.model);
    "6.1.0".clone_into(&mut machine.kernel);
    machine.memory_bytes = 16 << 30;
    machine
}

const SPACE: &str = r#"
schema = 1
name = "test"
why = "a test"
[knob.intra_op_threads]
why = "a"
range = { min = 1, max = 8 }
[knob.preprocess_workers]
why = "b"
values = [1, 2, 4]
[knob.vae_tile_size]
why = "c"
values = [192, 256, 384]
[knob.batch_size]
why = "d"
values = [1, 2, 4]
[knob.affinity]
why = "e"
values = ["none", "compact"]
[knob.memory_mode]
why = "one value on this machine"
values = ["baseline"]
"#;

impl Made {
    /// Without a trial; eight cores, a budget of four minutes.
    pub fn new() -> Self {
        let machine = machine();
        let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine).knobs.values();
        let given = Given { facts: BTreeMap::from([("cores".to_owned(), 8)]), baseline };
        let space = Space::resolve(&SpaceFile::parse(SPACE).unwrap(), given, true).unwrap();
        let job = WorkloadFile::parse(BUILT_IN[0].1).unwrap();
        let (workload, full) = (job.size(2), job.full());
        let parts = workload.model.architecture();
        let tune = "tool = 'wan22-tune 0.1.0'\ncommand = 'wan22-tune --budget 4m'\nseed = 7\n\
                    started = '2026-11-22T20:00:00Z'\nbudget_s = 240.0\nstrategy = 'annealing'\n\
                    preset = '5995wx'\nrepetitions = 3";
        let (costs, full_costs) = (workload.costs(&parts, None), full.costs(&parts, None));
        let tune: Tune = toml::from_str(tune).unwrap();
        let tune = Tune { costs, full_costs, full: Some(full), ..tune };
        Self { results: Results::new(machine, space, workload, tune), clock_s: 1.0 }
    }

    /// Baseline trials with these scores.
    pub fn baseline(self, scores: &[f64]) -> Self {
        scores.iter().fold(self, |made, &score| made.trial(Phase::Baseline, &[], Ok(score)))
    }

    /// A candidate of the search that differs from the baseline, and its score.
    pub fn search(self, changes: &[(&str, Value)], score: f64) -> Self {
        self.trial(Phase::Search, changes, Ok(score))
    }

    /// The same, with a failure.
    pub fn fails(self, changes: &[(&str, Value)], outcome: Outcome, detail: &str) -> Self {
        self.trial(Phase::Search, changes, Err((outcome, detail)))
    }

    /// Confirmation pairs, `(baseline, finalist)`; in each second one the finalist ran first.
    pub fn pairs(mut self, changes: &[(&str, Value)], pairs: &[(f64, f64)]) -> Self {
        for (i, &(baseline, finalist)) in pairs.iter().enumerate() {
            let mut turns: [(&[(&str, Value)], f64); 2] = [(&[], baseline), (changes, finalist)];
            if i % 2 == 1 {
                turns.reverse();
            }
            for (changes, score) in turns {
                self = self.trial(Phase::Confirmation, changes, Ok(score));
            }
            let first = self.results.trials.len() - 2;
            for trial in &mut self.results.trials[first..] {
                trial.pair = Some(i as u64 + 1);
            }
        }
        self
    }

    /// Any trial; three samples: a hundredth faster, as given, and two hundredths slower.
    pub fn trial(
        mut self,
        phase: Phase,
        changes: &[(&str, Value)],
        end: Result<f64, (Outcome, &str)>,
    ) -> Self {
        let mut knobs = self.results.space.given.baseline.clone();
        knobs.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let (outcome, detail) = end.err().unwrap_or((Outcome::Ok, ""));
        let samples: Vec<Sample> = end
            .map(|score| [0.99, 1.0, 1.02].map(|x| sample(x * score)).to_vec())
            .unwrap_or_default();
        let wall_s = 2.0 + samples.iter().map(|sample| sample.seconds).sum::<f64>();
        let start: jiff::Timestamp = self.results.tune.started.parse().unwrap();
        let started = start + jiff::SignedDuration::from_secs_f64(self.clock_s);
        self.clock_s += wall_s + 1.0;
        self.results.trials.push(Trial {
            number: self.results.trials.len() as u64 + 1,
            started: started.to_string(),
            phase,
            strategy: self.results.tune.strategy.clone(),
            seed: self.results.tune.seed,
            workload: self.results.workload.name.clone(),
            knobs,
            outcome,
            detail: detail.to_owned(),
            peak_rss_bytes: (!samples.is_empty()).then_some(3 << 30),
            setup_s: (!samples.is_empty()).then_some(1.5),
            samples,
            overhead_s: 2.0,
            wall_s,
            noise: Noise {
                steal_share: Some(0.01),
                pressure_share: Some(0.02),
                ..Noise::default()
            },
            effect: "e".to_owned(),
            tool: self.results.tune.tool.clone(),
            ..Trial::default()
        });
        self
    }

    /// Writes the folder that a tune would have left.
    pub fn write(&self, folder: &Folder) {
        let Results { machine, space, workload, tune, trials, .. } = &self.results;
        std::fs::write(folder.machine(), serde_json::to_string(machine).unwrap()).unwrap();
        let mut file = space.to_file();
        (file.workload, file.tune) = (Some(workload.clone()), Some(tune.clone()));
        std::fs::write(folder.space(), file.to_toml()).unwrap();
        let knobs = space.given.baseline.keys();
        let mut journal = Journal::create(&folder.journal(), knobs, 3).unwrap();
        trials.iter().for_each(|trial| journal.append(trial).unwrap());
    }
}

/// A tenth of the clip's time in each stage, and half of it in denoise.
fn sample(seconds: f64) -> Sample {
    let share = |stage: &str| if stage == "denoise" { 0.5 } else { 0.1 };
    let stages = workload::stages().filter(|stage| *stage != "text");
    Sample {
        seconds,
        stages: stages.map(|stage| (stage.to_owned(), share(stage) * seconds)).collect(),
        minor_faults: 1000,
        run_queue_share: 0.01,
        ..Sample::default()
    }
}

/// A number as a knob's value.
pub fn number(number: i64) -> Value {
    Value::Integer(number)
}

/// A word as a knob's value.
pub fn word(word: &str) -> Value {
    Value::Word(word.to_owned())
}

/// A tune as it might have been: threads and tiles matter and interact, the rest hardly does,
/// the machine is noisy and slows down by a twentieth, some trials fail.
pub fn simulated(trials: usize) -> Made {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(4);
    let mut noise = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut noise =
        move |s: f64| s * (1.0 + 0.03 * (noise.random::<f64>() + noise.random::<f64>() - 1.0));
    let mut made = Made::new().trial(Phase::Calibration, &[], Ok(3.9));
    let usual = cost(&made.results.space.given.baseline);
    made = made.baseline(&[noise(usual), noise(usual)]);
    made.results.tune.budget_s = 1200.0;
    let mut best = (f64::INFINITY, BTreeMap::new());
    for i in 0..trials {
        let drift = 1.0 + 0.05 * i as f64 / trials as f64;
        if i % 12 == 11 {
            made = made.baseline(&[noise(usual * drift)]);
        }
        let mut knobs = made.results.space.given.baseline.clone();
        for knob in &made.results.space.knobs {
            let level = &knob.levels[rng.random_range(0..knob.levels.len())];
            knobs.insert(knob.name.clone(), level.clone());
        }
        let score = cost(&knobs);
        made = match i % 17 {
            5 => made.fails(&named(&knobs), Outcome::Timeout, "killed after 30 s"),
            13 => made.fails(&named(&knobs), Outcome::Crashed, "signal 11 (SIGSEGV)"),
            _ => made.search(&named(&knobs), noise(score * drift)),
        };
        if i % 17 != 5 && i % 17 != 13 && score < best.0 {
            best = (score, knobs);
        }
    }
    let pairs: Vec<(f64, f64)> =
        (0..5).map(|_| (noise(1.05 * usual), noise(1.05 * best.0))).collect();
    made.pairs(&named(&best.1), &pairs)
}

fn named(knobs: &BTreeMap<String, Value>) -> Vec<(&str, Value)> {
    knobs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect()
}

/// Seconds per clip without noise: the best number of threads depends on the tile.
fn cost(knobs: &BTreeMap<String, Value>) -> f64 {
    let number = |name| knobs[name].number().expect("a number");
    let (threads, tile) = (number("intra_op_threads"), number("vae_tile_size"));
    let spread = if knobs["affinity"] == word("none") { 1.0 } else { 0.94 };
    3.2 * spread * (0.5 + 0.8 / threads + 1e-4 * threads * tile + 12.0 / tile)
}
