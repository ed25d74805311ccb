//! `replay`: any strategy over recorded trials, in milliseconds instead of hours.

use std::io::Write;

use anyhow::{Result, ensure};
use rayon::prelude::*;
use strum::VariantArray;

use super::terminal;
use crate::cli::ReplayArgs;
use crate::io::{output, printable};
use crate::machine::threads;
use crate::search::strategies::grid;
use crate::search::{Plan, Recorded, StrategyName};
use crate::tune::regret::{ReplayedSearch, replay};

/// Evaluations after which regret is printed, as far as the budget goes.
const AT: [usize; 5] = [10, 30, 60, 120, 240];

/// Evaluations of all runs of a strategy at the most: their regrets are kept.
const MOST: u64 = 10_000_000;

/// Replays, and prints every strategy's row as soon as it is known; a reader that has gone away ends
/// the replay.
///
/// # Errors
/// As [`ReplayArgs::run`]; stdout can't be written.
pub fn run(args: &ReplayArgs) -> Result<()> {
    match args.run(&mut std::io::stdout().lock()) {
        Err(error) if error.downcast_ref().is_some_and(output::is_unread) => Ok(()),
        replayed => replayed,
    }
}

impl ReplayArgs {
    /// Replays, and prints how far above the recorded optimum each strategy stays on average.
    ///
    /// # Errors
    /// A record that can't be read, a grid that the budget does not cover, no seed.
    pub fn run(&self, out: &mut dyn Write) -> Result<()> {
        ensure!(self.seeds > 0 && self.budget > 0, "give at least one seed and one evaluation");
        let all = self.seeds.saturating_mul(self.budget as u64);
        ensure!(all <= MOST, "--budget times --seeds: {MOST} evaluations at the most, not {all}");
        let recorded = Recorded::read(&self.record)?;
        recorded.lost.iter().for_each(|lost| terminal::tell(&format!("warning: {lost}")));
        let usual =
            || StrategyName::VARIANTS.iter().copied().filter(|name| *name != StrategyName::Grid);
        let is_named = !self.strategy.is_empty();
        let strategies = if is_named { self.strategy.clone() } else { usual().collect() };
        if strategies.contains(&StrategyName::Grid) {
            grid::fits(&recorded.space, self.budget).map_err(anyhow::Error::msg)?;
        }
        let at: Vec<usize> = AT.into_iter().filter(|at| *at < self.budget).collect();
        let at = [at, vec![self.budget]].concat();
        self.head(&recorded, &at, out)?;
        for strategy in strategies {
            let seeds: Vec<u64> = (0..self.seeds).collect();
            let one = |seed| {
                let plan = Plan { strategy, seed, ..Plan::default() };
                replay(&recorded, plan, self.budget, self.noise)
            };
            let runs = || seeds.into_par_iter().map(one).collect();
            let runs: Result<Vec<ReplayedSearch>> = threads::pooled(runs);
            let runs = runs?;
            row(strategy, &runs, &at, out)?;
        }
        Ok(())
    }

    fn head(&self, recorded: &Recorded, at: &[usize], out: &mut dyn Write) -> Result<()> {
        let ranked = recorded.ranked();
        let failed = ranked.iter().filter(|cost| cost.is_infinite()).count();
        writeln!(
            out,
            "{}: {} candidates, {failed} of them failed, optimum {}; mean regret in % of {} seeds",
            printable::line(&recorded.space.name),
            ranked.len(),
            ranked[0],
            self.seeds
        )?;
        write!(out, "{:18}", "evaluations")?;
        for at in at {
            write!(out, "{at:>8}")?;
        }
        Ok(writeln!(out, "{:>8}{:>9}", "chosen", "near")?)
    }
}

/// Regret after each of these numbers of evaluations, that of the final choices, and the share of runs whose
/// choice is within 5% of the optimum.
fn row(
    strategy: StrategyName,
    runs: &[ReplayedSearch],
    at: &[usize],
    out: &mut dyn Write,
) -> Result<()> {
    let mean =
        |of: &dyn Fn(&ReplayedSearch) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
    write!(out, "{strategy:18}")?;
    for &at in at {
        write!(out, "{:8.2}", 100.0 * mean(&|run| run.regret[at - 1]))?;
    }
    let near = mean(&|run| f64::from(run.chosen <= 0.05));
    Ok(writeln!(out, "{:8.2}{:8.0}%", 100.0 * mean(&|run| run.chosen), 100.0 * near)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_anybody_waits_for_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("made.csv");
        std::fs::write(&record, "a:ord,value\n1,3\n2,4\n").unwrap();
        let replay =
            ReplayArgs { record, strategy: Vec::new(), seeds: 1, budget: 1 << 60, noise: 0.0 };
        let error = replay.run(&mut Vec::new()).unwrap_err().to_string();
        assert!(error.starts_with("--budget times --seeds: 10000000 eval"), "{error}");
    }

    #[test]
    fn a_grid_that_the_budget_does_not_cover_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("small.csv");
        std::fs::write(&record, "a:ord,value\n1,3.0\n2,2.0\n4,nan\n").unwrap();
        let strategy = vec![StrategyName::Grid];
        let mut replay = ReplayArgs { record, strategy, seeds: 2, budget: 2, noise: 0.0 };
        let refused = replay.run(&mut Vec::new()).unwrap_err().to_string();
        assert!(refused.starts_with("a grid over `small` has up to 3 candidates"), "{refused}");
        replay.budget = 3;
        let mut printed = Vec::new();
        replay.run(&mut printed).unwrap();
        insta::assert_snapshot!(String::from_utf8(printed).unwrap(), @r"
        small: 3 candidates, 1 of them failed, optimum 2; mean regret in % of 2 seeds
        evaluations              3  chosen     near
        grid                  0.00    0.00     100%
        ");
    }
}
