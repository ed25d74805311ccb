//! Which cores are fast and which are thrifty, on machines that mix them.

use std::collections::BTreeMap;

use hwlocality::Topology;
use hwlocality::cpu::kind::CpuKind;

use super::CoreKind;

/// A kind with less than this share of the fastest kind's speed is a thrifty one. Favoured cores
/// of one make differ by a few percent; efficiency cores reach 60 to 75% of the others' frequency.
const THRIFTY: f64 = 0.8;

/// What hwloc calls them (`CoreType`).
const THRIFTY_TYPES: [&str; 3] = ["IntelAtom", "IntelLowPower", "AMDEfficiency"];

/// The kind of every CPU; empty where all are alike.
#[derive(Debug, Default)]
pub struct Kinds(BTreeMap<u32, CoreKind>);

impl Kinds {
    /// The kind of `cpu`.
    pub fn of(&self, cpu: u32) -> CoreKind {
        match self.0.get(&cpu) {
            Some(&kind) => kind,
            None if self.0.is_empty() => CoreKind::Uniform,
            // hwloc knows nothing of it: not to be shunned for that.
            None => CoreKind::Performance,
        }
    }
}

/// Works the kinds out from hwloc's.
pub fn of(topology: &Topology) -> Kinds {
    let Ok(kinds) = topology.cpu_kinds() else { return Kinds::default() };
    let kinds: Vec<CpuKind<'_>> = kinds.collect();
    let Some(thrifty) = thrifty(&kinds) else { return Kinds::default() };
    let of_kind = |(kind, thrifty): (&CpuKind<'_>, &bool)| {
        let word = if *thrifty { CoreKind::Efficiency } else { CoreKind::Performance };
        let cpus: Vec<u32> = kind
            .cpuset
            .iter_set()
            .filter_map(|index| u32::try_from(usize::from(index)).ok())
            .take_while(|&cpu| cpu <= super::HIGHEST_INDEX)
            .collect();
        cpus.into_iter().map(move |cpu| (cpu, word))
    };
    Kinds(kinds.iter().zip(&thrifty).flat_map(of_kind).collect())
}

/// For each kind whether it is a thrifty one; `None` where all are alike.
fn thrifty(kinds: &[CpuKind<'_>]) -> Option<Vec<bool>> {
    let named = |name: String| THRIFTY_TYPES.contains(&name.as_str());
    let by_name = kinds.iter().map(|kind| info(kind, "CoreType").map(named));
    let by_speed = || {
        let speeds: Option<Vec<f64>> = kinds.iter().map(speed).collect();
        let speeds = speeds?;
        let fastest = speeds.iter().copied().fold(0.0, f64::max);
        Some(speeds.iter().map(|speed| speed / fastest < THRIFTY).collect())
    };
    let by_rank = || {
        let ranks: Option<Vec<usize>> = kinds.iter().map(|kind| kind.efficiency).collect();
        let ranks = ranks.filter(|_| kinds.iter().all(|kind| kind.infos.is_empty()))?;
        let lowest = *ranks.iter().min()?;
        Some(ranks.iter().map(|&rank| rank == lowest).collect())
    };
    let thrifty: Vec<bool> =
        by_name.collect::<Option<Vec<bool>>>().or_else(by_speed).or_else(by_rank)?;
    let mixed = thrifty.contains(&true) && thrifty.contains(&false);
    mixed.then_some(thrifty)
}

fn speed(kind: &CpuKind<'_>) -> Option<f64> {
    let value = info(kind, "LinuxCapacity").or_else(|| info(kind, "FrequencyMaxMHz"))?;
    value.parse().ok().filter(|&speed: &f64| speed > 0.0)
}

fn info(kind: &CpuKind<'_>, name: &str) -> Option<String> {
    let named = kind.infos.iter().find(|info| info.name().to_bytes() == name.as_bytes())?;
    Some(named.value().to_string_lossy().into_owned())
}
