//! Tunes on several simulated nodes, whose speeds differ and on which candidates cost differently.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use wan22_tune::evidence::confirmation::{Confirmation, Verdict};
use wan22_tune::knobs::Values;
use wan22_tune::runner::fake::{self, FakeNodes};
use wan22_tune::runner::{FakeRunner, TrialRequest};
use wan22_tune::search::StrategyName;
use wan22_tune::stats::normal;
use wan22_tune::trial::Trial;

use crate::command::{RUNS, saving};
use crate::session::{all, compete_on, space};
use crate::setting::setting;

/// Seconds of a run of the baseline on the first node, without noise.
const RUN_S: f64 = 0.4;

/// Deviation of a run, in logs.
const NOISE: f64 = 0.03;

/// A tune's budget.
const BUDGET: Duration = Duration::from_secs(120);

/// True gains of the class.
const GAINS: [f64; 4] = [0.0, 0.05, 0.1, 0.2];

/// Prints how often tunes of `RUNS` claim a gain, by the number of nodes and the true gain.
pub fn nodes(runs: u64, seed: u64) -> Result<()> {
    let counts = setting("NODES", "2,4,8".to_owned())?;
    let (offset, interaction) = (setting("OFFSET", 0.05)?, setting("INTERACTION", 0.02)?);
    println!(
        "{runs} tunes per line from seed {seed} on, {} s each; nodes differ by {:.0}%, and a candidate's \
         cost on one from that on another by {:.0}% beside",
        BUDGET.as_secs(),
        100.0 * offset,
        100.0 * interaction
    );
    println!("| nodes | true gain | claimed | wrongly | pairs | covered |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: |");
    for count in counts.split(',') {
        let count: usize = count.parse()?;
        for gain in GAINS {
            let ends = all(runs, |run| tune(count, (offset, interaction), gain, seed + run))?;
            let claimed = ends.iter().filter(|end| end.claimed.is_some()).count();
            let wrong = ends.iter().filter(|end| end.claimed == Some(0.0)).count();
            let pairs = ends.iter().map(|end| end.pairs).sum::<usize>() as f64 / runs as f64;
            let known = ends.iter().filter(|end| end.covered.is_some()).count();
            let covered = ends.iter().filter(|end| end.covered == Some(true)).count();
            println!(
                "| {count} | {:.0}% | {claimed} | {wrong} | {pairs:.1} | {covered} of {known} |",
                100.0 * gain
            );
        }
    }
    Ok(())
}

struct End {
    /// The class's true gain of what is claimed.
    claimed: Option<f64>,
    pairs: usize,
    covered: Option<bool>,
}

fn tune(count: usize, (offset, interaction): (f64, f64), gain: f64, seed: u64) -> Result<End> {
    let space = space()?;
    let baseline = space.values(&space.baseline());
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(seed);
    let speeds: Vec<f64> = (0..count).map(|_| offset * normal(rng)).collect();
    // Each candidate costs a little more or less on each node; in the class as a whole that is nothing.
    let mut own: BTreeMap<(usize, Values), f64> = BTreeMap::new();
    for candidate in space.candidates().map(|candidate| space.values(&candidate)) {
        for node in 0..count {
            own.insert((node, candidate.clone()), interaction * normal(rng));
        }
    }
    let noise = RefCell::new(Xoshiro256PlusPlus::seed_from_u64(!seed));
    let trial = |node: usize, request: &TrialRequest, _: f64| {
        let log = speeds[node] + own[&(node, request.values.clone())];
        let usual = RUN_S * log.exp() * (1.0 - saving(gain, &request.values));
        let run = || usual * (NOISE * normal(&mut *noise.borrow_mut())).exp();
        let samples: Vec<f64> = (0..RUNS.most).map(|_| run()).collect();
        let wall_s = samples.iter().sum();
        fake::measured(samples, wall_s, 0.0)
    };
    let nodes = FakeNodes::new(count, trial);
    let runner = FakeRunner::new(baseline.clone(), |_, _| Trial::default());
    let strategy = (StrategyName::Random, seed);
    let trials = compete_on(&runner, Some(&nodes), RUNS, BUDGET, strategy)?;
    let confirmation = Confirmation::of(&trials, &baseline);
    let truth = |one: &Confirmation| saving(gain, &one.finalist);
    let is_claimed = |one: &&Confirmation| matches!(one.verdict(), Verdict::Gain(_));
    let known = confirmation.as_ref().and_then(|one| Some((one.gain()?, truth(one))));
    let known = known.filter(|(gain, _)| gain.low.is_finite());
    Ok(End {
        claimed: confirmation.as_ref().filter(is_claimed).map(truth),
        pairs: confirmation.as_ref().map_or(0, |one| one.pairs.len()),
        covered: known.map(|(gain, truth)| gain.low <= truth && truth <= gain.high),
    })
}
