//! Pruning: what the search goes on without, as the journal shows: values that could not be
//! applied here, and knobs that change nothing.

mod ignored;
mod no_effect;
mod unsupported;

pub use ignored::{Ignored, PROBE, fewest as fewest_probes, next as next_probe};
pub use no_effect::NoEffect;
pub use unsupported::Unsupported;

use crate::knobs::Value;
use crate::search::StrategyName;
use crate::space::{Candidate, KnobDomain, Space};
use crate::trial::Trial;

/// A pure function of the space and the journal: who reads both again drops the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pruned {
    /// Values that could not be applied.
    pub unsupported: Vec<Unsupported>,
    /// Knobs that change nothing.
    pub no_effect: Vec<NoEffect>,
    /// Knobs that the user's own job does not read.
    pub ignored: Vec<Ignored>,
}

impl Pruned {
    /// What `trials` give reason to drop. Of a grid no knob is left out for that: whoever asks for every
    /// candidate gets also those that change little.
    pub fn of(space: &Space, trials: &[Trial]) -> Self {
        let grid: &str = StrategyName::Grid.into();
        let is_grid = trials.iter().any(|trial| trial.strategy == grid);
        let ignored = ignored::of(space, trials);
        let mut no_effect = if is_grid { Vec::new() } else { no_effect::of(space, trials) };
        no_effect.retain(|no_effect| {
            ignored.iter().all(|ignored| !ignored.knobs.contains(&no_effect.knob))
        });
        Self { unsupported: unsupported::of(&space.given.baseline, trials), no_effect, ignored }
    }

    /// The candidate as far as the search still tells it from others: with knobs without effect at the
    /// baseline's values, legal or not; `None` where a value of it is unsupported. Searches ask this
    /// of thousands of candidates for a proposal.
    pub fn canonical(&self, space: &Space, candidate: &Candidate) -> Option<Candidate> {
        let is_unsupported = |(name, value): (&str, &Value)| {
            self.unsupported
                .iter()
                .any(|unsupported| unsupported.knob == name && unsupported.value == *value)
        };
        let is_out = space.named(candidate).any(is_unsupported);
        (!is_out)
            .then(|| self.idle(space).fold(candidate.clone(), |plain, knob| rest(&plain, knob)))
    }

    /// The candidate as it is to be measured: plain as far as that is legal, and as it is where a
    /// value of it is unsupported.
    pub fn with_frozen(&self, space: &Space, candidate: &Candidate) -> Candidate {
        let Some(plain) = self.canonical(space, candidate) else { return candidate.clone() };
        let legal = |plain: Candidate| Some(space.canonical(&plain)).filter(|c| space.is_legal(c));
        let each = || {
            let rest = |plain: Candidate, knob| legal(rest(&plain, knob)).unwrap_or(plain);
            self.idle(space).fold(candidate.clone(), rest)
        };
        legal(plain).unwrap_or_else(each)
    }

    /// The knobs that rest, with their places.
    fn idle<'s>(&self, space: &'s Space) -> impl Iterator<Item = (usize, &'s KnobDomain)> {
        let ignored = self.ignored.iter().flat_map(|ignored| &ignored.knobs);
        let idle = self.no_effect.iter().map(|no_effect| &no_effect.knob).chain(ignored);
        idle.filter_map(|knob| space.knob(knob))
    }

    /// Sentences for what `known` lacks.
    pub fn news(&self, known: &Self) -> Vec<String> {
        let unsupported = |new: &&Unsupported| {
            !known.unsupported.iter().any(|old| old.knob == new.knob && old.value == new.value)
        };
        let no_effect = |new: &&NoEffect| !known.no_effect.iter().any(|old| old.knob == new.knob);
        let ignored = |new: &&Ignored| !known.ignored.iter().any(|old| old.knobs == new.knobs);
        let ignored = self.ignored.iter().filter(ignored).map(Ignored::sentence);
        let unsupported = self.unsupported.iter().filter(unsupported).map(Unsupported::sentence);
        let no_effect = self.no_effect.iter().filter(no_effect).map(NoEffect::sentence);
        unsupported.chain(no_effect).chain(ignored).collect()
    }

    /// A sentence for each thing dropped, for the terminal and the report.
    pub fn sentences(&self) -> Vec<String> {
        self.news(&Self::default())
    }
}

fn rest(candidate: &Candidate, (position, knob): (usize, &KnobDomain)) -> Candidate {
    candidate.with(position, knob.baseline)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// An ok trial of the search with one sample.
    pub(super) fn trial(number: u64, knobs: BTreeMap<String, Value>, seconds: f64) -> Trial {
        Trial {
            number,
            seed: 1,
            knobs,
            samples: vec![crate::trial::Sample { seconds, ..Default::default() }],
            wall_s: 1.0,
            ..Trial::default()
        }
    }

    #[test]
    fn a_knob_rests_only_where_that_is_legal() {
        let text = "schema = 1\nname = 'made'\nwhy = 'x'\nbaseline = { io_workers = 2, \
                    batch_workers = 2, batch_size = 1 }\n[knob]\n\
                    io_workers = { why = '', values = [1, 2, 3] }\n\
                    batch_workers = { why = '', values = [1, 2, 3] }\n\
                    batch_size = { why = '', values = [1, 2, 3] }\n\
                    [[constraint]]\nholds = 'io_workers + batch_workers <= 4'\nwhy = ''\n";
        let space = Space::reopen(&crate::space::SpaceFile::parse(text).unwrap()).unwrap();
        let no_effect = |knob: &str| {
            let knob = knob.to_owned();
            NoEffect { knob, at_most: 0.01, trials: 40, values: 3 }
        };
        let no_effect = vec![no_effect("io_workers"), no_effect("batch_size")];
        let dropped = Pruned { no_effect, ..Pruned::default() };
        let of = |io_workers: usize, batch_workers: usize, batch_size: usize| {
            let counts = [
                ("io_workers", io_workers),
                ("batch_workers", batch_workers),
                ("batch_size", batch_size),
            ];
            counts.into_iter().fold(space.baseline(), |candidate, (name, count)| {
                candidate.with(space.knob(name).unwrap().0, count - 1)
            })
        };
        assert_eq!(dropped.with_frozen(&space, &of(1, 1, 3)), of(2, 1, 1));
        assert_eq!(dropped.with_frozen(&space, &of(1, 3, 3)), of(1, 3, 1));
    }

    #[test]
    fn an_unsupported_value_ends_a_candidate_and_a_knob_without_effect_rests() {
        let text = "threads:ord,pages:cat,value\n1,none,1\n2,none,1\n1,huge,1\n2,huge,1\n";
        let space = crate::search::Recorded::parse("made", text).unwrap().space;
        let candidate = |threads, pages| Candidate::new([threads, pages]);
        let unsupported = Unsupported {
            knob: "pages".to_owned(),
            value: Value::Word("huge".to_owned()),
            trial: 3,
            detail: "huge pages: asked for some, got none".to_owned(),
        };
        let no_effect =
            NoEffect { knob: "threads".to_owned(), at_most: 0.012, trials: 40, values: 2 };
        let dropped = Pruned {
            unsupported: vec![unsupported],
            no_effect: vec![no_effect],
            ignored: Vec::new(),
        };
        let (_, pages) = space.knob("pages").unwrap();
        let level = |word: &str| pages.levels.iter().position(|l| l.to_string() == word).unwrap();
        let (none, huge) = (level("none"), level("huge"));
        assert_eq!(dropped.canonical(&space, &candidate(0, huge)), None);
        assert_eq!(dropped.canonical(&space, &candidate(1, none)), Some(candidate(0, none)));
        insta::assert_snapshot!(dropped.sentences().join("\n"), @r"
        pages = huge could not be applied in trial 3 and was tried no more: huge pages: asked for some, got none
        threads changes nothing here: 2 values in 40 trials differ by at most 1.2% and no more were tried
        ");
    }
}
