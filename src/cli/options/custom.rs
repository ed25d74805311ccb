//! A job of the user's own instead of the pipeline.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::options::{AppArgs, parse};
use crate::knobs::program_environment;
use crate::tune::budget;
use crate::workload::custom::sizes::JobSize;
use crate::workload::metric::Direction;

/// Your own job instead of the pipeline.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Your own job")]
pub struct CustomJobArgs {
    /// The variable in which the command finds the path of its profile; its knobs' values are in
    /// WAN22_ and their names in capitals, such as WAN22_BATCH_SIZE.
    #[arg(
        long,
        value_name = "NAME",
        default_value = program_environment::PROFILE,
        requires = "words",
        value_parser = program_environment::profile_name
    )]
    pub profile_env: String,
    /// Scores a number that the command prints instead of its time: the last match of a regular
    /// expression, or its first group where it has one, or json:/POINTER into the last JSON.
    #[arg(long, value_name = "REGEX|json:/POINTER", requires = "words", value_parser = parse::metric)]
    pub metric: Option<String>,
    /// Whether little or much of the metric is good; little unless said otherwise.
    #[arg(long, value_enum, requires = "metric")]
    pub goal: Option<Direction>,
    /// Runs before the measured ones of each trial, not reported.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "words", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub warmup: u32,
    /// The longest that one run may take, such as 90s; by default three times the baseline.
    #[arg(long, value_name = "TIME", requires = "words", value_parser = budget::parse)]
    pub timeout: Option<Duration>,
    /// A shell command that reads what a run printed on its standard input, and exits with another
    /// status than 0 where that, or a file that the run wrote, is wrong.
    #[arg(long, value_name = "COMMAND", requires = "words")]
    pub check: Option<String>,
    /// The pictures that a run writes, such as 'out/*.png|*.mp4': those of each candidate are compared
    /// with the baseline's, and worse ones than --min-psnr can't win. The job needs a fixed seed.
    #[arg(long, value_name = "FILES", requires = "words", value_parser = parse::files)]
    pub output: Option<String>,
    /// Tunes a TorchScript module of your own, which the worker calls, instead of a command.
    #[arg(
        long,
        value_name = "FILE",
        requires = "inputs",
        conflicts_with_all = ["words", "workload", "objective", "precision", "images", "weights"]
    )]
    pub module: Option<PathBuf>,
    /// What goes into the module: shapes and kinds of seeded random tensors, such as
    /// 1x16x8x8:f32,1x512x64:bf16, or a safetensors file, whose tensors are taken in the order of
    /// their names.
    #[arg(long, value_name = "SHAPES|FILE", requires = "module", value_parser = parse::inputs)]
    pub inputs: Option<String>,
    /// The command to tune, and its arguments.
    #[arg(
        last = true,
        value_name = "COMMAND",
        value_parser = parse::text(),
        conflicts_with_all = ["workload", "objective", "precision", "images", "weights"]
    )]
    pub words: Vec<String>,
    /// A ready-made worker.
    #[command(flatten)]
    pub app: AppArgs,
    /// What the job can be as large as.
    #[arg(skip)]
    pub sizes: Vec<JobSize>,
    /// Where the command runs, if not here.
    #[arg(skip)]
    pub folder: Option<String>,
}
