//! App: a program that is known, by its name.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::options::parse;

/// A program that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum App {
    /// WanPipeline and WanImageToVideoPipeline of diffusers.
    Diffusers,
    /// Wan2GP's wgp.py with a saved queue.
    Wan2gp,
    /// stable-diffusion.cpp's sd-cli.
    SdCpp,
    /// SGLang-Diffusion's `sglang generate`.
    Sglang,
    /// LightX2V with a JSON configuration.
    Lightx2v,
    /// A workflow of ComfyUI in API format.
    Comfyui,
}

impl App {
    /// Whether it comes with a worker that stays loaded; the others are commands of the user's.
    pub fn is_worker(self) -> bool {
        matches!(self, Self::Diffusers | Self::Comfyui)
    }

    /// The name of its space.
    pub fn space(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// A ready-made worker.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "A ready-made worker")]
pub struct AppArgs {
    /// Tunes a program that is known: diffusers, the pipeline of the folder in --model by your own Python
    /// and torch; comfyui, with `-- --workflow FLOW.json --folder COMFYUI`; or your command line of the
    /// others, after `--`, whose flags become its knobs.
    #[arg(
        long,
        value_enum,
        conflicts_with_all = ["module", "workload", "objective", "images", "weights"]
    )]
    pub app: Option<App>,
    /// The folder, in diffusers layout.
    #[arg(long, value_name = "DIR", requires = "app")]
    pub model: Option<PathBuf>,
    /// The Python that has torch and diffusers.
    #[arg(long, value_name = "FILE", default_value = "python3", requires = "app")]
    pub python: String,
    /// What the clip shows.
    #[arg(long, value_name = "TEXT", requires = "app", value_parser = parse::text())]
    pub prompt: Option<String>,
    /// The first picture of a WanImageToVideoPipeline.
    #[arg(long, value_name = "FILE", requires = "app")]
    pub image: Option<PathBuf>,
    /// Frames of the clip, 4n + 1; 17 unless said otherwise.
    #[arg(long, value_name = "N", requires = "app")]
    pub frames: Option<u32>,
    /// Rows; 480 unless said otherwise.
    #[arg(long, value_name = "N", requires = "app")]
    pub height: Option<u32>,
    /// Pixels per row; 832 unless said otherwise.
    #[arg(long, value_name = "N", requires = "app")]
    pub width: Option<u32>,
}
