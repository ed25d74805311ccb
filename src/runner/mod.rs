//! How a candidate becomes a trial: a worker process, watched while it runs.

pub mod command;
mod heartbeat;
pub mod orphans;
mod output_lines;
mod path_json;
mod process_tree;
pub mod protocol;
pub mod repetitions;
pub mod response;
mod termination;
pub mod worker;

pub use repetitions::Repetitions;
