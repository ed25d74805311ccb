//! Fleet: many machines, tuned by jobs of an engine, and their tunes compared.
//!
//! An [`Engine`] lists nodes and runs jobs on them. Each job is this program again, which probes,
//! tunes or verifies on its node and leaves what it found in the fleet's [`Folder`]. [`plan()`] says
//! what is missing there; a [`Coordinator`] has it made, and may be killed and started again at any
//! time: the folder is the truth, the engine only a means. [`gather`] makes profiles and reports of
//! it, by a [`comparison`] of all tunes.

pub mod comparison;
mod coordinator;
pub mod engine;
mod folder;
pub mod gather;
mod journal;
pub mod manifest;
mod node;
mod overview;
mod plan;
mod request;

pub use coordinator::{Coordinator, FleetEnd, Limits, Step};
pub use engine::{Engine, EngineJob, JobState, Place, Task};
pub use folder::{Folder, NodeStatus, Probe, Record, Tuned, Verified};
pub use journal::Journal;
pub use node::Node;
pub use overview::{Overview, Row, State};
pub use plan::{Barred, Group, Records, Scope, failed, groups, plan};
pub use request::{Change, Request};
