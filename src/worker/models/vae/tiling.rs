//! Tiling: parts of a picture or latent computed apart, blended and put together.

use anyhow::Result;
use tch::{Device, Kind, Tensor};
use wan22_tune::architecture::Grid;

/// Runs `part` on every tile of `x` and puts the results together: each is blended with the
/// finished ones above and to the left, then cropped to the stride.
///
/// # Errors
/// As `part`'s.
pub fn assemble(
    grid: &Grid,
    x: &Tensor,
    part: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let [height, width] = [x.size()[3], x.size()[4]];
    let mut above: Vec<Tensor> = Vec::new();
    let mut rows = Vec::new();
    for (top, tall) in grid.spans(0, height) {
        let mut row: Vec<Tensor> = Vec::new();
        for (left, wide) in grid.spans(1, width) {
            let tile = part(&x.narrow(3, top, tall).narrow(4, left, wide))?;
            if let Some(upper) = above.get(row.len()) {
                blend(upper, &tile, grid.blend[0], 3);
            }
            if let Some(before) = row.last() {
                blend(before, &tile, grid.blend[1], 4);
            }
            row.push(tile);
        }
        let cropped: Vec<Tensor> =
            row.iter().map(|tile| cut(&cut(tile, 3, grid.crop[0]), 4, grid.crop[1])).collect();
        rows.push(Tensor::cat(&cropped, 4));
        above = row;
    }
    let whole = Tensor::cat(&rows, 3);
    Ok(cut(&cut(&whole, 3, grid.scaled(height)), 4, grid.scaled(width)))
}

/// The first `length` of `axis`, or all where there are fewer.
fn cut(x: &Tensor, axis: i64, length: i64) -> Tensor {
    x.narrow(axis, 0, length.min(x.size()[axis as usize]))
}

/// Fades the end of `before` into the start of `tile`, in place, over `extent` pixels of `axis`.
fn blend(before: &Tensor, tile: &Tensor, extent: i64, axis: i64) {
    let (ends, length) = (before.size()[axis as usize], tile.size()[axis as usize]);
    let extent = extent.min(ends).min(length);
    if extent <= 0 {
        return;
    }
    let mut shape = [1; 5];
    shape[axis as usize] = extent;
    let fade = (Tensor::arange(extent, (Kind::Double, Device::Cpu)) / extent as f64).view(shape);
    let weight = |fade: Tensor| fade.to_kind(Kind::Float).to_device(tile.device());
    let kind = tile.kind();
    let mut start = tile.narrow(axis, 0, extent);
    let out = (before.narrow(axis, ends - extent, extent) * weight(1.0 - &fade)).to_kind(kind);
    let blended = out + (&start * weight(fade)).to_kind(kind);
    start.copy_(&blended);
}
