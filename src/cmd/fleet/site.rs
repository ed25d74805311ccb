//! Site: the folder, the request and the engine of a fleet, as the flags say them.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cli::{FleetArgs, words};
use crate::cmd::{Taken, Usage};
use crate::fleet::engine::{Engine, Launcher, Site, Slurm, SlurmOptions, this_node};
use crate::fleet::{Folder, Node, Request, expanded};
use crate::io::lock::{Lock, Locked};
use crate::results::owners;
use crate::runner::nodes::agents::NODE;

/// Time for whatever goes on around a tune: starting, the trial that runs on, the report.
const MARGIN: Duration = Duration::from_secs(600);

/// Between two looks at the engine.
pub const POLL: Duration = Duration::from_secs(5);

/// Looks after which what a job wrote can be seen, whatever file system it is on.
const LOOKS: u32 = 12;

/// The word for an engine that starts nothing.
pub const NONE: &str = "none";

/// The fleet's folder, made where there is none.
///
/// # Errors
/// It can't be made.
pub fn made(dir: &Path) -> Result<Folder> {
    let place = || dir.display().to_string();
    fs::create_dir_all(dir).with_context(place)?;
    let folder = Folder::new(dir.canonicalize().with_context(place)?);
    for path in [folder.log(), folder.path().join("nodes"), folder.profiles()] {
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
    }
    Ok(folder)
}

/// One coordinator at a time.
///
/// # Errors
/// [`Taken`] names the other one.
pub fn lock(folder: &Folder) -> Result<Lock> {
    let taken = Lock::take_in(folder.path(), false, &AtomicBool::new(false));
    taken.map_err(|error| match error.downcast_ref::<Locked>() {
        Some(Locked { holder, .. }) => {
            let dir = folder.path().display();
            Taken(format!("another one works on {dir}: {holder}; --status shows how far it is"))
                .into()
        }
        None => error,
    })
}

/// What is asked: by the command line, by the folder where that says nothing, or by both alike.
/// Also whether the folder does not hold it yet.
///
/// # Errors
/// [`Usage`] where they differ, or neither says anything.
pub fn request(args: &FleetArgs, folder: &Folder) -> Result<(Request, bool)> {
    let kept = Request::read(folder)?;
    let typed: Vec<OsString> =
        std::env::args_os().skip_while(|word| word != "fleet").skip(1).collect();
    let own = words::of_tune(&typed, args.dir.as_os_str());
    let Some(budget) = args.tune.budget else {
        let dir = args.dir.display();
        let Some(kept) = kept else {
            return Err(Usage(format!("{dir}: no fleet yet: give --budget 30m")).into());
        };
        if !own.is_empty() {
            let cure = "give --budget and all flags as at first, or none of them";
            return Err(Usage(format!("{dir}: {cure}")).into());
        }
        if let Some(who) = owners::other(&folder.request()) {
            return Err(Usage(format!("{who}: read it, and type its command again")).into());
        }
        return Ok((kept, false));
    };
    let here = match args.fleet.manifest {
        // Pods start in the folder, wherever this was typed.
        Some(_) => folder.path().to_owned(),
        None => std::env::current_dir().context("the working folder")?,
    };
    let now = Request::new(here, budget.as_secs_f64(), &own);
    match kept {
        Some(kept) => match kept.agree(&now) {
            Ok(()) => Ok((kept, false)),
            Err(problem) => Err(Usage(format!("{}: {problem}", args.dir.display())).into()),
        },
        None => Ok((now, true)),
    }
}

/// How long a job may take.
pub fn limit(request: &Request) -> Duration {
    Duration::try_from_secs_f64(request.budget_s).unwrap_or_default() + MARGIN
}

/// The names in a list; none where there is none.
///
/// # Errors
/// [`Usage`] for a list that makes no sense.
pub fn named(list: Option<&str>) -> Result<Vec<String>, Usage> {
    list.map_or(Ok(Vec::new()), expanded).map_err(|problem| Usage(format!("--nodes {problem}")))
}

/// What starts jobs.
///
/// # Errors
/// [`Usage`] where it can't be had.
pub fn engine(args: &FleetArgs, request: &Request, folder: &Folder) -> Result<Box<dyn Engine>> {
    let fleet = &args.fleet;
    let site = Site {
        program: std::env::current_exe().context("finding this program")?,
        folder: folder.path().to_owned(),
        work_folder: request.work_folder.clone(),
        tune_limit: limit(request),
    };
    let usual = if Slurm::is_here() { "slurm" } else { "local" };
    let words = fleet.engine.as_deref().unwrap_or(usual);
    if words == "slurm" {
        let options = SlurmOptions {
            partition: fleet.partition.clone(),
            account: fleet.account.clone(),
            qos: fleet.qos.clone(),
            constraint: fleet.constraint.clone(),
            nodes: fleet.node_list.clone(),
            exclude: fleet.exclude.clone(),
            words: split(fleet.sbatch.as_deref().unwrap_or_default())?,
        };
        let settles = poll(args, POLL) * LOOKS;
        return Ok(Box::new(Slurm::new(options, site, &folder.digest(), settles)));
    }
    let template = match words {
        "local" | NONE => Vec::new(),
        words if words.contains(NODE) => split(words)?,
        words => {
            let cure = format!("slurm, local, none, or a command with {NODE}, as in 'ssh {NODE}'");
            return Err(Usage(format!("--engine {words}: give {cure}")).into());
        }
    };
    let mut nodes = named(fleet.node_list.as_deref())?;
    if nodes.is_empty() {
        nodes = match words {
            "local" => vec![this_node()],
            NONE => folder.names(),
            _ => {
                return Err(
                    Usage(format!("--engine '{words}': name the nodes with --nodes")).into()
                );
            }
        };
    }
    let left = named(fleet.exclude.as_deref())?;
    nodes.retain(|node| !left.contains(node));
    Ok(Box::new(Launcher::new(template, nodes, site)))
}

/// The nodes as the engine lists them, or those in the folder where it does not answer.
pub fn listed(engine: &mut dyn Engine, folder: &Folder) -> Vec<Node> {
    engine.nodes().unwrap_or_else(|error| {
        crate::cmd::terminal::tell(&format!("warning: {error:#}"));
        folder.names().into_iter().map(Node::named).collect()
    })
}

/// Between two looks at the engine.
pub fn poll(args: &FleetArgs, usual: Duration) -> Duration {
    let given = args.fleet.poll.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    given.unwrap_or(usual)
}

/// Words as a shell would part them.
fn split(text: &str) -> Result<Vec<String>, Usage> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(end), letter) if letter == end => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(Usage(format!("`{text}`: a quote is not closed")));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_as_a_shell_does() {
        let parted = |text: &str| split(text).unwrap();
        assert_eq!(parted("ssh -o 'A B=\"c\"' {node}"), ["ssh", "-o", "A B=\"c\"", "{node}"]);
        assert_eq!(parted(" --a='' \"\" b"), ["--a=", "", "b"]);
        assert!(split("'a").is_err());
    }
}
