//! Tables of tunes of a simulated command: what was claimed where nothing, or a known share, was to
//! be gained.

use std::time::Duration;

use anyhow::Result;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use wan22_tune::evidence::confirmation::{Confirmation, Verdict};
use wan22_tune::runner::Runner;
use wan22_tune::search::StrategyName;
use wan22_tune::tune::budget;

use crate::command::{RUNS, command, saving};
use crate::kind::{Kind, Noise};
use crate::session::{all, compete};
use crate::setting::setting;

/// What a tune may meet that has nothing to find.
const KINDS: [(&str, Kind); 21] = [
    ("normal, 3%", Kind::Normal(0.03)),
    ("heavy tails (Pareto)", Kind::Pareto),
    ("log-normal, 30%", Kind::LogNormal(0.3)),
    ("bimodal, 10%", Kind::Bimodal(0.1)),
    ("bimodal, 50%", Kind::Bimodal(0.5)),
    ("neighbours, 20%, seldom", Kind::Neighbours(0.2, 0.05)),
    ("neighbours, 20%, often", Kind::Neighbours(0.2, 0.3)),
    ("AR(1), 0.9 of 5%", Kind::Correlated(0.9, 0.05)),
    ("AR(1), 0.5 of 5%", Kind::Correlated(0.5, 0.05)),
    ("quantised, 1% to 2%", Kind::Quantised(0.01, 0.02)),
    ("sawtooth, 20% in 7 runs", Kind::Sawtooth(0.2, 7.0)),
    ("sawtooth, 20% in 20 runs", Kind::Sawtooth(0.2, 20.0)),
    ("drift, +1% a second", Kind::Drift(0.01)),
    ("drift, +0.3% a second", Kind::Drift(0.003)),
    ("drift, -0.5% a second", Kind::Drift(-0.005)),
    ("growth, 0.3% a run", Kind::Growth(0.003)),
    ("growth, 0.8% a run", Kind::Growth(0.008)),
    ("growth, 2% a run", Kind::Growth(0.02)),
    ("growth of a metric, 0.3%", Kind::MetricGrowth(0.003)),
    ("growth of a metric, 0.8%", Kind::MetricGrowth(0.008)),
    ("growth of a metric, 2%", Kind::MetricGrowth(0.02)),
];

/// Budgets of one tune after the other: from three rounds to many.
const BUDGETS: [&str; 4] = ["25s", "45s", "90s", "180s"];

/// What one tune said.
struct End {
    pairs: usize,
    claimed: bool,
    /// Its interval, and what its finalist truly saves.
    known: Option<(f64, f64, f64)>,
}

fn tune(gain: f64, kind: Kind, run: u64, seed: u64) -> Result<End> {
    let total = budget::parse(BUDGETS[run as usize % BUDGETS.len()]).map_err(anyhow::Error::msg)?;
    let strategy = setting("STRATEGY", StrategyName::Random)?;
    let noise = Noise::new(kind, Xoshiro256PlusPlus::seed_from_u64(seed + run));
    let runner = command(gain, noise, matches!(kind, Kind::MetricGrowth(_)))?;
    let total = total + Duration::from_secs(2);
    let trials = compete(&runner, RUNS, total, (strategy, seed + run))?;
    let Some(confirmation) = Confirmation::of(&trials, &runner.baseline()) else {
        return Ok(End { pairs: 0, claimed: false, known: None });
    };
    let truth = saving(gain, &confirmation.finalist);
    let known = confirmation.gain().filter(|gain| gain.low.is_finite());
    Ok(End {
        pairs: confirmation.pairs.len(),
        claimed: matches!(confirmation.verdict(), Verdict::Gain(_)),
        known: known.map(|gain| (gain.low, gain.high, truth)),
    })
}

fn count(ends: &[End], is: impl Fn(&End) -> bool) -> usize {
    ends.iter().filter(|end| is(end)).count()
}

fn pairs(ends: &[End]) -> f64 {
    ends.iter().map(|end| end.pairs as f64).sum::<f64>() / ends.len().max(1) as f64
}

/// A/A: false gains and false losses under each kind of noise.
pub fn nothing(runs: u64, seed: u64) -> Result<()> {
    let budgets = BUDGETS.join(", ");
    println!("A/A: {runs} tunes of each kind from seed {seed}, of {budgets} in turn");
    println!("{:26} false gains  false losses  with an interval  pairs", "noise");
    for (name, kind) in KINDS {
        let ends = all(runs, |run| tune(0.0, kind, run, seed))?;
        let gains = count(&ends, |end| end.claimed);
        let losses = count(&ends, |end| end.known.is_some_and(|(_, high, _)| high < 0.0));
        let known = count(&ends, |end| end.known.is_some());
        println!("{name:26} {gains:11}  {losses:12}  {known:16}  {:5.1}", pairs(&ends));
    }
    Ok(())
}

/// How often the interval covers a gain that is known.
pub fn coverage(runs: u64, seed: u64) -> Result<()> {
    println!("coverage: {runs} tunes of each line from seed {seed}");
    println!("gain  noise  covered of those with an interval  pairs");
    for gain in [0.05, 0.1, 0.2] {
        for noise in [0.01, 0.03, 0.1] {
            let ends = all(runs, |run| tune(gain, Kind::Normal(noise), run, seed))?;
            let known = count(&ends, |end| end.known.is_some());
            let covers = |(low, high, truth)| low <= truth && truth <= high;
            let covered = count(&ends, |end| end.known.is_some_and(covers));
            let (gain, noise, share) = (100.0 * gain, 100.0 * noise, covered as f64 / known as f64);
            println!(
                "{gain:3.0}%  {noise:4.0}%  {covered:3} of {known:3} ({:5.1}%)  {:5.1}",
                100.0 * share,
                pairs(&ends)
            );
        }
    }
    Ok(())
}

/// How often a gain that is known is claimed.
pub fn power(runs: u64, seed: u64) -> Result<()> {
    println!("power: {runs} tunes of each line from seed {seed}");
    println!("gain  noise  claimed  pairs");
    for (gain, noise) in [(0.1, 0.01), (0.1, 0.03), (0.1, 0.1), (0.2, 0.01), (0.2, 0.03)] {
        let ends = all(runs, |run| tune(gain, Kind::Normal(noise), run, seed))?;
        let claimed = count(&ends, |end| end.claimed);
        let (gain, noise) = (100.0 * gain, 100.0 * noise);
        println!("{gain:3.0}%  {noise:4.0}%  {claimed:3} of {runs}  {:5.1}", pairs(&ends));
    }
    Ok(())
}
