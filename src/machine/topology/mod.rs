//! Topology: the packages, caches, cores and NUMA nodes of a machine, from hwloc, XML or a description.

pub mod claimed;
pub mod core_kinds;
pub mod described;
pub mod hwloc;
pub mod nodes;
pub mod sandbox;
pub mod xml;
