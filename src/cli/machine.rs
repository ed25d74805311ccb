//! `machine`: what this process may use, or another machine.

use std::path::PathBuf;

use clap::Args;

use crate::cli::options::parse;

/// Shows what this process may use of the machine.
#[derive(Debug, Args)]
pub struct MachineArgs {
    /// Prints everything as JSON, as results folders keep it in machine.json.
    #[arg(long)]
    pub json: bool,
    /// Draws the machine into an SVG file instead.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub svg: Option<PathBuf>,
    /// Adds who would run where under a profile.
    #[arg(long, value_name = "FILE", conflicts_with = "json", value_parser = parse::profile())]
    pub profile: Option<PathBuf>,
    /// Which machine.
    #[command(flatten)]
    pub which: MachineChoice,
}

/// A machine to plan for instead of this one.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = false)]
pub struct MachineChoice {
    /// Plans for the machine of an hwloc XML file (`lstopo FILE.xml` writes one); `-` reads it from
    /// standard input.
    #[arg(long, value_name = "FILE")]
    pub xml: Option<PathBuf>,
    /// Plans for a machine that hwloc's synthetic description gives, such as
    /// `package:2 [numa] l3:4 core:8 pu:2`.
    #[arg(long, value_name = "DESCRIPTION")]
    pub synthetic: Option<String>,
}
