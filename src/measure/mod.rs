//! How a candidate becomes a trial: a worker process, watched while it runs.

pub mod answer;
pub mod command;
mod death;
mod lines;
mod noise;
pub mod orphans;
mod paths;
pub mod process;
mod pulse;
pub mod repetitions;
pub mod replay;
mod tree;
pub mod wire;

pub use noise::{NoiseWatch, ticks};
pub use repetitions::Repetitions;
