//! Sizes of a job of the user's own, which stand in its words and are no knobs.

use anyhow::Result;

use super::custom;
use crate::cli::{CustomJobArgs, TuneArgs};
use crate::cmd::{Usage, space};
use crate::space::{Reader, SpaceFile};
use crate::workload::custom::sizes::{self, JobSize};
use crate::workload::custom::template;

/// The sizes of a command, each of which stands in its words.
///
/// # Errors
/// [`Usage`] for one that does not.
pub fn of(args: &CustomJobArgs) -> Result<Vec<JobSize>, Usage> {
    let stands = |name: &str| {
        let meant = template::meant(&args.words, &|known| known == name);
        meant.iter().any(|(_, one)| one.name == name)
    };
    let missing = args.sizes.iter().find(|size| !stands(&size.name));
    missing.map_or(Ok(args.sizes.clone()), |JobSize { name, .. }| {
        Err(Usage(format!("--size {name}: write {{{name}}} where it stands in the command")))
    })
}

/// The space file, with the knobs that flags and the command declare.
///
/// # Errors
/// As [`space::open`]; [`Usage`] for a size that is a knob, too.
pub fn declared(args: &TuneArgs) -> Result<SpaceFile> {
    let folder = custom::folder(&args.custom)?;
    let is_worker = args.runner.is_own_worker() || args.custom.app.app.is_some();
    let sizes = sizes::whole(&args.custom.sizes);
    let no_knob = |name: Option<&String>| {
        let twice =
            |name| format!("--size {name}: there is a knob of this name: call it otherwise");
        name.map_or(Ok(()), |name| Err(Usage(twice(name))))
    };
    no_knob(sizes.keys().find(|name| args.space.knobs.iter().any(|flag| flag.name == **name)))?;
    let words = args.custom.words.iter().filter(|_| !is_worker);
    // A size is no knob.
    let words: Vec<String> = words.map(|word| template::sized(word, &sizes)).collect();
    let file = space::open(&args.space, Reader { words: &words, folder: folder.as_ref() })?;
    no_knob(sizes.keys().find(|name| file.knob.contains_key(*name)))?;
    Ok(file)
}
