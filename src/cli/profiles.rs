//! `profiles` and `diff`: the profiles that a host keeps.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::options::parse;
use crate::cli::{BaselineChoice, SignatureArgs};

/// Which profiles.
#[derive(Debug, Args)]
pub struct ProfilesArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: ProfilesVerb,
    /// Where they are.
    #[command(flatten)]
    pub place: ProfileFoldersArgs,
}

/// Where profiles are kept.
#[derive(Debug, Default, Args)]
pub struct ProfileFoldersArgs {
    /// A folder of profiles, instead of $XDG_DATA_HOME/wan22-tune/profiles and
    /// /etc/wan22-tune/profiles.d; may be given again, and the first one wins.
    #[arg(long = "folder", value_name = "DIR", global = true)]
    pub folders: Vec<PathBuf>,
}

/// What to do with the profiles that are kept.
#[derive(Debug, Subcommand)]
pub enum ProfilesVerb {
    /// Lists them, those that fit this machine first.
    List,
    /// Shows one: the one for this machine unless a file or name is given.
    Show {
        /// A file, or the beginning of a name in the list.
        profile: Option<String>,
    },
    /// Copies a profile into the first folder, named by its machine's fingerprint and its job, in
    /// the place of the one of the same machine, the same part of it and the same job.
    Use {
        /// The profile, or a results folder with one.
        #[arg(value_parser = parse::profile())]
        profile: PathBuf,
        /// The job that it is kept for, instead of the one that it was tuned for: a word of your
        /// own, which `wan22-tune exec --auto --job` takes.
        #[arg(long, value_name = "NAME", value_parser = parse::job_name)]
        job: Option<String>,
        /// Replaces a profile that proves more.
        #[arg(long)]
        force: bool,
    },
    /// Prints a profile of this machine's baseline with other values of some knobs, which nothing proves:
    /// to try or to compare.
    New {
        /// A preset (5995wx, rtx4080, generic) or a file; otherwise the preset for this machine.
        #[arg(long, value_name = "PRESET|FILE")]
        baseline: Option<BaselineChoice>,
        /// A knob's value; may be given again.
        #[arg(long, value_name = "KNOB=VALUE", value_parser = parse::setting)]
        set: Vec<(String, String)>,
    },
    /// Prints the JSON schema of a profile.
    Schema,
    /// Checks each file, and whether those of this machine can be launched here; or one file.
    Verify {
        /// The profile, or a results folder with one; all that are kept without it.
        #[arg(value_parser = parse::profile())]
        profile: Option<PathBuf>,
        /// Who has to have signed it.
        #[command(flatten)]
        signature: SignatureArgs,
    },
}

/// Which profiles.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The one profile, or a results folder with it.
    #[arg(value_name = "PROFILE", value_parser = parse::profile())]
    pub one: PathBuf,
    /// The other, likewise.
    #[arg(value_name = "PROFILE", value_parser = parse::profile())]
    pub other: PathBuf,
    /// Prints the differences as JSON.
    #[arg(long)]
    pub json: bool,
}
