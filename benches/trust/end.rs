//! How a tune ended, against the truth, and what many of them come to.

use std::collections::BTreeMap;

use wan22_tune::evidence::confirmation::{Confirmation, Verdict};
use wan22_tune::knobs::Values;
use wan22_tune::stats;
use wan22_tune::trial::{Phase, Trial};

use crate::Scenario;
use crate::worker::Simulated;

/// How one tune ended, against the truth.
pub struct End {
    claimed: bool,
    /// The profile is the truly fastest candidate.
    found: bool,
    /// What became of the truly fastest one.
    fate: Fate,
    /// The estimated saving of the one that the profile speaks of, and the true one.
    saving: Option<(f64, f64)>,
    covered: Option<bool>,
    pairs: usize,
    /// Trials of the search, repetitions and trials of the confirmation.
    trials: [usize; 3],
}

/// Where the truly fastest candidate was lost, or that it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Shipped,
    /// It was never measured.
    Unseen,
    /// It was measured and did not get into the confirmation.
    Overlooked,
    /// Its gain was not proven.
    Unproven,
    /// Its gain was proven, and another one was shipped.
    PassedOver,
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shipped => "shipped",
            Self::Unseen => "never measured",
            Self::Overlooked => "no finalist",
            Self::Unproven => "not proven",
            Self::PassedOver => "another one shipped",
        })
    }
}

/// What `trials` on `runner` came to.
pub fn end(runner: &Simulated<'_>, trials: &[Trial]) -> End {
    let usual = runner.times[&runner.baseline];
    let fastest = runner.times.iter().min_by(|a, b| a.1.total_cmp(b.1)).expect("there are some").0;
    let confirmation = Confirmation::of(trials, &runner.baseline);
    let claimed = confirmation.as_ref().is_some_and(|c| matches!(c.verdict(), Verdict::Gain(_)));
    let true_saving = |c: &Confirmation| 1.0 - runner.times[&c.finalist] / usual;
    let gain = |c: &Confirmation| c.gain().filter(|gain| gain.low.is_finite());
    let both = confirmation.as_ref().and_then(|c| Some((gain(c)?, true_saving(c))));
    End {
        claimed,
        found: confirmation.as_ref().is_some_and(|c| claimed && c.finalist == *fastest),
        fate: fate(runner, trials, fastest),
        saving: both.filter(|_| claimed).map(|(gain, truth)| (gain.mean, truth)),
        covered: both.map(|(gain, truth)| gain.low <= truth && truth <= gain.high),
        pairs: confirmation.map_or(0, |confirmation| confirmation.pairs.len()),
        trials: [Phase::Search, Phase::Repeat, Phase::Confirmation]
            .map(|phase| trials.iter().filter(|trial| trial.phase == phase).count()),
    }
}

fn fate(runner: &Simulated<'_>, trials: &[Trial], fastest: &Values) -> Fate {
    let all = Confirmation::all(trials, &runner.baseline);
    let is_gain = |one: &Confirmation| matches!(one.verdict(), Verdict::Gain(_));
    let chosen = Confirmation::of(trials, &runner.baseline).filter(is_gain);
    match all.iter().find(|one| one.finalist == *fastest) {
        None if trials.iter().any(|trial| trial.knobs == *fastest) => Fate::Overlooked,
        None => Fate::Unseen,
        Some(_) if chosen.is_some_and(|chosen| chosen.finalist == *fastest) => Fate::Shipped,
        Some(own) if is_gain(own) => Fate::PassedOver,
        Some(_) => Fate::Unproven,
    }
}

/// Prints what the tunes of a scenario came to.
pub fn report(scenario: Scenario, ends: &[End]) {
    let count = |is: &dyn Fn(&End) -> bool| ends.iter().filter(|end| is(end)).count();
    let Scenario { name, .. } = scenario;
    let runs = ends.len();
    let claims = count(&|end| end.claimed);
    let pairs = ends.iter().map(|end| end.pairs as f64).sum::<f64>() / runs as f64;
    println!("{name}: {claims} of {runs} claim a gain, after {pairs:.1} pairs on average");
    let [search, repeat, confirmation] = [0, 1, 2]
        .map(|phase| ends.iter().map(|end| end.trials[phase]).sum::<usize>() as f64 / runs as f64);
    println!(
        "  trials on average: search {search:.0}, repeats {repeat:.0}, confirmation \
         {confirmation:.0}"
    );
    if scenario.differs {
        let found = count(&|end| end.found);
        let mut fates: BTreeMap<Fate, usize> = BTreeMap::new();
        ends.iter().for_each(|end| *fates.entry(end.fate).or_default() += 1);
        let fates: Vec<String> = fates.iter().map(|(fate, n)| format!("{fate} {n}")).collect();
        println!("  true best in the profile {found} of {runs} ({})", fates.join(", "));
    }
    let errors: Vec<f64> = ends
        .iter()
        .filter_map(|end| end.saving)
        .map(|(said, truth)| 100.0 * (said - truth))
        .collect();
    let sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    if let (Some(bias), Some(error)) = (stats::mean(&errors), stats::mean(&sizes)) {
        println!("  claimed minus true gain: {bias:+.2} points on average, {error:.2} in size");
    }
    let known = count(&|end| end.covered.is_some());
    let covered = count(&|end| end.covered == Some(true));
    println!("  95% interval covers the truth: {covered} of {known}");
}
