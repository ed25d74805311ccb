//! Wan's video VAEs (`AutoencoderKLWan`): 2.1 with 16 channels at 4 x 8 x 8, 2.2 with 48 at
//! 4 x 16 x 16, each an [`Encoder`] and a [`Decoder`] that are built apart.
//!
//! Both work through a video in chunks of frames; causal convolutions carry their last frames from
//! chunk to chunk in a cache, so that the result is that of the whole video at once.

mod blocks;
mod cache;
mod config;
mod conv;
mod decoder;
mod encoder;
mod flops;
mod patch;
mod resample;
mod tiling;

pub use config::VaeConfig;
pub use conv::{ConvBackend, VaeOptions};
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use tiling::Tiling;
