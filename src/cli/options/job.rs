//! Which job is measured, and from which baseline.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::knobs::{Precision, Preset};
use crate::profile;

/// Where a search starts.
#[derive(Clone, Debug)]
pub enum BaselineChoice {
    /// A preset, fitted to the machine.
    Preset(Preset),
    /// What the caller runs today.
    AsIs,
    /// A profile, of this program or of the WAN22 system optimizer.
    File(PathBuf),
}

impl From<OsString> for BaselineChoice {
    fn from(word: OsString) -> Self {
        if word == "as-is" {
            return Self::AsIs;
        }
        let path = profile::located(PathBuf::from(&word));
        match word.to_str().and_then(Preset::named) {
            // A file of the user's own may be called like a processor.
            Some(preset) if preset.to_string() == word.to_string_lossy() || !path.exists() => {
                Self::Preset(preset)
            }
            _ => Self::File(path),
        }
    }
}

/// The job that is measured where nothing else is asked for.
const USUAL: &str = "i2v";

/// Which job.
#[derive(Clone, Debug, Default, Args)]
pub struct JobArgs {
    /// A job that comes with the program (i2v, t2v, i2v-a14b, t2v-a14b, encode, vae-decode,
    /// preprocess), or a TOML file.
    #[arg(long, value_name = "NAME|FILE", default_value = USUAL)]
    pub workload: PathBuf,
    /// A clip of the whole job: pixels of a row, rows, and pictures, such as 1280x704x121.
    // `--job` names a job elsewhere.
    #[arg(long, visible_alias = "job", value_name = "WIDTHxHEIGHTxFRAMES", value_parser = clip)]
    pub clip: Option<[u32; 3]>,
    /// Denoising steps of the whole job; with --app, of one run (by default 4).
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub steps: Option<u32>,
    /// The whole job has one forward per denoising step, without classifier-free guidance, as distilled
    /// models run (guidance_scale 1).
    #[arg(long)]
    pub no_guidance: bool,
    /// Seconds per clip of many at once, or of one alone.
    #[arg(long, value_enum, default_value_t)]
    pub objective: Objective,
    /// Fixes the numbers that the models compute in, and leaves them out of the search.
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,
}

impl JobArgs {
    /// Whether a built-in job was asked for by a flag.
    pub fn is_given(&self) -> bool {
        let is_usual = self.workload.as_os_str() == USUAL;
        !is_usual || self.clip.is_some() || self.steps.is_some() || self.no_guidance
    }
}

/// Reads `1280x704x121`; a picture has one frame.
fn clip(text: &str) -> Result<[u32; 3], String> {
    let read = |word: &str| word.trim().parse::<u32>().ok();
    let numbers: Option<Vec<u32>> = text.split(['x', 'X', '×']).map(read).collect();
    match numbers.as_deref() {
        Some([width, height]) => Ok([*width, *height, 1]),
        Some([width, height, frames]) => Ok([*width, *height, *frames]),
        _ => Err("give pixels of a row, rows and pictures, such as 1280x704x121".to_owned()),
    }
}

/// What is to be short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Objective {
    /// The time of many clips, batched and overlapped.
    #[default]
    Throughput,
    /// The time of one clip that somebody waits for.
    Latency,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::cli::Cli;
    use crate::workload::BUILT_IN;

    #[test]
    fn the_help_of_workload_names_every_job() {
        let command = Cli::command();
        let argument = command.get_arguments().find(|argument| argument.get_id() == "workload");
        let help = argument.unwrap().get_help().unwrap().to_string();
        for (name, _) in BUILT_IN {
            assert!(
                help.contains(&format!("{name},")) || help.contains(&format!("{name})")),
                "{name}"
            );
        }
    }
}
