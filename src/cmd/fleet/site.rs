//! Site: the folder, the request and the engine of a fleet, as the flags say them.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use super::engine_word::{self, LOCAL, NONE, SLURM};
use crate::cli::{Cli, Command, FleetArgs, words};
use crate::cmd::{FolderLocked, Usage, terminal};
use crate::fleet::engine::{self, Engine, LauncherEngine, Site, Slurm, SlurmOptions, this_node};
use crate::fleet::{Change, Folder, Node, Request};
use crate::io::lock::{Lock, Locked};
use crate::io::shell;
use crate::results::owners;
use crate::runner::nodes::NodeList;
use crate::runner::nodes::agents::{self, NODE};

/// Between two looks at the engine.
pub const POLL: Duration = Duration::from_secs(5);

/// Looks after which what a job wrote can be seen, whatever file system it is on.
const LOOKS: u32 = 12;

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
/// [`FolderLocked`] names the other one.
pub fn lock(folder: &Folder) -> Result<Lock> {
    let taken = Lock::take_in(folder.path(), false, &AtomicBool::new(false));
    taken.map_err(|error| match error.downcast_ref::<Locked>() {
        Some(Locked { holder, .. }) => {
            let dir = folder.path().display();
            FolderLocked(format!(
                "another one works on {dir}: {holder}; --status shows how far it is"
            ))
            .into()
        }
        None => error,
    })
}

/// The flags, with those that the folder keeps of earlier calls.
///
/// # Errors
/// The folder keeps some that make no sense.
pub fn resumed(args: &FleetArgs) -> Result<FleetArgs> {
    let folder = Folder::new(std::path::absolute(&args.dir)?);
    let own = ["wan22-tune", "fleet"].map(OsString::from);
    let cli = Cli::try_parse_from([&own[..], &line(&folder)?].concat());
    let cli = cli.map_err(|error| Usage(format!("{}: {error}", folder.request().display())))?;
    match cli.command {
        Some(Command::Fleet(args)) => Ok(*args),
        _ => bail!("{}: this is no command of a fleet", folder.request().display()),
    }
}

/// The words after `fleet`.
fn typed() -> Vec<OsString> {
    std::env::args_os().skip_while(|word| word != "fleet").skip(1).collect()
}

/// The same, with what the folder keeps, where nobody else can have written that.
fn line(folder: &Folder) -> Result<Vec<OsString>> {
    let is_own = owners::other(&folder.request()).is_none();
    let kept = if is_own { Request::read(folder)? } else { None };
    let earlier = kept.map_or(Ok(Vec::new()), |kept| kept.flags())?;
    Ok(words::resumed(&earlier, &typed()))
}

/// What a fleet is asked for.
pub struct Asked {
    /// The request.
    pub request: Request,
    /// In what it differs from what the folder holds; nothing where that holds none.
    changes: Vec<Change>,
    is_first: bool,
    /// Whether the nodes may be other machines than those that are known.
    forgets: bool,
}

impl Asked {
    /// Has the folder keep it, and says what changes there.
    ///
    /// # Errors
    /// It can't be written.
    pub fn keep(&self, folder: &Folder) -> Result<()> {
        for change in &self.changes {
            terminal::tell(&format!("fleet.toml: {change}: that is kept from now on"));
        }
        if self.is_first || !self.changes.is_empty() {
            self.request.write(folder)?;
        }
        Ok(())
    }

    /// Refuses to go on with what another version began.
    ///
    /// # Errors
    /// [`Usage`] with what to type.
    pub fn agree(&self, dir: &Path) -> Result<(), Usage> {
        let agreed =
            self.request.agree(&Request { tool: crate::TOOL.to_owned(), ..self.request.clone() });
        agreed.map_err(|problem| {
            Usage(format!("{}: {problem}; --engine {NONE} gathers what is there", dir.display()))
        })
    }

    /// Takes away what a first call with another engine found out, where nothing was measured.
    pub fn forget(&self, folder: &Folder) {
        let names = folder.names().into_iter().filter(|_| self.forgets);
        names.for_each(|name| folder.forget_node(&name));
    }
}

/// What is asked: by the command line, by the folder where that says nothing, or by both alike.
///
/// # Errors
/// [`Usage`] where they differ in what can't be compared, or in anything where the folder is another
/// user's; or neither says anything.
pub fn request(args: &FleetArgs, folder: &Folder) -> Result<Asked> {
    let kept = Request::read(folder)?;
    let now = asked(args, folder, kept.as_ref())?;
    let mut flags = words::of_fleet(&line(folder)?);
    let mut engine = engine_word::word(args, kept.as_ref(), folder)?;
    if args.fleet.manifest.is_some() {
        // The cluster itself starts jobs, one on each node.
        flags = words::resumed(&["--each=node".into()], &flags);
        engine = NONE.to_owned();
    }
    let Some(kept) = kept else {
        let (request, changes) = (now.with(&flags, &engine), Vec::new());
        return Ok(Asked { request, changes, is_first: true, forgets: false });
    };
    let forgets = engine_word::agree(args, folder, (&kept, &engine))?;
    // Who only gathers does not know the engine.
    let then = kept.engine().filter(|_| engine == NONE).unwrap_or(&engine);
    let request = now.with(&flags, then);
    let mut changes = kept.changes(&request);
    if let (Some(who), Some(change)) = (owners::other(&folder.request()), changes.first()) {
        let cure = "type all flags as there, or take a new folder";
        return Err(Usage(format!("{who}, and {change}: {cure}")).into());
    }
    if engine == NONE && kept.engine().is_none() {
        changes.clear();
    }
    Ok(Asked { request, changes, is_first: false, forgets })
}

/// What the tunes are to be.
fn asked(args: &FleetArgs, folder: &Folder, kept: Option<&Request>) -> Result<Request> {
    let dir = args.dir.display();
    let own = words::of_tune(&typed(), args.dir.as_os_str());
    let Some(budget) = args.tune.budget else {
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
        return Ok(kept.clone());
    };
    let here = match args.fleet.manifest {
        // Pods start in the folder, wherever this was typed.
        Some(_) => folder.path().to_owned(),
        None => std::env::current_dir().context("the working folder")?,
    };
    let now = Request::new(here, budget.as_secs_f64(), &own);
    let Some(kept) = kept else { return Ok(now) };
    kept.agree(&now).map_err(|problem| Usage(format!("{dir}: {problem}")))?;
    Ok(kept.clone())
}

/// How long a job may take.
pub fn limit(request: &Request) -> Duration {
    engine::limit(Duration::try_from_secs_f64(request.budget_s).unwrap_or_default())
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
    let word = match fleet.engine.as_deref().or(request.engine()) {
        Some(word) => word.to_owned(),
        None if fleet.status => NONE.to_owned(),
        None => engine_word::word(args, Some(request), folder)?,
    };
    let word = word.as_str();
    let listed = |list: &Option<NodeList>| list.clone().unwrap_or_default();
    let (nodes, exclude) = (listed(&fleet.node_list), listed(&fleet.exclude));
    if word == SLURM {
        let words = shell::parted(fleet.sbatch.as_deref().unwrap_or_default());
        let options = SlurmOptions {
            partition: fleet.partition.clone(),
            account: fleet.account.clone(),
            qos: fleet.qos.clone(),
            constraint: fleet.constraint.clone(),
            words: words.map_err(|why| Usage(format!("--sbatch {why}")))?,
            nodes,
            exclude,
        };
        let settles = poll(args, POLL) * LOOKS;
        return Ok(Box::new(Slurm::new(options, site, &folder.digest(), settles)));
    }
    let launcher = match word {
        LOCAL | NONE => agents::Launcher::default(),
        word if word.contains(NODE) => {
            agents::Launcher::of(word).map_err(|why| Usage(format!("--engine {why}")))?
        }
        word => {
            let cure = format!("slurm, local, none, or a command with {NODE}, as in 'ssh {NODE}'");
            return Err(Usage(format!("--engine {word}: give {cure}")).into());
        }
    };
    let NodeList(mut nodes) = nodes;
    if nodes.is_empty() {
        nodes = match word {
            LOCAL => vec![this_node()],
            NONE => folder.names(),
            _ if fleet.status => folder.names(),
            _ => {
                let known = Some(folder.names().join(",")).filter(|names| !names.is_empty());
                let such =
                    known.map_or(String::new(), |names| format!(", such as --nodes {names}"));
                let cure = format!("name the nodes with --nodes{such}");
                return Err(Usage(format!("--engine '{word}': {cure}")).into());
            }
        };
    }
    nodes.retain(|node| !exclude.0.contains(node));
    Ok(Box::new(LauncherEngine::new(launcher, nodes, site)))
}

/// The nodes as the engine lists them, or those in the folder where it does not answer.
///
/// # Errors
/// There are none in the folder, either.
pub fn listed(engine: &mut dyn Engine, folder: &Folder) -> Result<Vec<Node>> {
    let known = folder.names();
    engine.nodes().or_else(|error| {
        if known.is_empty() {
            return Err(error);
        }
        terminal::tell(&format!("warning: {error:#}"));
        Ok(known.into_iter().map(Node::named).collect())
    })
}

/// Between two looks at the engine.
pub fn poll(args: &FleetArgs, usual: Duration) -> Duration {
    let given = args.fleet.poll.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    given.unwrap_or(usual)
}
