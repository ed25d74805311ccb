//! The folder for things that can be made again: this user's alone, so that nobody else chooses
//! what is measured.

use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::geteuid;

use crate::io::home::Home;

const NAME: &str = "wan22-tune";

/// The first of the places where it may lie that is, or can be made, private.
///
/// # Errors
/// None is; names the last that was tried.
pub fn folder() -> Result<PathBuf> {
    first(&places(&Home::of_user()))
}

/// The user's cache, then that of the home; without one, where services keep theirs, and the
/// folder for temporary files.
fn places(home: &Home) -> Vec<PathBuf> {
    let usual = home.folder.as_ref().map(|folder| folder.join(".cache"));
    let cache = home.cache.clone().into_iter().chain(usual);
    let user = geteuid();
    let system = user.is_root().then(|| PathBuf::from("/var/cache"));
    let own = std::env::temp_dir().join(format!("{NAME}-{}", user.as_raw()));
    cache.chain(system).map(|base| base.join(NAME)).chain([own]).collect()
}

fn first(places: &[PathBuf]) -> Result<PathBuf> {
    let mut refused = Vec::new();
    for place in places {
        match make(place) {
            Ok(()) => return Ok(place.clone()),
            Err(error) => refused.push(format!("{}: {error:#}", place.display())),
        }
    }
    bail!(
        "no folder for generated pictures: name one of your own with XDG_CACHE_HOME, or give \
         pictures with --images ({})",
        refused.join("; ")
    )
}

/// Makes the folder, or takes it where it is this user's; nobody else can write to it then.
fn make(folder: &Path) -> Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let data = folder.symlink_metadata()?;
    ensure!(data.is_dir(), "not a folder, or a link to one");
    ensure!(data.uid() == geteuid().as_raw(), "it is another user's");
    if data.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    tempfile::tempfile_in(folder).map(drop).context("writing to it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_home_it_lies_where_services_keep_theirs_or_under_a_name_of_the_user() {
        let (folder, cache) = (Some("/h".into()), Some("/x".into()));
        let given = places(&Home { folder, cache, ..Home::default() });
        assert_eq!(given[..2], ["/x/wan22-tune", "/h/.cache/wan22-tune"].map(PathBuf::from));
        assert_eq!(given[2..], places(&Home::default()));
        let last = given.last().unwrap().file_name().unwrap().to_str().unwrap();
        assert_eq!(last, format!("wan22-tune-{}", geteuid().as_raw()));
    }

    #[test]
    fn a_folder_is_private_or_passed_over() {
        let base = tempfile::tempdir().unwrap();
        let [link, open, new] = ["link", "open", "new/below"].map(|name| base.path().join(name));
        let mode = |folder: &Path| fs::metadata(folder).unwrap().mode() & 0o777;
        std::os::unix::fs::symlink(base.path(), &link).unwrap();
        assert_eq!(first(&[link.clone(), new.clone()]).unwrap(), new);
        assert_eq!(mode(&new), 0o700);
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert_eq!(first(std::slice::from_ref(&open)).unwrap(), open);
        assert_eq!(mode(&open), 0o700);
        let error = first(&[link, "/proc/none/at-all".into()]).unwrap_err().to_string();
        assert!(error.contains("XDG_CACHE_HOME") && error.contains("at-all"), "{error}");
    }
}
