//! Baseline: the settings that a search starts from and must beat.

mod optimal;
mod quota;

use serde::{Deserialize, Serialize};

use super::{Knobs, PresetTarget};
use crate::machine::Machine;

pub use optimal::{HardwareProfile, OptimalSettings};
pub use quota::{quota_cure, quota_for, quota_warning};

/// A preset that people copy, before it is fitted to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(clap::ValueEnum, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Preset {
    /// The WAN22 optimizer's for the Threadripper PRO 5995WX.
    #[value(name = "5995wx")]
    #[serde(rename = "5995wx")]
    #[strum(serialize = "5995wx")]
    Threadripper5995wx,
    /// The WAN22 optimizer's for the GeForce RTX 4080.
    #[value(name = "rtx4080")]
    Rtx4080,
    /// The WAN22 optimizer's for any other machine.
    Generic,
}

impl Preset {
    /// The preset that people mean by `5995WX`, `RTX 4080` or `AMD Ryzen Threadripper PRO 5995WX`.
    pub fn named(words: &str) -> Option<Self> {
        let plain = words.chars().filter(|c| !matches!(c, ' ' | '-' | '_'));
        let plain: String = plain.flat_map(char::to_lowercase).collect();
        let ends = |names: &[&str]| names.iter().any(|name| plain.ends_with(name));
        match plain.as_str() {
            _ if plain.contains(['/', '.']) => None,
            "generic" => Some(Self::Generic),
            _ if ends(&["5995wx"]) => Some(Self::Threadripper5995wx),
            "4080" => Some(Self::Rtx4080),
            _ if ends(&["rtx4080"]) => Some(Self::Rtx4080),
            _ => None,
        }
    }

    /// The preset that people would copy for this machine: the 5995WX's unless it is a desktop
    /// with an RTX 4080.
    pub fn detect(machine: &Machine) -> Self {
        if machine.is_rtx_4080() && !machine.is_threadripper_pro() {
            Self::Rtx4080
        } else {
            Self::Threadripper5995wx
        }
    }
}

/// A preset fitted to a machine.
///
/// Source of every formula: the WAN22 system optimizer's hardware optimizer, where C is the
/// number of physical cores (that a CPU quota lets run). Its integer divisions give zero on small machines; ours at least 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// The preset.
    pub preset: Preset,
    /// The knobs that it sets.
    pub knobs: Knobs,
    /// What the WAN22 optimizer would store.
    pub optimal: OptimalSettings,
}

impl Baseline {
    /// Fits `preset` to `machine`.
    pub fn fit(preset: Preset, machine: &Machine) -> Self {
        // A quota's threads beyond its CPUs are stopped in turn: to it, more cores don't exist.
        let cores = machine.core_limit();
        let vram = machine.gpus.iter().map(|gpu| gpu.memory_bytes).max().unwrap_or(0);
        let knobs =
            Knobs::fit(PresetTarget { preset: Some(preset), cores, vram_gib: vram_gb(vram) });
        let knobs = within_quota(knobs, machine);
        let optimal = OptimalSettings::of_preset(preset, machine, &knobs, cores);
        Self { preset, knobs, optimal }
    }
}

/// A quota is the ceiling of all threads together, as far as each pool can do with fewer: the
/// workers first, down to one each, then the model.
fn within_quota(mut knobs: Knobs, machine: &Machine) -> Knobs {
    let ceiling = machine.quota_ceiling().unwrap_or(usize::MAX);
    while knobs.threads() > ceiling.max(LEAST_THREADS) {
        let Knobs { intra_op_threads, preprocess_workers, io_workers, batch_workers, .. } =
            &mut knobs;
        let pools = [preprocess_workers, io_workers, batch_workers, intra_op_threads];
        if let Some(threads) = pools.into_iter().find(|threads| **threads > 1) {
            *threads -= 1;
        }
    }
    knobs
}

/// The threads of a trial that has one in each pool.
const LEAST_THREADS: usize = 4;

impl Baseline {
    /// The same preset with other knobs: what a tune's flags fix.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Knobs)) -> Self {
        change(&mut self.knobs);
        self.optimal.batch_size = self.knobs.batch_size;
        self
    }

    /// What libtorch does when nobody sets anything: a thread a core, nothing bound, glibc's
    /// malloc. What is no question to libtorch (workers, tiles, batches, a command's own knobs) is as
    /// in the preset.
    pub fn libtorch_defaults(&self, machine: &Machine) -> Knobs {
        let Knobs { io_workers, preprocess_workers, batch_workers, .. } = self.knobs;
        let Knobs { tile_size, vae_tile_size, batch_size, .. } = self.knobs;
        Knobs {
            io_workers,
            preprocess_workers,
            batch_workers,
            tile_size,
            vae_tile_size,
            batch_size,
            custom: self.knobs.custom.clone(),
            as_is: self.knobs.as_is.clone(),
            ..Knobs::fit(PresetTarget { preset: None, cores: machine.core_limit(), vram_gib: 0 })
        }
    }
}

/// Whole GiB, rounded as the WAN22 optimizer rounds.
fn vram_gb(bytes: u64) -> u64 {
    (bytes as f64 / f64::from(1 << 30)).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_is_known_by_whatever_people_call_it() {
        for name in ["5995wx", "5995WX", "AMD 5995WX", "AMD Ryzen Threadripper PRO 5995WX"] {
            assert_eq!(Preset::named(name), Some(Preset::Threadripper5995wx), "{name}");
        }
        for name in ["rtx4080", "RTX4080", "RTX 4080", "rtx-4080", "NVIDIA GeForce RTX 4080"] {
            assert_eq!(Preset::named(name), Some(Preset::Rtx4080), "{name}");
        }
        assert_eq!(Preset::named("Generic"), Some(Preset::Generic));
        for name in ["", "5975WX", "rtx4090", "old/5995wx", "5995wx.json"] {
            assert_eq!(Preset::named(name), None, "{name}");
        }
    }
}
