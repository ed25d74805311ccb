//! Affinity layouts and memory modes on machines that nobody here has.

use std::fmt::Write;
use std::path::Path;

use proptest::prelude::*;
use strum::VariantArray;

use wan22_tune::knobs::memory::{MemoryMode, MemoryPolicy};
use wan22_tune::knobs::placement::{Layout, OmpPlaces, Placement, PoolSizes, bind, bound};
use wan22_tune::launch::page_placement;
use wan22_tune::machine::{CoreKind, CpuSet, Machine};

fn from_file(name: &str) -> Machine {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines").join(name);
    Machine::from_xml_file(&path).unwrap()
}

/// What a search would have to choose from.
fn plan(machine: &Machine, demand: PoolSizes) -> String {
    let mut text = String::new();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let (packages, nodes) = (machine.packages.len(), machine.nodes.len());
    let facts = [
        count(packages, "package"),
        count(nodes, "node"),
        count(machine.l3_groups.len(), "L3 group"),
        count(machine.core_count(), "core"),
        count(machine.allowed.len(), "CPU"),
    ];
    writeln!(text, "{}", facts.join(", ")).unwrap();
    writeln!(
        text,
        "model {} io {} preprocess {} batch {}",
        demand.model, demand.io, demand.preprocess, demand.batch
    )
    .unwrap();
    let distinct = Layout::distinct(machine, demand);
    for layout in Layout::of(machine) {
        let placement = layout.place(machine, demand).unwrap();
        let (first, _) = distinct.iter().find(|(_, known)| *known == placement).unwrap();
        writeln!(text, "{}", line(layout, &placement, *first)).unwrap();
    }
    for mode in MemoryMode::of(machine) {
        let whole = mode.policies(machine, &Placement::shared(machine.allowed.clone()));
        let policies = whole.map_or("on some layouts only".to_owned(), |(weights, rest)| {
            if weights == rest {
                rest.to_string()
            } else {
                format!("weights {weights}, rest {rest}")
            }
        });
        writeln!(text, "memory {mode}: {policies}").unwrap();
    }
    let everywhere = Placement::shared(machine.allowed.clone());
    for places in OmpPlaces::VARIANTS {
        if let Some([(_, list), (_, bind)]) = places.variables(&everywhere, machine) {
            let count = list.matches('{').count();
            writeln!(text, "OpenMP {places}: {bind} over {count} places").unwrap();
        }
    }
    for note in &machine.notes {
        writeln!(text, "note: {note}").unwrap();
    }
    text
}

fn line(layout: Layout, placement: &Placement, first: Layout) -> String {
    if first != layout {
        return format!("{layout}: as {first}");
    }
    let pools = placement.pools();
    let (_, model) = pools[0];
    if pools.iter().all(|(_, cpus)| cpus == &model) {
        return format!("{layout}: all {model}");
    }
    if pools[1..].iter().all(|(_, cpus)| *cpus == pools[1].1) {
        return format!("{layout}: model {model} | pools {}", pools[1].1);
    }
    let pools = pools.map(|(name, cpus)| format!("{name} {cpus}"));
    format!("{layout}: {}", pools.join(" | "))
}

fn demand(model: usize, io: usize, preprocess: usize, batch: usize) -> PoolSizes {
    PoolSizes { model, io, preprocess, batch }
}

fn described(description: &str) -> Machine {
    Machine::from_synthetic(description).unwrap()
}

/// Siblings are 0/64, 1/65, … as on the real one.
const THREADRIPPER: &str = "core:8 pu:2(indexes=2*64:64*1)";

macro_rules! snapshot {
    ($name:ident, $machine:expr, $demand:expr) => {
        #[test]
        fn $name() {
            insta::assert_snapshot!(plan(&$machine, $demand));
        }
    };
}

snapshot!(
    two_core_vm,
    described("package:1 [numa(memory=8GB)] l3:1 core:2 pu:1"),
    demand(1, 1, 2, 1)
);
snapshot!(
    threadripper_5995wx_nps1,
    described(&format!("package:1 [numa(memory=256GB)] l3:8(size=32MB) {THREADRIPPER}")),
    demand(32, 4, 8, 2)
);
snapshot!(
    threadripper_5995wx_nps2,
    described(&format!("package:1 group:2 [numa(memory=128GB)] l3:4 {THREADRIPPER}")),
    demand(32, 4, 8, 2)
);
snapshot!(
    threadripper_5995wx_nps4,
    described(&format!("package:1 group:4 [numa(memory=64GB)] l3:2 {THREADRIPPER}")),
    demand(12, 4, 8, 2)
);
snapshot!(
    dual_epyc,
    described("package:2 [numa(memory=512GB)] l3:8 core:8 pu:2(indexes=2*128:128*1)"),
    demand(64, 4, 8, 2)
);
snapshot!(
    dual_xeon_with_sub_numa_clusters,
    described("package:2 l3:1 group:2 [numa(memory=128GB)] core:14 pu:2(indexes=2*56:56*1)"),
    demand(14, 2, 7, 1)
);
snapshot!(
    ryzen_with_two_l3s,
    described("package:1 [numa(memory=64GB)] l3:2(size=32MB) core:8 pu:2(indexes=2*16:16*1)"),
    demand(8, 1, 2, 1)
);
snapshot!(hybrid_core_i9, from_file("core-i9-hybrid.xml"), demand(8, 1, 4, 1));
snapshot!(
    arm_without_smt_or_l3,
    described("package:1 [numa(memory=256GB)] l2:80 core:1 pu:1"),
    demand(32, 4, 8, 2)
);
snapshot!(
    two_thousand_cpus,
    described("package:16 [numa(memory=512GB)] l3:8 core:8 pu:2(indexes=2*1024:1024*1)"),
    demand(32, 4, 8, 2)
);
snapshot!(
    a_node_without_cpus,
    described("[numa(memory=512GB)] package:2 [numa(memory=64GB)] l3:1 core:8 pu:1"),
    demand(8, 1, 2, 1)
);
snapshot!(a_node_without_memory, from_file("node-without-memory.xml"), demand(4, 1, 2, 1));
snapshot!(hwloc_1, from_file("hwloc-1.xml"), demand(4, 1, 2, 1));

#[test]
fn openmp_places_follow_the_models_cpus() {
    let machine = described("package:1 [numa] l3:2 core:2 pu:2(indexes=2*4:4*1)");
    let all = Layout::None.place(&machine, demand(4, 1, 1, 1)).unwrap();
    let of = |places: OmpPlaces, placement: &Placement| {
        let variables = places.variables(placement, &machine)?;
        Some(variables.map(|(name, value)| format!("{name}={value}")).join(" "))
    };
    assert_eq!(of(OmpPlaces::None, &all), None);
    let cores = "OMP_PLACES={0:1,4:1},{1:1,5:1},{2:1,6:1},{3:1,7:1}";
    let close = of(OmpPlaces::CoresClose, &all).unwrap();
    assert_eq!(close, format!("{cores} OMP_PROC_BIND=close"));
    let spread = of(OmpPlaces::CoresSpread, &all).unwrap();
    assert_eq!(spread, format!("{cores} OMP_PROC_BIND=spread"));
    let l3 = "OMP_PLACES={0:2,4:2},{2:2,6:2} OMP_PROC_BIND=spread";
    assert_eq!(of(OmpPlaces::L3, &all).unwrap(), l3);
    let spread = Layout::SpreadL3.place(&machine, demand(2, 1, 1, 1)).unwrap();
    let l3 = "OMP_PLACES={0:1},{2:1} OMP_PROC_BIND=spread";
    assert_eq!(of(OmpPlaces::L3, &spread).unwrap(), l3);
    // Inside one L3 group all share one place, which binds nothing that the layout does not.
    let one = Layout::OneL3.place(&machine, demand(2, 1, 1, 1)).unwrap();
    assert_eq!(of(OmpPlaces::L3, &one), None);
}

#[test]
fn weighted_interleave_needs_a_kernel_that_has_it() {
    let mut machine = described("package:2 [numa(memory=8GB)] core:2 pu:1");
    for (kernel, exists) in [("6.8.12", false), ("6.9.0-rc1", true), ("6.18.1", true), ("", false)]
    {
        machine.kernel = kernel.to_owned();
        let modes = MemoryMode::of(&machine);
        assert_eq!(modes.contains(&MemoryMode::WeightedInterleave), exists, "{kernel}");
    }
}

#[test]
fn every_word_reads_back() {
    assert!(Layout::VARIANTS.iter().all(|layout| layout.to_string().parse() == Ok(*layout)));
    assert!(MemoryMode::VARIANTS.iter().all(|mode| mode.to_string().parse() == Ok(*mode)));
    for &layout in Layout::VARIANTS {
        assert_eq!(serde_json::to_value(layout).unwrap(), layout.to_string());
    }
    for &mode in MemoryMode::VARIANTS {
        assert_eq!(serde_json::to_value(mode).unwrap(), mode.to_string());
    }
}

#[test]
fn a_thread_is_bound_and_reads_it_back() {
    let binding = std::thread::spawn(|| {
        let all = bound().unwrap();
        let one: CpuSet = all.last().into_iter().collect();
        bind(&one).unwrap();
        let inherited = std::thread::spawn(|| bound().unwrap()).join().unwrap();
        assert_eq!((bound().unwrap(), inherited), (one.clone(), one));
        let beyond: CpuSet = all.iter().chain([9999]).collect();
        let error = bind(&beyond).unwrap_err().to_string();
        assert!(error.contains("the kernel granted"), "{error}");
        assert!(bind(&CpuSet::empty()).is_err());
    });
    binding.join().unwrap();
}

#[test]
fn a_policy_for_an_absent_node_does_not_pass_the_probe() {
    let absent = || [1023].into_iter().collect();
    for policy in [
        MemoryPolicy::Bind(absent()),
        MemoryPolicy::Preferred(absent()),
        MemoryPolicy::Interleave([0, 1023].into_iter().collect()),
    ] {
        let problem = policy.probe().unwrap_err();
        assert!(problem.starts_with(&format!("{policy} does not work here: ")), "{problem}");
    }
}

/// On a machine with one node this has little to do; a machine with several puts it to the test.
#[test]
fn whatever_is_offered_here_works_here() {
    let machine = Machine::detect().unwrap();
    for (layout, placement) in Layout::distinct(&machine, demand(2, 1, 2, 1)) {
        for mode in MemoryMode::of(&machine) {
            let Some((weights, rest)) = mode.policies(&machine, &placement) else { continue };
            let cpus = placement.process.clone();
            let tried = move || {
                bind(&cpus).unwrap();
                for policy in [weights, rest] {
                    match policy.probe() {
                        Ok(()) => assert_spread(&policy),
                        Err(problem) => assert!(problem.contains("kernel forbids"), "{problem}"),
                    }
                }
            };
            let tried = std::thread::spawn(tried).join();
            assert!(tried.is_ok(), "layout {layout}, memory mode {mode}");
        }
    }
}

/// Memory that this thread touches under `policy` lies where it says, evenly where it says so.
fn assert_spread(policy: &MemoryPolicy) {
    const BYTES: usize = 32 << 20;
    let Some(nodes) = policy.nodes().cloned() else { return };
    policy.apply().unwrap();
    let block = vec![1_u8; BYTES];
    MemoryPolicy::Default.apply().unwrap();
    let start = block.as_ptr() as usize;
    let range = start..start + BYTES;
    let found = page_placement::of(std::slice::from_ref(&range)).unwrap();
    assert!(found.keys().all(|&node| nodes.contains(node)), "{policy}: {found:?}");
    if matches!(policy, MemoryPolicy::Interleave(_)) {
        let share = (BYTES / nodes.len()) as f64;
        // The kernel deals huge pages, of which there are only sixteen here.
        let even = |&bytes: &u64| (bytes as f64 / share - 1.0).abs() < 0.5;
        assert!(found.len() == nodes.len() && found.values().all(even), "{policy}: {found:?}");
    }
}

#[test]
fn the_default_policy_is_what_a_thread_reads() {
    match MemoryPolicy::read() {
        Ok(policy) => assert_eq!(policy, MemoryPolicy::Default),
        Err(error) => assert!(matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS))),
    }
}

/// Any machine that a synthetic description gives, with any part of it allowed and any mix of
/// core kinds.
fn machines() -> impl Strategy<Value = Machine> {
    let levels = (1..3_usize, 1..4_usize, 1..4_usize, 1..5_usize, 1..3_usize);
    (levels, any::<u64>(), any::<u64>(), 0..4_u8).prop_map(|(levels, allowed, efficiency, mix)| {
        let (packages, nodes, l3s, cores, threads) = levels;
        let description = format!(
            "package:{packages} group:{nodes} [numa(memory=1GB)] l3:{l3s} core:{cores} pu:{threads}"
        );
        let mut machine = described(&description);
        let bit = |bits: u64, index: u32| bits.rotate_right(index % 61) & 1 == 1;
        if mix > 0 {
            let some: CpuSet = machine.allowed.iter().filter(|&cpu| bit(allowed, cpu)).collect();
            if !some.is_empty() {
                machine.allowed = some;
            }
        }
        if mix > 1 {
            for (index, core) in machine.cores.iter_mut().enumerate() {
                let slow = bit(efficiency, index as u32);
                core.kind = if slow { CoreKind::Efficiency } else { CoreKind::Performance };
            }
        }
        machine
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_layout_is_legal_on_every_machine(
        machine in machines(),
        (model, io, preprocess, batch) in (0..80_usize, 0..9_usize, 0..9_usize, 0..9_usize),
    ) {
        let demand = demand(model, io, preprocess, batch);
        prop_assert!(Layout::None.place(&machine, demand).is_some());
        let baseline = Layout::Baseline.place(&machine, demand);
        prop_assert_eq!(baseline.is_some(), machine.core_count() >= 32);
        for &layout in Layout::VARIANTS {
            let Some(placement) = layout.place(&machine, demand) else { continue };
            let pools = placement.pools();
            let union = pools.iter().fold(CpuSet::empty(), |all, (_, cpus)| all.union(cpus));
            prop_assert_eq!(&union, &placement.process);
            prop_assert!(placement.process.is_subset(&machine.allowed), "{layout}");
            prop_assert!(pools.iter().all(|(_, cpus)| !cpus.is_empty()), "{layout}");
            if layout.to_string().starts_with("partitioned") {
                let total: usize = pools.iter().map(|(_, cpus)| cpus.len()).sum();
                prop_assert_eq!(total, union.len(), "{} overlaps", layout);
            }
            for &mode in MemoryMode::VARIANTS {
                if let Some((weights, rest)) = mode.policies(&machine, &placement) {
                    for policy in [weights, rest] {
                        let nodes = policy.nodes().cloned();
                        let nodes = nodes.unwrap_or_else(|| machine.memory_nodes());
                        prop_assert!(!nodes.is_empty() && nodes.is_subset(&machine.memory_nodes()));
                    }
                }
            }
        }
    }

    #[test]
    fn whether_a_layout_exists_does_not_depend_on_the_demand(
        machine in machines(),
        (model, pool) in (0..80_usize, 0..9_usize),
    ) {
        let demand = demand(model, pool, pool, pool);
        let places = |layout: &Layout| layout.place(&machine, demand).is_some();
        let placed: Vec<Layout> = Layout::VARIANTS.iter().copied().filter(places).collect();
        prop_assert_eq!(placed, Layout::of(&machine));
    }

    #[test]
    fn no_two_distinct_layouts_are_equal(machine in machines(), model in 1..80_usize) {
        let distinct = Layout::distinct(&machine, demand(model, 1, 2, 1));
        for (i, (_, one)) in distinct.iter().enumerate() {
            prop_assert!(distinct[i + 1..].iter().all(|(_, other)| other != one));
        }
    }
}
