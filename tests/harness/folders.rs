//! Results folders made up in code: a machine from a description, and trials whose times follow
//! from a stated model. No real result, and none is claimed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use wan22_tune::knobs::{Baseline, Preset, Value};
use wan22_tune::machine::Machine;
use wan22_tune::results::Folder;
use wan22_tune::space::{Candidate, Space, SpaceFile, Tune};
use wan22_tune::trial::journal::Journal;
use wan22_tune::trial::{Phase, Sample, Trial};
use wan22_tune::workload::custom::CustomJob;
use wan22_tune::workload::custom::printed::MetricValue;
use wan22_tune::workload::metric::Direction;
use wan22_tune::workload::{Workload, WorkloadFile};

const SPACE: &str = include_str!("../../search-spaces/pipeline.toml");

/// One made-up tune.
#[derive(Clone, Debug)]
pub struct MadeUp {
    /// The folder's name.
    pub name: String,
    /// The host's name.
    pub host: String,
    /// The same for folders of one machine.
    pub host_key: String,
    /// What the processor calls itself.
    pub model_name: String,
    /// hwloc's synthetic description.
    pub topology: String,
    /// Instruction sets.
    pub isa: Vec<&'static str>,
    /// Candidates of the search.
    pub candidates: usize,
    /// Relative noise of a trial.
    pub noise: f64,
    /// Whether bfloat16 is fast there, and the best number of threads as a share of the cores.
    pub model: (bool, f64),
    /// Whether it is a command that is scored by its frames per second, [`FRAMES`] in all.
    pub frames: bool,
}

/// Frames that a made-up command makes.
const FRAMES: f64 = 40.0;

impl MadeUp {
    /// A tune of forty candidates without bfloat16, best with a thread a core.
    pub fn new(name: &str, topology: &str) -> Self {
        Self {
            name: name.to_owned(),
            host: name.to_owned(),
            host_key: name.to_owned(),
            model_name: "Made-up CPU".to_owned(),
            topology: topology.to_owned(),
            isa: vec!["avx2"],
            candidates: 40,
            noise: 0.002,
            model: (false, 1.0),
            frames: false,
        }
    }

    fn machine(&self) -> Machine {
        let mut machine = Machine::from_synthetic(&self.topology).unwrap();
        machine.host.clone_from(&self.host);
        machine.host_key.clone_from(&self.host_key);
        machine.cpu.model.clone_from(&self.model_name);
        "6.1.0".clone_into(&mut machine.kernel);
        machine.cpu.isa = self.isa.iter().map(|set| (*set).to_owned()).collect();
        machine.memory_bytes = 64 << 30;
        machine
    }

    /// Seconds per clip: half of the work is done by the threads, which stand in each other's way
    /// beyond their best number.
    fn cost(&self, machine: &Machine, knobs: &BTreeMap<String, Value>) -> f64 {
        let number = |name: &str| knobs[name].number().expect("a number");
        let word = |name: &str, word: &str| knobs[name] == Value::Word(word.to_owned());
        let (fast_bf16, share) = self.model;
        let best = (machine.core_count() as f64 * share).max(1.0);
        let threads = number("intra_op_threads");
        let crowd = 1.0 + 0.5 * ((threads / best).ln()).powi(2);
        let precision = match () {
            () if word("precision", "fp32") => 1.0,
            () if fast_bf16 => 0.5,
            () => 6.0,
        };
        let allocator = if word("allocator", "glibc") { 1.0 } else { 0.8 };
        (1.0 + 8.0 / best) * crowd * precision * allocator
    }

    /// Writes the folder below `root`.
    pub fn write(&self, root: &Path) -> PathBuf {
        let machine = self.machine();
        let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
        let job = WorkloadFile::parse(include_str!("several_clips.toml")).unwrap();
        let workload = job.size(0);
        let file = SpaceFile::parse(SPACE).unwrap();
        let space = Space::for_machine(&file, &machine, &baseline, &workload, false).unwrap();
        let path = root.join(&self.name);
        std::fs::create_dir_all(&path).unwrap();
        let folder = Folder::new(&path);
        std::fs::write(folder.machine(), serde_json::to_string(&machine).unwrap()).unwrap();
        let mut file = space.to_file();
        (file.workload, file.tune) = (Some(workload.clone()), Some(tune()));
        file.tune.as_mut().unwrap().custom_job = self.frames.then(command);
        std::fs::write(folder.space(), file.to_toml()).unwrap();
        self.journal(&folder, &machine, &baseline, &space, &workload);
        path
    }

    fn journal(
        &self,
        folder: &Folder,
        machine: &Machine,
        baseline: &Baseline,
        space: &Space,
        workload: &Workload,
    ) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let usual = baseline.knobs.values();
        let defaults = baseline.libtorch_defaults(machine).values();
        let mut trials = vec![(Phase::Baseline, usual.clone()), (Phase::Search, defaults)];
        for candidate in drawn(space, self.candidates, &mut rng) {
            let mut knobs = usual.clone();
            knobs.extend(space.values(&candidate));
            trials.push((Phase::Search, knobs));
        }
        let cost = |trial: &&(Phase, BTreeMap<String, Value>)| self.cost(machine, &trial.1);
        let best = trials.iter().min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap().1.clone();
        let first = trials.len();
        for _ in 0..4 {
            trials.push((Phase::Confirmation, usual.clone()));
            trials.push((Phase::Confirmation, best.clone()));
        }
        let mut text = Vec::new();
        let path = folder.journal();
        let mut journal = Journal::create(&path, usual.keys(), 3).unwrap();
        for (i, (phase, knobs)) in trials.into_iter().enumerate() {
            let noise = 1.0 + self.noise * (2.0 * rng.random::<f64>() - 1.0);
            let seconds = self.cost(machine, &knobs) * noise;
            let mut trial = trial(i as u64 + 1, phase, knobs, seconds, workload);
            trial.pair = i.checked_sub(first).map(|place| place as u64 / 2 + 1);
            for sample in trial.samples.iter_mut().filter(|_| self.frames) {
                let value = FRAMES / sample.seconds;
                sample.metric = Some(MetricValue { value, goal: Direction::Max });
            }
            text.push(trial);
        }
        // The second and the third round ran in the reverse order.
        for second in [first + 3, first + 5] {
            let (before, after) = text.split_at_mut(second);
            let (one, other) = (&mut before[second - 1], &mut after[0]);
            std::mem::swap(one, other);
            std::mem::swap(&mut one.number, &mut other.number);
            std::mem::swap(&mut one.started, &mut other.started);
        }
        text.iter().for_each(|trial| journal.append(trial).unwrap());
    }
}

/// Legal candidates, drawn evenly.
fn drawn(space: &Space, count: usize, rng: &mut impl Rng) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    while candidates.len() < count {
        let levels = space.knobs.iter().map(|knob| rng.random_range(0..knob.levels.len()));
        let candidate = space.canonical(&Candidate::new(levels.collect::<Vec<_>>()));
        if space.is_legal(&candidate) {
            candidates.push(candidate);
        }
    }
    candidates
}

fn tune() -> Tune {
    let text = "tool = 'wan22-tune 0.1.0'\ncommand = 'made up'\nstarted = '2026-11-22T20:00:00Z'\n\
                budget_s = 600.0\nseed = 1\nstrategy = 'random'\npreset = '5995wx'\nrepetitions = 3";
    toml::from_str(text).unwrap()
}

fn command() -> CustomJob {
    let text = r#"{"command": {"words": ["./job"], "folder": "/", "profile_env": "WAN22_PROFILE",
                               "warmup": 0, "metric": "json:/fps", "goal": "max"}}"#;
    serde_json::from_str(text).unwrap()
}

fn trial(
    number: u64,
    phase: Phase,
    knobs: BTreeMap<String, Value>,
    seconds: f64,
    workload: &Workload,
) -> Trial {
    let start: jiff::Timestamp = "2026-11-22T20:00:00Z".parse().unwrap();
    let started = start + jiff::SignedDuration::from_secs(10 * number as i64);
    let stages = wan22_tune::workload::stages().map(|stage| (stage.to_owned(), 0.1 * seconds));
    let stages: BTreeMap<String, f64> = stages.collect();
    let sample = |seconds| Sample {
        seconds,
        stages: stages.clone(),
        minor_faults: 10,
        run_queue_share: 0.01,
        ..Sample::default()
    };
    Trial {
        number,
        started: started.to_string(),
        phase,
        strategy: "random".to_owned(),
        seed: 1,
        workload: workload.to_string(),
        knobs,
        samples: [1.0, 0.999, 1.001].map(|noise| sample(noise * seconds)).to_vec(),
        peak_rss_bytes: Some(4 << 30),
        setup_s: Some(1.0),
        overhead_s: 2.0,
        wall_s: 9.0,
        effect: "made-up".to_owned(),
        tool: "wan22-tune 0.1.0".to_owned(),
        ..Trial::default()
    }
}
