//! wan22-tune finds, proves and ships the settings that run the Wan 2.2 video model fastest.

pub mod budget;
pub mod calibrate;
pub mod cli;
pub mod cmd;
pub mod confirm;
pub mod durable;
pub mod journal;
pub mod launch;
pub mod machine;
pub mod measure;
pub mod preprocess;
pub mod profile;
pub mod ranking;
pub mod report;
pub mod results;
pub mod search;
pub mod settings;
pub mod space;
pub mod stats;
pub mod trial;
pub mod tune;
pub mod workload;

/// Name and version, as profiles and journals carry them.
pub const TOOL: &str = concat!("wan22-tune ", env!("CARGO_PKG_VERSION"));
