//! Shipped: tunes of the pipeline on machines of ours, for those who have made none yet.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::results::Results;

/// A results folder in the program.
struct Tune {
    name: &'static str,
    machine: &'static str,
    space: &'static str,
    trials: &'static str,
}

macro_rules! folders {
    ($($name:literal),*) => {
        &[$(Tune {
            name: $name,
            machine: include_str!(concat!("../../results/", $name, "/machine.json")),
            space: include_str!(concat!("../../results/", $name, "/space.toml")),
            trials: include_str!(concat!("../../results/", $name, "/trials.csv")),
        }),*]
    };
}

const TUNES: &[Tune] = folders!["2026-11-30-vm", "2026-11-29-vm", "2026-11-25-vm"];

/// What stands before a name on the command line and in a journal's `space.toml`.
const PREFIX: &str = "shipped:";

/// Whether `path` names something shipped, of this version or another.
pub fn is_named(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.starts_with(PREFIX))
}

/// The tune that `path` names; `None` where it names none of these.
pub(super) fn named(path: &Path) -> Option<Result<Results>> {
    let name = path.to_str()?.strip_prefix(PREFIX)?;
    TUNES.iter().find(|tune| tune.name == name).map(Tune::open)
}

/// All of them that can be read, by what names them.
pub fn all() -> impl Iterator<Item = (PathBuf, Results)> {
    TUNES
        .iter()
        .filter_map(|tune| Some((format!("{PREFIX}{}", tune.name).into(), tune.open().ok()?)))
}

impl Tune {
    fn open(&self) -> Result<Results> {
        Results::parse(self.machine, self.space, self.trials.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_can_be_read_and_is_found_by_its_name() {
        let shipped: Vec<(PathBuf, Results)> = all().collect();
        assert_eq!(shipped.len(), TUNES.len());
        for (path, results) in shipped {
            assert_eq!(named(&path).unwrap().unwrap().trials, results.trials);
            assert_eq!(results.lost, [""; 0]);
        }
        assert!(is_named(Path::new("shipped:of-another-version")));
        assert!(named(Path::new("shipped:of-another-version")).is_none());
        assert!(!is_named(Path::new("results/shipped")));
    }
}
