//! Unread knobs: values that are only handed over, and that the user's own job does not read.
//!
//! All of them are put at their lowest and at their highest at once; where neither makes a
//! difference none is read, for the price of two trials. Otherwise, where there is time, each is
//! tried by itself.

use super::candidate;
use crate::launch::handover::HANDED;
use crate::space::{Candidate, Knob, Space};
use crate::stats;
use crate::trial::{Outcome, Phase, Sample, Trial};

/// Who proposes the trials that show it, in the journal.
pub const PROBE: &str = "probe";

/// A difference below this share does not matter, however exactly it is known.
const INDIFFERENT: f64 = 0.03;

/// A baseline whose runs differ so much says nothing.
const NOISY: f64 = 0.1;

/// Standard errors that a difference may have by chance.
const CERTAINTY: f64 = 3.0;

/// Knobs that the job does not read.
#[derive(Clone, Debug, PartialEq)]
pub struct Unread {
    /// The knobs.
    pub knobs: Vec<String>,
    /// The largest difference that other values made, as a share.
    pub at_most: f64,
    /// The trials that show it.
    pub trials: Vec<u64>,
}

impl Unread {
    /// What was found, in words.
    pub fn sentence(&self) -> String {
        let Self { knobs, at_most, trials } = self;
        let (make, values) = if knobs.len() == 1 { ("makes", "its") } else { ("make", "their") };
        let trial = if trials.len() == 1 { "trial" } else { "trials" };
        let trials: Vec<String> = trials.iter().map(u64::to_string).collect();
        format!(
            "{} {make} no difference to the command: {values} lowest and highest values ({trial} {}) \
             differ from the baseline by at most {:.1}% and no more were tried",
            knobs.join(", "),
            trials.join(" and "),
            100.0 * at_most
        )
    }
}

/// The knobs that `trials` show to be read by nobody.
pub fn of(space: &Space, trials: &[Trial]) -> Vec<Unread> {
    let mut groups = groups(space).into_iter();
    let all = groups.next().and_then(|group| unread(space, trials, &group));
    match all {
        Some(all) => vec![all],
        None => groups.filter_map(|group| unread(space, trials, &group)).collect(),
    }
}

/// The next candidate that could show more; knobs by themselves only if `thorough`.
pub fn next(space: &Space, trials: &[Trial], thorough: bool) -> Option<Candidate> {
    let mut groups = groups(space).into_iter();
    let all = groups.next()?;
    let untried = |group: &[usize]| {
        ends(space, group).into_iter().find(|end| tried(space, trials, end).is_none())
    };
    if let Some(end) = untried(&all) {
        return Some(end);
    }
    let is_done = !thorough || unread(space, trials, &all).is_some();
    if is_done { None } else { groups.find_map(|group| untried(&group)) }
}

/// The knobs that are handed over and have a choice: all together, then, of several, each.
fn groups(space: &Space) -> Vec<Vec<usize>> {
    let counts = |knob: &Knob| HANDED.contains(&knob.name.as_str()) && knob.levels.len() > 1;
    let handed = space.knobs.iter().enumerate().filter(|(_, knob)| counts(knob));
    let all: Vec<usize> = handed.map(|(position, _)| position).collect();
    match all.len() {
        0 => Vec::new(),
        1 => vec![all],
        _ => std::iter::once(all.clone()).chain(all.into_iter().map(|one| vec![one])).collect(),
    }
}

/// The baseline with these knobs at their lowest values, and at their highest, as far as that
/// makes legal candidates that differ from it.
fn ends(space: &Space, group: &[usize]) -> Vec<Candidate> {
    let at = |end: fn(&Knob) -> [usize; 2]| {
        let level = |knob: &Knob| end(knob).into_iter().find(|&level| level != knob.baseline);
        let moved = group.iter().fold(space.baseline(), |candidate, &position| {
            let knob = &space.knobs[position];
            candidate.with(position, level(knob).unwrap_or(knob.baseline))
        });
        space.canonical(&moved)
    };
    let lowest = at(|knob| [0, knob.levels.len() - 1]);
    let highest = at(|knob| [knob.levels.len() - 1, 0]);
    let mut ends = vec![lowest, highest];
    ends.dedup();
    ends.retain(|end| *end != space.baseline() && space.is_legal(end));
    ends
}

/// The probe that ran `end`; one that was interrupted says nothing.
fn tried<'a>(space: &Space, trials: &'a [Trial], end: &Candidate) -> Option<&'a Trial> {
    trials.iter().find(|trial| {
        trial.strategy == PROBE
            && trial.outcome != Outcome::Interrupted
            && candidate(space, &trial.knobs).as_ref() == Some(end)
    })
}

/// Whether both ends of a group were tried and made no difference.
fn unread(space: &Space, trials: &[Trial], group: &[usize]) -> Option<Unread> {
    let ends = ends(space, group);
    let probes: Vec<&Trial> = ends.iter().filter_map(|end| tried(space, trials, end)).collect();
    if probes.is_empty() || probes.len() < ends.len() {
        return None;
    }
    let usual = Usual::of(trials)?;
    let mut at_most = 0.0_f64;
    for probe in &probes {
        at_most = at_most.max(usual.difference(probe)?);
    }
    Some(Unread {
        knobs: group.iter().map(|&position| space.knobs[position].name.clone()).collect(),
        at_most,
        trials: probes.iter().map(|probe| probe.number).collect(),
    })
}

/// The baseline's runs: the mean of their log costs, and how far they lie apart.
struct Usual {
    mean: f64,
    deviation: f64,
}

impl Usual {
    fn of(trials: &[Trial]) -> Option<Self> {
        let counts = |trial: &&Trial| trial.phase == Phase::Baseline && trial.score_s().is_some();
        let samples = trials.iter().filter(counts).flat_map(|trial| &trial.samples);
        let logs: Vec<f64> = samples.map(|sample: &Sample| sample.cost().ln()).collect();
        let deviation = stats::deviation(&logs).unwrap_or(INDIFFERENT / CERTAINTY);
        (deviation < NOISY).then_some(Self { mean: stats::mean(&logs)?, deviation })
    }

    /// How much a trial differs from the baseline, as a share; `None` where that can't be chance, or
    /// the trial failed.
    fn difference(&self, trial: &Trial) -> Option<f64> {
        let difference = (trial.score_s()?.ln() - self.mean).abs();
        let runs = trial.samples.len().max(1) as f64;
        let chance = CERTAINTY * self.deviation * (2.0 / runs).sqrt();
        (difference <= chance.clamp(INDIFFERENT, NOISY)).then(|| difference.exp_m1())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::measure::replay::Recorded;
    use crate::space::Value;

    /// Two knobs that are handed over and one that is not; the baseline is the lowest of each.
    fn space() -> Space {
        let mut text = "batch_size:ord,tile_size:ord,intra_op_threads:ord,value\n".to_owned();
        for n in 0..27 {
            let (batch, tile) = (n % 3, n / 3 % 3);
            text += &format!("{},{},{},1\n", 1 + batch, 128 * (1 + tile), 1 + n / 9);
        }
        Recorded::parse("made", &text).unwrap().space
    }

    fn trial(number: u64, knobs: BTreeMap<String, Value>, seconds: f64) -> Trial {
        let mut trial = super::super::tests::trial(number, knobs, seconds);
        trial.strategy = PROBE.to_owned();
        trial
    }

    /// Probes until there is nothing to probe; `seconds` takes batch and tile.
    fn probed(seconds: impl Fn(i64, i64) -> f64, thorough: bool) -> (Vec<Unread>, usize) {
        let space = space();
        let named = |candidate: &Candidate| -> BTreeMap<String, Value> {
            space.named(candidate).map(|(name, value)| (name.to_owned(), value.clone())).collect()
        };
        let mut baseline = trial(1, named(&space.baseline()), 1.0);
        baseline.phase = Phase::Baseline;
        baseline.samples =
            [0.99, 1.0, 1.01].map(|seconds| Sample { seconds, ..Sample::default() }).to_vec();
        let mut trials = vec![baseline];
        while let Some(candidate) = next(&space, &trials, thorough) {
            let knobs = named(&candidate);
            let number = |name: &str| match &knobs[name] {
                Value::Number(number) => *number,
                Value::Word(word) => panic!("{name} is {word}"),
            };
            let cost = seconds(number("batch_size"), number("tile_size"));
            trials.push(trial(trials.len() as u64 + 1, knobs, cost));
        }
        (of(&space, &trials), trials.len() - 1)
    }

    fn names(unread: &[Unread]) -> Vec<String> {
        unread.iter().flat_map(|unread| unread.knobs.clone()).collect()
    }

    #[test]
    fn a_job_that_reads_nothing_is_known_after_one_probe_of_all() {
        // The baseline is the lowest of each, so both ends are the highest.
        let (unread, probes) = probed(|_, _| 1.004, true);
        assert_eq!((names(&unread), probes), (vec!["batch_size".into(), "tile_size".into()], 1));
        insta::assert_snapshot!(unread[0].sentence(), @"batch_size, tile_size make no difference to the command: their lowest and highest values (trial 2) differ from the baseline by at most 0.4% and no more were tried");
    }

    #[test]
    fn what_is_read_is_told_from_what_is_not() {
        let (unread, probes) = probed(|batch, _| 1.0 / batch as f64, true);
        assert_eq!((names(&unread), probes), (vec!["tile_size".to_owned()], 3));
        let (unread, probes) = probed(|batch, _| 1.0 / batch as f64, false);
        assert_eq!((unread, probes), (Vec::new(), 1));
    }
}
