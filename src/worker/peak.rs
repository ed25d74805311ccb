//! The most that this process can do, under its own threads, places and libraries.

use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};
use wan22_tune::trial::Peak;
use wan22_tune::workload::PEAK_BYTES;

/// Side of the matrices: large enough that nothing but the product counts.
const SIDE: i64 = 2048;

/// Their side where a product takes [`LONG`], as of halves that the processor can't multiply.
const SHORTER_SIDE: i64 = 1024;

/// Numbers that are copied: [`PEAK_BYTES`] from one place to another, more than caches hold.
const NUMBERS: i64 = (PEAK_BYTES / 8) as i64;

/// Tries, of which the best counts.
const TRIES: usize = 4;

/// After so long two tries are enough.
const LONG: Duration = Duration::from_millis(200);

/// Measures it, in about a second on two cores.
pub fn measure() -> Peak {
    let _guard = tch::no_grad_guard();
    let options = (Kind::Float, Device::Cpu);
    let source = Tensor::zeros([NUMBERS], options);
    let mut copy = Tensor::ones([NUMBERS], options);
    let copied = best(|| copy.copy_(&source));
    let bytes = 2.0 * 4.0 * NUMBERS as f64;
    Peak {
        gflops: product_gflops(Kind::Float),
        bf16_gflops: Some(product_gflops(Kind::BFloat16)),
        gb_s: bytes / copied / 1e9,
    }
}

/// 10^9 operations per second of a product of matrices of `kind`.
fn product_gflops(kind: Kind) -> f64 {
    let seconds = |side: i64| {
        let options = (Kind::Float, Device::Cpu);
        let matrix = || Tensor::rand([side, side], options).to_kind(kind);
        let (a, b, product) = (matrix(), matrix(), matrix());
        best(|| drop(a.matmul_out(&product, &b)))
    };
    let (mut side, mut multiplied) = (SHORTER_SIDE, seconds(SHORTER_SIDE));
    if multiplied < LONG.as_secs_f64() {
        (side, multiplied) = (SIDE, seconds(SIDE));
    }
    2.0 * (side as f64).powi(3) / multiplied / 1e9
}

fn best(mut work: impl FnMut()) -> f64 {
    let mut time = || {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    let (begun, mut best) = (Instant::now(), time().min(time()));
    for _ in 2..TRIES {
        if begun.elapsed() < LONG {
            best = best.min(time());
        }
    }
    best
}
