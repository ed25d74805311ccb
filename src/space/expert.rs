//! Expert candidates: what a person who knows the field would try first.

use serde::{Deserialize, Serialize};

use super::resolve::{SpaceError, at};
use super::{Candidate, Expression, Given, KnobDomain, Space, SpaceFile};
use crate::knobs::Value;

/// One `[[expert]]`: the baseline with some knobs set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertEntry {
    /// Why it may be good.
    pub why: String,
    /// An expression over the machine: the candidate counts only where it holds.
    pub when: Option<String>,
    /// Values by knob: a word for a knob of words, for a count a number or an expression over the
    /// machine, of which the nearest legal value is taken.
    pub knobs: toml::Table,
}

impl ExpertEntry {
    fn holds(&self, given: &Given) -> Result<bool, String> {
        let Some(when) = &self.when else { return Ok(true) };
        Expression::new(when)?.truth(given, std::iter::empty())
    }
}

impl Space {
    /// The file's expert candidates, in its order, as far as this machine has their words, and they
    /// hold there and keep the constraints.
    ///
    /// # Errors
    /// The entry's key and what is wrong with it.
    pub fn experts(&self, file: &SpaceFile) -> Result<Vec<Candidate>, SpaceError> {
        let mut experts = Vec::new();
        for (number, entry) in file.expert.iter().enumerate() {
            let place = format!("expert[{number}].when");
            if !at(&place, entry.holds(&self.given))? {
                continue;
            }
            let mut candidate = Some(self.baseline());
            for (name, value) in &entry.knobs {
                let place = format!("expert[{number}].knobs.{name}");
                // A knob that this space leaves alone rests at the baseline.
                let Some((position, knob)) = self.knob(name) else { continue };
                let level = at(&place, self.expert_level(knob, value))?;
                candidate = candidate.zip(level).map(|(c, level)| c.with(position, level));
            }
            experts.extend(candidate.filter(|candidate| self.is_legal(candidate)));
        }
        Ok(experts)
    }

    /// The level that an expert's value means; `None` for a word that this machine lacks.
    fn expert_level(
        &self,
        knob: &KnobDomain,
        value: &toml::Value,
    ) -> Result<Option<usize>, String> {
        let kind = knob.levels[knob.baseline].kind();
        let takes = || {
            if knob.ordered {
                format!("takes {kind} or an expression")
            } else {
                format!("takes {kind}")
            }
        };
        let wanted = Value::deserialize(value.clone()).map_err(|_| takes())?;
        if let (true, Value::Word(text)) = (knob.ordered, &wanted) {
            return Ok(knob.nearest_number(Expression::new(text)?.amount(&self.given)?));
        }
        Ok(knob.nearest(&kind.fit(&wanted).map_err(|_| takes())?))
    }
}
