//! `agent`: runs trials on this node for a tune on another one.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use anyhow::{Context, Result, bail};

use super::Prepared;
use crate::cli::{Cli, TuneArgs};
use crate::cmd::setup::{custom, runner};
use crate::io::digest::digest;
use crate::io::held;
use crate::machine::threads;
use crate::runner::nodes::agents::message::{
    AgentMessage, Hello, Setup, TrialReport, TunerMessage,
};
use crate::runner::{Runner, TrialRequest, protocol};
use crate::workload::Workload;

/// Runs trials until nobody wants more.
///
/// # Errors
/// The tune can't run here, as its tuner is told too; or there is no tuner.
pub fn run() -> Result<()> {
    let mut replies = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // Whatever else prints says it to people.
    rustix::stdio::dup2_stdout(io::stderr())?;
    let first = io::stdin().lines().next().context("nobody says what to tune")??;
    let Ok(TunerMessage::Setup(setup)) = serde_json::from_str(&first) else {
        bail!("this is for a tuner to speak to: it starts agents for --nodes");
    };
    let (mut prepared, requests) = match ready(&setup, &mut replies) {
        Ok(ready) => ready,
        Err(error) => {
            reply(&mut replies, &AgentMessage::Refused(format!("{error:#}")))?;
            return Err(error);
        }
    };
    let scratch = runner::scratch(&env::temp_dir())?;
    scratch.path().clone_into(&mut prepared.runner.scratch);
    let loaded = prepared.loaded.as_ref();
    let hello = Hello {
        tool: crate::TOOL.to_owned(),
        worker: prepared.worker(),
        machine: prepared.runner.machine.clone(),
        baseline: prepared.runner.baseline(),
        without_default: loaded
            .map(|loaded| loaded.effect.without_default.clone())
            .unwrap_or_default(),
    };
    reply(&mut replies, &AgentMessage::Hello(Box::new(hello)))?;
    let loaded = prepared.loaded.take();
    let stop = &prepared.runner.stop;
    let of_trials = runner::of_trials(&prepared.runner, loaded);
    let mut known = BTreeSet::new();
    for request in requests {
        let trial = of_trials.run(&request)?;
        let references = references(scratch.path(), &request.workload, &mut known)?;
        let ended = TrialReport { trial, news: of_trials.news(), references };
        reply(&mut replies, &AgentMessage::Ended(Box::new(ended)))?;
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

/// What the tune's flags come to on this node, and the trials that are asked for.
fn ready(setup: &Setup, replies: &mut File) -> Result<(Prepared, Receiver<TrialRequest>)> {
    let flags = flags(setup)?;
    let mut prepared = Prepared::new(&flags, Vec::new(), Vec::new())?;
    // A tuner that is gone ends a worker that loads, too.
    let requests = requests(Arc::clone(&prepared.runner.stop))?;
    if prepared.has_to_ask() {
        reply(replies, &AgentMessage::Asks)?;
    }
    prepared.ask(&flags)?;
    Ok((prepared, requests))
}

/// The tune's flags as they are meant for one node.
fn flags(setup: &Setup) -> Result<TuneArgs> {
    if setup.tool != crate::TOOL {
        bail!("its program is {}, not {}", crate::TOOL, setup.tool);
    }
    env::set_current_dir(&setup.folder).with_context(|| setup.folder.clone())?;
    let mut flags = Cli::read(&setup.arguments)?.tune;
    // The tuner proposes, by what it knows.
    (flags.nodes, flags.warm_start, flags.cold) = (None, Vec::new(), true);
    flags.runner.wait |= setup.waits;
    if setup.custom_folder.is_some() {
        flags.custom.folder.clone_from(&setup.custom_folder);
    }
    custom::suit(&flags)
}

/// The trials that are asked for. What asks to end one sets `stop`, as does a tuner that is gone.
fn requests(stop: Arc<AtomicBool>) -> Result<Receiver<TrialRequest>> {
    let (sender, requests) = channel();
    threads::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(TunerMessage::Trial(request)) => drop(sender.send(*request)),
                Ok(TunerMessage::Stop) => break,
                _ => {}
            }
        }
        stop.store(true, Ordering::Relaxed);
    })?;
    Ok(requests)
}

fn reply(replies: &mut File, reply: &AgentMessage) -> Result<()> {
    let line = serde_json::to_string(reply)? + "\n";
    replies.write_all(line.as_bytes()).context("answering the tuner")
}

/// Digests of the reference pictures that are there for the first time.
fn references(
    scratch: &Path,
    workload: &Workload,
    known: &mut BTreeSet<String>,
) -> Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    for name in protocol::references(workload) {
        let file = held::now(scratch).join(&name);
        if file.exists() && known.insert(name.clone()) {
            let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
            digests.insert(name, digest(bytes));
        }
    }
    Ok(digests)
}
