//! Entry: a kept profile, or why its file is not used.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::machine::{Machine, MachineMatch};
use crate::profile::{FileName, MachinePart, Profile, ThisMachine};

/// A file in a folder of profiles.
#[derive(Debug)]
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// The profile, or why it is refused.
    pub profile: Result<Profile>,
}

impl Entry {
    /// Reads a file of `folder`; what is of this machine must also agree with it.
    pub(super) fn read(
        folder: &Path,
        path: PathBuf,
        machine: &Machine,
        here: &ThisMachine,
    ) -> Self {
        let safe = trusted(folder).and_then(|()| trusted(&path));
        let profile = safe.and_then(|()| Profile::read(&path)).and_then(|profile| {
            if here.machine_match(&profile) != MachineMatch::Different {
                profile.agrees(machine).with_context(|| format!("profile {}", path.display()))?;
            }
            Ok(profile)
        });
        Self { path, profile }
    }

    /// The job that the profile is kept for: what the file's name says, or what was measured.
    pub fn job(&self) -> Option<String> {
        let named = FileName::parse(&self.path).and_then(|name| name.job);
        named.or_else(|| self.profile.as_ref().ok()?.kept_job())
    }

    /// Whether it is kept for `job`. The word `command` stands for each command of the user's own.
    pub(super) fn is_for(&self, job: &str) -> bool {
        let kept = self.job();
        let profile = self.profile.as_ref().ok();
        let is_one = |profile: &Profile| profile.job() == Some(job) && profile.kept_job() == kept;
        kept.as_deref() == Some(job) || profile.is_some_and(is_one)
    }

    /// The part of its machine that it was tuned on.
    pub(super) fn part(&self, here: &ThisMachine) -> Option<MachinePart> {
        match &self.profile {
            Ok(profile) => here.part_of(profile),
            Err(_) => FileName::parse(&self.path)?.part,
        }
    }
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
