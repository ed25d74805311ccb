//! Seeded random weights at memory speed: one block of random numbers, laid out again and again.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore as _, SeedableRng};
use tch::Tensor;

use super::Init;
use super::fresh::TensorSpec;

/// A prime, so that no matrix sees the same row twice in a row's reach.
const LENGTH: i64 = 1_000_003;

/// A million uniform numbers of mean 0 and variance 1.
pub struct RandomBuffer {
    numbers: Tensor,
}

impl RandomBuffer {
    pub fn new(seed: u64) -> Self {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
        let reach = 3.0_f64.sqrt();
        let numbers: Vec<f32> = (0..LENGTH)
            .map(|_| {
                let unit = (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                ((2.0 * unit - 1.0) * reach) as f32
            })
            .collect();
        Self { numbers: Tensor::from_slice(&numbers) }
    }

    /// A tensor of the block's numbers, from a place that depends on the tensor's name.
    pub fn tensor(&self, name: &str, form: TensorSpec<'_>, init: Init) -> Tensor {
        let TensorSpec { shape, kind, .. } = form;
        let offset = (hash(name) % LENGTH as u64) as i64;
        let total = shape.iter().product::<i64>();
        // Of a small tensor's block only what it takes is scaled.
        let (numbers, offset) = if offset + total <= LENGTH {
            (self.numbers.narrow(0, offset, total), 0)
        } else {
            (self.numbers.shallow_clone(), offset)
        };
        let (mean, spread) = moments(shape, init);
        let scaled = (numbers * spread).g_add_scalar_(mean).to_kind(kind);
        let length = scaled.numel() as i64;
        form.filled(|start, most| {
            let place = (offset + start) % length;
            scaled.narrow(0, place, most.min(length - place))
        })
    }
}

fn moments(shape: &[i64], init: Init) -> (f64, f64) {
    match init {
        Init::Kernel => (0.0, kernel_spread(shape)),
        Init::FaintKernel => (0.0, 0.1 * kernel_spread(shape)),
        Init::Bias => (0.0, 0.02),
        Init::Gain => (1.0, 0.05),
        Init::Spread(spread) => (0.0, spread),
    }
}

fn kernel_spread(shape: &[i64]) -> f64 {
    let inputs: i64 = shape[1..].iter().product();
    1.0 / (inputs as f64).sqrt()
}

/// The FNV-1a hash of a name.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    fn contiguous(shape: &[i64], kind: Kind) -> TensorSpec<'_> {
        TensorSpec { shape, strides: None, kind }
    }

    #[test]
    fn weights_depend_on_seed_and_name_alone() {
        let form = contiguous(&[30, 50], Kind::Float);
        let tensor = |seed, name| RandomBuffer::new(seed).tensor(name, form, Init::Kernel);
        assert_eq!(tensor(1, "a.weight"), tensor(1, "a.weight"));
        assert_ne!(tensor(1, "a.weight"), tensor(2, "a.weight"));
        assert_ne!(tensor(1, "a.weight"), tensor(1, "b.weight"));
    }

    /// A tensor longer than the block is filled to its end, at the spread asked for.
    #[test]
    fn long_tensors_wrap_around_the_block() {
        let tensor =
            RandomBuffer::new(3).tensor("w", contiguous(&[1500, 1000], Kind::Float), Init::Kernel);
        let flat = tensor.view(-1);
        assert_eq!(flat.narrow(0, 0, 1000), flat.narrow(0, LENGTH, 1000));
        let spread = tensor.std(true).double_value(&[]) * 1000.0_f64.sqrt();
        assert!((spread - 1.0).abs() < 0.01, "{spread}");
        let gains =
            RandomBuffer::new(3).tensor("g", contiguous(&[1000], Kind::BFloat16), Init::Gain);
        assert!((gains.mean(Kind::Float).double_value(&[]) - 1.0).abs() < 0.01);
    }
}
