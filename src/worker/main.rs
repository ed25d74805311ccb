//! wan22-worker: one trial of a workload, and the comparison of its models with the reference.

mod bench;
mod case;
mod check;
mod job;
mod models;
mod module;
mod native;
mod parts;
mod peak;
mod pipeline;
mod quality;
mod reference;
mod usage;
mod weights;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wan22_tune::io::output;

/// Runs what wan22-tune measures; started by it, with a job on standard input.
#[derive(Debug, Parser)]
#[command(name = "wan22-worker", version = version())]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::ParityArgs),
    Bench(bench::BenchArgs),
}

/// Its own version and that of the libtorch that it found when it was loaded; made once, for good.
fn version() -> &'static str {
    let libtorch = native::libtorch_version().unwrap_or_else(|| "unknown".to_owned());
    format!("{}, libtorch {libtorch}", env!("CARGO_PKG_VERSION")).leak()
}

fn main() -> ExitCode {
    let outcome = match output::parse::<Cli>().command {
        Some(Command::Check(check)) => check.run(),
        Some(Command::Bench(bench)) => bench.run(),
        None => return job::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
