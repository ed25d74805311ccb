//! Pixels moved into channels and back (`patchify`, `unpatchify`).

use tch::Tensor;

/// `[batch, channels, frames, height, width]`, height and width multiples of `patch`, to
/// `[batch, channels * patch^2, frames, height / patch, width / patch]`.
pub fn patchify(x: &Tensor, patch: i64) -> Tensor {
    if patch == 1 {
        return x.shallow_clone();
    }
    let size = x.size();
    let [height, width] = [size[3] / patch, size[4] / patch];
    x.reshape([size[0], size[1], size[2], height, patch, width, patch].as_slice())
        .permute([0, 1, 6, 4, 2, 3, 5].as_slice())
        .reshape([size[0], size[1] * patch * patch, size[2], height, width])
}

/// The inverse of [`patchify`].
pub fn unpatchify(x: &Tensor, patch: i64) -> Tensor {
    if patch == 1 {
        return x.shallow_clone();
    }
    let size = x.size();
    let channels = size[1] / (patch * patch);
    x.reshape([size[0], channels, patch, patch, size[2], size[3], size[4]].as_slice())
        .permute([0, 1, 4, 5, 3, 6, 2].as_slice())
        .reshape([size[0], channels, size[2], size[3] * patch, size[4] * patch])
}
