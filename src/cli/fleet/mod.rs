//! `fleet` and `compare`: many machines.

mod compare;
pub mod words;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::TuneArgs;
use crate::fleet::{Scope, Task};
use crate::runner::nodes::NodeList;
use crate::tune::budget;

pub use compare::CompareArgs;

/// Which machines, by which engine; and how each is tuned.
#[derive(Clone, Debug, Args)]
pub struct FleetArgs {
    /// The fleet's folder, on a file system that all nodes share.
    pub dir: PathBuf,
    /// The fleet.
    #[command(flatten)]
    pub fleet: FleetOptions,
    /// How each is tuned.
    #[command(flatten)]
    pub tune: TuneArgs,
}

/// Which machines, by which engine.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Fleet")]
pub struct FleetOptions {
    /// Who is tuned: one node of each class of equal ones, whose profile N other nodes prove again
    /// (class, class=N; by default 1), or each node.
    #[arg(long, value_name = "class[=N]|node", default_value = "class", value_parser = scope)]
    pub each: Scope,
    /// What starts jobs: slurm, local, which is this machine, or a command such as 'ssh {node}'; none
    /// only gathers. By default slurm where sbatch is, else local.
    #[arg(long, value_name = "slurm|local|none|COMMAND")]
    pub engine: Option<String>,
    /// The nodes, such as n[1-9],head; with slurm by default all of the partition. `--nodes=` forgets
    /// what an earlier call named; so do `--exclude=` and Slurm's options.
    #[arg(long = "nodes", value_name = "LIST")]
    pub node_list: Option<NodeList>,
    /// Nodes to leave alone.
    #[arg(long, value_name = "LIST")]
    pub exclude: Option<NodeList>,
    /// Slurm's partition.
    #[arg(long, value_name = "NAME")]
    pub partition: Option<String>,
    /// Slurm's account.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Slurm's quality of service.
    #[arg(long, value_name = "NAME")]
    pub qos: Option<String>,
    /// A feature that nodes must have.
    #[arg(long, value_name = "FEATURE")]
    pub constraint: Option<String>,
    /// Further words for sbatch, such as '--reservation=tuning --time=2:00:00'.
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub sbatch: Option<String>,
    /// The most jobs that wait or run.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub at_once: u32,
    /// Starts on a node that may fail.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub tries: u32,
    /// How long a node may be out of reach: drained, down or reserved.
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = budget::parse)]
    pub patience: Duration,
    /// Starts jobs and leaves; the same command later gathers.
    #[arg(long)]
    pub detach: bool,
    /// Only shows how the nodes stand; --json for programs.
    #[arg(long)]
    pub status: bool,
    /// Prints a manifest instead: an Indexed Job that tunes each node of a Kubernetes cluster.
    #[arg(long, value_enum, value_name = "FORM", requires = "pod_image")]
    pub manifest: Option<Manifest>,
    /// The image of the manifest's pods, which has this program.
    #[arg(long, value_name = "NAME", requires = "manifest")]
    pub pod_image: Option<String>,
    /// The volume claim of the manifest, which holds the fleet's folder.
    #[arg(long, value_name = "NAME", default_value = "wan22-fleet", requires = "manifest")]
    pub claim: String,
    /// What the engine has a node do.
    #[arg(long, hide = true, value_name = "TASK")]
    pub here: Option<Task>,
    /// What the job is for.
    #[arg(long, hide = true, requires = "here", default_value = "")]
    pub key: String,
    /// The results whose profile is verified.
    #[arg(long, hide = true, requires = "here", value_name = "DIR")]
    pub of: Option<PathBuf>,
    /// CPUs that the node must have for it.
    #[arg(long, hide = true, requires = "here")]
    pub cpus: Option<usize>,
    /// Seconds between two looks.
    #[arg(long, hide = true, value_name = "SECONDS")]
    pub poll: Option<f64>,
}

/// A form of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Manifest {
    /// Kubernetes.
    K8s,
}

fn scope(text: &str) -> Result<Scope, String> {
    let witnesses = match text {
        "node" => return Ok(Scope::Node),
        "class" => Some(1),
        other => other.strip_prefix("class=").and_then(|count| count.parse().ok()),
    };
    let witnesses = witnesses.ok_or("give node, class, or class=2 for two other nodes of each")?;
    Ok(Scope::Class { witnesses })
}
