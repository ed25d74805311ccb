//! Unread knobs: values that are only handed over, and that the user's own job does not read.
//!
//! All of them are put at their lowest and at their highest at once; where neither makes a
//! difference none is read, for the price of two trials or, on a noisy machine, a few more: a small
//! difference may be the machine's, and is looked at again. Otherwise, where there is time, each is
//! tried by itself.

use crate::launch::handover::HANDED;
use crate::space::{Candidate, Knob, Space};
use crate::stats;
use crate::trial::{Outcome, Phase, Trial};

/// Who proposes the trials that show it, in the journal.
pub const PROBE: &str = "probe";

/// A difference below this share does not matter, however exactly it is known.
const INDIFFERENT: f64 = 0.03;

/// A baseline whose runs differ so much says nothing.
const NOISY: f64 = 0.1;

/// Standard errors that a difference may have by chance.
const CERTAINTY: f64 = 3.0;

/// The standard deviation of normal values over their median distance from the median, and the
/// standard error of the median of many over that of the mean.
const NORMAL: f64 = 1.4826;
const OF_MEDIAN: f64 = 1.2533;

/// A difference above this, in logs, is the knob's own.
const PLAIN: f64 = 0.3;

/// Probes of the same values at the most.
const TRIES: usize = 3;

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
             differ from the baseline by at most {:.1}% in the median and no more were tried",
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
    let groups = groups(space);
    let (all, each) = groups.split_first()?;
    let wanted = |group: &Vec<usize>| {
        let look = |end: &Candidate| Look::at(space, trials, end);
        let ends = ends(space, group);
        let is_read = ends.iter().any(|end| look(end) == Look::Other);
        if is_read { None } else { ends.into_iter().find(|end| look(end) == Look::Open) }
    };
    let is_tried = |group: &Vec<usize>| {
        ends(space, group).iter().any(|end| !tried(space, trials, end).is_empty())
    };
    // All together are not gone back to: what one by one was dropped rests.
    let together = if each.iter().any(is_tried) { None } else { wanted(all) };
    let is_done = !thorough || unread(space, trials, all).is_some();
    together.or_else(|| if is_done { None } else { each.iter().find_map(wanted) })
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
/// makes legal candidates that differ from it. Of words, which have no order, the first and the last
/// other one.
fn ends(space: &Space, group: &[usize]) -> Vec<Candidate> {
    let order = |knob: &Knob| {
        let last = knob.levels.len() - 1;
        if knob.ordered { vec![0, last] } else { (0..=last).collect() }
    };
    let at = |is_highest: bool| {
        let moved = group.iter().fold(space.baseline(), |candidate, &position| {
            let knob = &space.knobs[position];
            let mut others = order(knob);
            others.retain(|&level| level != knob.baseline);
            let other = if is_highest { others.last() } else { others.first() };
            candidate.with(position, other.copied().unwrap_or(knob.baseline))
        });
        space.canonical(&moved)
    };
    let mut ends = vec![at(false), at(true)];
    ends.dedup();
    ends.retain(|end| *end != space.baseline() && space.is_legal(end));
    ends
}

/// The probes that ran `end`; one that was interrupted says nothing.
fn tried<'a>(space: &Space, trials: &'a [Trial], end: &Candidate) -> Vec<&'a Trial> {
    let counts = |trial: &&Trial| {
        trial.strategy == PROBE
            && trial.outcome != Outcome::Interrupted
            && space.candidate(&trial.knobs).as_ref() == Some(end)
    };
    trials.iter().filter(counts).collect()
}

/// What the probes of one end show.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Look {
    /// Nothing yet, or a difference that one more may show to be chance.
    Open,
    /// A difference, in logs, that may be chance.
    Same(f64),
    /// Another cost, or a failure.
    Other,
    /// The baseline itself is too unsteady to say.
    Unknown,
}

impl Look {
    fn at(space: &Space, trials: &[Trial], end: &Candidate) -> Self {
        let probes = tried(space, trials, end);
        let Some(last) = probes.last() else { return Self::Open };
        let Some(usual) = Usual::of(trials, last.number) else { return Self::Unknown };
        match usual.difference(&probes) {
            Some(difference) if difference <= usual.chance(&probes) => Self::Same(difference),
            Some(difference) if difference < PLAIN && probes.len() < TRIES => Self::Open,
            _ => Self::Other,
        }
    }
}

/// The knobs of a group whose ends were tried and made no difference.
fn unread(space: &Space, trials: &[Trial], group: &[usize]) -> Option<Unread> {
    let (ends, mut at_most, mut numbers) = (ends(space, group), 0.0_f64, Vec::new());
    for end in &ends {
        let Look::Same(difference) = Look::at(space, trials, end) else { return None };
        at_most = at_most.max(difference.exp_m1());
        numbers.extend(tried(space, trials, end).iter().map(|probe| probe.number));
    }
    let is_moved = |&position: &usize| {
        ends.iter().any(|end| end.level(position) != space.knobs[position].baseline)
    };
    let moved = group.iter().copied().filter(is_moved);
    let knobs: Vec<String> = moved.map(|position| space.knobs[position].name.clone()).collect();
    (!knobs.is_empty()).then_some(Unread { knobs, at_most, trials: numbers })
}

/// The baseline's runs up to a probe (what the machine does later says nothing of that): the median
/// of their log costs, and how far they lie apart, which a few disturbed ones hardly change.
struct Usual {
    level: f64,
    deviation: f64,
    runs: f64,
}

impl Usual {
    fn of(trials: &[Trial], until: u64) -> Option<Self> {
        let is_baseline = |t: &&Trial| matches!(t.phase, Phase::Baseline | Phase::Sentinel);
        let baseline = trials.iter().filter(is_baseline).filter(|trial| trial.number < until);
        let logs = logs(baseline.filter(|trial| trial.score_s().is_some()));
        let level = stats::median(&logs)?;
        let off: Vec<f64> = logs.iter().map(|log| (log - level).abs()).collect();
        let apart = stats::median(&off).filter(|_| logs.len() > 1);
        let deviation = apart.map_or(INDIFFERENT / CERTAINTY, |apart| NORMAL * apart);
        (deviation < NOISY).then_some(Self { level, deviation, runs: logs.len() as f64 })
    }

    /// How much probes of the same values differ from the baseline, in logs; `None` where there is
    /// none, or one failed.
    fn difference(&self, probes: &[&Trial]) -> Option<f64> {
        let all_ok = probes.iter().all(|probe| probe.score_s().is_some());
        let level = stats::median(&logs(probes.iter().copied())).filter(|_| all_ok)?;
        Some((level - self.level).abs())
    }

    /// The difference, in logs, that may be chance.
    fn chance(&self, probes: &[&Trial]) -> f64 {
        let runs: usize = probes.iter().map(|probe| probe.samples.len()).sum();
        let error = OF_MEDIAN * (1.0 / self.runs + 1.0 / runs.max(1) as f64).sqrt();
        (CERTAINTY * self.deviation * error).clamp(INDIFFERENT, NOISY)
    }
}

/// The log costs of all runs.
fn logs<'a>(trials: impl Iterator<Item = &'a Trial>) -> Vec<f64> {
    trials.flat_map(|trial| &trial.samples).map(|sample| sample.cost().ln()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::measure::replay::Recorded;
    use crate::space::Value;
    use crate::trial::Sample;

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
    fn probed(mut seconds: impl FnMut(i64, i64) -> f64, thorough: bool) -> (Vec<Unread>, usize) {
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
        insta::assert_snapshot!(unread[0].sentence(), @"batch_size, tile_size make no difference to the command: their lowest and highest values (trial 2) differ from the baseline by at most 0.4% in the median and no more were tried");
    }

    #[test]
    fn a_small_difference_is_looked_at_again() {
        // ln 1.08 is 0.077 and half of that 0.038; of one run 0.064 may be chance, of two 0.051.
        let mut seconds = [1.08, 1.0].into_iter();
        let (unread, probes) = probed(|_, _| seconds.next().unwrap(), true);
        assert_eq!((names(&unread), probes), (vec!["batch_size".into(), "tile_size".into()], 2));
        assert!((unread[0].at_most - 0.0392).abs() < 1e-4, "{unread:?}");
        // A sixth each time is the knobs' own.
        let (unread, probes) = probed(|_, _| 1.16, false);
        assert_eq!((unread, probes), (Vec::new(), 3));
    }

    #[test]
    fn what_was_found_stays_found_when_the_machine_changes() {
        let space = space();
        let named = |candidate: &Candidate| -> BTreeMap<String, Value> {
            space.named(candidate).map(|(name, value)| (name.to_owned(), value.clone())).collect()
        };
        let sentinel = |number, seconds| Trial {
            phase: Phase::Sentinel,
            strategy: String::new(),
            ..trial(number, named(&space.baseline()), seconds)
        };
        let probe = trial(2, named(&next(&space, &[], true).unwrap()), 1.0);
        let other = trial(5, named(&space.baseline().with(0, 1)), 1.0);
        let trials = [sentinel(1, 1.0), probe, sentinel(3, 1.5), sentinel(4, 0.7), other];
        assert_eq!(of(&space, &trials).len(), 1);
        assert_eq!(of(&space, &[sentinel(1, 1.5), trials[1].clone()]), Vec::new());
    }

    #[test]
    fn what_is_read_is_told_from_what_is_not() {
        let (unread, probes) = probed(|batch, _| 1.0 / batch as f64, true);
        assert_eq!((names(&unread), probes), (vec!["tile_size".to_owned()], 3));
        let (unread, probes) = probed(|batch, _| 1.0 / batch as f64, false);
        assert_eq!((unread, probes), (Vec::new(), 1));
    }
}
