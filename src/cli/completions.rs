//! `completions` and `man`: for which shell, and where pages go.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// For which shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Where manual pages go.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// A folder for the pages of all commands; without it the main page is printed.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}
