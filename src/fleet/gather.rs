//! Gathering: profiles, a report and a JSON file, out of what the nodes left.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::comparison::{self, Comparison};
use super::plan::{Records, Scope, groups};
use super::{Folder, Overview};
use crate::io::atomic_write;
use crate::profile::{Profile, Store};
use crate::results;

/// What was gathered.
#[derive(Debug)]
pub struct Gathered {
    /// All tunes that are over.
    pub comparison: Comparison,
    /// The profiles to ship, one per class or node.
    pub profiles: Vec<PathBuf>,
    /// The one that loses least where it loses most, where one can be told.
    pub safest: Option<PathBuf>,
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
    let mut gathered =
        Gathered { comparison, profiles: Vec::new(), safest: None, problems: Vec::new() };
    for path in &tuned {
        match put(folder, path) {
            Ok(profile) => gathered.profiles.push(profile),
            Err(error) => gathered.problems.push(format!("{}: {error:#}", path.display())),
        }
    }
    gathered.safest = safest(folder, &gathered.comparison)?;
    if !gathered.comparison.members.is_empty() {
        let page = comparison::page(&gathered.comparison, &[("Nodes", overview.table())])?;
        atomic_write::replace(&folder.path().join("report.html"), page.as_bytes())?;
    }
    let text = format!("{}\n", serde_json::to_string_pretty(&value(folder, &gathered, overview)?)?);
    atomic_write::replace(&folder.path().join("fleet.json"), text.as_bytes())?;
    Ok(gathered)
}

/// Puts the profile of a tune where `exec --auto` finds it.
fn put(folder: &Folder, path: &std::path::Path) -> Result<PathBuf> {
    let results = results::Folder::new(path);
    let profile = Profile::read(&results.profile())?;
    let place = || results.machine().display().to_string();
    let text = fs::read_to_string(results.machine()).with_context(place)?;
    let machine = serde_json::from_str(&text).with_context(place)?;
    let store = Store::new(vec![folder.profiles()]);
    let replaced = store.replaced(&profile, None, &machine)?;
    store.put(&profile, None, &replaced, &machine)
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
    let profile = Profile::read(&results::Folder::new(&member.path).profile())?;
    profile.write(&path)?;
    Ok(Some(path))
}

fn value(folder: &Folder, gathered: &Gathered, overview: &Overview) -> Result<Value> {
    let name = |path: &PathBuf| {
        let path = path.strip_prefix(folder.path()).unwrap_or(path);
        path.display().to_string()
    };
    let compared: Value = serde_json::from_str(&comparison::json(&gathered.comparison)?)?;
    Ok(json!({
        "schema": 1,
        "nodes": overview.nodes,
        "profiles": gathered.profiles.iter().map(name).collect::<Vec<_>>(),
        "safest": gathered.safest.as_ref().map(name),
        "problems": gathered.problems,
        "comparison": compared,
    }))
}
