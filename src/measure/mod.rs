//! How a candidate becomes a trial: a worker process, watched while it runs.

pub mod answer;
pub mod command;
mod lines;
mod noise;
mod paths;
pub mod process;
pub mod repetitions;
pub mod replay;
mod tree;
pub mod wire;

pub use noise::{NoiseWatch, ticks};
pub use repetitions::Repetitions;
