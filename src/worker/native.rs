//! libtorch's global switches and what it says of itself, through `shim.cpp`: tch binds none of it.
#![allow(unsafe_code)] // Calls the C functions of our own shim.

use std::ffi::{c_char, c_int};

unsafe extern "C" {
    fn wan22_set_onednn(on: bool);
    fn wan22_set_flush_denormal(on: bool) -> bool;
    fn wan22_set_float32_matmul_precision(level: c_int);
    fn wan22_parallel_info(buffer: *mut c_char, size: usize) -> usize;
    fn wan22_cpu_capability(buffer: *mut c_char, size: usize) -> usize;
    fn wan22_build_info(buffer: *mut c_char, size: usize) -> usize;
}

/// How exactly libtorch multiplies float32 matrices (`torch.set_float32_matmul_precision`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MatmulPrecision {
    /// float32 throughout, by MKL on a CPU.
    #[default]
    Highest,
    /// TF32 where the hardware has it; no effect on a CPU.
    High,
    /// bfloat16 products where the hardware has them; on a CPU the product moves to oneDNN.
    Medium,
}

/// Lets libtorch use oneDNN, or not, for everything that follows in this process.
pub fn set_onednn(on: bool) {
    // SAFETY: sets a flag of libtorch's global context; no pointers cross.
    unsafe { wan22_set_onednn(on) }
}

/// Flushes denormal numbers to zero in the calling thread; `false` where the CPU can't.
pub fn set_flush_denormal(on: bool) -> bool {
    // SAFETY: sets a control register of this thread; no pointers cross.
    unsafe { wan22_set_flush_denormal(on) }
}

/// Sets how exactly float32 matrices are multiplied from now on in this process.
pub fn set_float32_matmul_precision(precision: MatmulPrecision) {
    // SAFETY: the enum's discriminants 0, 1, 2 are the levels that the shim knows.
    unsafe { wan22_set_float32_matmul_precision(precision as c_int) }
}

/// libtorch's account of its threads: OpenMP and MKL versions, pool sizes, environment.
pub fn parallel_info() -> String {
    text(wan22_parallel_info)
}

/// The instruction set that ATen's own kernels use: `DEFAULT`, `AVX2`, `AVX512`, …
pub fn cpu_capability() -> String {
    text(wan22_cpu_capability)
}

/// libtorch's build configuration: compiler, MKL and oneDNN versions, flags.
pub fn build_info() -> String {
    text(wan22_build_info)
}

fn text(source: unsafe extern "C" fn(*mut c_char, usize) -> usize) -> String {
    // SAFETY: with size 0 the shim writes nothing and returns the length.
    let length = unsafe { source(std::ptr::null_mut(), 0) };
    let mut buffer = vec![0_u8; length + 1];
    // SAFETY: the buffer is as long as we say, and the shim writes at most that much.
    let again = unsafe { source(buffer.as_mut_ptr().cast(), buffer.len()) };
    buffer.truncate(again.min(length));
    String::from_utf8_lossy(&buffer).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_tells_of_itself() {
        assert!(parallel_info().contains("at::get_num_threads"), "{}", parallel_info());
        assert!(build_info().contains("Math Kernel Library"), "{}", build_info());
        assert!(
            ["DEFAULT", "AVX2", "AVX512"].iter().any(|name| cpu_capability().starts_with(name))
        );
    }

    /// The only switch that is a thread's own; the others would disturb the tests beside this one.
    #[test]
    fn denormals_are_flushed_on_request() {
        let product = || {
            let tiny = tch::Tensor::from_slice(&[1e-30_f32]);
            (&tiny * 1e-9).double_value(&[0])
        };
        assert!(product() > 0.0);
        assert!(set_flush_denormal(true));
        assert_eq!(product(), 0.0);
        assert!(set_flush_denormal(false));
    }

    #[test]
    fn the_defaults_can_be_set_again() {
        set_float32_matmul_precision(MatmulPrecision::Highest);
        set_onednn(true);
        let ones = tch::Tensor::ones([64, 64], (tch::Kind::Float, tch::Device::Cpu));
        assert_eq!(ones.matmul(&ones), &ones * 64.0);
    }
}
