//! The folders in which a host keeps its profiles, each file named by its machine's fingerprint,
//! so that one image can carry those of a whole fleet.

use std::cmp::Reverse;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result};

use super::Profile;
use crate::home::Home;
use crate::machine::{Fingerprint, Likeness, Machine};

/// Folders of profiles, the ones that win first.
#[derive(Clone, Debug)]
pub struct Store {
    folders: Vec<PathBuf>,
}

/// A file in such a folder.
#[derive(Debug)]
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// The profile, or why it is refused.
    pub profile: Result<Profile>,
}

/// What the system's administrator provides.
pub const SYSTEM: &str = "/etc/wan22-tune/profiles.d";

impl Store {
    /// The user's folder and the system's.
    pub fn standard() -> Self {
        Self { folders: user().into_iter().chain([SYSTEM.into()]).collect() }
    }

    /// Only these folders.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// The folders.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Every `.json` file, those of the first folder first; a folder that exists and can't be read
    /// stands for its files.
    pub fn entries(&self, here: &Machine) -> Vec<Entry> {
        let mark = here.fingerprint();
        let read = |folder: &Path, path| Entry::read(folder, path, here, &mark);
        let of_folder = |folder: &PathBuf| match listed(folder) {
            Ok(paths) => paths.into_iter().map(|path| read(folder, path)).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let profile = Err(error).with_context(|| folder.display().to_string());
                vec![Entry { path: folder.clone(), profile }]
            }
        };
        self.folders.iter().flat_map(of_folder).collect()
    }

    /// The one of [`Store::entries`] for a machine: of the very machine before one of its shape, then
    /// of the first folder, then the newest.
    pub fn pick<'e>(
        &self,
        entries: &'e [Entry],
        here: &Fingerprint,
    ) -> Option<(&'e Path, &'e Profile)> {
        let good = entries
            .iter()
            .filter_map(|entry| Some((entry.path.as_path(), entry.profile.as_ref().ok()?)));
        let fitting = good.filter(|(_, profile)| likeness(profile, here) != Likeness::Different);
        fitting.min_by_key(|(path, profile)| {
            let folder = self.folders.iter().position(|folder| path.starts_with(folder));
            (likeness(profile, here), folder, Reverse(&profile.timestamp))
        })
    }

    /// Puts a profile into the first folder, in the place of an older one of the same machine.
    ///
    /// # Errors
    /// The folder can't be made or written to.
    pub fn put(&self, profile: &Profile) -> Result<PathBuf> {
        let folder = self.folders.first().context("no folder: set HOME or XDG_DATA_HOME")?;
        // Whatever the umask: a folder that others may write to is not trusted.
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
        made.with_context(|| folder.display().to_string())?;
        let path = folder.join(name(&profile.machine.fingerprint));
        profile.write(&path)?;
        Ok(path)
    }
}

impl Entry {
    fn read(folder: &Path, path: PathBuf, here: &Machine, mark: &Fingerprint) -> Self {
        let safe = trusted(folder).and_then(|()| trusted(&path));
        let profile = safe.and_then(|()| Profile::read(&path)).and_then(|profile| {
            if likeness(&profile, mark) != Likeness::Different {
                profile.agrees(here).with_context(|| format!("profile {}", path.display()))?;
            }
            Ok(profile)
        });
        Self { path, profile }
    }
}

/// The `.json` files of a folder, in order.
fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    Ok(paths)
}

/// How much a profile's machine has in common with this one.
pub fn likeness(profile: &Profile, here: &Fingerprint) -> Likeness {
    here.compare(&profile.machine.fingerprint)
}

/// A profile's file name.
pub fn name(fingerprint: &Fingerprint) -> String {
    format!("{}-{}.json", fingerprint.shape, fingerprint.identity)
}

/// `$XDG_DATA_HOME/wan22-tune/profiles`.
fn user() -> Option<PathBuf> {
    Some(Home::of_user().data?.join("wan22-tune/profiles"))
}

/// Nobody but root and the user may have a say in what `exec --auto` takes.
fn trusted(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
    let own = [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid());
    anyhow::ensure!(
        own && metadata.mode() & 0o022 == 0,
        "{}: others may write to it, so it is not used: chmod go-w, chown root",
        path.display()
    );
    Ok(())
}
