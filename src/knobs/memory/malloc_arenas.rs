//! `malloc_arenas`: heaps among which glibc's malloc spreads its threads.

use crate::knobs::as_is::CallerEnvironment;
use crate::knobs::form::{COUNT, VariableForm};
use crate::knobs::{Knob, Knobs, PresetTarget, Variable};

/// More than any machine has threads.
const MOST: u32 = 65535;

const VARIABLE: &str = "MALLOC_ARENA_MAX";

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = u32;

    fn baseline(_: PresetTarget) -> u32 {
        4
    }

    fn check_range(&self, knobs: &Knobs, _: usize) -> Result<(), String> {
        let fits = (1..=MOST).contains(&knobs.malloc_arenas);
        if fits { Ok(()) } else { Err(format!("it takes 1 to {MOST}")) }
    }

    fn variables(&self, knobs: &Knobs) -> Vec<Variable> {
        vec![(VARIABLE, knobs.malloc_arenas.to_string())]
    }

    fn forms(&self) -> Vec<VariableForm> {
        vec![VariableForm::new(VARIABLE, COUNT)]
    }

    fn read_caller(&self, knobs: &mut Knobs, caller: &CallerEnvironment<'_>) {
        knobs.malloc_arenas = caller.number(VARIABLE).unwrap_or(knobs.malloc_arenas);
    }
}
