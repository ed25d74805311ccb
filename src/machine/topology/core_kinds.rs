//! Which cores are fast and which are efficient, on machines that mix them.

use std::collections::BTreeMap;

use hwlocality::Topology;
use hwlocality::cpu::kind::CpuKind;

use crate::machine::CoreKind;

/// A kind with less than this share of the fastest kind's speed is an efficiency core. Favoured cores
/// of one make differ by a few percent; efficiency cores reach 60 to 75% of the others' frequency.
const EFFICIENCY_SHARE: f64 = 0.8;

/// What hwloc calls them (`CoreType`).
const EFFICIENCY_TYPES: [&str; 3] = ["IntelAtom", "IntelLowPower", "AMDEfficiency"];

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
    let Some(efficiency) = efficiency(&kinds) else { return Kinds::default() };
    let of_kind = |(kind, efficiency): (&CpuKind<'_>, &bool)| {
        let word = if *efficiency { CoreKind::Efficiency } else { CoreKind::Performance };
        let cpus: Vec<u32> = kind
            .cpuset
            .iter_set()
            .filter_map(|index| u32::try_from(usize::from(index)).ok())
            .take_while(|&cpu| cpu <= crate::machine::HIGHEST_INDEX)
            .collect();
        cpus.into_iter().map(move |cpu| (cpu, word))
    };
    Kinds(kinds.iter().zip(&efficiency).flat_map(of_kind).collect())
}

/// For each kind whether it is an efficiency core; `None` where all are alike.
fn efficiency(kinds: &[CpuKind<'_>]) -> Option<Vec<bool>> {
    let named = |name: String| EFFICIENCY_TYPES.contains(&name.as_str());
    let by_name = kinds.iter().map(|kind| info(kind, "CoreType").map(named));
    let by_speed = || {
        let speeds: Option<Vec<f64>> = kinds.iter().map(speed).collect();
        let speeds = speeds?;
        let fastest = speeds.iter().copied().fold(0.0, f64::max);
        Some(speeds.iter().map(|speed| speed / fastest < EFFICIENCY_SHARE).collect())
    };
    // Where no speed is known, as on macOS and Windows, the system's own ranks count. Elsewhere
    // hwloc may have made ranks up from less than that.
    let by_rank = || {
        let ranks: Option<Vec<usize>> = kinds.iter().map(|kind| kind.efficiency).collect();
        let ranks = ranks.filter(|_| !kinds.iter().any(tells_speed))?;
        let lowest = *ranks.iter().min()?;
        Some(ranks.iter().map(|&rank| rank == lowest).collect())
    };
    let efficiency: Vec<bool> =
        by_name.collect::<Option<Vec<bool>>>().or_else(by_speed).or_else(by_rank)?;
    let mixed = efficiency.contains(&true) && efficiency.contains(&false);
    mixed.then_some(efficiency)
}

fn speed(kind: &CpuKind<'_>) -> Option<f64> {
    let value = info(kind, "LinuxCapacity").or_else(|| info(kind, "FrequencyMaxMHz"))?;
    value.parse().ok().filter(|&speed: &f64| speed > 0.0)
}

/// Whether Linux or an instruction of the processor says what kind of core it is, or how fast.
fn tells_speed(kind: &CpuKind<'_>) -> bool {
    let speeds = ["CoreType", "Linux", "Frequency"];
    kind.infos.iter().any(|info| {
        let name = info.name().to_string_lossy();
        speeds.iter().any(|speed| name.starts_with(speed))
    })
}

fn info(kind: &CpuKind<'_>, name: &str) -> Option<String> {
    let named = kind.infos.iter().find(|info| info.name().to_bytes() == name.as_bytes())?;
    Some(named.value().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use crate::machine::Machine;

    /// Eight cores whose two or three kinds are described so.
    fn efficient(kinds: &[String]) -> usize {
        let file = include_str!("../../../tests/machines/apple-m1.xml");
        let (cores, _) = file.split_once("<cpukind").unwrap();
        let machine = Machine::from_xml(&format!("{cores}{}</topology>", kinds.concat())).unwrap();
        let is_efficient = |core: &&crate::machine::Core| core.kind == super::CoreKind::Efficiency;
        let alike = machine.cores.iter().all(|core| core.kind == super::CoreKind::Uniform);
        let count = machine.cores.iter().filter(is_efficient).count();
        assert_eq!(alike, count == 0);
        count
    }

    fn kind(cpus: &str, rank: i32, infos: &[(&str, &str)]) -> String {
        let info =
            |(name, value): &(&str, &str)| format!("<info name=\"{name}\" value=\"{value}\"/>");
        let infos: String = infos.iter().map(info).collect();
        format!("<cpukind cpuset=\"{cpus}\" forced_efficiency=\"{rank}\">{infos}</cpukind>")
    }

    #[test]
    fn ranks_count_where_nothing_tells_the_speed() {
        let name = |value: &'static str| [("DarwinCompatible", value)];
        let m1 = [
            kind("0x0f", 0, &name("apple,icestorm;ARM,v8")),
            kind("0xf0", 1, &name("apple,firestorm;ARM,v8")),
        ];
        assert_eq!(efficient(&m1), 4);
        let three =
            [kind("0x03", 0, &name("a")), kind("0x0c", 1, &name("b")), kind("0xf0", 2, &name("c"))];
        assert_eq!(efficient(&three), 2);
        let windows = [kind("0x01", 0, &[]), kind("0xfe", 1, &[])];
        assert_eq!(efficient(&windows), 1);
    }

    #[test]
    fn ranks_that_hwloc_makes_up_do_not_count() {
        let base = |value: &'static str| [("FrequencyBaseMHz", value)];
        let favoured = [kind("0x0f", 0, &base("2100")), kind("0xf0", 1, &base("2300"))];
        assert_eq!(efficient(&favoured), 0);
        let capacity = |value: &'static str| [("LinuxCapacity", value)];
        let equal = [kind("0x0f", 0, &capacity("1024")), kind("0xf0", 1, &capacity("1024"))];
        assert_eq!(efficient(&equal), 0);
        let little = [kind("0x0f", 0, &capacity("446")), kind("0xf0", 1, &capacity("1024"))];
        assert_eq!(efficient(&little), 4);
    }
}
