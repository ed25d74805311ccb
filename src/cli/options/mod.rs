//! Options that several commands share.

mod app;
mod custom;
mod job;
mod nodes;
pub mod parse;
mod runner;
mod signature;
mod trial;
mod view;

pub use app::{App, AppArgs};
pub use custom::CustomJobArgs;
pub use job::{BaselineChoice, JobArgs, Objective};
pub use nodes::NodesChoice;
pub use runner::RunnerArgs;
pub use signature::SignatureArgs;
pub use trial::TrialArgs;
pub use view::ViewArgs;
