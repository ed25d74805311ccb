//! SIMULATION, not a measurement: how surely the default strategy finds the best settings of a
//! 64-core machine that nobody here has.
//!
//! `cargo bench --bench simulation`, with `SEEDS=100`, `TRIALS=60`, `NOISE=0.0`, `CLIMBS=60`. `NODES=64` prints
//! instead what a search over as many of them costs its coordinator, in a budget of `BUDGET=30m`. The space is the
//! product's own `pipeline.toml`, resolved for a Threadripper PRO 5995WX described in NPS1 and in
//! NPS4; candidates are resolved to settings as in a tune, experts' candidates come first as in a
//! tune, and [`Model`] says what each would take.
//!
//! The model, all of whose numbers are assumptions: each stage of the models takes the longer of
//! arithmetic (threads on cores of their own count whole, SMT siblings an eighth, fewer busy cores
//! clock higher) and memory traffic (50 GB/s an L3 group, 50 GB/s a quarter of the channels, all of
//! them only where pages lie on all nodes), plus a barrier an operator that grows with threads and
//! with the L3 groups and nodes that they span. Weights are first touched by one thread. Pools work
//! beside the model, disturb it where they share its CPUs, and bound the pipeline when too small.
//! Zen 3 has no bfloat16; allocators, layouts of tensors and kernels weigh on the VAE.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

#[path = "../setting/cpu.rs"]
mod cpu;
mod model;
#[path = "../setting/mod.rs"]
mod setting;
mod several;

use std::collections::BTreeMap;

use rayon::prelude::*;

use wan22_tune::knobs::{Baseline, Knobs, Preset, Settings, Values};
use wan22_tune::machine::Machine;
use wan22_tune::runner::fake;
use wan22_tune::runner::{FakeRunner, Repetitions, TrialRequest};
use wan22_tune::search::{Plan, StrategyName, Study};
use wan22_tune::space::{Candidate, Space, SpaceFile};
use wan22_tune::trial::{Outcome, Phase, Sample, Trial};
use wan22_tune::tune::budget::Budget;
use wan22_tune::tune::{NoObserver, Session, TuneConfig};
use wan22_tune::workload::{Workload, WorkloadFile};

use model::Model;
use setting::setting;

/// A job of up to eight clips, of which batches are made.
const JOB: &str = include_str!("../../tests/harness/several_clips.toml");

const SPACE: &str = include_str!("../../search-spaces/pipeline.toml");
const CORES: &str = "core:8 pu:2(indexes=2*64:64*1)";
/// A choice this near to the optimum counts as found.
const NEAR: f64 = 0.02;
/// Climbs from random candidates that look for the optimum.
const CLIMBS: u64 = 60;

fn main() -> anyhow::Result<()> {
    let (seeds, trials) = (setting("SEEDS", 100)?, setting("TRIALS", 60)?);
    let (climbs, noise) = (setting("CLIMBS", CLIMBS)?, setting("NOISE", 0.0)?);
    let nodes = setting("NODES", 0)?;
    println!("simulated Threadripper PRO 5995WX, {trials} trials, {seeds} seeds, noise {noise}");
    let described = [
        ("NPS1", format!("package:1 [numa(memory=256GB)] l3:8(size=32MB) {CORES}")),
        ("NPS4", format!("package:1 group:4 [numa(memory=64GB)] l3:2(size=32MB) {CORES}")),
    ];
    for (name, text) in described {
        let machine = Machine::from_synthetic(&text).map_err(anyhow::Error::msg)?;
        let simulated = Simulated::new(machine)?;
        if nodes > 0 {
            several::print(&simulated, name, nodes, noise)?;
            continue;
        }
        let climbed = simulated.optimum(climbs);
        let usual = simulated.cost(&simulated.space.baseline()).unwrap_or(f64::NAN);
        println!("{name}: baseline {usual:.3} s per clip, optimum {:.3} (simulated)", climbed.0);
        println!("  {}", simulated.changes(&climbed.1));
        let found = [StrategyName::Portfolio, StrategyName::Random].map(|strategy| {
            let one = |seed| simulated.tune(strategy, seed, trials, noise);
            (strategy, (0..seeds).into_par_iter().map(one).collect::<Vec<f64>>())
        });
        // A tune may have found what the climbs did not.
        let optimum = found.iter().flat_map(|(_, costs)| costs).fold(climbed.0, |a, b| a.min(*b));
        for (strategy, costs) in found {
            let regrets: Vec<f64> = costs.iter().map(|cost| cost / optimum - 1.0).collect();
            let near = regrets.iter().filter(|regret| **regret <= NEAR).count();
            let mean = regrets.iter().sum::<f64>() / seeds as f64;
            println!(
                "  {strategy:10} within 2% in {near} of {seeds} seeds; mean regret {:.2}% (simulated)",
                100.0 * mean
            );
        }
        println!("  the lowest found is {optimum:.3}");
    }
    Ok(())
}

/// The space on a machine that is only described.
struct Simulated {
    machine: Machine,
    baseline: Baseline,
    space: Space,
    experts: Vec<Candidate>,
    workload: Workload,
    clips: f64,
}

impl Simulated {
    fn new(machine: Machine) -> anyhow::Result<Self> {
        let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
        let job = WorkloadFile::parse(JOB).map_err(anyhow::Error::msg)?;
        let workload = job.at_least(8).size(3);
        let file = SpaceFile::parse(SPACE).map_err(anyhow::Error::msg)?;
        let space = Space::for_machine(&file, &machine, &baseline, &workload, false)?;
        let experts = space.experts(&file)?;
        let clips = f64::from(workload.sizes.clips);
        Ok(Self { machine, baseline, space, experts, workload, clips })
    }

    fn settings(&self, candidate: &Candidate) -> Option<(Knobs, Settings)> {
        let knobs = self.baseline.knobs.with(self.space.named(candidate)).ok()?;
        let settings = knobs.resolve(&self.machine).ok()?;
        Some((knobs, settings))
    }

    /// Seconds per clip.
    fn cost(&self, candidate: &Candidate) -> Option<f64> {
        self.stages(candidate).map(|(seconds, _)| seconds)
    }

    fn stages(&self, candidate: &Candidate) -> Option<(f64, BTreeMap<String, f64>)> {
        let (knobs, settings) = self.settings(candidate)?;
        Some(Model::new(&self.machine, &knobs, &settings, self.clips).pipeline())
    }

    /// True seconds per clip of what is chosen in the end.
    fn tune(&self, strategy: StrategyName, seed: u64, trials: usize, noise: f64) -> f64 {
        let repetitions = Repetitions::exactly(1);
        let config = TuneConfig { seed, repetitions, ..TuneConfig::default() };
        let baseline = self.baseline.knobs.values();
        let runner = FakeRunner::new(baseline, |request, _| self.trial(request, noise))
            .identifying(|values| self.identity(values));
        fake::set_now_s(0.0);
        let mut session = Session::new(&config, &runner, &NoObserver, Budget::in_trials(trials));
        let plan = Plan { strategy, seed, first: self.experts.clone(), ..Plan::default() };
        session.search(&self.space, &self.workload, plan).expect("the baseline runs");
        let chosen = session.best(&self.space).and_then(|values| self.space.candidate(&values));
        chosen.and_then(|candidate| self.cost(&candidate)).unwrap_or(f64::INFINITY)
    }

    /// A trial of the search takes a second of the budget, whatever it measures.
    fn trial(&self, request: &TrialRequest, noise: f64) -> Trial {
        let counts = matches!(request.phase, Phase::Search | Phase::Repeat);
        let wall_s = f64::from(u8::from(counts));
        let candidate = self.space.candidate(&request.values);
        let Some((seconds, stages)) = candidate.and_then(|candidate| self.stages(&candidate))
        else {
            return Trial { outcome: Outcome::Crashed, wall_s, ..Trial::default() };
        };
        let factor = noise_factor(request, noise);
        let stages = stages.into_iter().map(|(name, s)| (name, s * factor)).collect();
        let samples = vec![Sample { seconds: seconds * factor, stages, ..Sample::default() }];
        Trial { samples, wall_s, ..Trial::default() }
    }

    /// A digest of the settings that these values come to.
    fn identity(&self, values: &Values) -> Option<u64> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let (_, settings) = self.settings(&self.space.candidate(values)?)?;
        let mut hasher = DefaultHasher::new();
        format!("{settings:?}").hash(&mut hasher);
        Some(hasher.finish())
    }

    /// The cheapest found by climbing, one and two knobs at a time, from many starts.
    fn optimum(&self, climbs: u64) -> (f64, Candidate) {
        let climb = |seed| self.climb(self.start(seed));
        let found: Vec<(f64, Candidate)> = (0..climbs).into_par_iter().map(climb).collect();
        found.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are climbs")
    }

    fn start(&self, seed: u64) -> Candidate {
        let plan = Plan { strategy: StrategyName::Random, seed, ..Plan::default() };
        let identify = |candidate: &Candidate| self.settings(candidate).map(|_| 0);
        let drawn = Study::new(&self.space, plan, Box::new(identify)).ask(&[]);
        drawn.unwrap_or_else(|| self.space.baseline())
    }

    fn climb(&self, start: Candidate) -> (f64, Candidate) {
        let cost = |candidate: &Candidate| {
            let legal = self.space.is_legal(candidate);
            legal.then(|| self.cost(candidate)).flatten().unwrap_or(f64::INFINITY)
        };
        let mut best = (cost(&start), start);
        loop {
            let before = best.0;
            for reach in [1, 2] {
                for next in self.around(&best.1, reach) {
                    let seconds = cost(&next);
                    if seconds < best.0 {
                        best = (seconds, next);
                    }
                }
                if best.0 < before {
                    break;
                }
            }
            if best.0 >= before {
                return best;
            }
        }
    }

    /// Candidates with one knob elsewhere, or with two.
    fn around(&self, centre: &Candidate, knobs: usize) -> Vec<Candidate> {
        let moved = |candidate: &Candidate, from: usize| -> Vec<(usize, Candidate)> {
            let positions = from..self.space.knobs.len();
            let levels = |k: usize| (0..self.space.knobs[k].levels.len()).map(move |l| (k, l));
            positions.flat_map(levels).map(|(k, l)| (k, candidate.with(k, l))).collect()
        };
        let once = moved(centre, 0);
        if knobs == 1 {
            return once.into_iter().map(|(_, candidate)| candidate).collect();
        }
        let twice = once.iter().flat_map(|(k, candidate)| moved(candidate, k + 1));
        twice.map(|(_, candidate)| candidate).collect()
    }

    fn changes(&self, candidate: &Candidate) -> String {
        let usual = self.space.baseline();
        let differs = (0..self.space.knobs.len()).filter(|&k| candidate.level(k) != usual.level(k));
        let word =
            |k: usize| format!("{} = {}", self.space.knobs[k].name, self.space.value(candidate, k));
        differs.map(word).collect::<Vec<_>>().join(", ")
    }
}

/// Log-normal noise that depends on the seed and the trial's number alone.
fn noise_factor(request: &TrialRequest, noise: f64) -> f64 {
    // Twelve even numbers make a normal one.
    let mut state = request.seed ^ request.number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut even = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let normal = (0..12).map(|_| even()).sum::<f64>() - 6.0;
    (noise * normal).exp()
}
