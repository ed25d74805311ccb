//! Ignored knobs: values that are only handed over, and that the user's own job does not read.
//!
//! All of them are moved at once, through all of their values: where none makes a difference none is
//! read, for as many trials as the knob with the most values has others than the baseline's; a small
//! difference may be the machine's, and is looked at again. Otherwise, where there is time, each is
//! tried by itself. A knob may matter at one value only, so that its ends alone prove nothing.

use crate::evidence::blame;
use crate::knobs::program_environment::is_handed_over;
use crate::space::{Candidate, KnobDomain, Space};
use crate::stats;
use crate::trial::Trial;

/// Who proposes the trials that show it, in the journal.
pub const PROBE: &str = "probe";

/// A difference below this share does not matter, however exactly it is known; a gain above it has
/// to be looked at again, however noisy the machine.
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
pub struct Ignored {
    /// The knobs.
    pub knobs: Vec<String>,
    /// The largest difference that other values made, as a share.
    pub at_most: f64,
    /// The trials that show it.
    pub trials: Vec<u64>,
}

impl Ignored {
    /// What was found, in words.
    pub fn sentence(&self) -> String {
        let Self { knobs, at_most, trials } = self;
        let (make, values) = if knobs.len() == 1 { ("makes", "its") } else { ("make", "their") };
        let trial = if trials.len() == 1 { "trial" } else { "trials" };
        let trials: Vec<String> = trials.iter().map(u64::to_string).collect();
        format!(
            "{} {make} no difference to the command: {values} other values ({trial} {}) differ from \
             the baseline by at most {:.1}% in the median and are tried no more",
            knobs.join(", "),
            trials.join(", "),
            100.0 * at_most
        )
    }
}

/// The knobs that `trials` show to be read by nobody.
pub fn of(space: &Space, trials: &[Trial]) -> Vec<Ignored> {
    let probes = Probes::of(space, trials);
    let mut groups = groups(space).into_iter();
    let all = groups.next().and_then(|group| probes.ignored(&group));
    match all {
        Some(all) => vec![all],
        None => groups.filter_map(|group| probes.ignored(&group)).collect(),
    }
}

/// The next candidate that could show more, beside those that are `running`; knobs by themselves only if
/// `thorough`, and once it is known what all of them do together.
pub fn next(
    space: &Space,
    trials: &[Trial],
    running: &[Candidate],
    thorough: bool,
) -> Option<Candidate> {
    let probes = Probes::of(space, trials);
    let groups = groups(space);
    let (all, each) = groups.split_first()?;
    let wanted = |group: &Vec<usize>| {
        let points = points(space, group);
        let is_read = points.iter().any(|point| probes.look(point) == ProbeResult::Other);
        let is_open = |p: &Candidate| probes.look(p) == ProbeResult::Open && !running.contains(p);
        points.into_iter().find(|point| !is_read && is_open(point))
    };
    let is_tried =
        |group: &Vec<usize>| points(space, group).iter().any(|point| !probes.at(point).is_empty());
    // All together are not gone back to: what one by one was dropped rests.
    let together = if each.iter().any(is_tried) { None } else { wanted(all) };
    let is_open = points(space, all).iter().any(|point| running.contains(point));
    let is_done = !thorough || is_open || probes.ignored(all).is_some();
    together.or_else(|| if is_done { None } else { each.iter().find_map(wanted) })
}

/// How many probes it takes at least to show that nothing is read.
pub fn fewest(space: &Space) -> usize {
    groups(space).first().map_or(0, |all| points(space, all).len())
}

/// The knobs that are handed over and have a choice: all together, then, of several, each.
fn groups(space: &Space) -> Vec<Vec<usize>> {
    let counts = |knob: &KnobDomain| is_handed_over(&knob.name) && knob.levels.len() > 1;
    let handed = space.knobs.iter().enumerate().filter(|(_, knob)| counts(knob));
    let all: Vec<usize> = handed.map(|(position, _)| position).collect();
    match all.len() {
        0 => Vec::new(),
        1 => vec![all],
        _ => std::iter::once(all.clone()).chain(all.into_iter().map(|one| vec![one])).collect(),
    }
}

/// The levels of a knob other than the baseline's.
fn others(knob: &KnobDomain) -> Vec<usize> {
    (0..knob.levels.len()).filter(|&level| level != knob.baseline).collect()
}

/// The baseline with these knobs at their lowest other values, at their highest, and at all between
/// them, as far as that makes legal candidates that differ from it. Words are taken in their order.
fn points(space: &Space, group: &[usize]) -> Vec<Candidate> {
    let most = group.iter().map(|&position| others(&space.knobs[position]).len()).max();
    let last = most.unwrap_or(0).saturating_sub(1);
    let at = |step: usize| {
        let moved = group.iter().fold(space.baseline(), |candidate, &position| {
            let others = others(&space.knobs[position]);
            // A knob with fewer values stays longer at each.
            let place = (step * (others.len() - 1) * 2 + last) / (2 * last).max(1);
            candidate.with(position, others[place])
        });
        space.canonical(&moved)
    };
    let mut points: Vec<Candidate> = Vec::new();
    for step in [0, last].into_iter().chain(1..last) {
        let point = at(step);
        let is_new = point != space.baseline() && !points.contains(&point);
        points.extend((is_new && space.is_legal(&point)).then_some(point));
    }
    points
}

/// What the probes of one point show.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ProbeResult {
    /// Nothing yet, or a difference that one more may show to be chance.
    Open,
    /// A difference, in logs, that may be chance.
    Same(f64),
    /// Another cost, or a failure.
    Other,
    /// The baseline itself is too unsteady to say, or others end every probe.
    Unknown,
}

/// The probes among some trials; what was interrupted, or failed by the machine's fault, says
/// nothing.
struct Probes<'a> {
    space: &'a Space,
    trials: &'a [Trial],
    made: Vec<(Candidate, &'a Trial)>,
    /// What those ran that others ended.
    ended: Vec<Candidate>,
}

impl<'a> Probes<'a> {
    fn of(space: &'a Space, trials: &'a [Trial]) -> Self {
        let silent = blame::silent(trials, &space.given.baseline);
        let probes = trials.iter().zip(silent).filter(|(trial, _)| trial.strategy == PROBE);
        let (mut made, mut ended) = (Vec::new(), Vec::new());
        for (trial, is_silent) in probes {
            match space.candidate(&trial.knobs) {
                Some(candidate) if !is_silent => made.push((candidate, trial)),
                Some(candidate) if !blame::is_cut(trial) => ended.push(candidate),
                _ => {}
            }
        }
        Self { space, trials, made, ended }
    }

    /// Those that ran `point`.
    fn at(&self, point: &Candidate) -> Vec<&'a Trial> {
        let own = self.made.iter().filter(|(candidate, _)| candidate == point);
        own.map(|(_, trial)| *trial).collect()
    }

    fn look(&self, point: &Candidate) -> ProbeResult {
        let probes = self.at(point);
        let Some(last) = probes.last() else {
            let ended = self.ended.iter().filter(|candidate| *candidate == point).count();
            return if ended < blame::TRIES { ProbeResult::Open } else { ProbeResult::Unknown };
        };
        let Some(usual) = BaselineLevel::of(self.trials, last) else { return ProbeResult::Unknown };
        let Some(slower) = usual.slower(&probes) else { return ProbeResult::Other };
        // What may be chance is let go where it is a loss, but a gain is not.
        let chance = if slower > 0.0 { usual.chance(&probes) } else { INDIFFERENT };
        match slower.abs() {
            difference if difference <= chance => ProbeResult::Same(difference),
            difference if difference < PLAIN && probes.len() < TRIES => ProbeResult::Open,
            _ => ProbeResult::Other,
        }
    }

    /// The knobs of a group whose values were all tried and made no difference.
    fn ignored(&self, group: &[usize]) -> Option<Ignored> {
        let (points, mut at_most, mut numbers) = (points(self.space, group), 0.0_f64, Vec::new());
        for point in &points {
            let ProbeResult::Same(difference) = self.look(point) else { return None };
            at_most = at_most.max(difference.exp_m1());
            numbers.extend(self.at(point).iter().map(|probe| probe.number));
        }
        // What is not legal alone can't be tried; what is not legal with others is tried alone.
        let is_covered = |&position: &usize| {
            let is_seen = |level: &usize| points.iter().any(|p| p.level(position) == *level);
            let levels = others(&self.space.knobs[position]);
            let seen = levels.iter().filter(|level| is_seen(level)).count();
            seen == levels.len() || group.len() == 1 && seen > 0
        };
        let covered = group.iter().copied().filter(is_covered);
        let knobs: Vec<String> =
            covered.map(|position| self.space.knobs[position].name.clone()).collect();
        numbers.sort_unstable();
        (!knobs.is_empty()).then_some(Ignored { knobs, at_most, trials: numbers })
    }
}

/// The baseline's runs on a probe's node up to it (what comes later says nothing of that): the median of
/// their log costs, and how far they lie apart, which a few disturbed ones hardly change.
struct BaselineLevel {
    level: f64,
    deviation: f64,
    runs: f64,
}

impl BaselineLevel {
    fn of(trials: &[Trial], probe: &Trial) -> Option<Self> {
        let is_before = |t: &&Trial| t.number < probe.number && t.node == probe.node;
        let baseline = trials.iter().filter(|t| t.phase.is_baseline()).filter(is_before);
        let logs = logs(baseline.filter(|trial| trial.score().is_some()));
        let level = stats::median(&logs)?;
        let off: Vec<f64> = logs.iter().map(|log| (log - level).abs()).collect();
        let apart = stats::median(&off).filter(|_| logs.len() > 1);
        let deviation = apart.map_or(INDIFFERENT / CERTAINTY, |apart| NORMAL * apart);
        (deviation < NOISY).then_some(Self { level, deviation, runs: logs.len() as f64 })
    }

    /// How much slower probes of the same values are than the baseline, in logs; `None` where there
    /// is none, or one failed.
    fn slower(&self, probes: &[&Trial]) -> Option<f64> {
        let all_ok = probes.iter().all(|probe| probe.score().is_some());
        let level = stats::median(logs(probes.iter().copied())).filter(|_| all_ok)?;
        Some(level - self.level)
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
    use crate::knobs::Value;
    use crate::search::Recorded;
    use crate::trial::{Phase, Sample};

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
    fn probed(mut seconds: impl FnMut(i64, i64) -> f64, thorough: bool) -> (Vec<Ignored>, usize) {
        let space = space();
        let named = |candidate: &Candidate| space.values(candidate);
        let mut baseline = trial(1, named(&space.baseline()), 1.0);
        baseline.phase = Phase::Baseline;
        baseline.samples =
            [0.99, 1.0, 1.01].map(|seconds| Sample { seconds, ..Sample::default() }).to_vec();
        let mut trials = vec![baseline];
        while let Some(candidate) = next(&space, &trials, &[], thorough) {
            let knobs = named(&candidate);
            let number = |name: &str| match &knobs[name] {
                Value::Integer(number) => *number,
                value => panic!("{name} is {value}"),
            };
            let cost = seconds(number("batch_size"), number("tile_size"));
            trials.push(trial(trials.len() as u64 + 1, knobs, cost));
        }
        (of(&space, &trials), trials.len() - 1)
    }

    fn names(ignored: &[Ignored]) -> Vec<String> {
        ignored.iter().flat_map(|ignored| ignored.knobs.clone()).collect()
    }

    #[test]
    fn a_job_that_reads_nothing_is_known_after_all_values_were_tried_at_once() {
        // The baseline is the lowest of three values of each.
        let (ignored, probes) = probed(|_, _| 1.004, true);
        assert_eq!((names(&ignored), probes), (vec!["batch_size".into(), "tile_size".into()], 2));
        insta::assert_snapshot!(ignored[0].sentence(), @"batch_size, tile_size make no difference to the command: their other values (trials 2, 3) differ from the baseline by at most 0.4% in the median and are tried no more");
    }

    #[test]
    fn a_small_difference_is_looked_at_again() {
        // ln 1.08 is 0.077 and half of that 0.038; of one run 0.064 may be chance, of two 0.051.
        let mut seconds = [1.08, 1.0, 1.0].into_iter();
        let (ignored, probes) = probed(|_, _| seconds.next().unwrap(), true);
        assert_eq!((names(&ignored), probes), (vec!["batch_size".into(), "tile_size".into()], 3));
        assert!((ignored[0].at_most - 0.0392).abs() < 1e-4, "{ignored:?}");
        // A sixth each time is the knobs' own.
        let (ignored, probes) = probed(|_, _| 1.16, false);
        assert_eq!((ignored, probes), (Vec::new(), 3));
    }

    #[test]
    fn what_was_found_stays_found_when_the_machine_changes() {
        let space = space();
        let named = |candidate: &Candidate| space.values(candidate);
        let sentinel = |number, seconds| Trial {
            phase: Phase::Sentinel,
            strategy: String::new(),
            ..trial(number, named(&space.baseline()), seconds)
        };
        let first = trial(2, named(&next(&space, &[], &[], true).unwrap()), 1.0);
        let before = [sentinel(1, 1.0), first.clone()];
        let second = trial(3, named(&next(&space, &before, &[], true).unwrap()), 1.0);
        let other = trial(6, named(&space.baseline().with(0, 1)), 1.0);
        let [later, last] = [sentinel(4, 1.5), sentinel(5, 0.7)];
        let trials = [sentinel(1, 1.0), first.clone(), second.clone(), later, last, other];
        assert_eq!(of(&space, &trials).len(), 1);
        assert_eq!(of(&space, &trials[..2]), Vec::new(), "one value of two says nothing");
        assert_eq!(of(&space, &[sentinel(1, 1.5), first, second]), Vec::new());
    }

    #[test]
    fn what_is_read_is_told_from_what_is_not() {
        let (ignored, probes) = probed(|batch, _| 1.0 / batch as f64, true);
        // One of all, one of the batch, two of the tile.
        assert_eq!((names(&ignored), probes), (vec!["tile_size".to_owned()], 4));
        let (ignored, probes) = probed(|batch, _| 1.0 / batch as f64, false);
        assert_eq!((ignored, probes), (Vec::new(), 1));
    }

    #[test]
    fn what_matters_at_one_value_between_the_ends_is_read() {
        // The tile of 256 is 5% faster, the smallest and the largest are not.
        let (ignored, _) = probed(|_, tile| if tile == 256 { 0.95 } else { 1.0 }, true);
        assert_eq!(names(&ignored), ["batch_size"]);
    }

    #[test]
    fn every_value_of_every_knob_is_tried() {
        let mut text = "batch_size:ord,tile_size:ord,value\n".to_owned();
        for n in 0..32 {
            text += &format!("{},{},1\n", 1 << (n % 4), 64 * (1 + n / 4));
        }
        let space = Recorded::parse("made", &text).unwrap().space;
        let points = points(&space, &[0, 1]);
        assert_eq!((points.len(), fewest(&space)), (7, 7));
        let levels = |position: usize| -> std::collections::BTreeSet<usize> {
            points.iter().map(|point| point.level(position)).collect()
        };
        assert_eq!(levels(0), (1..4).collect());
        assert_eq!(levels(1), (1..8).collect());
        assert_eq!([points[0].level(1), points[1].level(1)], [1, 7], "the ends come first");
    }
}
