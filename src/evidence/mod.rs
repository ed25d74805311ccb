//! Evidence: what a journal shows, as pure functions of its trials.

pub mod blame;
pub mod confirmation;
pub mod drift;
pub mod findings;
mod node_drift;
pub mod node_effects;
pub mod paired;
pub mod ranking;
pub mod repeatability;
pub mod win_probability;
