//! Peak: the most that the process could do.

use serde::{Deserialize, Serialize};

/// The most that the process could do, measured beside the reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// 10^9 operations per second of a product of large float32 matrices.
    pub gflops: f64,
    /// The same of bfloat16 matrices; `None` in journals of older versions.
    #[serde(default)]
    pub bf16_gflops: Option<f64>,
    /// 10^9 bytes per second of copying a large tensor, read and written bytes counted.
    pub gb_s: f64,
}
