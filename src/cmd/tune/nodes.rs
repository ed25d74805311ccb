//! `--nodes`: which nodes search together, and how agents are started there.

use std::env;
use std::ffi::OsString;

use anyhow::{Context, Result};

use super::prepared::LONGEST;
use crate::cli::{NodesChoice, TuneArgs, words};
use crate::cmd::{Usage, terminal};
use crate::fleet::engine::{Allocation, BatchJob, Slurm, WHOLE_NODE, Warned, limit};
use crate::io::digest::digest;
use crate::io::shell;
use crate::runner::nodes::NodeList;
use crate::runner::nodes::agents::message::Setup;
use crate::runner::nodes::agents::{Agents, AgentsConfig, Launcher, Patience};

/// Submits the tune as a Slurm job, where it is for several nodes and this is no place to start them
/// from; says whether it did.
///
/// # Errors
/// [`Usage`] where there is no Slurm; what sbatch says.
pub fn submitted(args: &TuneArgs) -> Result<bool> {
    let Some(choice) = &args.nodes else { return Ok(false) };
    check(args, choice)?;
    if args.launcher.is_some() || Allocation::of_process().is_some() {
        return Ok(false);
    }
    if !Slurm::is_here() {
        let cure = "give --launcher 'ssh {node}' and the nodes' names, or start it where Slurm is";
        return Err(Usage(format!("--nodes {choice}: there is no sbatch here: {cure}")).into());
    }
    let program = env::current_exe().context("finding this program")?.into_os_string();
    let words: Vec<OsString> = [program].into_iter().chain(env::args_os().skip(1)).collect();
    let moment = format!("{} {}", std::process::id(), jiff::Timestamp::now());
    let batch = BatchJob {
        name: format!("wan22-tune-{}", &digest(moment)[..8]),
        log: "wan22-tune-%j.log".into(),
        limit: limit(args.budget.unwrap_or_default()),
        warned: Warned::Script,
        flags: flags(choice),
        line: shell::line(&words),
    };
    let job = batch.submit_once()?;
    terminal::show(&format!(
        "Submitted as job {job}. What it says goes to wan22-tune-{job}.log; scancel {job} ends it \
         with what it has.\n"
    ))?;
    Ok(true)
}

/// A job that no other one shares its nodes with. A node that fails takes no other along, and a tune
/// that was ended is gone on with, not begun anew.
fn flags(choice: &NodesChoice) -> Vec<String> {
    let (least, most) = (choice.least().max(2), choice.most());
    let count = format!("--nodes={}-{most}", least.min(most));
    let names = match choice {
        NodesChoice::Named(names) => Some(format!("--nodelist={names}")),
        NodesChoice::Count(..) => None,
    };
    let fixed = WHOLE_NODE.into_iter().chain(["--no-kill", "--no-requeue"]).map(str::to_owned);
    fixed.chain([count]).chain(names).collect()
}

fn check(args: &TuneArgs, choice: &NodesChoice) -> Result<(), Usage> {
    if choice.most() > 1 && args.strategy.searches_alone() {
        let strategy = args.strategy;
        let cure = "take one node, or another strategy such as portfolio";
        return Err(Usage(format!(
            "--nodes {choice}: {strategy} searches alone, each step depends on the one before: {cure}"
        )));
    }
    Ok(())
}

/// The nodes of the tune's flags with an agent on each, which reads its `words`; nothing where one
/// machine tunes by itself.
///
/// # Errors
/// [`Usage`] where nobody says which nodes; or too few can take part.
pub fn open(args: &TuneArgs, words: Vec<String>) -> Result<Option<Agents>> {
    let Some(choice) = &args.nodes else { return Ok(None) };
    check(args, choice)?;
    let allocation = Allocation::of_process();
    let template = args.launcher.clone().or(allocation.as_ref().map(|_| Launcher::SLURM.into()));
    let cure = "give --launcher, such as 'ssh {node}', or start it inside a Slurm allocation";
    let template = template.ok_or_else(|| Usage(format!("--nodes {choice}: {cure}")))?;
    let launcher = Launcher::of(&template).map_err(|why| Usage(format!("--launcher {why}")))?;
    if choice.most() > 1 && args.custom.output.is_some() {
        let shares = "nodes that share a folder take each other's --output for their own";
        if launcher.is_local() {
            return Err(Usage(format!("--nodes {choice}: {shares}")).into());
        }
        terminal::tell(&format!("warning: {shares}: write it to a disk of each node"));
    }
    let names = names(choice, &launcher, allocation)?;
    let least = choice.least();
    let folder = env::current_dir().context("the working folder")?;
    let setup = Setup {
        tool: crate::TOOL.to_owned(),
        folder: folder.to_str().context("the working folder's name is not UTF-8")?.to_owned(),
        custom_folder: args.custom.folder.clone(),
        arguments: arguments(words, args),
        waits: false,
    };
    let program = env::current_exe().context("finding this program")?;
    let count = crate::io::number::count(names.len(), "node");
    terminal::tell(&format!("starting agents on {count}: {}", names.join(", ")));
    let patience = Patience::of(args.budget.unwrap_or(LONGEST));
    let start = AgentsConfig { launcher, program, setup, patience };
    Ok(Some(Agents::open(start, names, least)?))
}

/// The tune's words with what it took from elsewhere, so that every node reads the same.
fn arguments(mut words: Vec<String>, args: &TuneArgs) -> Vec<String> {
    let has = |flag: &str| words.iter().any(|word| word.split('=').next() == Some(flag));
    let worker = args.runner.worker.as_ref().and_then(Option::as_ref);
    let worker =
        worker.filter(|_| !has("--worker")).map(|path| format!("--worker={}", path.display()));
    let wait = (args.runner.wait && !has("--wait")).then(|| "--wait".to_owned());
    words::add(&mut words, worker.into_iter().chain(wait));
    words
}

fn names(
    choice: &NodesChoice,
    launcher: &Launcher,
    allocation: Option<Allocation>,
) -> Result<Vec<String>> {
    let (least, most) = match choice {
        NodesChoice::Named(NodeList(names)) => return Ok(names.clone()),
        NodesChoice::Count(least, most) => (*least, *most),
    };
    if launcher.is_local() {
        return Ok((1..=most).map(|number| format!("n{number}")).collect());
    }
    let Some(NodeList(mut hosts)) = allocation.map(|allocation| allocation.nodes) else {
        let cure = "name them, as in --nodes n1,n2";
        return Err(Usage(format!("--nodes {choice}: nobody says which nodes: {cure}")).into());
    };
    hosts.truncate(most);
    if hosts.len() < least {
        let count = hosts.len();
        return Err(Usage(format!("--nodes {choice}: the allocation has {count}")).into());
    }
    Ok(hosts)
}
