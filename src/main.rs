//! Parses the tuner's command line and hands over to one command.

use std::process::ExitCode;

use wan22_tune::cli::{Cli, Command};
use wan22_tune::cmd;
use wan22_tune::io::output;

fn main() -> ExitCode {
    output::outlive_file_limits();
    let cli: Cli = output::parse();
    let done = match cli.command {
        None => cmd::tune::run(&cli.tune),
        Some(Command::Machine(args)) => cmd::machine::run(&args),
        Some(Command::Doctor(args)) => cmd::doctor::run(&args),
        Some(Command::Space(args)) => cmd::space::run(&args),
        Some(Command::Resume(args)) => cmd::tune::resume::run(&args),
        Some(Command::Report(args)) => cmd::report::run(&args),
        Some(Command::Compare(args)) => cmd::fleet::compare::run(&args),
        Some(Command::Diff(args)) => cmd::profiles::diff::run(&args),
        Some(Command::Replay(args)) => cmd::replay::run(&args),
        Some(Command::Measure(args)) => cmd::measure::run(&args),
        Some(Command::Verify(args)) => match cmd::verify::run(&args) {
            Ok(status) => return status,
            Err(error) => Err(error),
        },
        Some(Command::Fleet(args)) => match cmd::fleet::run(&args) {
            Ok(status) => return status,
            Err(error) => Err(error),
        },
        Some(Command::Exec(args)) => return cmd::exec::run(&args),
        Some(Command::Agent) => cmd::tune::agent::run(),
        Some(Command::Export(args)) => cmd::export::run(&args),
        Some(Command::Profiles(args)) => cmd::profiles::run(&args),
        Some(Command::Completions(args)) => cmd::completions::run(&args),
        Some(Command::Man(args)) => cmd::completions::man(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cmd::fail(&error),
    }
}
