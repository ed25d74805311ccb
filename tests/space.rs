//! Baselines and spaces on machines that nobody here has. Expected numbers are worked out by
//! hand from the formulas of the WAN22 system optimizer.

use std::collections::HashSet;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use wan22_tune::knobs::{Baseline, Preset, Value, quota_warning};
use wan22_tune::machine::{Gpu, Machine};
use wan22_tune::search::{Observation, Plan, StrategyName, Study};
use wan22_tune::space::{Candidate, KnobDomain, Space, SpaceFile};
use wan22_tune::workload::{Workload, WorkloadFile};

const FILE: &str = include_str!("../search-spaces/pipeline.toml");
const WORKSTATION: &str = "package:1 numa:1 l3:8 core:8 pu:2";
const WORKSTATION_NPS4: &str = "package:1 numa:4 l3:2 core:8 pu:2";
const TWO_SOCKETS: &str = "package:2 numa:1 l3:2 core:8 pu:2";
const TWO_CORES: &str = "package:1 numa:1 l3:1 core:2 pu:1";

fn machine(description: &str) -> Machine {
    Machine::from_synthetic(description).unwrap()
}

fn space_of(text: &str, machine: &Machine) -> Result<Space, String> {
    let baseline = Baseline::fit(Preset::Threadripper5995wx, machine);
    let file = SpaceFile::parse(text)?;
    Space::for_machine(&file, machine, &baseline, &workload(), false).map_err(|e| e.to_string())
}

fn workload() -> Workload {
    let text = include_str!("harness/several_clips.toml");
    WorkloadFile::parse(text).unwrap().size(0)
}

/// All threads that a candidate has.
fn threads(space: &Space, candidate: &Candidate) -> i64 {
    let pools = ["intra_op_threads", "io_workers", "preprocess_workers", "batch_workers"];
    let number = |name: &str| match space.value(candidate, space.knob(name).unwrap().0) {
        Value::Integer(number) => *number,
        _ => 0,
    };
    pools.into_iter().map(number).sum()
}

#[test]
fn a_quota_is_the_ceiling_of_all_threads() {
    let mut limited = machine("package:1 numa:1 l3:2 core:8 pu:2");
    limited.limits.cpu_quota = Some(5.5);
    let space = space_of(FILE, &limited).unwrap();
    assert_eq!(words(&space, "intra_op_threads"), "1 2 3 4 5");
    assert_eq!(words(&space, "inter_op_threads"), "1 2 3 4 5");
    // The baseline keeps within it: each pool has one worker, the model what is left of five.
    assert_eq!(threads(&space, &space.baseline()), 5);
    assert_eq!(space.given.baseline["intra_op_threads"], Value::Integer(2));
    assert_eq!(quota_warning(&limited), None);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut legal = 0;
    for _ in 0..500 {
        let level = |knob: &KnobDomain| rng.random_range(0..knob.levels.len());
        let candidate = Candidate::new(space.knobs.iter().map(level).collect::<Vec<_>>());
        if space.is_legal(&candidate) {
            legal += 1;
            assert!(threads(&space, &candidate) <= 5);
        }
    }
    assert!(legal > 10, "{legal}");
}

#[test]
fn a_quota_below_one_thread_a_pool_is_warned_of() {
    let mut limited = machine("package:1 numa:1 l3:2 core:8 pu:2");
    limited.limits.cpu_quota = Some(1.5);
    let space = space_of(FILE, &limited).unwrap();
    assert_eq!(threads(&space, &space.baseline()), 4);
    let warning = quota_warning(&limited).unwrap();
    assert!(warning.starts_with("a quota of 1.5 CPUs' time for at least 4 threads"), "{warning}");
    // A quota of no less than the CPUs is none.
    limited.limits.cpu_quota = Some(64.0);
    assert_eq!(quota_warning(&limited), None);
}

fn words(space: &Space, knob: &str) -> String {
    let (_, knob) = space.knob(knob).unwrap();
    knob.levels.iter().map(Value::to_string).collect::<Vec<_>>().join(" ")
}

/// intra, inter, io, preprocess, batch workers, batch size, affinity CPUs.
fn fitted(description: &str) -> String {
    let machine = machine(description);
    let knobs = Baseline::fit(Preset::Threadripper5995wx, &machine).knobs;
    let settings = knobs.resolve(&machine).unwrap();
    let workers = settings.workers;
    format!(
        "{} {} {} {} {} {} {}",
        knobs.intra_op_threads,
        knobs.inter_op_threads,
        workers.io,
        workers.preprocess,
        workers.batch,
        knobs.batch_size,
        settings.placement.process
    )
}

#[test]
fn the_5995wx_preset_is_fitted_by_the_optimizers_formulas() {
    assert_eq!(fitted(TWO_CORES), "2 1 1 2 1 2 0-1");
    assert_eq!(fitted(WORKSTATION), "32 16 4 8 2 2 0-15,32-47");
    assert_eq!(fitted(WORKSTATION_NPS4), "32 16 4 8 2 2 0-15,32-47");
    // 32 cores: the second half begins only above 32.
    assert_eq!(fitted(TWO_SOCKETS), "32 8 2 4 1 2 0-15");
    assert_eq!(fitted("package:1 numa:1 core:1 pu:1"), "1 1 1 2 1 2 0");
    // 24 P cores with siblings: under 32, so every CPU.
    assert_eq!(fitted("package:1 numa:1 l3:1 core:24 pu:2"), "24 6 1 3 1 2 0-47");
}

#[test]
fn sixteen_gigabytes_of_gpu_memory_double_the_batch() {
    let mut machine = machine(WORKSTATION);
    let gpu = |gib: u64| Gpu { memory_bytes: gib << 30, ..Gpu::default() };
    for (gib, batch) in [(12, 2), (16, 4), (24, 4)] {
        machine.gpus = vec![gpu(gib)];
        let knobs = Baseline::fit(Preset::Threadripper5995wx, &machine).knobs;
        assert_eq!(knobs.batch_size, batch, "{gib} GiB");
    }
}

#[test]
fn the_other_presets_limit_threads_and_tiles() {
    let machine = machine(WORKSTATION);
    let desktop = Baseline::fit(Preset::Rtx4080, &machine);
    let knobs = &desktop.knobs;
    assert_eq!(
        (knobs.intra_op_threads, knobs.tile_size, knobs.vae_tile_size, knobs.batch_size),
        (8, 512, 256, 2)
    );
    assert!(desktop.optimal.gradient_checkpointing && desktop.optimal.vae_offload);
    let generic = Baseline::fit(Preset::Generic, &machine);
    let knobs = &generic.knobs;
    assert_eq!(
        (knobs.intra_op_threads, knobs.tile_size, knobs.vae_tile_size, knobs.batch_size),
        (4, 384, 192, 1)
    );
    assert_eq!((generic.optimal.memory_fraction, generic.optimal.use_fp16), (0.8, true));
}

#[test]
fn two_nodes_get_the_optimizers_pair_and_one_node_gets_the_default() {
    let settings = |description| {
        let machine = machine(description);
        Baseline::fit(Preset::Threadripper5995wx, &machine).knobs.resolve(&machine).unwrap()
    };
    let two = settings(TWO_SOCKETS);
    assert_eq!(two.weights_memory.to_string(), "interleave 0-1");
    assert_eq!(two.memory.to_string(), "preferred 0");
    assert_eq!(two.environment["NUMA_PREFERRED_NODE"], "0");
    assert_eq!(two.environment["NUMA_INTERLEAVE_NODES"], "0,1");
    let one = settings(TWO_CORES);
    assert_eq!(
        (one.weights_memory.to_string(), one.memory.to_string()),
        ("default".into(), "default".into())
    );
    assert!(!one.environment.contains_key("NUMA_INTERLEAVE_NODES"));
    assert_eq!(one.environment["OMP_NUM_THREADS"], "2");
    assert!(!one.environment.contains_key("PYTORCH_CUDA_ALLOC_CONF"), "the user's own stays");
}

#[test]
fn the_space_speaks_of_the_machine() {
    let small = space_of(FILE, &machine(TWO_CORES)).unwrap();
    assert_eq!(words(&small, "intra_op_threads"), "1 2");
    assert_eq!(words(&small, "affinity"), "none compact");
    assert_eq!(words(&small, "batch_size"), "1 2 4 8");
    let large = space_of(FILE, &machine(WORKSTATION_NPS4)).unwrap();
    assert_eq!(words(&large, "intra_op_threads"), "1 2 3 4 6 8 12 16 24 32 48 64 96 128");
    let layouts = words(&large, "affinity");
    for layout in
        ["baseline", "physical-cores", "spread-l3", "spread-nodes", "one-node", "partitioned-l3"]
    {
        assert!(layouts.contains(layout), "{layouts}");
    }
    assert!(words(&large, "memory_mode").contains("interleave"));
    assert!(!words(&small, "memory_mode").contains("interleave"));
}

#[test]
fn constraints_hold_for_the_baseline_and_cut_the_rest() {
    for description in
        [TWO_CORES, WORKSTATION, WORKSTATION_NPS4, TWO_SOCKETS, "package:1 numa:1 core:1 pu:1"]
    {
        let space = space_of(FILE, &machine(description)).unwrap();
        assert!(space.is_legal(&space.baseline()), "{description}");
    }
    let space = space_of(FILE, &machine(TWO_CORES)).unwrap();
    let (batch, knob) = space.knob("batch_size").unwrap();
    let eight = knob.levels.iter().position(|level| *level == Value::Integer(8)).unwrap();
    // A repetition has four clips.
    let broken =
        space.broken_constraint(&space.baseline().with(batch, eight)).map(|c| c.holds.text());
    assert_eq!(
        broken,
        Some("batch_size <= clips")
            .filter(|_| !space.is_legal(&space.baseline().with(batch, eight)))
    );
}

/// A file with one knob.
fn one_knob(body: &str) -> String {
    format!("schema = 1\nname = \"x\"\nwhy = \"x\"\n{body}")
}

#[test]
fn mistakes_are_named_with_their_key() {
    let machine = machine(TWO_CORES);
    for (body, expected) in [
        ("[knob.threads]\nwhy = \"x\"\nvalues = [1]", "knob.threads: no such knob; there are"),
        (
            "[knob.batch_size]\nwhy = \"x\"\nvalues = [\"many\"]",
            "knob.batch_size: `many` does not fit",
        ),
        (
            "[knob.batch_size]\nwhy = \"x\"\nrange = { min = 8, max = \"cores\" }",
            "knob.batch_size.range: from 8 to 2",
        ),
        (
            "[knob.batch_size]\nwhy = \"x\"\nrange = { min = 1, max = \"coers\" }",
            "knob.batch_size.range.max: ",
        ),
        (
            "[knob.batch_size]\nwhy = \"x\"\nrange = { min = 1, max = \"1 +\" }",
            "knob.batch_size.range.max: ",
        ),
        (
            "[knob.batch_size]\nwhy = \"x\"\nrange = { min = 1, max = 3000, spacing = \"every\" }",
            "knob.batch_size: 3000 values: 2000 at the most",
        ),
        ("[knob.batch_size]\nwhy = \"x\"\nvalues = []", "knob.batch_size: no value is left"),
        ("[knob.batch_size]\nwhy = \"x\"", "knob.batch_size: give either `values` or `range`"),
        ("[knob.batch_size]\nvalues = [1]", "knob.batch_size: missing field `why`"),
        (
            "[knob.batch_size]\nwhy = \"x\"\nvaluess = [1]",
            "knob.batch_size: unknown field `valuess`",
        ),
        (
            "[knob.affinity]\nwhy = \"x\"\nvalues = [\"scatter\"]",
            "knob.affinity: affinity = scatter",
        ),
        (
            "[[constraint]]\nholds = \"batch_size > 2\"\nwhy = \"x\"",
            "constraint[0].holds: the baseline itself breaks",
        ),
        (
            "[[constraint]]\nholds = \"batch_size\"\nwhy = \"x\"",
            "constraint[0].holds: `batch_size` gives",
        ),
        ("[[constraint]]\nholds = \"while true {}\"\nwhy = \"x\"", "constraint[0].holds: "),
        ("surplus = 1", "unknown field `surplus`"),
    ] {
        let problem = space_of(&one_knob(body), &machine).unwrap_err();
        assert!(problem.contains(expected), "{body}\n=> {problem}");
    }
    assert!(
        space_of("schema = 9\nname=\"x\"\nwhy=\"x\"", &machine).unwrap_err().contains("schema")
    );
}

#[test]
fn a_value_exists_only_where_its_condition_holds() {
    let text = one_knob(
        "[knob.batch_size]\nwhy = \"x\"\nvalues = [1, 2, 16]\n[knob.batch_size.only_if]\n16 = \"memory_gib >= 100000\"",
    );
    assert_eq!(words(&space_of(&text, &machine(TWO_CORES)).unwrap(), "batch_size"), "1 2");
}

#[test]
fn a_resolved_space_is_read_back_as_it_was() {
    let space = space_of(FILE, &machine(WORKSTATION_NPS4)).unwrap();
    let text = space.to_file().to_toml();
    let again = Space::reopen(&SpaceFile::parse(&text).unwrap()).unwrap();
    assert_eq!(again.knobs, space.knobs);
    assert_eq!(again.constraints, space.constraints);
    assert_eq!(again.given, space.given);
}

#[test]
fn a_knob_that_does_nothing_rests_at_the_baseline() {
    let text = one_knob(
        "[knob.batch_size]\nwhy = \"x\"\nvalues = [1, 2]\n\
         [knob.batch_workers]\nwhy = \"x\"\nvalues = [1, 2]\nwhen = \"batch_size > 1\"",
    );
    let space = space_of(&text, &machine(TWO_CORES)).unwrap();
    let idle = Candidate::new([0, 1]);
    assert_eq!(space.canonical(&idle), Candidate::new([0, 0]));
    let busy = Candidate::new([1, 1]);
    assert_eq!(space.canonical(&busy), busy);
}

#[test]
fn experts_are_taken_as_far_as_the_machine_has_their_words() {
    let text = one_knob(
        "[knob.intra_op_threads]\nwhy = \"x\"\nrange = { min = 1, max = \"cpus\" }\n\
         [knob.affinity]\nwhy = \"x\"\nvalues = [\"none\", \"compact\", \"one-l3\"]\n\
         [[expert]]\nwhy = \"x\"\nknobs = { intra_op_threads = \"cores / 2\", affinity = \"compact\" }\n\
         [[expert]]\nwhy = \"x\"\nknobs = { affinity = \"one-l3\" }\n\
         [[expert]]\nwhy = \"x\"\nknobs = { intra_op_threads = 5, batch_size = 4 }\n\
         [[expert]]\nwhy = \"x\"\nwhen = \"l3_groups > 1\"\nknobs = { affinity = \"one-l3\", intra_op_threads = 3 }",
    );
    let experts = |description| {
        let file = SpaceFile::parse(&text).unwrap();
        let space = space_of(&text, &machine(description)).unwrap();
        let words = |candidate: Candidate| {
            space.named(&candidate).map(|(_, v)| v.to_string()).collect::<Vec<_>>().join(" ")
        };
        space.experts(&file).unwrap().into_iter().map(words).collect::<Vec<_>>()
    };
    assert_eq!(experts(TWO_CORES), ["1 compact", "2 none"]);
    // Of 4 and 6 threads, as near to 5, the fewer.
    assert_eq!(experts(WORKSTATION), ["32 compact", "32 one-l3", "4 baseline", "3 one-l3"]);
    let bad = text.replace("intra_op_threads = 5", "intra_op_threads = \"coers\"");
    let space = space_of(&bad, &machine(TWO_CORES)).unwrap();
    let error = space.experts(&SpaceFile::parse(&bad).unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("expert[2].knobs.intra_op_threads: "), "{error}");
    let bad = text.replace("l3_groups > 1", "l3_groups");
    let error = space.experts(&SpaceFile::parse(&bad).unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("expert[3].when: "), "{error}");
}

#[test]
fn no_two_measured_candidates_come_to_the_same_settings() {
    for description in [TWO_CORES, WORKSTATION, TWO_SOCKETS] {
        let machine = machine(description);
        let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
        let space = space_of(FILE, &machine).unwrap();
        let identify = |candidate: &Candidate| {
            let knobs = baseline.knobs.with(space.named(candidate)).unwrap();
            Some(knobs.resolve(&machine).ok()?.identity(&workload()))
        };
        let plan = Plan { strategy: StrategyName::Random, seed: 3, ..Plan::default() };
        let mut study = Study::new(&space, plan, Box::new(identify));
        let mut different = HashSet::new();
        for _ in 0..60 {
            let asked = study.ask(&[]).unwrap();
            different.insert(identify(&asked).expect("a candidate that can run"));
            study.tell(Observation::new(asked, Some(1.0).into()));
        }
        assert_eq!(different.len(), 60, "{description}");
    }
}
