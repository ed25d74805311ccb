//! The most that this process can do, under its own threads, places and libraries.

use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};
use wan22_tune::trial::Peak;

/// Side of the matrices: large enough that nothing but the product counts.
const SIDE: i64 = 2048;

/// Numbers that are copied: 256 MiB, more than caches hold.
const NUMBERS: i64 = 64 << 20;

/// Tries, of which the best counts.
const TRIES: usize = 4;

/// After so long two of them are enough.
const LONG: Duration = Duration::from_millis(200);

/// Measures it, in about a second on two cores.
pub fn measure() -> Peak {
    let _guard = tch::no_grad_guard();
    let options = (Kind::Float, Device::Cpu);
    let (a, b) = (Tensor::rand([SIDE, SIDE], options), Tensor::rand([SIDE, SIDE], options));
    let product = Tensor::zeros([SIDE, SIDE], options);
    let multiplied = best(|| drop(a.matmul_out(&product, &b)));
    let source = Tensor::zeros([NUMBERS], options);
    let mut copy = Tensor::ones([NUMBERS], options);
    let copied = best(|| copy.copy_(&source));
    let (operations, bytes) = (2.0 * (SIDE as f64).powi(3), 2.0 * 4.0 * NUMBERS as f64);
    Peak { gflops: operations / multiplied / 1e9, gb_s: bytes / copied / 1e9 }
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
