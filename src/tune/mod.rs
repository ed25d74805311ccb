//! One tune: calibration, baseline, search, confirmation, in one journal.

mod aa_test;
pub mod budget;
pub mod calibrate;
mod config;
pub mod in_flight;
mod observations;
mod observer;
mod policy;
mod record;
pub mod regret;
mod session;
pub mod shipped;
mod state;
mod warm_start;

pub use aa_test::AaRunner;
pub use config::{MIN_PSNR_DB, TuneConfig};
pub use observer::{NoObserver, Observer};
pub use policy::BaselineFails;
pub use session::Session;
pub use warm_start::{EarlierTune, alike};
