//! Effect: what the process reads back about itself.

use serde::{Deserialize, Serialize};

/// What holds in a process after warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effect {}

impl Effect {
    /// STUB
    pub fn digest(&self) -> String {
        String::new()
    }
    /// STUB
    pub fn mismatches(&self, _settings: &crate::settings::Settings) -> Vec<String> {
        Vec::new()
    }
}
