//! `replay`: which strategies over which record.

use std::path::PathBuf;

use clap::Args;

use crate::cli::options::parse;
use crate::search::StrategyName;

/// What to replay.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// A journal (trials.csv) or a table (`knob:kind,…,value`).
    pub record: PathBuf,
    /// Strategies; all but the grid where none is named.
    #[arg(long, value_name = "NAME", value_parser = parse::strategy())]
    pub strategy: Vec<StrategyName>,
    /// Runs per strategy, with seeds 0, 1, 2, …
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub seeds: u64,
    /// Evaluations per run.
    #[arg(long, value_name = "COUNT", default_value_t = 120)]
    pub budget: usize,
    /// Noise added to measurements that were recorded once: 0.05 for 5%.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse::share)]
    pub noise: f64,
}
