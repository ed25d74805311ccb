//! wan22-tune finds, proves and ships the settings that run the Wan 2.2 video model fastest.
//!
//! A [`machine::Machine`] resolves a [`space::Space`] of knobs; a strategy ([`search`]) proposes each
//! [`space::Candidate`], which becomes [`knobs::Settings`]; a [`launch::Launch`] starts it as a worker
//! process ([`runner`]), whose measured [`trial::Trial`] enters the [`trial::journal`]; [`evidence`]
//! ranks the candidates and confirms the finalist against the baseline; the winner becomes a
//! [`profile::Profile`], and `exec` ([`launch::exec`]) launches production with it, the same way.
//!
//! Two programs share this library: the tuner, which never links libtorch, and the worker
//! (`src/worker`), which runs one trial and exits. [`tune`] holds one tune from calibration to
//! confirmation, [`results`] the folder that it leaves behind; everything but the machine, the
//! space and the journal in that folder is derived from these three. ARCHITECTURE.md has the flow of
//! data and the order of the modules, the README the glossary.

pub mod architecture;
pub mod cli;
pub mod cmd;
pub mod evidence;
pub mod fleet;
pub mod io;
pub mod knobs;
pub mod launch;
pub mod machine;
pub mod profile;
pub mod report;
pub mod results;
pub mod runner;
pub mod search;
pub mod space;
pub mod stats;
pub mod trial;
pub mod tune;
pub mod workload;

/// Name and version, as profiles and journals carry them.
pub const TOOL: &str = concat!("wan22-tune ", env!("CARGO_PKG_VERSION"));
