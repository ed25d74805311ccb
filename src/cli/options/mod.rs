//! Options that several commands share.

mod bench;
mod custom;
mod job;
pub mod parse;
mod signature;
mod view;

pub use bench::RunnerArgs;
pub use custom::CustomJobArgs;
pub use job::{BaselineChoice, JobArgs, Objective};
pub use signature::SignatureArgs;
pub use view::ViewArgs;
