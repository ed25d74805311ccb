//! Owners: whether anybody but root and the user has a say in what a results folder holds.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Folder;

/// Why what `folder` says should not be run unseen: who else may have written it. `None` where only
/// root and the user can have.
///
/// Folders above need no look: whoever swaps the folder can only put one of their own there.
pub fn others(folder: &Folder) -> Option<String> {
    let files = [folder.space(), folder.machine(), folder.journal()];
    std::iter::once(folder.path()).chain(files.iter().map(PathBuf::as_path)).find_map(other)
}

/// Who else may have written a file.
pub fn other(path: &Path) -> Option<String> {
    let (Ok(entry), Ok(target)) = (fs::symlink_metadata(path), fs::metadata(path)) else {
        return None;
    };
    let user = rustix::process::geteuid().as_raw();
    // A link's own owner decides where it leads.
    let owner =
        [&entry, &target].map(MetadataExt::uid).into_iter().find(|o| ![0, user].contains(o));
    let who = match (owner, target.mode() & 0o022) {
        (Some(owner), _) => format!("it belongs to {}", name(owner)),
        (None, 0) => return None,
        (None, 0o020) => format!("group {} may write to it", target.gid()),
        (None, _) => "everybody may write to it".to_owned(),
    };
    Some(format!("{}: {who}", path.display()))
}

/// A user's name and number.
fn name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(uid)).then(|| fields[0].to_owned())
    });
    found.map_or_else(|| format!("user {uid}"), |name| format!("{name} (user {uid})"))
}
