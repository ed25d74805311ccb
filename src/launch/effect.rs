//! Effect: what the process reads back about itself.

use serde::{Deserialize, Serialize};

/// What holds in a process after warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effect {}
