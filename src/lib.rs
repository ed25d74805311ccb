//! wan22-tune finds, proves and ships the settings that run the Wan 2.2 video model fastest.

pub mod cmd;
pub mod launch;
pub mod machine;
pub mod measure;
pub mod search;
pub mod settings;
pub mod space;
pub mod trial;
pub mod workload;
