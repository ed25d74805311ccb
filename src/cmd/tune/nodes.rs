//! `--nodes`: which nodes search together, and how agents are started there.

use std::env;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cli::{NodesChoice, TuneArgs};
use crate::cmd::{Usage, terminal};
use crate::machine::threads;
use crate::report::tables::usage::quoted;
use crate::runner::nodes::agents::message::Setup;
use crate::runner::nodes::agents::{Agents, Launcher, Start};

/// What a job may take longer than the tune: nodes that start, a trial that ends late, the report.
const SLACK_MIN: u64 = 10;

/// Seconds before its time limit at which Slurm asks the tune to finish.
const NOTICE_S: u64 = 90;

/// Submits the tune as a Slurm job, where it is for several nodes and this is no place to start them
/// from; says whether it did.
///
/// # Errors
/// [`Usage`] where there is no Slurm; what sbatch says.
pub fn submitted(args: &TuneArgs) -> Result<bool> {
    let Some(choice) = &args.nodes else { return Ok(false) };
    check(args, choice)?;
    if args.launcher.is_some() || allocation().is_some() {
        return Ok(false);
    }
    let minutes = args.budget.map_or(0, |budget| budget.as_secs().div_ceil(60)) + SLACK_MIN;
    let words = env::args_os().map(quoted).collect::<Vec<_>>();
    let program = quoted(env::current_exe().context("finding this program")?);
    let (least, most) = (choice.least().max(2), choice.most());
    let mut sbatch = Command::new("sbatch");
    sbatch.args(["--parsable", "--exclusive", "--job-name=wan22-tune", "--open-mode=append"]);
    // A node that fails takes no other along, and a tune that was ended is gone on with, not begun anew.
    sbatch.args(["--no-kill", "--no-requeue"]);
    sbatch.args(["--output=wan22-tune-%j.log".to_owned(), format!("--signal=B:TERM@{NOTICE_S}")]);
    sbatch.args([format!("--time={minutes}"), format!("--nodes={}-{most}", least.min(most))]);
    if let NodesChoice::Named(names) = choice {
        sbatch.arg(format!("--nodelist={}", names.join(",")));
    }
    sbatch.arg(format!("--wrap=exec {program} {}", words[1..].join(" ")));
    let done = sbatch.output().map_err(|error| {
        let cure = "give --launcher 'ssh {node}' and the nodes' names, or start it where Slurm is";
        Usage(format!("--nodes {choice}: sbatch can't be started ({error}): {cure}"))
    })?;
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    ensure!(done.status.success(), "sbatch: {said}");
    let job = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    terminal::show(&format!(
        "Submitted as job {job}. What it says goes to wan22-tune-{job}.log; scancel {job} ends it \
         with what it has.\n"
    ))?;
    Ok(true)
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
    let allocation = allocation();
    let template = args.launcher.clone().or(allocation.as_ref().map(|_| Launcher::SLURM.into()));
    let cure = "give --launcher, such as 'ssh {node}', or start it inside a Slurm allocation";
    let template = template.ok_or_else(|| Usage(format!("--nodes {choice}: {cure}")))?;
    let launcher = Launcher::of(&template);
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
    };
    let program = env::current_exe().context("finding this program")?;
    let count = crate::io::number::count(names.len(), "node");
    terminal::tell(&format!("starting agents on {count}: {}", names.join(", ")));
    let agents = Agents::open(Start { launcher, program, setup }, names, least)?;
    Ok(Some(agents))
}

/// The tune's words with what it took from elsewhere, so that every node reads the same.
fn arguments(mut words: Vec<String>, args: &TuneArgs) -> Vec<String> {
    let has = |flag: &str| words.iter().any(|word| word.split('=').next() == Some(flag));
    let worker = args.runner.worker.as_ref().and_then(Option::as_ref);
    let worker =
        worker.filter(|_| !has("--worker")).map(|path| format!("--worker={}", path.display()));
    let wait = (args.runner.wait && !has("--wait")).then(|| "--wait".to_owned());
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.splice(end..end, worker.into_iter().chain(wait));
    words
}

fn names(
    choice: &NodesChoice,
    launcher: &Launcher,
    allocation: Option<String>,
) -> Result<Vec<String>> {
    let (least, most) = match choice {
        NodesChoice::Named(names) => return Ok(names.clone()),
        NodesChoice::Count(least, most) => (*least, *most),
    };
    if launcher.is_local() {
        return Ok((1..=most).map(|number| format!("n{number}")).collect());
    }
    let Some(list) = allocation else {
        let cure = "name them, as in --nodes n1,n2";
        return Err(Usage(format!("--nodes {choice}: nobody says which nodes: {cure}")).into());
    };
    let said = Command::new("scontrol").args(["show", "hostnames", &list]).output();
    let said = threads::started("scontrol", said)?;
    let hosts = String::from_utf8_lossy(&said.stdout);
    let hosts: Vec<String> = hosts.split_whitespace().take(most).map(ToOwned::to_owned).collect();
    if hosts.len() < least {
        let count = hosts.len();
        return Err(Usage(format!("--nodes {choice}: the allocation has {count}")).into());
    }
    Ok(hosts)
}

/// The nodes of the Slurm allocation that this runs in.
fn allocation() -> Option<String> {
    env::var("SLURM_JOB_ID").ok()?;
    env::var("SLURM_JOB_NODELIST").ok().filter(|list| !list.is_empty())
}
