//! A profile in the words of other programs: one file per dialect, each with its own quoting.
//!
//! Only what [`Profile::read`] let through gets here, and the environment is on the allow-list of
//! [`crate::knobs::allow_list`]; still each dialect quotes whatever it is given. What a dialect
//! can't say stands in it as a comment.

mod containers;
mod env;
mod kubernetes;
mod libraries;
mod numactl;
mod preamble;
mod prometheus;
mod python;
mod sh;
mod slurm;
mod systemd;

use std::collections::BTreeMap;
use std::path::Path;

use crate::knobs::allow_list::PRELOAD;
use crate::knobs::program_environment;
use crate::launch::Launch;
use crate::machine::{SystemRoots, library};
use crate::profile::Profile;

pub use preamble::numactl_flag;

/// A form in which other programs take settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(clap::ValueEnum, strum::Display, strum::VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Dialect {
    /// Lines of NAME=value, as systemd's EnvironmentFile= and most tools read them.
    Env,
    /// A file that a POSIX shell sources; binds that shell too. With a command, a script around it.
    Sh,
    /// A drop-in for a service; with a command, a whole unit.
    Systemd,
    /// An --env-file for docker, with the flags to add.
    Docker,
    /// An --env-file for podman, with the flags to add.
    Podman,
    /// A pod, as YAML.
    K8s,
    /// A batch script.
    Slurm,
    /// A script that starts a command by way of numactl.
    Numactl,
    /// A Python file to import before torch, or to start a program with.
    Python,
    /// Facts about the profile for the node exporter's textfile collector.
    Prometheus,
}

impl Dialect {
    /// Whether its text starts a command.
    pub fn takes_command(self) -> bool {
        match self {
            Self::Sh | Self::Systemd | Self::K8s | Self::Slurm | Self::Numactl => true,
            Self::Env | Self::Docker | Self::Podman | Self::Python | Self::Prometheus => false,
        }
    }
}

/// What an export is made of.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// Its file, for a program that reads it; `None` where no process of this host will find it there.
    pub file: Option<&'a Path>,
    /// The command to start, where the dialect starts one; a placeholder where it is empty.
    pub command: &'a [String],
    /// What the command finds in variables of its own.
    pub variables: &'a BTreeMap<String, String>,
}

impl Export<'_> {
    /// The text of the profile in a dialect.
    ///
    /// # Errors
    /// What the dialect can't write, or a library that is not to be trusted.
    pub fn text(&self, dialect: Dialect) -> Result<String, String> {
        if !dialect.takes_command() && !self.command.is_empty() {
            return Err(format!("{dialect} starts no command: leave it out"));
        }
        match dialect {
            Dialect::Env => env::text(self),
            Dialect::Sh if self.command.is_empty() => sh::text(self),
            Dialect::Systemd => systemd::text(self),
            Dialect::Docker => Ok(containers::text(self, "docker")),
            Dialect::Podman => Ok(containers::text(self, "podman")),
            Dialect::K8s => Ok(kubernetes::text(self)),
            Dialect::Slurm => slurm::text(self),
            Dialect::Sh | Dialect::Numactl => numactl::text(self),
            Dialect::Python => Ok(python::text(self)),
            Dialect::Prometheus => Ok(prometheus::text(self.profile)),
        }
    }

    fn launch(&self) -> &Launch {
        &self.profile.launch
    }

    /// The launch's environment, and what hands each knob's value to the command as trials had it.
    fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.launch().environment.clone();
        environment.extend(self.handed());
        environment
    }

    /// What hands each knob's value to the command.
    fn handed(&self) -> BTreeMap<String, String> {
        let handed =
            program_environment::variables(&self.profile.values(), self.profile.latent_ratio());
        let left = program_environment::left(&self.profile.program_as_is);
        handed.into_iter().chain(left).chain(self.variables.clone()).collect()
    }

    /// The same for a process of this host, and the variable in which it finds its profile.
    fn host_handed(&self) -> BTreeMap<String, String> {
        self.handed().into_iter().chain(self.profile_file()).collect()
    }

    /// The variable in which a program finds its profile, as trials had it. A path that readers of
    /// such files would take apart is left out.
    fn profile_file(&self) -> Option<(String, String)> {
        let file = std::path::absolute(self.file?).ok()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@:".contains(c);
        let path = file.to_str().filter(|path| path.chars().all(plain))?;
        Some((program_environment::PROFILE.to_owned(), path.to_owned()))
    }

    /// The environment for processes of this host: libraries are the system's own files.
    fn host_environment(&self) -> Result<BTreeMap<String, String>, String> {
        let mut environment = self.environment();
        environment.extend(self.host_handed());
        if let Some(list) = environment.get_mut(PRELOAD) {
            let file = |name: &str| match library::find(name, &SystemRoots::live()) {
                // The host that it is for may have it: its linker looks in the same folders.
                Err(library::NotFound::Absent(_)) => Ok(name.to_owned()),
                found => found.map_err(|problem| problem.to_string()),
            };
            *list = list.split(':').map(file).collect::<Result<Vec<_>, _>>()?.join(":");
        }
        Ok(environment)
    }
}
