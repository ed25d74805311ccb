//! Confirmation: interleaved runs, finalists against baseline, ending in a verdict.

mod nodes;
mod slice;

use std::collections::BTreeMap;

use crate::evidence::drift::Drift;
use crate::evidence::paired::Round;
use crate::evidence::repeatability::repeatability;
use crate::evidence::{blame, paired};
use crate::knobs::{Value, Values};
use crate::stats::{Interval, distinct};
use crate::trial::{Phase, Trial};

/// The chance of a false claim that is accepted, whatever the number of finalists.
const ALPHA: f64 = 0.05;

/// The smallest share of time that is worth a change of settings.
pub const MINIMUM_EFFECT: f64 = 0.01;

/// Half the width of an interval that no more pairs are needed for.
const PRECISE_HALF_WIDTH: f64 = 0.02;

/// Pairs that a steady machine's proof takes.
const STEADY_PAIRS: f64 = 8.0;

/// Finalists whose times differ by no more than this share, and not significantly, are equal.
const EQUAL_WITHIN: f64 = 0.01;

/// What the confirmation of one finalist in a journal says. Only these samples enter a claim, never
/// those that selected the finalist; of those only how noisy the machine is at least.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Confirmation {
    /// The knobs that ran against the baseline.
    pub finalist: Values,
    /// Complete pairs.
    pub pairs: Vec<Pair>,
    /// The nodes that ran them, in order; one without a name where a machine tunes by itself.
    pub nodes: Vec<String>,
    /// Whether each of them measured the finalist before, so that it may have been chosen for what it
    /// costs there.
    is_chosen_by: Vec<bool>,
    /// Failures of the finalist in its pairs that are not the machine's.
    pub failures: usize,
    /// The most memory that the finalist took.
    peak_rss_bytes: u64,
    /// The chance of a false claim that is left to this finalist.
    alpha: f64,
    /// How far a trial deviates at least, in logs.
    noise: f64,
    /// Whether trials ran a slice of the job, whose gain is near the job's and not the same.
    is_slice: bool,
}

/// One pair of fresh processes, neighbours in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Counts from 1; finalists that ran in the same round have it in common.
    pub number: u64,
    /// The place in [`Confirmation::nodes`] of the one that ran both.
    pub node: usize,
    /// Seconds per clip of the baseline.
    pub baseline_s: f64,
    /// Seconds per clip of the finalist.
    pub finalist_s: f64,
    /// How many trials later the finalist ran than the baseline; negative where it ran earlier.
    pub later: f64,
}

/// The cost of the baseline and of the finalist, each with its place among the trials.
type Sides = [Option<(f64, f64)>; 2];

/// What a tune may claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// The finalist takes less time per clip than the baseline: a share, with its 95% interval.
    Gain(Interval),
    /// Not proven: ship the baseline. The interval where there were pairs enough for one.
    NoGain(Option<Interval>),
}

/// About how many pairs it takes to know a gain well enough under this noise; none where a short
/// tune does not know its noise.
pub fn pairs_for(drift: &Drift) -> f64 {
    let pairs = |deviation: f64| STEADY_PAIRS * (1.0 + (deviation / PRECISE_HALF_WIDTH).powi(2));
    drift.between_processes().map_or(0.0, pairs)
}

impl Confirmation {
    /// The confirmation that speaks for these trials, if they came to one: of the finalists whose
    /// gain is proven the fastest or, where nothing tells some of them from it, of these the one
    /// that uses least; without proof the most promising one. `baseline` is its knobs.
    pub fn of(trials: &[Trial], baseline: &Values) -> Option<Self> {
        let mut all = Self::all(trials, baseline);
        if all.iter().any(Self::is_proven) {
            all.retain(Self::is_proven);
        }
        let mean = |one: &Self| one.gain().map_or(f64::NEG_INFINITY, |gain| gain.mean);
        let best = all.iter().max_by(|a, b| mean(a).total_cmp(&mean(b)))?.clone();
        let equal = |one: &Self| best.is_proven() && one.is_equal(&best);
        let equals = all.into_iter().filter(|one| *one == best || equal(one));
        equals.min_by_key(Self::usage)
    }

    /// The confirmation of each finalist, in the order in which they came up.
    pub fn all(trials: &[Trial], baseline: &Values) -> Vec<Self> {
        let all = trials;
        let of_phase = |trial: &&Trial| trial.phase == Phase::Confirmation;
        let failures = blame::failures(trials, baseline);
        let trials: Vec<&Trial> = trials.iter().filter(of_phase).collect();
        let confirmed = trials.iter().map(|trial| &trial.knobs);
        let finalists = distinct(confirmed.filter(|knobs| *knobs != baseline));
        // Shared out, so that one more finalist is not one more chance of a false claim.
        let alpha = ALPHA / finalists.len().max(1) as f64;
        let noise = if finalists.is_empty() { 0.0 } else { repeatability(all) };
        let is_slice = trials.iter().any(|trial| trial.is_slice());
        let failures = |finalist: &Values| {
            failures.iter().filter(|t| of_phase(t) && t.knobs == *finalist).count()
        };
        let gather = |finalist: &&Values| {
            let gathered = Self::gather(finalist, &trials, baseline);
            let chose = |node: &String| {
                let is_search = |t: &Trial| t.phase.is_ranked() && t.node == *node;
                all.iter().any(|trial| is_search(trial) && trial.knobs == **finalist)
            };
            let is_chosen_by = gathered.nodes.iter().map(chose).collect();
            let failures = failures(finalist);
            Self { failures, alpha, noise, is_slice, is_chosen_by, ..gathered }
        };
        finalists.iter().map(gather).collect()
    }

    /// The pairs of `finalist`, and the most memory that it took.
    fn gather(finalist: &Values, trials: &[&Trial], baseline: &Values) -> Self {
        let mut scores: BTreeMap<(u64, &str), Sides> = BTreeMap::new();
        let mut places: BTreeMap<&str, f64> = BTreeMap::new();
        let mut peak_rss_bytes = 0;
        for trial in trials {
            // Between the two of a pair only what ran on the same node lies.
            let place = places.entry(&trial.node).or_default();
            let round = (trial.pair.unwrap_or_default(), trial.node.as_str());
            let pair = scores.entry(round).or_default();
            let score = trial.score().map(|score_s| (score_s, *place));
            *place += 1.0;
            if trial.knobs == *baseline {
                pair[0] = score;
            } else if trial.knobs == *finalist {
                pair[1] = score;
                peak_rss_bytes = peak_rss_bytes.max(trial.peak_rss_bytes.unwrap_or(0));
            }
        }
        let (mut pairs, mut nodes) = (Vec::new(), Vec::<String>::new());
        for ((number, name), scores) in scores {
            let [Some((baseline_s, first)), Some((finalist_s, second))] = scores else { continue };
            let node = nodes.iter().position(|known| known == name).unwrap_or(nodes.len());
            if node == nodes.len() {
                nodes.push(name.to_owned());
            }
            pairs.push(Pair { number, node, baseline_s, finalist_s, later: second - first });
        }
        Self { finalist: finalist.clone(), pairs, nodes, peak_rss_bytes, ..Self::default() }
    }

    /// The share of time per clip of the job that the finalist saves, with its interval; a disturbed
    /// pair hardly moves either. Of a slice, what it may differ from the job widens the interval.
    pub fn gain(&self) -> Option<Interval> {
        Some(self.of_job(self.claimable()?))
    }

    /// The log ratio of baseline and finalist, as measured: all pairs together.
    fn ratio(&self) -> Option<Interval> {
        self.ratio_of(|_| true)
    }

    fn ratio_of(&self, counts: impl Fn(&Pair) -> bool) -> Option<Interval> {
        let round = |pair: &Pair| round(pair.baseline_s, pair.finalist_s, pair.later);
        let rounds: Vec<Round> = self.pairs.iter().filter(|pair| counts(pair)).map(round).collect();
        paired::interval(&rounds, self.noise, self.alpha)
    }

    fn is_proven(&self) -> bool {
        matches!(self.verdict(), Verdict::Gain(_))
    }

    /// Whether more pairs would change nothing: the gain is proven and known well enough, the
    /// finalist fails, or more could only show a gain that nobody would notice.
    pub fn is_decided(&self) -> bool {
        let Some(gain) = self.ratio().map(saved) else { return self.failures > 0 };
        let is_precise = match self.nodes.len() {
            0..=2 => {
                gain.high - gain.low <= 2.0 * PRECISE_HALF_WIDTH
                    && (self.is_proven() || (gain.low > 0.0 && !self.is_provable()))
            }
            _ => self.is_known_on_each(PRECISE_HALF_WIDTH),
        };
        self.failures > 0 || is_precise || gain.high < MINIMUM_EFFECT
    }

    /// What may be claimed.
    pub fn verdict(&self) -> Verdict {
        match self.gain() {
            Some(gain) if gain.low > 0.0 && self.failures == 0 => Verdict::Gain(gain),
            gain => Verdict::NoGain(gain.filter(|gain| gain.low.is_finite())),
        }
    }

    /// How much more time it takes than `other`, in logs, from the rounds that both ran in.
    fn excess(&self, other: &Self) -> Option<Interval> {
        let both = |pair: &Pair| {
            let same = other.pairs.iter().find(|theirs| theirs.number == pair.number)?;
            Some(round(pair.finalist_s, same.finalist_s, same.later - pair.later))
        };
        let rounds: Vec<Round> = self.pairs.iter().filter_map(both).collect();
        paired::interval(&rounds, self.noise, self.alpha)
    }

    /// Whether nothing tells it from `other`.
    fn is_equal(&self, other: &Self) -> bool {
        self.excess(other).is_some_and(|excess| {
            excess.low <= 0.0 && excess.high >= 0.0 && excess.mean.abs() <= EQUAL_WITHIN
        })
    }

    /// Whether it is known to be slower than `other`.
    pub fn is_beaten_by(&self, other: &Self) -> bool {
        self.excess(other).is_some_and(|excess| excess.low > 0.0)
    }

    /// What it uses: threads first, then memory.
    fn usage(&self) -> (i64, u64) {
        let counts = |name: &str| name.ends_with("_threads") || name.ends_with("_workers");
        let number = |(name, value): (&String, &Value)| match value {
            Value::Integer(number) if counts(name) => Some(*number),
            _ => None,
        };
        (self.finalist.iter().filter_map(number).sum(), self.peak_rss_bytes)
    }
}

/// Two that took `a` and `b` in the same round.
fn round(a: f64, b: f64, later: f64) -> Round {
    Round { a: a.ln(), b: b.ln(), later }
}

/// The share of time that a log ratio saves.
fn saved(logs: Interval) -> Interval {
    let saved = |log: f64| 1.0 - (-log).exp();
    Interval { low: saved(logs.low), mean: saved(logs.mean), high: saved(logs.high) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Outcome;

    /// Rounds of the baseline (9 threads) and of finalists, each with its threads and its times; each
    /// second round in the reverse order.
    fn rounds(baseline: &[f64], finalists: &[(i64, &[f64])]) -> Vec<Trial> {
        let mut trials = Vec::new();
        for (round, &baseline_s) in baseline.iter().enumerate() {
            let times = finalists.iter().map(|(threads, times)| (*threads, times[round]));
            let mut turns: Vec<(i64, f64)> = [(9, baseline_s)].into_iter().chain(times).collect();
            if round % 2 == 1 {
                turns.reverse();
            }
            for (threads, seconds) in turns {
                let pair = Some(round as u64 + 1);
                trials.push(Trial { pair, ..Trial::made(Phase::Confirmation, threads, seconds) });
            }
        }
        trials
    }

    const STEADY: [f64; 8] = [1.0, 1.003, 0.998, 1.001, 1.002, 0.999, 1.0, 1.001];

    #[test]
    fn of_equal_finalists_the_one_that_uses_less_wins() {
        let fast: Vec<f64> = STEADY.iter().map(|s| 0.8 * s).collect();
        let mut other = fast.clone();
        other.swap(1, 2);
        let trials = rounds(&STEADY, &[(8, &other), (4, &fast)]);
        let all = Confirmation::all(&trials, &Trial::threads(9));
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|one| one.alpha == 0.025 && one.is_decided()));
        assert_eq!(
            Confirmation::of(&trials, &Trial::threads(9)).unwrap().finalist,
            Trial::threads(4)
        );
    }

    #[test]
    fn a_finalist_that_is_clearly_faster_wins_whatever_it_uses() {
        let (fast, slow): (Vec<f64>, Vec<f64>) =
            STEADY.iter().map(|s| (0.7 * s, 0.8 * s * s)).unzip();
        let trials = rounds(&STEADY, &[(4, &slow), (8, &fast)]);
        let all = Confirmation::all(&trials, &Trial::threads(9));
        assert!(all[0].is_beaten_by(&all[1]) && !all[1].is_beaten_by(&all[0]));
        let won = Confirmation::of(&trials, &Trial::threads(9)).unwrap();
        assert_eq!(won.finalist, Trial::threads(8));
        let Verdict::Gain(gain) = won.verdict() else { panic!("{won:?}") };
        assert!((gain.mean - 0.3).abs() < 1e-9, "{gain:?}");
    }

    #[test]
    fn disturbed_pairs_do_not_move_the_claim() {
        let mut baseline = STEADY.repeat(3);
        let mut fast: Vec<f64> = baseline.iter().map(|s| 0.9 * s).collect();
        fast[3] *= 1.6;
        baseline[6] *= 2.0;
        let trials = rounds(&baseline, &[(8, &fast)]);
        let gain = Confirmation::of(&trials, &Trial::threads(9)).unwrap().gain().unwrap();
        // Worked out by a program of another language.
        assert!((gain.mean - 0.100039).abs() < 1e-5, "{gain:?}");
        assert!((gain.low - 0.098187).abs() < 1e-5, "{gain:?}");
        assert!((gain.high - 0.101917).abs() < 1e-5, "{gain:?}");
    }

    /// A job that takes 2.4% longer each time, and a finalist that does nothing: with the orders of a
    /// journal of before rounds were balanced, and with today's.
    #[test]
    fn growth_is_no_gain() {
        let grown: Vec<f64> = (0..16).map(|i| 1.024_f64.powi(i)).collect();
        for finalist_first in [[true; 8], [false, true, true, false, false, true, true, false]] {
            let mut trials = rounds(&STEADY, &[(8, &STEADY)]);
            for (i, is_first) in finalist_first.into_iter().enumerate() {
                let pair = &mut trials[2 * i..2 * i + 2];
                if (pair[0].knobs == Trial::threads(8)) != is_first {
                    pair.swap(0, 1);
                }
            }
            for (trial, seconds) in trials.iter_mut().zip(&grown) {
                trial.samples[0].seconds = *seconds;
            }
            for rounds in 1..=8 {
                let all = Confirmation::all(&trials[..2 * rounds], &Trial::threads(9));
                let Verdict::NoGain(known) = all[0].verdict() else { panic!("{all:?}") };
                assert!(known.is_none_or(|known| known.high > 0.0), "{known:?}");
            }
        }
    }

    #[test]
    fn a_finalist_that_fails_is_never_claimed() {
        let fast: Vec<f64> = STEADY.iter().map(|s| 0.5 * s).collect();
        let mut trials = rounds(&STEADY, &[(8, &fast)]);
        trials[1].outcome = Outcome::Crashed;
        let confirmation = Confirmation::of(&trials, &Trial::threads(9)).unwrap();
        assert!(confirmation.is_decided());
        assert!(matches!(confirmation.verdict(), Verdict::NoGain(_)));
    }

    #[test]
    fn what_strikes_the_baseline_in_the_same_round_is_not_held_against_a_finalist() {
        let fast: Vec<f64> = STEADY.iter().map(|s| 0.5 * s).collect();
        let mut trials = rounds(&STEADY, &[(8, &fast), (7, &fast)]);
        // Of the third round a finalist and the baseline crash; the other finalist is lucky.
        (trials[6].outcome, trials[7].outcome) = (Outcome::Crashed, Outcome::Crashed);
        let all = Confirmation::all(&trials, &Trial::threads(9));
        let seen: Vec<(usize, usize)> =
            all.iter().map(|one| (one.failures, one.pairs.len())).collect();
        assert_eq!(seen, [(0, 7), (0, 7)]);
        assert!(matches!(all[0].verdict(), Verdict::Gain(_)));
    }
}
