//! Folders: the results folders that a folder holds, a fleet's among them.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What every results folder holds.
const JOURNAL: &str = "trials.csv";

/// The results folders at `path`, the newest first: itself, or those in it, in the `nodes/NODE/results`
/// of a fleet, or in the `NODE/results` of its nodes. One that lost its journal is among them.
pub fn results_in(path: &Path) -> Vec<PathBuf> {
    if path.join(JOURNAL).exists() {
        return vec![path.to_owned()];
    }
    let nodes = inside(&path.join("nodes")).chain(inside(path)).map(|node| node.join("results"));
    let parents = std::iter::once(path.to_owned()).chain(nodes);
    let is_results =
        |path: &PathBuf| [JOURNAL, "space.toml"].iter().any(|name| path.join(name).exists());
    let mut found: Vec<PathBuf> =
        parents.flat_map(|parent| inside(&parent)).filter(is_results).collect();
    found.sort_by_cached_key(|path| Reverse((written(path), path.clone())));
    found
}

fn inside(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// When its last trial was written.
fn written(path: &Path) -> SystemTime {
    let metadata = fs::metadata(path.join(JOURNAL));
    metadata.and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleets_folder_stands_for_what_its_nodes_left() {
        let fleet = tempfile::tempdir().unwrap();
        let mut made: Vec<PathBuf> = ["nodes/a/results/1", "nodes/b/results/1", "2"]
            .map(|name| fleet.path().join(name))
            .into();
        for (second, folder) in (1..).zip(&made) {
            fs::create_dir_all(folder).unwrap();
            let file = fs::File::create(folder.join("trials.csv")).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
            file.set_modified(time).unwrap();
        }
        fs::create_dir_all(fleet.path().join("nodes/c/results/empty")).unwrap();
        assert_eq!(results_in(&made[0]), [made[0].clone()]);
        made.reverse();
        assert_eq!(results_in(fleet.path()), made);
        assert_eq!(results_in(&fleet.path().join("nodes")), made[1..]);
        assert!(results_in(&fleet.path().join("gone")).is_empty());
    }
}
