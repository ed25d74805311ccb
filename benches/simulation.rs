//! SIMULATION, not a measurement: how surely the default strategy finds the best settings of a
//! 64-core machine that nobody here has.
//!
//! `cargo bench --bench simulation`, with `SEEDS=100`, `TRIALS=60`, `NOISE=0.0`, `CLIMBS=60`. The space is the
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

mod setting;

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use wan22_tune::knobs::memory::MemoryPolicy;
use wan22_tune::knobs::placement::Placement;
use wan22_tune::knobs::{Baseline, Knobs, Preset, Settings};
use wan22_tune::machine::Machine;
use wan22_tune::search::{Finding, Measure, Observation, Plan, Stop, StrategyName, choose, run};
use wan22_tune::space::{Candidate, Space, SpaceFile};
use wan22_tune::workload::{BUILT_IN, WorkloadFile};

use setting::setting;

const SPACE: &str = include_str!("../search-spaces/pipeline.toml");
const CORES: &str = "core:8 pu:2(indexes=2*64:64*1)";
/// A choice this near to the optimum counts as found.
const NEAR: f64 = 0.02;
/// Climbs from random candidates that look for the optimum.
const CLIMBS: u64 = 60;

fn main() -> anyhow::Result<()> {
    let (seeds, trials) = (setting("SEEDS", 100)?, setting("TRIALS", 60)?);
    let (climbs, noise) = (setting("CLIMBS", CLIMBS)?, setting("NOISE", 0.0)?);
    println!("simulated Threadripper PRO 5995WX, {trials} trials, {seeds} seeds, noise {noise}");
    let described = [
        ("NPS1", format!("package:1 [numa(memory=256GB)] l3:8(size=32MB) {CORES}")),
        ("NPS4", format!("package:1 group:4 [numa(memory=64GB)] l3:2(size=32MB) {CORES}")),
    ];
    for (name, text) in described {
        let machine = Machine::from_synthetic(&text).map_err(anyhow::Error::msg)?;
        let simulated = Simulated::new(machine)?;
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
    clips: f64,
}

impl Simulated {
    fn new(machine: Machine) -> anyhow::Result<Self> {
        let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
        let job = WorkloadFile::parse(BUILT_IN[0].1).map_err(anyhow::Error::msg)?;
        let workload = job.at_least(8).size(3);
        let file = SpaceFile::parse(SPACE).map_err(anyhow::Error::msg)?;
        let space = Space::for_machine(&file, &machine, &baseline, &workload, false)?;
        let experts = space.experts(&file)?;
        let clips = f64::from(workload.sizes.clips);
        Ok(Self { machine, baseline, space, experts, clips })
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
        let mut clock = Clock { simulated: self, left: trials, noise, seed };
        let first = [vec![self.space.baseline()], self.experts.clone()].concat();
        let plan = Plan { strategy, seed, first, ..Plan::default() };
        let observations = run(&self.space, &plan, &mut clock).observations;
        let chosen = choose(&self.space, &observations);
        chosen.and_then(|candidate| self.cost(&candidate)).unwrap_or(f64::INFINITY)
    }

    /// The cheapest found by climbing, one and two knobs at a time, from many starts.
    fn optimum(&self, climbs: u64) -> (f64, Candidate) {
        let climb = |seed| self.climb(self.start(seed));
        let found: Vec<(f64, Candidate)> = (0..climbs).into_par_iter().map(climb).collect();
        found.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are climbs")
    }

    fn start(&self, seed: u64) -> Candidate {
        let mut clock = Clock { simulated: self, left: 1, noise: 0.0, seed };
        let plan = Plan { strategy: StrategyName::Random, seed, ..Plan::default() };
        let drawn = run(&self.space, &plan, &mut clock).observations;
        drawn.first().map_or_else(|| self.space.baseline(), |one| one.candidate.clone())
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

/// Answers by the model, with noise that depends on seed and turn alone.
struct Clock<'a> {
    simulated: &'a Simulated,
    left: usize,
    noise: f64,
    seed: u64,
}

impl Measure for Clock<'_> {
    fn identity(&self, candidate: &Candidate) -> Option<u64> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let (_, settings) = self.simulated.settings(candidate)?;
        let mut hasher = DefaultHasher::new();
        format!("{settings:?}").hash(&mut hasher);
        Some(hasher.finish())
    }

    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop> {
        self.left = self.left.checked_sub(1).ok_or(Stop::Budget)?;
        let Some((seconds, stages)) = self.simulated.stages(candidate) else {
            return Ok(Observation::new(candidate.clone(), Finding::Failed));
        };
        // Twelve even numbers make a normal one.
        let mut state = self.seed ^ (self.left as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut even = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let normal = (0..12).map(|_| even()).sum::<f64>() - 6.0;
        let factor = (self.noise * normal).exp();
        let finding = Finding::Cost(seconds * factor);
        let stages = stages.into_iter().map(|(name, s)| (name, s * factor)).collect();
        Ok(Observation { candidate: candidate.clone(), finding, stages })
    }

    fn left(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// What a candidate would take.
struct Model<'a> {
    knobs: &'a Knobs,
    settings: &'a Settings,
    words: HashMap<&'static str, String>,
    clips: f64,
    nodes: f64,
    crowd: Crowd,
}

/// How the model's threads lie on the machine.
struct Crowd {
    threads: f64,
    cores: f64,
    cpus: f64,
    l3_groups: f64,
    nodes: f64,
}

impl Crowd {
    fn of(machine: &Machine, placement: &Placement, threads: usize) -> Self {
        let cores = machine.cores.iter().filter(|core| !core.cpus.is_disjoint(&placement.model));
        let cores: Vec<_> = cores.collect();
        let different = |mut keys: Vec<usize>| {
            keys.sort_unstable();
            keys.dedup();
            keys.len().min(threads) as f64
        };
        Self {
            threads: threads as f64,
            cores: cores.len() as f64,
            cpus: placement.model.len() as f64,
            l3_groups: different(cores.iter().map(|core| core.l3_group).collect()),
            nodes: different(cores.iter().map(|core| core.node as usize).collect()),
        }
    }

    /// Arithmetic of one core at its base clock is 1.
    fn speed(&self) -> f64 {
        let whole = self.threads.min(self.cores);
        let clock = 1.0 + 0.15 * (1.0 - whole / 64.0);
        let shared = 0.125 * (self.threads.min(self.cpus) - whole).max(0.0);
        // Barriers wait for the slowest: some threads on half cores slow all of them.
        let uneven = if self.threads > self.cores && self.threads < self.cpus { 0.75 } else { 1.0 };
        let crowded = if self.threads > self.cpus { 0.6 * self.cpus / self.threads } else { 1.0 };
        (whole + shared) * clock * uneven * crowded
    }

    /// Seconds of one barrier.
    fn barrier(&self, places: &str) -> f64 {
        let far = 1.0 + 0.35 * (self.l3_groups - 1.0) + 0.6 * (self.nodes - 1.0);
        let held = match places {
            "l3" => 0.9,
            "cores-close" | "cores-spread" => 0.95,
            _ => 1.0,
        };
        4e-6 * (1.0 + self.threads).log2() * far * held
    }
}

/// Work of a clip: core seconds, bytes of weights and of activations, operators.
struct Work {
    stage: &'static str,
    arithmetic: f64,
    weights: f64,
    activations: f64,
    operators: f64,
    is_vae: bool,
}

const WORK: [Work; 4] = [
    Work {
        stage: "text",
        arithmetic: 0.6,
        weights: 2e9,
        activations: 1e8,
        operators: 300.0,
        is_vae: false,
    },
    Work {
        stage: "encode",
        arithmetic: 1.5,
        weights: 6e8,
        activations: 2e9,
        operators: 400.0,
        is_vae: true,
    },
    Work {
        stage: "denoise",
        arithmetic: 14.0,
        weights: 4e9,
        activations: 4e9,
        operators: 2500.0,
        is_vae: false,
    },
    Work {
        stage: "decode",
        arithmetic: 6.0,
        weights: 2.2e9,
        activations: 8e9,
        operators: 1500.0,
        is_vae: true,
    },
];

/// Bytes per second of an L3 group and of a quarter of the memory channels.
const GROUP: f64 = 50e9;
const QUARTER: f64 = 50e9;

impl<'a> Model<'a> {
    fn new(machine: &Machine, knobs: &'a Knobs, settings: &'a Settings, clips: f64) -> Self {
        let crowd = Crowd::of(machine, &settings.placement, settings.intra_op_threads);
        let values = knobs.values();
        let word = |name: &'static str| {
            (name, values.get(name).map_or(String::new(), ToString::to_string))
        };
        let names = [
            "precision",
            "matmul_precision",
            "conv_backend",
            "memory_format",
            "allocator",
            "huge_pages",
            "omp_places",
        ];
        let nodes = machine.nodes.len() as f64;
        Self { knobs, settings, words: names.map(word).into(), clips, nodes, crowd }
    }

    fn is(&self, name: &str, word: &str) -> bool {
        self.words[name] == word
    }

    /// Seconds per clip, and busy seconds per clip of each stage.
    fn pipeline(&self) -> (f64, BTreeMap<String, f64>) {
        let workers = &self.settings.workers;
        let pools = [
            ("read", 0.02, workers.io),
            ("preprocess", 0.9, workers.preprocess),
            ("pack", 0.15, workers.batch),
            ("write", 0.25, workers.io),
        ];
        let disturbed = self.disturbance(pools.iter().map(|(_, busy, _)| busy).sum());
        let mut stages: BTreeMap<String, f64> = WORK
            .iter()
            .map(|work| (work.stage.to_owned(), self.seconds(work) * disturbed))
            .collect();
        let model: f64 = stages.values().sum();
        stages.extend(pools.map(|(name, busy, _)| (name.to_owned(), busy)));
        (self.whole(model, &pools) / self.clips, stages)
    }

    /// Seconds of a repetition, event by event: pictures are read and prepared one a worker,
    /// batches packed one a worker, then the models take them in turn, and all write the files.
    fn whole(&self, model: f64, pools: &[(&str, f64, usize); 4]) -> f64 {
        let (clips, size) = (self.clips as usize, self.knobs.batch_size as usize);
        let [(_, read, io), (_, prepare, preparers), (_, pack, packers), (_, write, _)] = *pools;
        let (mut reads, mut prepared, mut packed) = (Vec::new(), Vec::new(), Vec::new());
        let after = |times: &Vec<f64>, workers: usize| {
            times.len().checked_sub(workers).map_or(0.0, |before| times[before])
        };
        let (mut modelled, mut written) = (0.0_f64, 0.0_f64);
        for clip in 0..clips {
            reads.push(after(&reads, io) + read);
            prepared.push(after(&prepared, preparers).max(reads[clip]) + prepare);
            let is_last = (clip + 1) % size == 0 || clip + 1 == clips;
            if is_last {
                let batch = (clip % size + 1) as f64;
                packed.push(after(&packed, packers).max(prepared[clip]) + batch * pack);
                modelled = modelled.max(packed[packed.len() - 1]) + batch * model;
                written = written.max(modelled) + batch * write / io as f64;
            }
        }
        written
    }

    fn disturbance(&self, busy: f64) -> f64 {
        let placement = &self.settings.placement;
        let apart = placement.model.is_disjoint(&placement.preprocess);
        let free = (self.crowd.cpus - self.crowd.threads) / self.crowd.cpus;
        if apart { 1.0 } else { 1.0 + 0.06 * busy * (1.0 - 0.7 * free.max(0.0)) }
    }

    fn seconds(&self, work: &Work) -> f64 {
        let batch = f64::from(self.knobs.batch_size);
        let half =
            !self.is("precision", "fp32") && (!work.is_vae || self.is("precision", "bf16-vae"));
        let (slow, small) = if half { (3.0, 0.5) } else { (1.0, 1.0) };
        let kernel = if work.is_vae { self.vae(half) } else { self.matmul(half) };
        let arithmetic = work.arithmetic * slow * kernel / self.crowd.speed();
        let weights =
            small * work.weights / batch / self.bandwidth(&self.settings.weights_memory, true);
        let activations = small * work.activations / self.bandwidth(&self.settings.memory, false);
        let tiles = if work.is_vae { self.tiles(work.stage) } else { 1.0 };
        let barriers =
            work.operators * tiles.sqrt() / batch * self.crowd.barrier(&self.words["omp_places"]);
        (arithmetic * tiles).max(weights + activations) + barriers
    }

    fn matmul(&self, half: bool) -> f64 {
        if self.is("matmul_precision", "medium") && !half { 0.55 } else { 1.0 }
    }

    fn vae(&self, half: bool) -> f64 {
        let malloc = match self.words["allocator"].as_str() {
            "glibc" => 1.35,
            "jemalloc" => 1.05,
            "mimalloc" => 1.03,
            "glibc-keep" => 1.01,
            _ => 1.0,
        };
        let pages = if self.is("huge_pages", "libtorch") { 0.95 } else { 1.0 };
        let order = match (self.is("memory_format", "channels-last"), half) {
            (true, false) => 1.4,
            (true, true) => 0.85,
            _ => 1.0,
        };
        let kernels = match self.words["conv_backend"].as_str() {
            "onednn" => 0.9,
            "slow-conv3d" => 1.25,
            _ => 1.0,
        };
        malloc * pages * order * kernels
    }

    /// Overlap of tiles on a window of 384 pixels, and caches that large ones don't fit.
    fn tiles(&self, stage: &str) -> f64 {
        let side = f64::from(if stage == "encode" {
            self.knobs.tile_size
        } else {
            self.knobs.vae_tile_size
        });
        let window: f64 = 384.0;
        if side >= window {
            return 1.2;
        }
        let count = ((window - side) / (0.75 * side)).ceil() + 1.0;
        let covered = count * side - (count - 1.0) * 0.25 * side;
        let cache = 1.0 + 0.2 * (side / window);
        (count * side / covered).powi(2) * (covered / window).powi(2) * cache
    }

    fn bandwidth(&self, policy: &MemoryPolicy, is_weights: bool) -> f64 {
        let groups = GROUP * self.crowd.l3_groups;
        let quarter = QUARTER * 4.0 / self.nodes;
        let memory = match policy {
            // First touched by one thread, activations by those that use them.
            MemoryPolicy::Default if is_weights => quarter,
            MemoryPolicy::Default => quarter * self.crowd.nodes,
            MemoryPolicy::Preferred(_) => quarter,
            MemoryPolicy::Bind(nodes) if is_weights => quarter * (nodes.len() as f64).min(1.0),
            MemoryPolicy::Bind(_) => quarter * self.crowd.nodes,
            MemoryPolicy::Interleave(nodes) | MemoryPolicy::WeightedInterleave(nodes) => {
                let count = nodes.len() as f64;
                quarter * count * if count > 1.0 { 0.9 } else { 1.0 }
            }
        };
        groups.min(memory)
    }
}
