//! The rotary embedding over frames, rows and columns (`WanRotaryPosEmbed`).

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use wan22_tune::architecture::TransformerConfig;

const THETA: f64 = 10_000.0;

/// Unit complex numbers for each axis, `[positions, pairs]`: pair k of position p is turned by
/// p / theta^(2k/dim). Angles are float64, as in the reference; the numbers are float32 pairs.
pub struct Rope {
    axes: [Tensor; 3],
    positions: i64,
}

impl Rope {
    /// Rows and columns get 2 * (dim // 6) of a head's dimensions each, frames the rest.
    pub fn new(config: &TransformerConfig, device: Device) -> Self {
        let head = config.attention_head_dim;
        let side = 2 * (head / 6);
        let positions = config.rope_max_seq_len;
        let axes = [head - 2 * side, side, side].map(|dim| axis(dim, positions).to_device(device));
        Self { axes, positions }
    }

    /// The numbers of a grid of tokens, `[1, tokens, 1, head_dim / 2]`.
    ///
    /// # Errors
    /// Where an axis is longer than `rope_max_seq_len`.
    pub fn grid(&self, grid: [i64; 3]) -> Result<Tensor> {
        for (length, name) in grid.into_iter().zip(["frames", "rows", "columns"]) {
            ensure!(
                length <= self.positions,
                "{length} {name} of tokens are more than rope_max_seq_len, {}",
                self.positions
            );
        }
        let parts: Vec<Tensor> = (0..3)
            .map(|axis| {
                let mut shape = [1, 1, 1, -1];
                shape[axis] = grid[axis];
                let [f, h, w] = grid;
                self.axes[axis].narrow(0, 0, grid[axis]).view(shape).expand([f, h, w, -1], false)
            })
            .collect();
        Ok(Tensor::cat(&parts, -1).reshape([1, grid.iter().product(), 1, -1]))
    }
}

fn axis(dim: i64, positions: i64) -> Tensor {
    let options = (Kind::Double, Device::Cpu);
    let exponents = Tensor::arange_start_step(0, dim, 2, options) / dim as f64;
    let frequencies = Tensor::pow_scalar(THETA, &exponents).reciprocal();
    let angles = Tensor::arange(positions, options).outer(&frequencies);
    Tensor::complex(&angles.cos().to_kind(Kind::Float), &angles.sin().to_kind(Kind::Float))
}

/// Turns each pair of neighbouring dimensions of `x` (`[batch, tokens, heads, head_dim]`) in
/// float32; the result has `x`'s kind.
pub fn rotate(x: &Tensor, rope: &Tensor) -> Tensor {
    let pairs = x.to_kind(Kind::Float).unflatten(-1, [-1, 2]).view_as_complex();
    (pairs * rope).view_as_real().flatten(-2, -1).to_kind(x.kind())
}
