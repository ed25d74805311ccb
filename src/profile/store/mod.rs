//! The folders in which a host keeps its profiles, each file named by its machine's fingerprint
//! and its job, so that one image can carry those of a whole fleet.

pub mod entry;
pub mod file_name;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use anyhow::{Context, Result};

use super::{Entry, FileName, Profile, ThisMachine};
use crate::io::atomic_write;
use crate::io::home::Home;
use crate::machine::{Machine, MachineMatch};

/// Folders of profiles, the ones that win first.
#[derive(Clone, Debug)]
pub struct Store {
    folders: Vec<PathBuf>,
}

/// What the system's administrator provides.
pub const SYSTEM: &str = "/etc/wan22-tune/profiles.d";

impl Store {
    /// The user's folder and the system's.
    pub fn standard() -> Self {
        let user = Home::of_user().data.map(|data| data.join("wan22-tune/profiles"));
        Self { folders: user.into_iter().chain([SYSTEM.into()]).collect() }
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
    pub fn entries(&self, machine: &Machine) -> Vec<Entry> {
        let here = ThisMachine::of(machine);
        self.files(|_| true).into_iter().map(|file| file.read(machine, &here)).collect()
    }

    /// The profiles that a process on this machine may be launched with, the best first, and the
    /// files that are refused: of the very machine before one of its shape, of a whole job before
    /// one of a part of it, of the CPUs and the quota that this process has, one that suits the quota, of the first folder, with a proven gain, the
    /// newest.
    ///
    /// No more files are read than it takes: those whose names tell of another shape are not, and those
    /// named by another machine of this shape only if nothing of this one is taken; of many of these
    /// those that were written last are first.
    pub fn ranked<'a>(
        &'a self,
        machine: &'a Machine,
        job: Option<&'a str>,
    ) -> impl Iterator<Item = Entry> + 'a {
        let here = ThisMachine::of(machine);
        let of = |files: Vec<File>, here: &ThisMachine| -> Vec<Entry> {
            files.into_iter().map(|file| file.read(machine, here)).collect()
        };
        let own = self.files(|path| is_of_another(path, &here) == Some(false));
        let is_other = |entry: &Entry| {
            let profile = entry.profile.as_ref();
            profile.is_ok_and(|profile| here.machine_match(profile) == MachineMatch::SameShape)
        };
        let (unnamed, own) = of(own, &here).into_iter().partition(is_other);
        let own = self.in_order(own, machine, &here, job);
        // Those of its shape whose names say nothing are read by now.
        let others = std::iter::once((here, unnamed)).flat_map(move |(here, mut read)| {
            let mut files = self.files(|path| is_of_another(path, &here) == Some(true));
            if files.len() > MOST_READ_AT_ONCE {
                files.sort_by_cached_key(|file| Reverse(file.written()));
            }
            let first = files.drain(..files.len().min(MOST_READ_AT_ONCE)).collect();
            let later = files.chunks(MOST_READ_AT_ONCE).map(<[File]>::to_vec).collect::<Vec<_>>();
            let batches = std::iter::once(first).chain(later);
            batches.flat_map(move |files| {
                read.extend(of(files, &here));
                self.in_order(std::mem::take(&mut read), machine, &here, job)
            })
        });
        own.into_iter().chain(others)
    }

    /// The files of the first folder.
    pub fn kept(&self) -> Result<Vec<PathBuf>> {
        let folder = self.first()?;
        match listed(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.with_context(|| folder.display().to_string()),
        }
    }

    /// Those of the `kept` files, in their order, whose place `profile` would take: those of its machine
    /// that are kept for the same job, under whatever name an older version gave them.
    ///
    /// # Errors
    /// There is no folder.
    pub fn replaced(
        &self,
        kept: &[PathBuf],
        profile: &Profile,
        job: Option<&str>,
        machine: &Machine,
    ) -> Result<Vec<Entry>> {
        let (folder, here) = (self.first()?, ThisMachine::of(machine));
        let name = FileName::on(&here, profile, job);
        let mut identities = BTreeSet::from([name.identity.as_str()]);
        if here.machine_match(profile) == MachineMatch::Same {
            identities.extend(here.identities());
        }
        let target = folder.join(name.to_string());
        let of_identity = |identity| beginning_with(kept, format!("{}-{identity}", name.shape));
        let of_machine = identities.into_iter().flat_map(of_identity);
        let kept = of_machine.filter(|path| FileName::parse(path).is_some()).map(|path| {
            let profile = Profile::read(path);
            Entry { path: path.clone(), profile }
        });
        let is_same = |kept: &Entry| {
            // An older version gave the profile of a part the name of the whole machine's.
            let is_named = kept.path == target && kept.profile.is_err();
            is_named || kept.job() == name.job && kept.part(&here) == name.part
        };
        Ok(kept.filter(is_same).collect())
    }

    /// Puts a profile into the first folder, in the place of those that are `replaced`. One of another
    /// part of the machine that has its name gets its own.
    ///
    /// # Errors
    /// The folder can't be made or written to.
    pub fn put(
        &self,
        profile: &Profile,
        job: Option<&str>,
        replaced: &[Entry],
        machine: &Machine,
    ) -> Result<PathBuf> {
        let here = ThisMachine::of(machine);
        let folder = self.first()?;
        // Whatever the umask: a folder that others may write to is not trusted.
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
        made.with_context(|| folder.display().to_string())?;
        let name = FileName::on(&here, profile, job);
        let path = folder.join(name.to_string());
        if replaced.iter().all(|old| old.path != path)
            && let Ok(other) = Profile::read(&path)
        {
            let own = FileName { part: here.part_of(&other), ..name };
            let own = folder.join(own.to_string());
            // Where that one is there as well, it is the newer of the two.
            if !own.exists() {
                fs::rename(&path, &own).with_context(|| own.display().to_string())?;
            }
        }
        profile.write(&path)?;
        for old in replaced.iter().filter(|old| old.path != path) {
            atomic_write::remove(&old.path)?;
        }
        Ok(path)
    }

    fn first(&self) -> Result<&PathBuf> {
        self.folders.first().context("no folder: set HOME or XDG_DATA_HOME")
    }

    /// The files of all folders that are `wanted` by their names.
    fn files(&self, wanted: impl Fn(&Path) -> bool) -> Vec<File> {
        let of_folder = |folder: &PathBuf| {
            let paths = listed(folder);
            if paths.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                return Vec::new();
            }
            // A folder that can't be read stands for its files.
            let paths = paths.unwrap_or_else(|_| vec![folder.clone()]).into_iter();
            let file = |path| File { folder: folder.clone(), path };
            paths.filter(|path| wanted(path)).map(file).collect()
        };
        self.folders.iter().flat_map(of_folder).collect()
    }

    fn in_order(
        &self,
        entries: Vec<Entry>,
        machine: &Machine,
        here: &ThisMachine,
        wanted: Option<&str>,
    ) -> Vec<Entry> {
        let fits = |entry: &Entry| {
            let is_wanted = wanted.is_none_or(|wanted| entry.is_for(wanted));
            entry.profile.as_ref().map_or(true, |profile| {
                is_wanted && here.machine_match(profile) != MachineMatch::Different
            })
        };
        let mut entries: Vec<Entry> = entries.into_iter().filter(fits).collect();
        entries.sort_by_cached_key(|entry| {
            let profile = entry.profile.as_ref().ok()?;
            let folder = self.folders.iter().position(|folder| entry.path.starts_with(folder));
            Some((
                here.machine_match(profile),
                profile.is_of_part_of_clip(),
                !here.is_of_this_part(profile),
                profile.quota_mismatch(machine).is_some(),
                folder,
                !profile.proof().is_gain(),
                Reverse(profile.timestamp.clone()),
            ))
        });
        entries
    }
}

/// Those of `paths` whose names begin so; they lie in one folder, in the order of their names.
fn beginning_with(paths: &[PathBuf], begins: String) -> impl Iterator<Item = &PathBuf> {
    fn name(path: &Path) -> &[u8] {
        path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default()
    }
    let first = paths.partition_point(|path| name(path) < begins.as_bytes());
    paths[first..].iter().take_while(move |path| name(path).starts_with(begins.as_bytes()))
}

/// More files of one shape than these are not read at once.
const MOST_READ_AT_ONCE: usize = 64;

/// A file that is not read yet.
#[derive(Clone)]
struct File {
    folder: PathBuf,
    path: PathBuf,
}

impl File {
    fn read(self, machine: &Machine, here: &ThisMachine) -> Entry {
        if self.path == self.folder {
            let problem = listed(&self.folder).err().map(anyhow::Error::from);
            let problem = problem.unwrap_or_else(|| anyhow::anyhow!("it has changed meanwhile"));
            let profile = Err(problem.context(self.folder.display().to_string()));
            return Entry { path: self.path, profile };
        }
        Entry::read(&self.folder, self.path, machine, here)
    }

    fn written(&self) -> Option<SystemTime> {
        fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok()
    }
}

/// Whether a file's name says that its profile is of another machine of this one's shape; `None` where it
/// says so of another shape.
fn is_of_another(path: &Path, here: &ThisMachine) -> Option<bool> {
    let Some(name) = FileName::parse(path) else { return Some(false) };
    let is_here = here.identities().contains(&name.identity.as_str());
    (name.shape == here.id.fingerprint.shape).then_some(!is_here)
}

/// The `.json` files of a folder, in order.
fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    Ok(paths)
}
