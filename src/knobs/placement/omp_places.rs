//! `omp_places`: the units inside which OpenMP's threads may move.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use strum::VariantArray;

use super::domains;
use super::pools::Placement;
use crate::knobs::as_is::CallerEnvironment;
use crate::knobs::effect::{Effect, MODEL, Mismatch};
use crate::knobs::form::{COUNT, INDEX, VariableForm, one_of};
use crate::knobs::knob::words;
use crate::knobs::{Host, Knob, Knobs, Settings, Variable};
use crate::machine::{CpuSet, HIGHEST_INDEX, Machine};

const PLACES: &str = "OMP_PLACES";
const BIND: &str = "OMP_PROC_BIND";

words! {
    /// Which places the model's threads are dealt to, inside the CPUs that the layout gives the
    /// model, and how.
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
        (places.0.len() > 1).then(|| [(PLACES, places.to_string()), (BIND, bind.to_owned())])
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
    fn exists(self, machine: &Machine) -> bool {
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

/// The places that settings ask OpenMP to bind its threads to.
pub fn asked_places(settings: &Settings) -> Option<Places> {
    let is_bound = settings.environment.contains_key(BIND);
    settings.environment.get(PLACES).filter(|_| is_bound)?.parse().ok()
}

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = OmpPlaces;

    fn unavailable(&self, knobs: &Knobs, host: &Host<'_>) -> Option<String> {
        let exists = knobs.omp_places.exists(host.machine);
        (!exists).then(|| "it would be a single place here".to_owned())
    }

    fn variables_on(&self, knobs: &Knobs, at: &Placement, machine: &Machine) -> Vec<Variable> {
        knobs.omp_places.variables(at, machine).into_iter().flatten().collect()
    }

    fn forms(&self) -> Vec<VariableForm> {
        let interval = format!("{INDEX}:{COUNT}");
        let place = format!("\\{{{interval}(,{interval})*\\}}");
        vec![
            VariableForm::of_the_machine(PLACES, format!("{place}(,{place})*")),
            VariableForm::of_the_machine(BIND, one_of(["close", "spread"])),
        ]
    }

    /// `cores`, or the very places that a word here comes to.
    fn read_caller(&self, knobs: &mut Knobs, caller: &CallerEnvironment<'_>) {
        let everywhere = Placement::shared(caller.machine.allowed.clone());
        let (places, bind) = (caller.text(PLACES), caller.text(BIND).to_lowercase());
        let is_told = |one: &&OmpPlaces| {
            one.variables(&everywhere, caller.machine).is_some_and(|[asked, (_, how)]| {
                let is_cores = **one != OmpPlaces::L3 && places.eq_ignore_ascii_case("cores");
                how == bind && (is_cores || asked.1 == places)
            })
        };
        knobs.omp_places = OmpPlaces::VARIANTS.iter().find(is_told).copied().unwrap_or_default();
    }

    /// OpenMP's threads are in their places: as many places are taken as there are threads for, and
    /// what is in none (a thread that OpenMP did not start) is at least among the model's CPUs.
    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        let Some((Places(places), pool)) = asked_places(asked).zip(got.pools.get(MODEL)) else {
            return Vec::new();
        };
        let distinct: BTreeSet<&CpuSet> = places.iter().take(asked.intra_op_threads).collect();
        let least = distinct.len();
        let taken = pool.allowed.iter().filter(|mask| places.contains(mask)).count();
        let astray = |mask: &CpuSet| !places.contains(mask) && *mask != asked.placement.model;
        if taken >= least && !pool.allowed.iter().any(astray) {
            return Vec::new();
        }
        let got = format!("{taken} in {}", pool.masks());
        vec![Mismatch::new("model pool's CPUs", format!("{least} places of {PLACES}"), got)]
    }

    fn rests_on(&self) -> &'static [&'static str] {
        &["affinity"]
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
