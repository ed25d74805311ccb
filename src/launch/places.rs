//! OpenMP places for a placement: `OMP_PLACES` as text.

use super::affinity::Placement;
use super::domains;
use crate::machine::{CpuSet, Machine};

/// What a place is: the unit inside which an OpenMP thread may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A core with its siblings.
    Core,
    /// An L3 group.
    L3,
}

impl Placement {
    /// The model's CPUs as `OMP_PLACES`, such as `{0:2},{2:2}`.
    pub fn omp_places(&self, machine: &Machine, place: Place) -> String {
        let groups: Vec<CpuSet> = match place {
            Place::Core => machine.usable_cores().map(|core| core.cpus.clone()).collect(),
            Place::L3 => domains::by_l3(machine).iter().map(domains::Domain::cpus).collect(),
        };
        let inside = groups.iter().map(|cpus| cpus.intersection(&self.model));
        inside.filter(|cpus| !cpus.is_empty()).map(|cpus| text(&cpus)).collect::<Vec<_>>().join(",")
    }
}

/// `{first:count,…}`, which both libgomp and LLVM's runtime read.
fn text(cpus: &CpuSet) -> String {
    let interval = |(first, last): (u32, u32)| format!("{first}:{}", last - first + 1);
    let intervals: Vec<String> = cpus.runs().into_iter().map(interval).collect();
    format!("{{{}}}", intervals.join(","))
}
