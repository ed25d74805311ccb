//! Engine word: what starts a fleet's jobs, as it is typed, as the folder keeps it, or as what earlier
//! jobs left says.

use crate::cli::FleetArgs;
use crate::cmd::Usage;
use crate::fleet::engine::{Slurm, this_node};
use crate::fleet::{Folder, Node, Request, Tuned};
use crate::runner::nodes::agents::NODE;

/// The word for an engine that starts nothing.
pub const NONE: &str = "none";

/// The word for this machine.
pub const LOCAL: &str = "local";

/// The word for Slurm.
pub const SLURM: &str = "slurm";

/// The word for what starts jobs.
///
/// # Errors
/// [`Usage`] where an earlier version kept none, and what its jobs left does not say it.
pub fn word(args: &FleetArgs, kept: Option<&Request>, folder: &Folder) -> Result<String, Usage> {
    if let Some(typed) = &args.fleet.engine {
        return Ok(typed.clone());
    }
    let earlier = kept.filter(|kept| kept.engine().is_none()).and_then(|_| of_jobs(folder));
    match earlier {
        None => Ok(if Slurm::is_here() { SLURM } else { LOCAL }.to_owned()),
        Some(NODE) => {
            let (dir, nodes) = (args.dir.display(), folder.names().join(","));
            Err(Usage(format!(
                "{dir}: begun by a version that kept no engine, and not by Slurm: type it as then, such \
                 as --engine 'ssh {NODE}' --nodes {nodes}; or --engine {NONE}, which only gathers"
            )))
        }
        Some(word) => Ok(word.to_owned()),
    }
}

/// The word for what started the jobs that left something in a folder: Slurm numbers them, and what
/// runs without it is on this machine or behind some launcher.
fn of_jobs(folder: &Folder) -> Option<&'static str> {
    let names = folder.names();
    let has_number = |name: &String| {
        let status = folder.record(Node::named(name)).status;
        status.is_some_and(|status| status.job.is_some())
    };
    match names.as_slice() {
        [] => None,
        names if names.iter().any(has_number) => Some(SLURM),
        [name] if *name == this_node() => Some(LOCAL),
        _ => Some(NODE),
    }
}

/// Refuses another kind of engine than that with which a folder began, unless nothing was measured yet.
/// Whether what is known of the nodes has to be forgotten.
///
/// # Errors
/// [`Usage`] with both engines and what to type.
pub fn agree(
    args: &FleetArgs,
    folder: &Folder,
    (kept, now): (&Request, &str),
) -> Result<bool, Usage> {
    let Some(then) = kept.engine().or_else(|| of_jobs(folder)) else { return Ok(false) };
    if kind(then) == kind(now) || [then, now].contains(&NONE) || folder.names().is_empty() {
        return Ok(false);
    }
    let is_measured = folder.names().iter().any(|name| folder.tuned(name) != Tuned::Not);
    // A job of Slurm may come yet.
    if !is_measured && then != SLURM {
        return Ok(true);
    }
    let (dir, cure) = (args.dir.display(), "take a new folder, or leave --engine out");
    Err(Usage(format!(
        "{dir}: begun with --engine '{then}': with '{now}' a node's name may mean another machine, \
         or a job has other CPUs, and tunes could not be compared: {cure}"
    )))
}

/// What engine a word stands for; nothing for a launcher.
fn kind(word: &str) -> Option<&'static str> {
    [SLURM, LOCAL, NONE].into_iter().find(|kind| *kind == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::NodeStatus;

    #[test]
    fn what_jobs_left_says_what_started_them() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path());
        assert_eq!(of_jobs(&folder), None);
        let left = |name: &str, job: Option<&str>| {
            let job = job.map(ToOwned::to_owned);
            folder.put_status(name, &NodeStatus { job, ..NodeStatus::default() }).unwrap();
            of_jobs(&folder)
        };
        assert_eq!(left(&this_node(), None), Some(LOCAL));
        assert_eq!(left("a", None), Some(NODE));
        assert_eq!(left("b", Some("17")), Some(SLURM));
    }
}
