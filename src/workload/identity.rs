//! What makes two settings the same for a job.

use sha2::{Digest, Sha256};

use super::Workload;
use crate::knobs::Settings;

impl Settings {
    /// What makes two settings the same for a job: a tile no smaller than the VAE's window is no
    /// tile (as [`super::Tilings`] has it, in the encoder after patching), a batch of more clips than a
    /// repetition has is one of all of these, and the NUMA_ variables are labels that nothing reads.
    pub fn identity(&self, workload: &Workload) -> u64 {
        let sizes = workload.job.as_ref().unwrap_or(&workload.sizes);
        let whole = sizes.window_width.max(sizes.window_height);
        let mut same = self.clone();
        // What a user's own job does with them, nobody knows.
        if !workload.is_custom() {
            let patch = u32::try_from(workload.model.architecture().vae.patch()).unwrap_or(1);
            same.tile_size = same.tile_size.min(whole * patch);
            same.vae_tile_size = same.vae_tile_size.min(whole);
            same.batch_size = same.batch_size.min(workload.sizes.clips);
        }
        same.environment.retain(|name, _| !name.starts_with("NUMA_"));
        let text = serde_json::to_string(&same).expect("settings are plain data");
        let digest = Sha256::digest(text.as_bytes());
        u64::from_be_bytes(digest[..8].try_into().expect("a digest is longer than 8 bytes"))
    }
}
