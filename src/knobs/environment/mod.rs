//! The environment that settings put around a process.

pub mod allow_list;
pub mod form;
pub mod inherited;
pub mod program_environment;

use std::collections::BTreeMap;

use super::placement::Placement;
use super::{KNOBS, Knob, Knobs, Variable};
use crate::machine::Machine;

impl Knobs {
    /// The knobs that are not left alone.
    fn setting(&self) -> impl Iterator<Item = &'static dyn Knob> {
        KNOBS.iter().filter(|(name, _)| !self.as_is.contains(*name)).map(|(_, knob)| *knob)
    }

    /// The variables that follow from the knobs alone.
    pub fn environment(&self) -> BTreeMap<String, String> {
        compose(self.setting().flat_map(|knob| knob.variables(self)))
    }

    /// Variables and values: those of the knobs, and those that follow from the machine.
    pub fn environment_on(
        &self,
        placement: &Placement,
        machine: &Machine,
    ) -> BTreeMap<String, String> {
        compose(self.setting().flat_map(|knob| {
            let alone = knob.variables(self).into_iter();
            alone.chain(knob.variables_on(self, placement, machine))
        }))
    }
}

/// What several knobs set is a list.
fn compose(variables: impl Iterator<Item = Variable>) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in variables {
        let list = environment.entry(name.to_owned()).or_default();
        *list += if list.is_empty() { "" } else { ":" };
        *list += &value;
    }
    environment
}
