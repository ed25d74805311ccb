//! `space`: which space of knobs, and the job that it is for.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::{BaselineChoice, JobArgs, MachineChoice};
use crate::space::KnobFlag;

/// Which space.
#[derive(Clone, Debug, Args)]
pub struct SpaceArgs {
    /// A space that comes with the program (pipeline, command, module, diffusers), or a TOML file; by
    /// default the one for the job.
    #[arg(long, value_name = "NAME|FILE")]
    pub space: Option<PathBuf>,
    /// What to start from and to beat: as-is, which is your own environment and is the default with a
    /// command of your own; a preset (5995wx, rtx4080, generic), otherwise the one that people would
    /// copy for this machine; or a file, a profile of this program's or of the WAN22 system
    /// optimizer's.
    #[arg(long, value_name = "as-is|PRESET|FILE")]
    pub baseline: Option<BaselineChoice>,
    /// A knob of your command's own, in one line: blocks=0..40, attention=sdpa|sage, compile=off|on,
    /// threshold=0.01..0.3 log; the command says where its value goes, as in --swap {blocks} or
    /// {compile:--compile}. Or the name of a knob that this program has: then only those named.
    #[arg(long = "knob", value_name = "KNOB")]
    pub knobs: Vec<KnobFlag>,
    /// Leaves out all knobs that this program has.
    #[arg(long)]
    pub no_built_in: bool,
    /// Takes in the knobs that only experts should turn.
    #[arg(long)]
    pub expert: bool,
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
}

impl SpaceArgs {
    /// The space that was asked for, or the pipeline's.
    pub fn name(&self) -> &Path {
        self.space.as_deref().unwrap_or(Path::new("pipeline"))
    }
}

/// Shows the search space as resolved on this machine, or on one that you don't have.
#[derive(Debug, Args)]
pub struct SpaceCommand {
    /// Which space.
    #[command(flatten)]
    pub space: SpaceArgs,
    /// On which machine.
    #[command(flatten)]
    pub which: MachineChoice,
}
