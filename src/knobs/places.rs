//! OpenMP places: the units inside which OpenMP's threads may move (`OMP_PLACES`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::affinity::Placement;
use super::domains;
use crate::machine::{CpuSet, HIGHEST_INDEX, Machine};

/// Which places the model's threads are dealt to, inside the CPUs that the layout gives the
/// model, and how.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum OmpPlaces {
    /// None: the kernel moves threads over all the model's CPUs.
    #[default]
    None,
    /// A core a place, one thread beside the other.
    CoresClose,
    /// A core a place, threads as far from each other as can be.
    CoresSpread,
    /// An L3 group a place, threads spread over them and free inside.
    L3,
}

impl OmpPlaces {
    /// The variables that deal the threads out. Where all would share one place there is nothing
    /// to deal.
    pub fn variables(
        self,
        placement: &Placement,
        machine: &Machine,
    ) -> Option<[(&'static str, String); 2]> {
        let bind = match self {
            Self::None => return None,
            Self::CoresClose => "close",
            Self::CoresSpread | Self::L3 => "spread",
        };
        let places = self.places(placement, machine);
        (places.0.len() > 1)
            .then(|| [("OMP_PLACES", places.to_string()), ("OMP_PROC_BIND", bind.to_owned())])
    }

    fn places(self, placement: &Placement, machine: &Machine) -> Places {
        let groups: Vec<CpuSet> = match self {
            Self::None => Vec::new(),
            Self::L3 => domains::by_l3(machine).iter().map(domains::Domain::cpus).collect(),
            Self::CoresClose | Self::CoresSpread => {
                machine.usable_cores().map(|core| core.cpus.clone()).collect()
            }
        };
        let inside = groups.iter().map(|cpus| cpus.intersection(&placement.model));
        Places(inside.filter(|cpus| !cpus.is_empty()).collect())
    }

    /// Whether this machine has two such places.
    pub fn exists(self, machine: &Machine) -> bool {
        let everywhere = Placement::shared(machine.allowed.clone());
        self == Self::None || self.variables(&everywhere, machine).is_some()
    }
}

/// The value of `OMP_PLACES`, in the form that GCC's, LLVM's and Intel's runtimes read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places(pub Vec<CpuSet>);

impl fmt::Display for Places {
    /// `{first:count,…},…`, such as `{0:1,64:1},{1:1,65:1}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interval = |(first, last): (u32, u32)| format!("{first}:{}", last - first + 1);
        let place = |cpus: &CpuSet| {
            let intervals: Vec<String> = cpus.runs().into_iter().map(interval).collect();
            format!("{{{}}}", intervals.join(","))
        };
        f.write_str(&self.0.iter().map(place).collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Places {
    type Err = ();

    /// Reads what [`Places`] displays, and nothing else that OpenMP would understand.
    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u32>().ok()).flatten().filter(|&n| n <= HIGHEST_INDEX)
        };
        let interval = |text: &str| {
            let (first, count) = text.split_once(':')?;
            let (first, count) = (number(first)?, number(count)?);
            let end = (first + count).checked_sub(1).filter(|_| count > 0)?;
            (end <= HIGHEST_INDEX).then_some(first..=end)
        };
        let place = |text: &str| {
            let mut cpus = CpuSet::empty();
            for part in text.split(',') {
                interval(part)?.for_each(|cpu| cpus.insert(cpu));
            }
            Some(cpus)
        };
        let inside = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or(())?;
        inside.split("},{").map(place).collect::<Option<_>>().map(Self).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        for text in ["{0:1}", "{0:2,4:2},{2:2,6:2}", "{0:1,64:1},{1:1,65:1}"] {
            assert_eq!(text.parse::<Places>().unwrap().to_string(), text);
        }
        let odd = ["", "cores", "{}", "{0}", "{0:0}", "{0:1", "{0:1}{1:1}", "{-1:2}", "{0:1:2}"];
        for text in odd.into_iter().chain(["{0:99999}", "{65535:2}", "{0:1}, {1:1}", "$(x)"]) {
            assert!(text.parse::<Places>().is_err(), "{text}");
        }
    }
}
