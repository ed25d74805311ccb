//! How a candidate becomes a trial: a worker process, or the replay of a journal.

pub mod replay;
pub mod wire;
