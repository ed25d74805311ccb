//! `cuda_alloc`: how libtorch's allocator on GPUs keeps and splits its blocks; chosen when a process
//! starts.

use crate::knobs::allow_list::CUDA_ALLOCATOR;
use crate::knobs::form::{COUNT, VariableForm};
use crate::knobs::knob::words;
use crate::knobs::{Host, Knob, Knobs, Variable};

words! {
    /// What the variable says.
    pub enum CudaAlloc {
        /// Nothing: the caller's own stays.
        #[default]
        Default,
        /// Segments grow instead of being split, which leaves less memory in pieces.
        ExpandableSegments,
        /// Blocks above this size, MiB, are not split.
        #[serde(rename = "split-128")]
        #[strum(serialize = "split-128")]
        Split128,
        /// The same with larger blocks.
        #[serde(rename = "split-512")]
        #[strum(serialize = "split-512")]
        Split512,
    }
}

impl CudaAlloc {
    fn text(self) -> Option<&'static str> {
        match self {
            Self::Default => None,
            Self::ExpandableSegments => Some("expandable_segments:True"),
            Self::Split128 => Some("max_split_size_mb:128"),
            Self::Split512 => Some("max_split_size_mb:512"),
        }
    }
}

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = CudaAlloc;

    fn unavailable(&self, knobs: &Knobs, host: &Host<'_>) -> Option<String> {
        let is_idle = knobs.cuda_alloc != CudaAlloc::Default && host.machine.gpus.is_empty();
        is_idle.then(|| "this machine has no GPU".to_owned())
    }

    /// Both names: since 2.9 libtorch has the new one, and 2.9.1 reads the old one only.
    fn variables(&self, knobs: &Knobs) -> Vec<Variable> {
        let text = knobs.cuda_alloc.text();
        let both = |text: &str| CUDA_ALLOCATOR.map(|name| (name, text.to_owned()));
        text.map(both).into_iter().flatten().collect()
    }

    /// Profiles of older versions have any size, without a knob for it.
    fn forms(&self) -> Vec<VariableForm> {
        let form = format!("(expandable_segments:True|max_split_size_mb:{COUNT})");
        CUDA_ALLOCATOR.map(|name| VariableForm::of_the_machine(name, form.clone())).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::Value;
    use crate::machine::{Gpu, Machine};

    #[test]
    fn both_names_are_set_and_only_where_there_is_a_gpu() {
        let word = Value::Word("expandable-segments".to_owned());
        let knobs = Knobs::neutral().with([("cuda_alloc", &word)]).unwrap();
        let set = "expandable_segments:True".to_owned();
        let both = CUDA_ALLOCATOR.map(|name| (name.to_owned(), set.clone()));
        let environment = knobs.environment();
        assert!(both.iter().all(|(name, value)| environment.get(name) == Some(value)));
        assert!(!Knobs::neutral().environment().contains_key(CUDA_ALLOCATOR[0]));
        let mut machine = Machine::synthetic("package:1 core:2 pu:1");
        let unavailable = |machine: &Machine| Definition.unavailable(&knobs, &Host::of(machine));
        assert_eq!(unavailable(&machine).as_deref(), Some("this machine has no GPU"));
        machine.gpus.push(Gpu::default());
        assert_eq!(unavailable(&machine), None);
    }
}
