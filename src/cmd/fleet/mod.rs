//! `fleet`: many machines tuned by jobs of an engine.

pub mod compare;
mod engine_word;
mod here;
mod site;
mod watch;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};

use self::watch::Watched;
use super::{Usage, terminal};
use crate::cli::{FleetArgs, FleetManifest};
use crate::fleet::{
    Barred, Coordinator, FleetEnd, Folder, Limits, Overview, Records, Request, gather, manifest,
};
use crate::io::number::{count, digits, span};
use crate::io::{exit_code, output, printable};
use crate::runner::nodes::NodeList;

/// Does what was asked of a fleet.
///
/// # Errors
/// [`Usage`] that says what to type instead; the folder can't be written.
pub fn run(args: &FleetArgs) -> Result<ExitCode> {
    if let Some(task) = args.fleet.here {
        return here::run(args, task);
    }
    let args = &site::resumed(args)?;
    if args.fleet.status {
        return status(args).map(|()| ExitCode::SUCCESS);
    }
    if args.tune.dry_run {
        return dry_run(args).map(|()| ExitCode::SUCCESS);
    }
    if let Some(FleetManifest::K8s) = args.fleet.manifest {
        return print_manifest(args).map(|()| ExitCode::SUCCESS);
    }
    let folder = site::made(&args.dir)?;
    let lock = site::lock(&folder)?;
    let asked = site::request(args, &folder)?;
    let mut engine = site::engine(args, &asked.request, &folder)?;
    asked.forget(&folder);
    if engine.is_lasting() {
        // A job that is being submitted is known before another one looks.
        lock.hand_on()?;
    }
    let mut coordinator = Coordinator::new(&mut *engine, &folder, limits(args))?;
    let only_gathers = args.fleet.engine.as_deref() == Some(engine_word::NONE);
    if !only_gathers && !coordinator.missing().is_empty() {
        asked.agree(&args.dir)?;
    }
    asked.keep(&folder)?;
    let watched = match only_gathers {
        true => Watched::Over(coordinator.ended()),
        false => watch::run(args, &folder, &mut coordinator)?,
    };
    finish(args, &folder, &coordinator, watched)
}

/// Says how the fleet stands once nobody watches it any more.
fn finish(
    args: &FleetArgs,
    folder: &Folder,
    coordinator: &Coordinator<'_>,
    watched: Watched,
) -> Result<ExitCode> {
    let (records, barred) = (coordinator.records(), coordinator.barred());
    // What failed is not tried again now.
    let mut failed = crate::fleet::failed(records);
    failed.extend(barred.clone());
    let overview = Overview::of(records, args.fleet.each, &failed, coordinator.jobs());
    let ended = match watched {
        Watched::Over(ended) => ended,
        Watched::Detached => return left(&overview).map(|()| ExitCode::SUCCESS),
        Watched::Signalled => {
            return left(&overview).map(|()| ExitCode::from(exit_code::SOME_NODES));
        }
    };
    if let FleetEnd::Usage(words) = &ended {
        return Err(Usage(format!("a node says: {words}")).into());
    }
    conclude(args, folder, records, barred, &overview)?;
    Ok(if ended == FleetEnd::All {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit_code::SOME_NODES)
    })
}

fn limits(args: &FleetArgs) -> Limits {
    let fleet = &args.fleet;
    let (at_once, tries, patience) = (fleet.at_once as usize, fleet.tries, fleet.patience);
    Limits { scope: fleet.each, at_once, tries, patience }
}

fn overview(args: &FleetArgs, coordinator: &Coordinator<'_>) -> Overview {
    let (records, barred) = (coordinator.records(), coordinator.barred());
    Overview::of(records, args.fleet.each, barred, coordinator.jobs())
}

/// Says what runs on, and how to come back.
fn left(overview: &Overview) -> Result<()> {
    terminal::show(&overview.table().to_terminal())?;
    terminal::show(
        "The jobs run on. The same command with --status shows them, without --detach goes on and \
         gathers.\n",
    )
}

/// Gathers, and says what came out.
fn conclude(
    args: &FleetArgs,
    folder: &Folder,
    records: &Records,
    barred: &Barred,
    overview: &Overview,
) -> Result<()> {
    let gathered = gather::gather(folder, records, args.fleet.each, overview)?;
    gathered.problems.iter().for_each(|problem| terminal::tell(&format!("warning: {problem}")));
    if args.tune.view.json {
        let text = fs::read_to_string(folder.path().join("fleet.json")).context("fleet.json")?;
        return output::print_json(&text);
    }
    terminal::show(&overview.table().to_terminal())?;
    let comparison = &gathered.comparison;
    if !comparison.members.is_empty() && !args.tune.view.quiet {
        terminal::show(&format!("\n{}", crate::fleet::comparison::text(comparison)))?;
    }
    let dir = args.dir.display();
    let mut lines = format!("\n{} in {dir}/profiles", count(gathered.profiles.len(), "profile"));
    if gathered.safest.is_some() {
        lines.push_str(", and fleet.json, which does for all of them");
    }
    let page = (!comparison.members.is_empty()).then(|| format!("; {dir}/report.html"));
    lines.push_str(&format!("{}\n", page.unwrap_or_default()));
    lines.extend(gathered.odd.iter().map(|odd| format!("{odd}\n")));
    for row in overview.failures() {
        lines.push_str(&format!("{} {}: {}\n", row.node, row.state, printable::line(&row.detail)));
    }
    if overview.failures().next().is_some() || !barred.is_empty() {
        lines.push_str("The same command tries again what is missing.\n");
    }
    terminal::show(&lines)
}

/// Shows how the nodes stand, and starts nothing.
fn status(args: &FleetArgs) -> Result<()> {
    let dir = args.dir.display();
    let none = || {
        Usage(format!("{dir}: no fleet: fleet.toml is missing; --budget 30m instead begins one"))
    };
    let folder = Folder::new(args.dir.canonicalize().map_err(|_| none())?);
    let request = Request::read(&folder)?.ok_or_else(none)?;
    let mut engine = site::engine(args, &request, &folder)?;
    let listed = site::listed(&mut *engine, &folder)?;
    let records = folder.records(listed);
    let jobs = engine.jobs().unwrap_or_default();
    let live = jobs.iter().filter(|job| !job.is_over());
    let overview = Overview::of(&records, args.fleet.each, &crate::fleet::failed(&records), live);
    if args.tune.view.json {
        return output::print_value(&overview);
    }
    terminal::show(&overview.table().to_terminal())
}

/// Shows the nodes and the jobs that would be started, and starts nothing.
fn dry_run(args: &FleetArgs) -> Result<()> {
    let folder = Folder::new(std::path::absolute(&args.dir)?);
    let request = site::request(args, &folder)?.request;
    let mut engine = site::engine(args, &request, &folder)?;
    let listed = site::listed(&mut *engine, &folder)?;
    let records = folder.records(listed);
    let jobs = engine.jobs().unwrap_or_default();
    let live: Vec<_> = jobs.into_iter().filter(|job| !job.is_over()).collect();
    let missing = crate::fleet::plan(&records, args.fleet.each, &Barred::new(), &live);
    let overview = Overview::of(&records, args.fleet.each, &Barred::new(), live.iter());
    terminal::show(&overview.table().to_terminal())?;
    let lines = missing.iter().map(|job| format!("{}\n", engine.described(job)));
    output::print(&format!("\n{}", lines.collect::<String>()))?;
    terminal::show(&cost(args, &records, &request))
}

/// What a fleet takes at the most.
fn cost(args: &FleetArgs, records: &Records, request: &Request) -> String {
    let unknown = records.values().filter(|record| record.class.is_none()).count();
    let groups = crate::fleet::groups(records, args.fleet.each);
    let open = groups.iter().filter(|group| group.tuned(records).is_none()).count();
    let hours = digits((open + unknown) as f64 * request.budget_s / 3600.0);
    let nodes = count(records.len(), "node");
    let (tunes, each) = (count(open + unknown, "tune"), span(request.budget_s));
    if unknown == 0 {
        return format!("\n{nodes}; {tunes} of {each}: {hours} node-hours.\n");
    }
    format!(
        "\n{nodes}, {unknown} of them not probed yet. Equal ones are tuned once: at most {tunes} of \
         {each}, {hours} node-hours.\n"
    )
}

fn print_manifest(args: &FleetArgs) -> Result<()> {
    let folder = site::made(&args.dir)?;
    let asked = site::request(args, &folder)?;
    let NodeList(nodes) = args.fleet.node_list.clone().unwrap_or_default();
    if nodes.is_empty() {
        return Err(Usage("--nodes is missing: name the nodes as kubectl does".to_owned()).into());
    }
    asked.keep(&folder)?;
    let manifest = manifest::Manifest {
        image: args.fleet.pod_image.as_deref().unwrap_or_default(),
        claim: &args.fleet.claim,
        folder: folder.path(),
        nodes: &nodes,
        at_once: args.fleet.at_once as usize,
        tries: args.fleet.tries,
        limit_s: site::limit(&asked.request).as_secs(),
    };
    output::print(&manifest.yaml())
}
