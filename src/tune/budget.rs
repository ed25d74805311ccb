//! Budget: the wall time that a tune may take, and who pays what.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::runner::{Repetitions, fake};
use crate::stats;
use crate::trial::{Phase, Trial};

/// Share of the budget kept for the confirmation.
const CONFIRMATION_SHARE: f64 = 0.25;

/// The same where noise asks for many pairs.
const NOISY_SHARE: f64 = 0.4;

/// Pairs that the confirmation needs before it can prove anything. Once there is something to prove, a
/// small budget keeps these, whatever they leave the search.
const FEWEST_PAIRS: u32 = 3;

/// The largest share of the budget that is kept for [`FEWEST_PAIRS`].
const WHOLE_SHARE: f64 = 0.8;

/// Pairs that are kept where they leave the search enough.
const SOUND_PAIRS: u32 = 4;

/// Trials of the search that the last of [`SOUND_PAIRS`] may cost. In a program that stays loaded it costs
/// more than it tells: both of a pair load it anew.
const TRIALS_PER_PAIR: u32 = 10;

/// The largest share of the budget that is kept for [`SOUND_PAIRS`].
const LARGEST_SHARE: f64 = 0.65;

/// What pairs may take longer than the trials before them.
pub const PAIR_TIME_RATIO: f64 = 1.1;

/// Time for writing the report.
const REPORT_TIME: Duration = Duration::from_secs(2);

/// The pairs of a confirmation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pairs {
    /// What one of a pair's two trials takes.
    pub trial: Duration,
    /// How many the noise asks for, about.
    pub wanted: f64,
    /// What a trial of the search takes, the median; `None` before there was one.
    pub search: Option<Duration>,
}

/// Tells the time since some moment in the past.
pub type Now = fn() -> Duration;

/// The time since this program started, which no change of the host's clock touches.
pub fn wall() -> Duration {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    STARTED.elapsed()
}

/// The wall time of one tune.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    now: Now,
    started: Duration,
    total: Duration,
    /// What was spent of it before a break.
    spent: Duration,
    /// Whether it pays for a confirmation and a report as well.
    is_whole: bool,
}

impl Budget {
    /// A budget that starts now.
    pub fn start(total: Duration) -> Self {
        Self::on(wall, total)
    }

    /// A budget that starts now, by a clock of one's own.
    pub fn on(now: Now, total: Duration) -> Self {
        Self { now, started: now(), total, spent: Duration::ZERO, is_whole: true }
    }

    /// A budget of `count` trials of a search, each of which takes a second of the simulated clock, and
    /// of nothing else.
    pub fn in_trials(count: usize) -> Self {
        let total = Duration::from_secs(count as u64);
        Self { is_whole: false, ..Self::on(fake::now, total) }
    }

    /// The same budget, of which some was spent before a break.
    #[must_use]
    pub fn after(self, spent: Duration) -> Self {
        Self { spent, ..self }
    }

    /// All of it.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// What is gone of it.
    pub fn gone(&self) -> Duration {
        (self.now)().saturating_sub(self.started) + self.spent
    }

    /// What is left for trials.
    pub fn left(&self) -> Duration {
        let closing = if self.is_whole { REPORT_TIME.min(self.total / 20) } else { Duration::ZERO };
        self.total.saturating_sub(self.gone()).saturating_sub(closing)
    }

    /// What the confirmation keeps for its pairs.
    pub fn reserve(&self, pairs: Pairs) -> Duration {
        let Pairs { trial, wanted, search } = pairs;
        let share = (trial * 2).mul_f64(wanted).min(self.total.mul_f64(NOISY_SHARE));
        let share = share.max(self.total.mul_f64(CONFIRMATION_SHARE));
        let most = |share| self.total.mul_f64(share);
        let fewest = Some(of_pairs(trial, FEWEST_PAIRS)).filter(|all| *all <= most(WHOLE_SHARE));
        let is_costly = search.is_some_and(|search| search * TRIALS_PER_PAIR < trial * 2);
        let sound = if is_costly { FEWEST_PAIRS } else { SOUND_PAIRS };
        let sound = of_pairs(trial, sound).min(most(LARGEST_SHARE));
        share.max(sound).max(fewest.unwrap_or_default())
    }

    /// What is left for the search beside that.
    pub fn left_for_search(&self, pairs: Pairs) -> Duration {
        let reserve = if self.is_whole { self.reserve(pairs) } else { Duration::ZERO };
        self.left().saturating_sub(reserve)
    }
}

/// What `pairs` take, if all of them take longer than expected; the last is begun only where
/// there is time for one that takes still longer than those before it.
fn of_pairs(trial: Duration, pairs: u32) -> Duration {
    (trial * 2).mul_f64(PAIR_TIME_RATIO * (f64::from(pairs) - 1.0 + PAIR_TIME_RATIO))
}

/// What a trial of a pair takes, the mean of the baseline's and of the best candidate's so far: it
/// measures as often as a pair does, warms up once, and finds the reference made, so that starting takes
/// as long as it takes others. `None` before the baseline was measured.
pub fn in_pair(trials: &[Trial], repetitions: Repetitions) -> Option<Duration> {
    let measured = || trials.iter().filter(|trial| trial.score().is_some());
    let baseline = measured().find(|trial| trial.phase == Phase::Baseline)?;
    let searched = measured().filter(|trial| trial.phase == Phase::Search);
    let fastest = searched.chain([baseline]).min_by(|a, b| {
        let [a, b] = [a, b].map(|trial| trial.score().unwrap_or(f64::INFINITY));
        a.total_cmp(&b)
    })?;
    // A warm process starts no pair.
    let others = measured().filter(|trial| trial.peak.is_none() && trial.process.is_none());
    // What measured first in a warm process and then in a fresh one was set up in the fresh one.
    let setup_s = |trial: &Trial| trial.setup_s.unwrap_or(f64::INFINITY).min(trial.overhead_s);
    let end_s =
        measured().map(|trial| trial.overhead_s - setup_s(trial)).fold(f64::INFINITY, f64::min);
    let warm_up_s = |trial: &Trial| trial.measuring_s(1).min(setup_s(trial));
    let start_s = |trial: &Trial| setup_s(trial) - warm_up_s(trial);
    let usual_s = stats::median(others.map(start_s)).unwrap_or(f64::INFINITY);
    let usual_s = usual_s.min(start_s(baseline));
    let repetitions = repetitions.in_phase(Phase::Confirmation).most;
    let of_pair = [baseline, fastest].map(|trial| {
        let warm_up_s = trial.measuring_s(1).min(setup_s(baseline));
        usual_s + warm_up_s + trial.measuring_s(repetitions) + end_s
    });
    Some(Duration::from_secs_f64(of_pair.iter().sum::<f64>() / 2.0))
}

/// What a trial of the search takes, the median of those that measured something: one that fails at once
/// says nothing of what the next takes.
pub fn in_search(trials: &[Trial]) -> Option<Duration> {
    let is_measured = |trial: &&Trial| trial.phase == Phase::Search && trial.score().is_some();
    let searched = trials.iter().filter(is_measured);
    stats::median(searched.map(|trial| trial.wall_s)).map(Duration::from_secs_f64)
}

/// Reads `30m`, `1h30m`, `90s`.
///
/// # Errors
/// What is wrong and what to type instead.
pub fn parse(text: &str) -> Result<Duration, String> {
    let cure = "type a length of time such as 90s, 30m or 1h30m";
    let duration: jiff::SignedDuration =
        text.parse().map_err(|_| format!("`{text}` is no length of time: {cure}"))?;
    let duration =
        Duration::try_from(duration).map_err(|_| format!("`{text}` is negative: {cure}"))?;
    match duration.as_secs() {
        0 => Err(format!("`{text}` leaves no time to measure anything: {cure}")),
        1..=2_592_000 => Ok(duration),
        _ => Err(format!("`{text}` is longer than 30 days: {cure}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Outcome, Peak, Sample};

    /// Five repetitions of 2 s after 9 s, of which the reference took some: in a pair two, after a
    /// warm-up and the second that it takes others to start; beside a candidate of 1 s a repetition.
    #[test]
    fn a_pair_pays_for_no_reference() {
        let trial = |phase, overhead_s, peak, seconds| {
            let samples = vec![Sample { seconds, ..Sample::default() }; 5];
            let wall_s = overhead_s + 5.0 * seconds;
            let outcome = Outcome::Ok;
            Trial { phase, outcome, samples, overhead_s, wall_s, peak, ..Trial::default() }
        };
        let peak = Peak { gflops: 1.0, bf16_gflops: None, gb_s: 1.0 };
        let mut trials = vec![trial(Phase::Baseline, 9.0, Some(peak), 2.0)];
        let seconds = |trials: &[Trial]| Some(in_pair(trials, Repetitions::USUAL)?.as_secs_f64());
        assert_eq!(seconds(&trials), Some(13.0));
        trials.push(trial(Phase::Search, 4.0, None, 3.0));
        assert_eq!(seconds(&trials), Some(7.0), "a slower candidate is no finalist");
        trials.push(trial(Phase::Search, 2.0, None, 1.0));
        assert_eq!(seconds(&trials), Some(5.5));
        assert_eq!(seconds(&[]), None);
        // Set up in 2.5 s, one of them a warm-up, after 6 s in a warm process.
        let fresh = Trial { setup_s: Some(2.5), ..trial(Phase::Search, 8.5, None, 1.0) };
        assert_eq!(seconds(&[trials.swap_remove(0), fresh]), Some(6.0));
    }

    #[test]
    fn a_trial_that_failed_at_once_tells_nothing_of_the_next() {
        let trial = |outcome, wall_s| {
            let samples = vec![Sample { seconds: 1.0, ..Sample::default() }];
            Trial { phase: Phase::Search, outcome, samples, wall_s, ..Trial::default() }
        };
        let mut trials = vec![trial(Outcome::Crashed, 0.1); 3];
        assert_eq!(in_search(&trials), None);
        trials.extend([trial(Outcome::Ok, 8.0), trial(Outcome::Ok, 6.0), trial(Outcome::Ok, 5.0)]);
        assert_eq!(in_search(&trials), Some(Duration::from_secs(6)));
    }

    #[test]
    fn lengths_of_time_are_read_or_refused_with_a_cure() {
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        for text in ["abc", "0s", "-5m", "", "10", "99999999999h", "1y", "0.2s"] {
            assert!(parse(text).unwrap_err().contains("such as 90s"), "{text}");
        }
    }

    #[test]
    fn a_small_budget_keeps_pairs_and_a_large_one_a_quarter_or_what_noise_asks_for() {
        let seconds = Duration::from_secs_f64;
        let of = |total: f64, trial: f64, wanted: f64, search: Option<f64>| {
            let pairs = Pairs { trial: seconds(trial), wanted, search: search.map(seconds) };
            Budget::start(seconds(total)).reserve(pairs).as_secs_f64()
        };
        let reserve = |total, trial, pairs| of(total, trial, pairs, Some(trial));
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
        // Four pairs that take a tenth more, and the last another tenth: 6 x 7.7 + 2 x 8.47.
        near(reserve(120.0, 7.0, 100.0), 63.14);
        // 65% of the budget, where that is more than three: 4 x 12.1 + 2 x 13.31.
        near(reserve(120.0, 11.0, 100.0), 78.0);
        near(reserve(120.0, 13.0, 100.0), 4.0 * 14.3 + 2.0 * 15.73);
        // It has no room for three of those.
        near(reserve(120.0, 30.0, 100.0), 78.0);
        // Three where one more would cost more than ten trials of a program that stays loaded.
        near(of(600.0, 36.0, 0.0, Some(4.0)), 4.0 * 39.6 + 2.0 * 43.56);
        near(of(600.0, 36.0, 0.0, Some(8.0)), 6.0 * 39.6 + 2.0 * 43.56);
        near(reserve(1800.0, 9.0, 10.0), 450.0);
        near(reserve(1800.0, 9.0, 30.0), 540.0);
        near(reserve(1800.0, 9.0, 100.0), 720.0);
    }
}
