//! The parts of Wan 2.2 as diffusers 0.42 and transformers 5 define them, on libtorch.
//!
//! Each model is generic over the reference's own configuration, takes its tensors by the
//! reference's own names, and keeps in float32 what the reference keeps in float32.
//! `../check.rs` compares them with the reference; `tests/parity.rs` does so on committed goldens.

pub mod linear;
pub mod scheduler;
pub mod text_encoder;
pub mod transformer;
pub mod unit_clock;
pub mod vae;

use anyhow::{Result, ensure};
use tch::Tensor;

/// Refuses a tensor whose rank differs or which has no elements, naming it and its layout.
fn expect_rank(tensor: &Tensor, name: &str, layout: &[&str]) -> Result<()> {
    let size = tensor.size();
    ensure!(
        size.len() == layout.len() && size.iter().all(|&length| length > 0),
        "{name} is {size:?}: it should be [{}], none of them 0",
        layout.join(", ")
    );
    Ok(())
}
