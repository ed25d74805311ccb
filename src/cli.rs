//! Every flag.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};
use strum::VariantArray;

use crate::cmd;
pub use crate::cmd::setup::custom::CustomJobArgs;
use crate::knobs::{Precision, Preset};
use crate::profile;
use crate::search::StrategyName;
use crate::tune::budget;

/// Finds, proves and ships the settings that run the Wan 2.2 video model fastest on this machine.
///
/// Without a command it tunes: measures the baseline, searches, proves the winner against the
/// baseline in interleaved pairs, and writes a results folder with profile.json, trials.csv, plots
/// and a report.
#[derive(Debug, Parser)]
#[command(
    name = "wan22-tune",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Exit status: 0 done (a gain, or honestly none); 1 failure; 2 wrong usage; 5 a profile that no longer holds \
                  (verify); 75 another run \
                  measures on this machine; 125 to 127 from \
                  exec, as env has them; 130 stopped at once by a second Ctrl-C."
)]
pub struct Cli {
    /// What to do instead of tuning.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The tune.
    #[command(flatten)]
    pub tune: TuneArgs,
}

/// What to do instead of tuning.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows what this process may use of the machine.
    Machine(cmd::machine::MachineArgs),
    /// Gives read-only advice before a run, each line with its cure.
    Doctor(cmd::doctor::DoctorArgs),
    /// Shows the search space as resolved on this machine, and how many candidates it has.
    Space(cmd::space::SpaceCommand),
    /// Goes on with a tune that was cut short, or gives it more time.
    Resume(cmd::tune::resume::ResumeArgs),
    /// Makes a results folder's profile, plots and report again, or prints its tables.
    Report(cmd::report::ReportArgs),
    /// Compares results folders: machines, gains, best settings, how far each profile carries.
    Compare(cmd::compare::CompareArgs),
    /// Shows what differs between two profiles.
    Diff(cmd::profiles::diff::DiffArgs),
    /// Replays strategies over recorded trials, in milliseconds.
    Replay(cmd::replay::ReplayArgs),
    /// Runs one trial and prints it.
    Measure(cmd::measure::MeasureArgs),
    /// Proves a profile again on this machine, in minutes.
    Verify(cmd::verify::VerifyArgs),
    /// Becomes a command, bound and with the environment of a profile.
    Exec(cmd::exec::ExecArgs),
    /// Lists, shows, installs and checks the profiles that this host keeps.
    Profiles(cmd::profiles::ProfilesArgs),
    /// Prints what a shell needs to complete commands and flags.
    Completions(cmd::completions::CompletionsArgs),
    /// Writes manual pages.
    Man(cmd::completions::ManArgs),
    /// Writes a profile in the words of systemd, docker, Slurm, Python and others.
    Export(cmd::export::ExportArgs),
}

/// How to tune.
#[derive(Clone, Debug, Args)]
pub struct TuneArgs {
    /// Wall time for everything, such as 90s, 30m or 1h30m.
    #[arg(long, value_parser = budget::parse, required_unless_present = "dry_run")]
    pub budget: Option<Duration>,
    /// The most trials of the search, before the budget ends it; the confirmation comes on top.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub trials: Option<u32>,
    /// The space, the baseline and the workload.
    #[command(flatten)]
    pub space: SpaceArgs,
    /// Who proposes candidates.
    #[arg(long, default_value_t, value_parser = strategy())]
    pub strategy: StrategyName,
    /// Results folders or profiles of earlier tunes, of this machine or others like it: the best of
    /// them is tried first, the rest is believed as far as it proves right here.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub warm_start: Vec<PathBuf>,
    /// Decides every choice left to chance.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Measured repetitions a trial, after one to warm up: 3 to 9; unless said otherwise 4 in the
    /// first trial and in pairs, and elsewhere as many of 3 to 5 as it takes to measure for two
    /// thirds of the trial. Of a command of your own, whose
    /// repetitions are whole runs, 1 to 9, and 3 unless said otherwise.
    #[arg(long, visible_alias = "runs", value_parser = clap::value_parser!(u32).range(1..=9))]
    pub repetitions: Option<u32>,
    /// Where results folders go.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Shows the resolved space and starts nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Tunes copies of the baseline instead of a space: a gain claimed there is a false one.
    #[arg(long)]
    pub self_test: bool,
    /// Input pictures and the program that runs trials.
    #[command(flatten)]
    pub bench: BenchArgs,
    /// Your own job.
    #[command(flatten)]
    pub own: CustomJobArgs,
    /// How much to show.
    #[command(flatten)]
    pub view: cmd::terminal::progress::ViewArgs,
}

/// Which space.
#[derive(Clone, Debug, Args)]
pub struct SpaceArgs {
    /// A space that comes with the program (pipeline, command, module), or a TOML file; by default the one
    /// for the job.
    #[arg(long, value_name = "NAME|FILE")]
    pub space: Option<PathBuf>,
    /// What to start from and to beat: a preset (5995wx, rtx4080, generic), or a file, a profile of
    /// this program's or of the WAN22 system optimizer's; by default the preset that people would
    /// copy for this machine.
    #[arg(long, value_name = "PRESET|FILE")]
    pub baseline: Option<BaselineChoice>,
    /// Takes in the knobs that only experts should turn.
    #[arg(long)]
    pub expert: bool,
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
}

impl SpaceArgs {
    /// The space that was asked for, or the pipeline's.
    pub fn name(&self) -> &Path {
        self.space.as_deref().unwrap_or(Path::new("pipeline"))
    }
}

/// Where a search starts.
#[derive(Clone, Debug)]
pub enum BaselineChoice {
    /// A preset, fitted to the machine.
    Preset(Preset),
    /// A profile, of this program or of the WAN22 system optimizer.
    File(PathBuf),
}

impl From<OsString> for BaselineChoice {
    fn from(word: OsString) -> Self {
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

/// Which job.
#[derive(Clone, Debug, Args)]
pub struct JobArgs {
    /// A job that comes with the program (i2v, t2v, encode, vae-decode, preprocess), or a TOML file.
    #[arg(long, value_name = "NAME|FILE", default_value = "i2v")]
    pub workload: PathBuf,
    /// Seconds a clip of many at once, or of one alone.
    #[arg(long, value_enum, default_value_t)]
    pub objective: Objective,
    /// Fixes the numbers that the models compute in, and leaves them out of the search.
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,
}

/// What is to be short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Objective {
    /// The time of many clips, batched and overlapped.
    #[default]
    Throughput,
    /// The time of one clip that somebody waits for.
    Latency,
}

/// What trials run with.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// Your own JPEG and PNG pictures instead of generated ones.
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Your own model in diffusers layout instead of random weights: a folder with vae/ and, where
    /// the job denoises or reads prompts, transformer/ and text_encoder/.
    #[arg(long, value_name = "DIR")]
    pub weights: Option<PathBuf>,
    /// The most memory that a trial may take, such as 16GiB; by default nine tenths of what this
    /// process may use.
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub max_memory: Option<ByteSize>,
    /// The worst picture that may win, in dB against the same made whole in float32; by default 30,
    /// above which a picture is hard to tell from the original, or what the baseline's own comes to
    /// if that is less.
    #[arg(long, value_name = "DB", value_parser = decibels)]
    pub min_psnr: Option<f64>,
    /// Waits while another tune runs on this machine, instead of giving up with status 75.
    #[arg(long)]
    pub wait: bool,
    /// The program that runs a trial; by default wan22-worker beside this program.
    #[arg(long, value_name = "FILE", env = "WAN22_WORKER", hide_env_values = true)]
    pub worker: Option<PathBuf>,
}

/// Reads a ratio in dB, from 0, which any picture has, to what float32 numbers can tell apart.
fn decibels(text: &str) -> Result<f64, String> {
    const MOST: f64 = 200.0;
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=MOST).contains(number));
    number.ok_or_else(|| format!("give a number from 0 to {MOST}, such as 35"))
}

/// Reads a share from 0 to 1, without 1.
///
/// # Errors
/// What to type instead.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..1.0).contains(number));
    number.ok_or_else(|| "give a share from 0 to 1, such as 0.05 for 5%".to_owned())
}

/// Reads a size of memory that a trial can be given.
fn memory(text: &str) -> Result<ByteSize, String> {
    let size = text.parse::<ByteSize>().ok().filter(|size| size.as_u64() > 0);
    size.ok_or_else(|| "give a size such as 16GiB".to_owned())
}

/// Takes a strategy's name, and lists them all.
pub(crate) fn strategy() -> impl clap::builder::TypedValueParser<Value = StrategyName> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    let words = StrategyName::VARIANTS.iter().map(<&str>::from);
    PossibleValuesParser::new(words)
        .map(|word| word.parse().expect("a possible value is a strategy's name"))
}
