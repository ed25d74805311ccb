//! The values of all knobs: by name, with others, resolved on a machine.

use serde::Deserialize;

use super::placement::{Placement, PoolSizes};
use super::{
    KNOBS, Knob, Knobs, Migration, Numerics, PresetTarget, Settings, Value, Values, Workers,
};
use crate::machine::Machine;

impl Knobs {
    /// Knobs that fit any machine: one thread, nothing bound, nothing chosen.
    pub fn neutral() -> Self {
        Self::fit(PresetTarget { preset: None, cores: 1, vram_gib: 0 })
    }

    /// Every knob by name.
    pub fn values(&self) -> Values {
        let mut values = self.built_in();
        values.extend(self.custom.clone());
        values
    }

    /// Those that the tool itself has.
    pub fn built_in(&self) -> Values {
        let fields = serde_json::to_value(self).expect("knobs are plain data");
        serde_json::from_value(fields).expect("each knob is a value")
    }

    /// These knobs with some set to other values. A name that the tool does not know is a knob of
    /// the user's own command.
    ///
    /// # Errors
    /// The knob's name and what is wrong with its value.
    pub fn with<'a, N: AsRef<str> + ?Sized + 'a>(
        &self,
        values: impl IntoIterator<Item = (&'a N, &'a Value)>,
    ) -> Result<Self, String> {
        let values = values.into_iter().map(|(name, value)| (name.as_ref(), value));
        let is_built_in = |name: &str| KNOBS.iter().any(|(known, _)| *known == name);
        let (values, custom): (Vec<_>, Vec<_>) = values.partition(|(name, _)| is_built_in(name));
        let mut knobs = self.with_built_in(&values)?;
        knobs.custom.clone_from(&self.custom);
        knobs.custom.extend(custom.into_iter().map(|(name, v)| (name.to_owned(), v.clone())));
        if !self.as_is.is_empty() {
            // What gets the value that it has is still left alone.
            let (old, new) = (self.built_in(), knobs.built_in());
            let is_left = |name: &&String| old.get(*name) == new.get(*name);
            knobs.as_is = self.as_is.iter().filter(is_left).cloned().collect();
        }
        Ok(knobs)
    }

    fn with_built_in(&self, values: &[(&str, &Value)]) -> Result<Self, String> {
        let usual = serde_json::to_value(self).expect("knobs are plain data");
        let field = |value: &Value| serde_json::to_value(value).expect("a value is plain data");
        let mut fields = usual.clone();
        values.iter().for_each(|(name, value)| fields[*name] = field(value));
        Self::deserialize(&fields).map_err(|problem| {
            // Each alone, so that the message can name the knob.
            let blamed = values.iter().find_map(|(name, value)| {
                let mut fields = usual.clone();
                fields[*name] = field(value);
                let error = Self::deserialize(&fields).err()?;
                Some(format!("{name} = {value}: {error}"))
            });
            blamed.unwrap_or_else(|| problem.to_string())
        })
    }

    /// What these knobs mean on a machine.
    ///
    /// # Errors
    /// Why the machine can't run them.
    pub fn resolve(&self, machine: &Machine) -> Result<Settings, String> {
        self.check_counts(machine)?;
        let placement = self.placement(machine)?;
        let policies = self.memory_mode.policies(machine, &placement).ok_or_else(|| {
            format!("memory_mode = {}: {}", self.memory_mode, self.memory_mode.refusal(machine))
        });
        let (weights_memory, memory) = policies?;
        let mut conflicts =
            KNOBS.iter().filter_map(|(name, knob)| knob.conflict(self).zip(Some(name)));
        if let Some((reason, name)) = conflicts.next() {
            return Err(format!("{name} = {}: {reason}", self.values()[*name]));
        }
        Ok(Settings {
            intra_op_threads: self.intra_op_threads,
            inter_op_threads: self.inter_op_threads,
            environment: self.environment_on(&placement, machine),
            placement,
            memory,
            weights_memory,
            workers: self.workers(),
            tile_size: self.tile_size,
            vae_tile_size: self.vae_tile_size,
            batch_size: self.batch_size,
            numerics: self.numerics(),
            custom: self.custom.clone(),
            as_is: self.as_is.clone(),
        })
    }

    /// These knobs fitted to another host, and for each knob that may have changed the reason.
    pub fn adapted(&self, to: &Migration<'_>) -> (Self, Vec<(&'static str, String)>) {
        let (mut knobs, neutral) = (self.clone(), Self::neutral().values());
        let mut reasons = Vec::new();
        let acts = |(name, knob): &&(&str, &dyn Knob)| {
            knob.is_handed_over() || !self.as_is.contains(*name)
        };
        for (name, knob) in KNOBS.iter().filter(acts) {
            reasons.extend(knob.adapt(&mut knobs, to).map(|reason| (*name, reason)));
            if let Some(reason) = knob.unavailable(&knobs, &to.here) {
                knobs = knobs.with([(*name, &neutral[*name])]).expect("a neutral value fits");
                reasons.push((*name, reason));
            }
        }
        (knobs, reasons)
    }

    /// What of them may change a picture beside its tiles.
    pub fn numerics(&self) -> Numerics {
        Numerics {
            precision: self.precision,
            matmul_precision: self.matmul_precision,
            conv_backend: self.conv_backend,
            memory_format: self.memory_format,
        }
    }

    /// The CPUs of the process and of each pool.
    ///
    /// # Errors
    /// The machine has no such layout.
    pub fn placement(&self, machine: &Machine) -> Result<Placement, String> {
        let demand = PoolSizes {
            model: self.intra_op_threads,
            io: self.io_workers,
            preprocess: self.preprocess_workers,
            batch: self.batch_workers,
        };
        self.affinity
            .place(machine, demand)
            .ok_or_else(|| format!("affinity = {}: this machine has no such layout", self.affinity))
    }

    /// Pool sizes of the image pipeline.
    pub fn workers(&self) -> Workers {
        Workers {
            io: self.io_workers,
            preprocess: self.preprocess_workers,
            batch: self.batch_workers,
        }
    }

    /// The model's threads and all workers.
    pub fn threads(&self) -> usize {
        let workers = self.io_workers + self.preprocess_workers + self.batch_workers;
        self.intra_op_threads + workers
    }

    /// Whether every number is one that `machine` can be meant to have: far more threads than CPUs
    /// can't be, and the baseline itself needs a few more.
    ///
    /// # Errors
    /// The knob, its value, and what it takes.
    pub fn check_counts(&self, machine: &Machine) -> Result<(), String> {
        let most = 4 * machine.thread_limit() + 64;
        self.check_ranges(most).map_err(|(name, reason)| {
            format!("{name} = {}: {reason} on this machine", self.values()[name])
        })
    }

    /// Whether every number is one that can be meant, with at most `most` threads in a pool.
    ///
    /// # Errors
    /// The knob, and what it takes.
    pub fn check_ranges(&self, most: usize) -> Result<(), (&'static str, String)> {
        KNOBS.iter().try_for_each(|(name, knob)| {
            knob.check_range(self, most).map_err(|range| (*name, range))
        })
    }
}
