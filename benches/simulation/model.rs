//! Model: what a candidate takes on the simulated machine.

use std::collections::{BTreeMap, HashMap};

use wan22_tune::knobs::memory::MemoryPolicy;
use wan22_tune::knobs::placement::Placement;
use wan22_tune::knobs::{Knobs, Settings};
use wan22_tune::machine::Machine;

/// What a candidate would take.
pub struct Model<'a> {
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
    pub fn new(machine: &Machine, knobs: &'a Knobs, settings: &'a Settings, clips: f64) -> Self {
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
    pub fn pipeline(&self) -> (f64, BTreeMap<String, f64>) {
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
