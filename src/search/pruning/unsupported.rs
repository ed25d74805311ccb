//! Unsupported values: what was set and did not take.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::blame;
use crate::knobs::Value;
use crate::knobs::effect::{each_in, suspects};
use crate::trial::{Outcome, Trial};

/// A value that could not be applied here.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsupported {
    /// The knob.
    pub knob: String,
    /// The value.
    pub value: Value,
    /// The trial that showed it.
    pub trial: u64,
    /// How what was read back differs from what was asked.
    pub detail: String,
}

impl Unsupported {
    /// What happened, in words.
    pub fn sentence(&self) -> String {
        let Self { knob, value, trial, detail } = self;
        let detail = detail.strip_prefix(&format!("{knob}: ")).unwrap_or(detail);
        format!(
            "{knob} = {value} could not be applied in trial {trial} and was tried no more: {detail}"
        )
    }
}

/// The values that `trials` show not to take: a trial was misapplied, and of its values other than
/// the baseline's exactly one may be to blame. One that took in another trial is not.
pub fn of(baseline: &BTreeMap<String, Value>, trials: &[Trial]) -> Vec<Unsupported> {
    let good = trials.iter().filter(|trial| trial.outcome == Outcome::Ok);
    let proven: BTreeSet<(&String, &Value)> = good.flat_map(|trial| &trial.knobs).collect();
    let mut unsupported: Vec<Unsupported> = Vec::new();
    let failures = blame::failures(trials, baseline).into_iter();
    for trial in failures.filter(|trial| trial.outcome == Outcome::Misapplied) {
        let changed: Vec<(&String, &Value)> = trial
            .knobs
            .iter()
            .filter(|(name, value)| baseline.get(*name).is_some_and(|usual| usual != *value))
            .filter(|changed| !proven.contains(changed))
            .collect();
        for difference in each_in(&trial.detail) {
            let Some((knob, value)) = culprit(difference, &changed) else { continue };
            if !unsupported.iter().any(|known| known.knob == *knob && known.value == *value) {
                let (knob, value, detail) = (knob.clone(), value.clone(), difference.to_owned());
                unsupported.push(Unsupported { knob, value, trial: trial.number, detail });
            }
        }
    }
    unsupported
}

/// The only changed value that `difference` may come from.
fn culprit<'a>(
    difference: &str,
    changed: &[(&'a String, &'a Value)],
) -> Option<(&'a String, &'a Value)> {
    let knobs = suspects(difference);
    let is_suspect = |knob: &str| knobs.is_empty() || knobs.contains(&knob);
    let mut changed = changed.iter().filter(|(knob, _)| is_suspect(knob));
    let first = changed.next()?;
    changed.next().is_none().then_some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knobs(changes: &[(&str, &str)]) -> BTreeMap<String, Value> {
        let usual = [("allocator", "glibc"), ("memory_mode", "default"), ("affinity", "none")];
        let all = usual.iter().chain(changes);
        all.map(|(name, word)| ((*name).to_owned(), Value::Word((*word).to_owned()))).collect()
    }

    /// Changes to the baseline, and the mismatch, if any.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str);

    fn found(cases: &[Case<'_>]) -> Vec<String> {
        let trial = |(number, (changes, detail)): (usize, &Case<'_>)| Trial {
            outcome: if detail.is_empty() { Outcome::Ok } else { Outcome::Misapplied },
            detail: (*detail).to_owned(),
            ..super::super::tests::trial(number as u64 + 1, knobs(changes), 1.0)
        };
        let trials: Vec<Trial> = cases.iter().enumerate().map(trial).collect();
        let unsupported = of(&knobs(&[]), &trials);
        unsupported.iter().map(|s| format!("{}={} #{}", s.knob, s.value, s.trial)).collect()
    }

    #[test]
    fn the_only_changed_value_is_to_blame() {
        let preload: &[_] = &[("allocator", "jemalloc")];
        assert_eq!(found(&[(&[], ""), (preload, "odd: words")]), ["allocator=jemalloc #2"]);
    }

    #[test]
    fn words_tell_which_of_several_changed_values_is_to_blame() {
        let both: &[_] = &[("allocator", "jemalloc"), ("memory_mode", "bind")];
        let policy = "memory policy: asked for bind 0, got default";
        assert_eq!(found(&[(both, policy)]), ["memory_mode=bind #1"]);
        let allocator = "allocator: asked for jemalloc, got glibc";
        let all = found(&[(both, &format!("{policy}; {allocator}")), (both, policy)]);
        assert_eq!(all, ["memory_mode=bind #1", "allocator=jemalloc #1"]);
        assert_eq!(found(&[(both, "odd: words")]), Vec::<String>::new());
    }

    #[test]
    fn a_value_that_took_once_is_not_to_blame() {
        let policy = "memory policy: asked for bind 0, got default";
        let both: &[_] = &[("affinity", "one-node"), ("memory_mode", "bind")];
        assert_eq!(found(&[(both, policy)]), Vec::<String>::new());
        let affinity: &[_] = &[("affinity", "one-node")];
        assert_eq!(found(&[(both, policy), (affinity, "")]), ["memory_mode=bind #1"]);
        let mode: &[_] = &[("memory_mode", "bind")];
        let all = found(&[(both, policy), (affinity, ""), (mode, "")]);
        assert_eq!(all, Vec::<String>::new());
    }
}
