//! Launch: how a process starts under settings, and what it reads back about itself.

mod affinity;
mod effect;
mod memory;

pub use affinity::{Demand, Layout, Placement};
pub use effect::Effect;
pub use memory::{MemoryMode, MemoryPolicy};
