//! Side: what the knobs have in common that are a side of square tiles.

use crate::architecture::tile_and_stride;
use crate::knobs::{Knobs, Value, as_is};

/// Whether the VAE can work in tiles of this side. A program that makes none today says so with 0.
pub fn check_range(knobs: &Knobs, side: u32) -> Result<(), String> {
    if side == 0 && !as_is::of_program(&knobs.as_is).is_empty() {
        return Ok(());
    }
    if (32..=8192).contains(&side) && side.is_multiple_of(16) {
        return Ok(());
    }
    Err("it takes a multiple of 16 from 32 to 8192 pixels".to_owned())
}

/// The stride of tiles of this side, pixels.
pub fn stride(side: &Value, ratio: i64) -> Option<i64> {
    let Value::Integer(side @ 1..) = side else { return None };
    Some(tile_and_stride(*side, ratio)[1])
}
