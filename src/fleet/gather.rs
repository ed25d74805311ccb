//! Gathering: profiles, a report and a JSON file, out of what the nodes left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::comparison::{self, Comparison};
use super::plan::{Records, Scope, groups};
use super::{Folder, Overview};
use crate::io::atomic_write;
use crate::io::number::percent;
use crate::machine::{Machine, threads};
use crate::profile::{Entry, Profile, Store};
use crate::results;
use crate::stats;

/// What was gathered.
#[derive(Debug)]
pub struct Gathered {
    /// All tunes that are over.
    pub comparison: Comparison,
    /// The profiles to ship, one per class or node.
    pub profiles: Vec<PathBuf>,
    /// The profile whose largest loss over the members is smallest, where one can be told.
    pub safest: Option<PathBuf>,
    /// Nodes that are slower or faster than others of their class, in words.
    pub odd: Vec<String>,
    /// What could not be used, and why.
    pub problems: Vec<String>,
}

/// Makes the profiles and reports of a fleet's folder.
///
/// # Errors
/// They can't be written. A node's results that can't be read are a problem, not an error.
pub fn gather(
    folder: &Folder,
    records: &Records,
    scope: Scope,
    overview: &Overview,
) -> Result<Gathered> {
    let groups = groups(records, scope);
    let tuned = groups.iter().filter_map(|group| group.tuned(records)?.tuned.done());
    let tuned: Vec<PathBuf> = tuned.map(ToOwned::to_owned).collect();
    let comparison = Comparison::open(&tuned);
    let (profiles, problems, odd) = (Vec::new(), Vec::new(), odd(&comparison));
    let mut gathered = Gathered { comparison, profiles, safest: None, odd, problems };
    let store = Store::new(vec![folder.profiles()]);
    let (kept, mut written) = (store.kept()?, BTreeSet::new());
    let read: Vec<Result<Shipped>> = threads::pooled(|| {
        tuned.par_iter().map(|path| Shipped::read(&store, &kept, path)).collect()
    });
    for (path, shipped) in tuned.iter().zip(read) {
        match shipped.and_then(|shipped| shipped.put(&store, &mut written)) {
            Ok(profile) => gathered.profiles.push(profile),
            Err(error) => gathered.problems.push(format!("{}: {error:#}", path.display())),
        }
    }
    let skipped: Vec<String> =
        gathered.comparison.skipped.iter().map(|(_, why)| why.clone()).collect();
    gathered.problems.extend(skipped);
    gathered.safest = safest(folder, &gathered.comparison)?;
    if !gathered.comparison.members.is_empty() {
        let page = comparison::page(&gathered.comparison, &[("Nodes", overview.table())])?;
        keep(&folder.path().join("report.html"), &page)?;
    }
    let text = format!("{}\n", serde_json::to_string_pretty(&value(folder, &gathered, overview))?);
    keep(&folder.path().join("fleet.json"), &text)?;
    Ok(gathered)
}

/// Writes a file, unless it is there as it is to be: each write waits for the disk.
fn keep(path: &Path, text: &str) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    atomic_write::replace(path, text.as_bytes())
}

/// Fewer nodes of a class than these do not say what is usual.
const FEWEST: usize = 4;

/// More than this many deviations from what is usual are odd.
const ODD: f64 = 3.0;

/// Smaller deviations than this share are no news.
const LEAST: f64 = 0.01;

/// The nodes whose baseline takes another time than is usual in their class.
fn odd(comparison: &Comparison) -> Vec<String> {
    let mut classes: BTreeMap<&str, Vec<(&str, f64)>> = BTreeMap::new();
    for member in &comparison.members {
        let baseline = member.space.candidate(&member.baseline);
        let cost = baseline.and_then(|baseline| member.measured.get(&baseline));
        let costs = classes.entry(&member.traits.class).or_default();
        costs.extend(cost.map(|cost| (member.traits.host.as_str(), cost.ln())));
    }
    let of_class = |costs: Vec<(&str, f64)>| {
        let logs: Vec<f64> = costs.iter().map(|(_, log)| *log).collect();
        let usual = stats::median(&logs).filter(|_| logs.len() >= FEWEST)?;
        let distances: Vec<f64> = logs.iter().map(|log| (log - usual).abs()).collect();
        // The deviation of a normal distribution with this median distance.
        let deviation = (1.4826 * stats::median(&distances)?).max(LEAST);
        let is_odd = |(_, log): &(&str, f64)| (log - usual).abs() > ODD * deviation;
        let words = |(host, log): (&str, f64)| {
            let (share, word) = match log > usual {
                true => ((log - usual).exp() - 1.0, "more"),
                false => (1.0 - (log - usual).exp(), "less"),
            };
            format!(
                "{host} is odd: its baseline takes {} {word} than usual in its class",
                percent(share)
            )
        };
        Some(costs.into_iter().filter(is_odd).map(words).collect::<Vec<_>>())
    };
    classes.into_values().filter_map(of_class).flatten().collect()
}

/// The profile of a tune, on its way to where `exec --auto` finds it.
struct Shipped {
    profile: Profile,
    machine: Machine,
    /// The kept ones whose place it takes.
    replaced: Vec<Entry>,
}

impl Shipped {
    fn read(store: &Store, kept: &[PathBuf], path: &Path) -> Result<Self> {
        let results = results::Folder::new(path);
        let profile = Profile::read(&results.profile())?;
        let place = || results.machine().display().to_string();
        let text = fs::read_to_string(results.machine()).with_context(place)?;
        let machine = serde_json::from_str(&text).with_context(place)?;
        let replaced = store.replaced(kept, &profile, None, &machine)?;
        Ok(Self { profile, machine, replaced })
    }

    /// Puts it there, unless it is there; `written` are the files that were put there before it.
    fn put(&self, store: &Store, written: &mut BTreeSet<PathBuf>) -> Result<PathBuf> {
        let is_there = |one: &Entry| one.profile.as_ref().is_ok_and(|one| *one == self.profile);
        if let [one] = &self.replaced[..]
            && is_there(one)
            && !written.contains(&one.path)
        {
            return Ok(one.path.clone());
        }
        let path = store.put(&self.profile, None, &self.replaced, &self.machine)?;
        written.insert(path.clone());
        Ok(path)
    }
}

/// Writes the profile of the least worst regret over all tunes; that of the only one, where there is
/// but one.
fn safest(folder: &Folder, comparison: &Comparison) -> Result<Option<PathBuf>> {
    let path = folder.profiles().join("fleet.json");
    let safest = comparison.portability.safest().first().map(|profile| profile.from[0]);
    let only = (comparison.members.len() == 1).then_some(0);
    let Some(member) = safest.or(only).map(|at| &comparison.members[at]) else {
        // One of an earlier call stands for fewer nodes.
        if path.exists() {
            atomic_write::remove(&path)?;
        }
        return Ok(None);
    };
    // That it can't be read was told where it was to be put.
    let profile = Profile::read(&results::Folder::new(&member.path).profile());
    let Ok(profile) = profile else { return Ok(None) };
    if !Profile::read(&path).is_ok_and(|there| there == profile) {
        profile.write(&path)?;
    }
    Ok(Some(path))
}

fn value(folder: &Folder, gathered: &Gathered, overview: &Overview) -> Value {
    let name = |path: &PathBuf| {
        let path = path.strip_prefix(folder.path()).unwrap_or(path);
        path.display().to_string()
    };
    json!({
        "schema": 1,
        "nodes": overview.nodes,
        "profiles": gathered.profiles.iter().map(name).collect::<Vec<_>>(),
        "safest": gathered.safest.as_ref().map(name),
        "odd": gathered.odd,
        "problems": gathered.problems,
        "comparison": comparison::value(&gathered.comparison),
    })
}
