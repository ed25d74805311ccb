//! `export`: a profile in the words of other programs.

use std::path::PathBuf;

use clap::Args;
use strum::VariantArray;

use crate::cli::options::parse;
use crate::profile::export::Dialect;
use crate::workload::custom::sink::Sink;

/// What to write.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The form.
    #[arg(long, value_enum)]
    pub format: Dialect,
    /// The variable in which the command finds a knob's value too, as in 'blocks env:MY_BLOCKS'.
    #[arg(long = "knob", value_name = "KNOB env:VARIABLE", value_parser = parse::variable)]
    pub knobs: Vec<(String, Sink)>,
    /// Writes to a file instead of stdout; it is replaced at once, as a textfile collector wants.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The profile, or a results folder with one.
    #[arg(value_name = "PROFILE", value_parser = parse::profile())]
    pub profile: PathBuf,
    /// The command that the exported file starts, where the form starts one.
    #[arg(last = true, value_name = "COMMAND", help = command_help())]
    pub command: Vec<String>,
}

fn command_help() -> String {
    let takers = Dialect::VARIANTS.iter().filter(|dialect| dialect.takes_command());
    let takers: Vec<String> = takers.map(ToString::to_string).collect();
    format!(
        "The command that the exported file starts, for {}; {{blocks}} in it stands for the profile's \
         value of a knob, as in `exec`",
        takers.join(", ")
    )
}
