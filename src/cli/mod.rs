//! Arguments of the command line, and nothing of what commands do.

mod completions;
mod doctor;
mod exec;
mod export;
mod fleet;
mod machine;
mod measure;
mod options;
mod profiles;
mod replay;
mod report;
mod resume;
mod space;
mod tune;
mod verify;

pub use completions::{CompletionsArgs, ManArgs};
pub use doctor::DoctorArgs;
pub use exec::ExecArgs;
pub use export::ExportArgs;
pub use fleet::{CompareArgs, FleetArgs, Manifest as FleetManifest, words};
pub use machine::{MachineArgs, MachineChoice};
pub use measure::MeasureArgs;
pub use options::{
    App, AppArgs, BaselineChoice, CustomJobArgs, JobArgs, NodesChoice, Objective, RunnerArgs,
    SignatureArgs, TrialArgs, ViewArgs,
};
pub use profiles::{DiffArgs, ProfileFoldersArgs, ProfilesArgs, ProfilesVerb};
pub use replay::ReplayArgs;
pub use report::{Format, ReportArgs};
pub use resume::ResumeArgs;
pub use space::{SpaceArgs, SpaceCommand};
pub use tune::TuneArgs;
pub use verify::VerifyArgs;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::io::exit_code;
use crate::space::arguments;

/// Finds, proves and ships the settings that run the Wan 2.2 video model fastest on this machine.
///
/// Without a command it tunes: measures the baseline, searches, proves the winner against the
/// baseline in interleaved pairs, and writes a results folder with profile.json, trials.csv, plots
/// and a report.
#[derive(Debug, Parser)]
#[command(
    name = "wan22-tune",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = exit_code::help()
)]
pub struct Cli {
    /// What to do instead of tuning.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The tune.
    #[command(flatten)]
    pub tune: TuneArgs,
}

impl Cli {
    /// Reads the words after the program's name, as `space.toml` has them.
    ///
    /// # Errors
    /// A word that is no command, or what clap says of them.
    pub fn read(words: &[String]) -> Result<Self> {
        let words = words.iter().map(|word| arguments::read(word));
        let words = words.collect::<Result<Vec<_>, _>>().map_err(anyhow::Error::msg)?;
        Ok(Self::try_parse_from([&["wan22-tune".into()], words.as_slice()].concat())?)
    }
}

/// What to do instead of tuning.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows what this process may use of the machine.
    Machine(MachineArgs),
    /// Gives read-only advice before a run, each line with its cure.
    Doctor(DoctorArgs),
    /// Shows the search space as resolved on this machine, and how many candidates it has.
    Space(SpaceCommand),
    /// Goes on with a tune that was cut short, or gives it more time.
    Resume(ResumeArgs),
    /// Makes a results folder's profile, plots and report again, or prints its tables.
    Report(ReportArgs),
    /// Compares results folders: machines, gains, best settings, how far each profile carries.
    Compare(CompareArgs),
    /// Tunes many machines by jobs of Slurm or another launcher, and gathers their profiles.
    ///
    /// The same command again goes on with what is missing: the folder is the truth. Exit status: 0
    /// every node is tuned or another one of its class stands for it; 6 some could not be had, and
    /// are named; 2 wrong usage; 75 another one works on the folder.
    // A fleet's own `--nodes` and `--engine` say more than those of one search.
    #[command(
        mut_arg("budget", |budget| budget.required_unless_present("dir")),
        mut_arg("nodes", |nodes| nodes.long("nodes-of-a-search").hide(true)),
        mut_arg("launcher", |launcher| launcher.hide(true))
    )]
    Fleet(Box<FleetArgs>),
    /// Shows what differs between two profiles.
    Diff(DiffArgs),
    /// Replays strategies over recorded trials, in milliseconds.
    Replay(ReplayArgs),
    /// Runs one trial and prints it.
    Measure(MeasureArgs),
    /// Proves a profile again on this machine, in minutes.
    Verify(VerifyArgs),
    /// Becomes a command, bound and with the environment of a profile.
    Exec(ExecArgs),
    /// Lists, shows, installs and checks the profiles that this host keeps.
    Profiles(ProfilesArgs),
    /// Prints what a shell needs to complete commands and flags.
    Completions(CompletionsArgs),
    /// Writes manual pages.
    Man(ManArgs),
    /// Runs trials on this node for a tune on another one, which speaks to it through stdin and stdout.
    #[command(hide = true)]
    Agent,
    /// Writes a profile in the words of systemd, docker, Slurm, Python and others.
    Export(ExportArgs),
}
