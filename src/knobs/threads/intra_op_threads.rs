//! `intra_op_threads`: libtorch's threads inside an operator.

use super::count;
use crate::knobs::as_is::CallerEnvironment;
use crate::knobs::effect::{Effect, MODEL, Mismatch, compare_reported};
use crate::knobs::form::{COUNT, VariableForm};
use crate::knobs::{Knob, Knobs, Migration, Preset, PresetTarget, Settings, Variable};

/// As the WAN22 optimizer sets them for the 5995WX.
const VARIABLES: [&str; 4] =
    ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "TORCH_NUM_THREADS"];

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = usize;

    fn baseline(fit: PresetTarget) -> usize {
        fit.cores.min(match fit.preset {
            Some(Preset::Threadripper5995wx) => 32,
            Some(Preset::Rtx4080) => 8,
            Some(Preset::Generic) => 4,
            None => usize::MAX,
        })
    }

    fn check_range(&self, knobs: &Knobs, most: usize) -> Result<(), String> {
        count::check_range(knobs.intra_op_threads, most)
    }

    fn variables(&self, knobs: &Knobs) -> Vec<Variable> {
        VARIABLES.map(|name| (name, knobs.intra_op_threads.to_string())).into()
    }

    fn forms(&self) -> Vec<VariableForm> {
        VARIABLES.map(|name| VariableForm::new(name, COUNT)).into()
    }

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        let mut found: Vec<Mismatch> =
            compare_reported(&asked.intra_op_threads, got.intra_op_threads.as_ref())
                .into_iter()
                .collect();
        // libtorch starts them as it needs them: a few less or more are right.
        if !got.pools.contains_key(MODEL) {
            found.extend(count::mismatch(got, MODEL, asked.intra_op_threads));
        }
        found
    }

    fn read_caller(&self, knobs: &mut Knobs, caller: &CallerEnvironment<'_>) {
        let most = 4 * caller.machine.thread_limit() + 64;
        let told = VARIABLES[..2].iter().find_map(|name| caller.number::<usize>(name));
        knobs.intra_op_threads = told.map_or(knobs.intra_op_threads, |count| count.min(most));
    }

    fn adapt(&self, knobs: &mut Knobs, to: &Migration<'_>) -> Option<String> {
        count::scale(&mut knobs.intra_op_threads, to)
    }
}
