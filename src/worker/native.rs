//! libtorch's global switches and what it says of itself, through `shim.cpp`: tch binds none of it.
#![allow(unsafe_code)] // Calls the C functions of our own shim.

use std::ffi::{c_char, c_int};

use strum::VariantArray;
use wan22_tune::knobs::MatmulPrecision;
use wan22_tune::knobs::libraries::MklDispatch;

unsafe extern "C" {
    fn wan22_set_float32_matmul_precision(level: c_int);
    fn wan22_float32_matmul_precision() -> c_int;
    fn wan22_mkl_takes_intel() -> c_int;
    fn wan22_parallel_info(buffer: *mut c_char, size: usize) -> usize;
    fn wan22_cpu_capability(buffer: *mut c_char, size: usize) -> usize;
    fn wan22_show_config(buffer: *mut c_char, size: usize) -> usize;
}

/// Sets how exactly float32 matrices are multiplied from now on in this process.
pub fn set_float32_matmul_precision(precision: MatmulPrecision) {
    // SAFETY: the enum's discriminants 0, 1, 2 are the levels that the shim knows.
    unsafe { wan22_set_float32_matmul_precision(precision as c_int) }
}

/// How exactly float32 matrices are multiplied now; `None` for a level that this program lacks.
pub fn float32_matmul_precision() -> Option<MatmulPrecision> {
    // SAFETY: reads a flag of libtorch's global context; no pointers cross.
    let level = unsafe { wan22_float32_matmul_precision() };
    MatmulPrecision::VARIANTS.iter().copied().find(|precision| *precision as c_int == level)
}

/// Which kernels MKL takes here; `None` where libtorch has no MKL.
pub fn mkl_dispatch() -> Option<MklDispatch> {
    // SAFETY: asks a function of MKL without arguments, if there is one.
    match unsafe { wan22_mkl_takes_intel() } {
        0 => Some(MklDispatch::Own),
        1.. => Some(MklDispatch::Intel),
        _ => None,
    }
}

/// libtorch's description of its threads: OpenMP and MKL versions, pool sizes, environment.
pub fn parallel_info() -> String {
    text(wan22_parallel_info)
}

/// The instruction set that ATen's own kernels use: `DEFAULT`, `AVX2`, `AVX512`, …
pub fn cpu_capability() -> String {
    text(wan22_cpu_capability)
}

/// The version of the libtorch that is loaded, from its description of how it was built.
pub fn libtorch_version() -> Option<String> {
    let config = text(wan22_show_config);
    let version = config.split("TORCH_VERSION=").nth(1)?.split([',', ' ', '\n']).next()?;
    Some(version.to_owned())
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
        assert!(
            ["DEFAULT", "AVX2", "AVX512"].iter().any(|name| cpu_capability().starts_with(name))
        );
    }

    #[test]
    fn libtorch_knows_its_version() {
        let version = libtorch_version().unwrap();
        assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{version}");
    }

    #[test]
    fn the_defaults_can_be_set_again() {
        set_float32_matmul_precision(MatmulPrecision::Highest);
        assert_eq!(float32_matmul_precision(), Some(MatmulPrecision::Highest));
        let ones = tch::Tensor::ones([64, 64], (tch::Kind::Float, tch::Device::Cpu));
        assert_eq!(ones.matmul(&ones), &ones * 64.0);
    }
}
