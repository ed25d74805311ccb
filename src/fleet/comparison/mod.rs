//! Comparison: the tunes of many machines, compared.
//!
//! A [`Member`] is one results folder, condensed; [`Portability`] says how each one's profile does
//! on the others' machines, [`relation`] which knobs move with which property of the machine.
//! [`text()`], [`page()`], [`json()`], [`value()`] and [`csv()`] are pure functions of a [`Comparison`].

mod data;
mod gain;
mod member;
mod page;
pub mod portability;
pub mod relation;
mod scale;
mod tables;
mod text;
mod traits;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

pub use data::{csv, json, value};
pub use gain::{Place, geometric_mean, places};
pub use member::Member;
pub use page::page;
pub use portability::Portability;
pub use text::text;
pub use traits::Traits;

use crate::machine::threads;
use crate::results::results_in;

/// Many tunes.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The tunes that could be read, by largest gain.
    pub members: Vec<Member>,
    /// The folders that could not, and why.
    pub skipped: Vec<(PathBuf, String)>,
    /// How the profiles do on the machines.
    pub portability: Portability,
}

impl Comparison {
    /// Reads results folders; one that holds results folders stands for these.
    pub fn open(paths: &[PathBuf]) -> Self {
        let mut seen = BTreeSet::new();
        let folders = paths.iter().flat_map(|path| named(path));
        // A folder that is named twice is still one.
        let is_new = |path: &PathBuf| seen.insert(path.canonicalize().unwrap_or(path.clone()));
        let folders: Vec<PathBuf> = folders.filter(is_new).collect();
        threads::pooled(|| Self::read(folders))
    }

    fn read(folders: Vec<PathBuf>) -> Self {
        let read: Vec<_> = folders.par_iter().map(|path| open(path)).collect();
        let (mut members, mut skipped) = (Vec::new(), Vec::new());
        for (path, member) in folders.into_iter().zip(read) {
            match member {
                Ok(member) => members.push(member),
                Err(error) => skipped.push((path, format!("{error:#}"))),
            }
        }
        Self::of(members, skipped)
    }

    fn of(mut members: Vec<Member>, skipped: Vec<(PathBuf, String)>) -> Self {
        tell_apart(&mut members);
        members.sort_by(|a, b| {
            b.shipped_gain().total_cmp(&a.shipped_gain()).then_with(|| a.name.cmp(&b.name))
        });
        let portability = Portability::of(&members);
        Self { members, skipped, portability }
    }
}

/// The results folders that a path stands for, in order; itself where there are none.
fn named(path: &Path) -> Vec<PathBuf> {
    let mut inside = results_in(path);
    inside.sort();
    if inside.is_empty() { vec![path.to_owned()] } else { inside }
}

/// Reads a folder. Whatever is wrong with one, the others are compared.
fn open(path: &Path) -> anyhow::Result<Member> {
    let read = std::panic::catch_unwind(|| Member::open(path));
    read.unwrap_or_else(|_| anyhow::bail!("{}: a fault of this program", path.display()))
}

/// Gives members whose folders have the same name their whole path as name.
fn tell_apart(members: &mut [Member]) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for member in members.iter() {
        *counts.entry(member.name.clone()).or_default() += 1;
    }
    for member in members.iter_mut().filter(|member| counts[&member.name] > 1) {
        member.name.clone_from(&member.path);
    }
}
