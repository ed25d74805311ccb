//! How much a tune shows.

use clap::Args;

/// How much to show.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ViewArgs {
    /// Shows no progress, only the result.
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Prints events to stdout, one JSON object per line, instead of progress and result.
    #[arg(long)]
    pub json: bool,
}
