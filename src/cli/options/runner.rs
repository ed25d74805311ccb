//! What trials run with: pictures, weights, memory, the worker.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;

use crate::cli::options::parse;

/// What trials run with.
#[derive(Clone, Debug, Args)]
pub struct RunnerArgs {
    /// Your own JPEG and PNG pictures instead of generated ones.
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Your own model in diffusers layout instead of random weights: a folder with vae/ and, where
    /// the job denoises or reads prompts, transformer/ and text_encoder/.
    #[arg(long, value_name = "DIR")]
    pub weights: Option<PathBuf>,
    /// The most memory that a trial may take, such as 16GiB; by default nine tenths of what this
    /// process may use.
    #[arg(long, value_name = "SIZE", value_parser = parse::memory)]
    pub max_memory: Option<ByteSize>,
    /// The most memory that a trial may hold on a GPU, such as 20GiB; by default all that the GPU has.
    #[arg(long, value_name = "SIZE", value_parser = parse::memory)]
    pub max_device_memory: Option<ByteSize>,
    /// The worst picture that may win, in dB against the same made whole in float32, or of your own job
    /// against the baseline's; by default 30, above which a picture is hard to tell from the original,
    /// or what the baseline's own comes to if that is less.
    #[arg(long, value_name = "DB", value_parser = parse::decibels)]
    pub min_psnr: Option<f64>,
    /// Waits while another tune runs on this machine, instead of giving up with status 75.
    #[arg(long)]
    pub wait: bool,
    /// The program that runs per trial; by default wan22-worker beside this program. Without a FILE,
    /// the command after `--` is a worker of your own: it speaks the protocol of
    /// docs/worker-protocol.md and stays loaded from trial to trial.
    #[arg(long, value_name = "FILE", num_args = 0..=1, env = "WAN22_WORKER", hide_env_values = true)]
    pub worker: Option<Option<PathBuf>>,
}

impl RunnerArgs {
    /// Whether the command after `--` is a worker.
    pub fn is_own_worker(&self) -> bool {
        self.worker == Some(None)
    }
}
