//! Row: what a table's runs come to, and families of them.

use wan22_tune::search::Recorded;
use wan22_tune::stats;
use wan22_tune::tune::regret::{ReplayedSearch, above, random_draws};

use crate::{AT, Pair};

/// From here on the score is averaged.
pub const SCORED_FROM: usize = 10;

/// Over the columns of [`Row::print`].
pub const TITLES: &str = "                  | regret at 30, 60, 120, 240                      | within 5%                   | share of random draws' regret                   | score | noisy: measured, finalists, chosen";

/// The means of a table's runs, or of some tables.
#[derive(Clone)]
pub struct Row {
    regret: [Mean; 4],
    near: [f64; 4],
    share: [Mean; 4],
    score: f64,
    noisy: [Mean; 3],
}

/// A mean and its standard error.
#[derive(Clone, Copy)]
struct Mean {
    mean: f64,
    error: f64,
}

impl Mean {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let deviation = stats::deviation(values).unwrap_or(f64::NAN);
        Self { mean, error: deviation / count.sqrt() }
    }

    /// The mean of independent ones.
    fn over(means: impl Iterator<Item = Self> + Clone) -> Self {
        let count = means.clone().count() as f64;
        let mean = means.clone().map(|one| one.mean).sum::<f64>() / count;
        Self { mean, error: means.map(|one| one.error.powi(2)).sum::<f64>().sqrt() / count }
    }

    /// In units of `unit`; where that is nothing, there is nothing to be had.
    fn over_unit(self, unit: f64) -> Self {
        if unit <= 1e-9 {
            return Self { mean: 0.0, error: 0.0 };
        }
        Self { mean: self.mean / unit, error: self.error / unit }
    }

    fn cell(self, factor: f64, digits: usize) -> String {
        let Self { mean, error } = self;
        format!("{:5.digits$} ±{:<4.digits$}", mean * factor, error * factor)
    }
}

/// The worst regret that a table has to offer.
fn worst(ranked: &[f64]) -> f64 {
    let worst = ranked.iter().rev().find(|cost| cost.is_finite());
    worst.map_or(0.0, |worst| above(*worst, ranked))
}

/// The regret of a run after `n` evaluations, or at its end.
fn regret(run: &ReplayedSearch, n: usize, worst: f64) -> f64 {
    run.regret[n.min(run.regret.len()) - 1].min(worst)
}

impl Row {
    /// Of the runs on one table.
    pub fn new(table: &Recorded, runs: &[Pair]) -> Self {
        let budget = runs[0].clean.regret.len();
        let ranked = table.ranked();
        let worst = worst(&ranked);
        let mean = |of: &dyn Fn(&Pair) -> f64| Mean::of(&runs.iter().map(of).collect::<Vec<_>>());
        let at = |n: usize| mean(&|pair| regret(&pair.clean, n, worst));
        let random = random_draws(&ranked, budget);
        let share = |n: usize| at(n).over_unit(random[n.min(budget) - 1]);
        let is_near =
            |n: usize| mean(&|pair| f64::from(regret(&pair.clean, n, worst) <= 0.05)).mean;
        let scores = (SCORED_FROM..=budget).map(|n| 1.0 - share(n).mean);
        let measured = mean(&|pair| regret(&pair.noisy, usize::MAX, worst));
        Self {
            regret: AT.map(at),
            near: AT.map(is_near),
            share: AT.map(share),
            score: scores.sum::<f64>() / (budget + 1 - SCORED_FROM) as f64,
            noisy: [
                measured,
                mean(&|pair| pair.noisy.finalists.min(worst)),
                mean(&|pair| pair.noisy.chosen.min(worst)),
            ],
        }
    }

    /// The mean of several.
    pub fn mean<'r>(rows: &(impl Iterator<Item = &'r Self> + Clone)) -> Self {
        let count = rows.clone().count() as f64;
        let plain = |of: &dyn Fn(&Self) -> f64| rows.clone().map(of).sum::<f64>() / count;
        Self {
            regret: std::array::from_fn(|i| Mean::over(rows.clone().map(move |r| r.regret[i]))),
            near: std::array::from_fn(|i| plain(&|row| row.near[i])),
            share: std::array::from_fn(|i| Mean::over(rows.clone().map(move |r| r.share[i]))),
            score: plain(&|row| row.score),
            noisy: std::array::from_fn(|i| Mean::over(rows.clone().map(move |r| r.noisy[i]))),
        }
    }

    /// A line of the table.
    pub fn print(&self, name: &str) {
        let regret = self.regret.map(|regret| regret.cell(100.0, 1)).join(" ");
        let near = self.near.map(|near| format!("{:6.1}", near * 100.0)).join(" ");
        let share = self.share.map(|share| share.cell(1.0, 2)).join(" ");
        let noisy = self.noisy.map(|noisy| noisy.cell(100.0, 2)).join(" ");
        let score = self.score;
        println!("{name:17} | {regret:47} | {near} | {share:47} | {score:5.2} | {noisy}");
    }
}

/// Prints how much more the regret is than in the `first` runs of the same tables and seeds.
pub fn more(tables: &[Recorded], first: &[Vec<Pair>], runs: &[Vec<Pair>]) {
    let by_table = |n: usize| {
        tables.iter().zip(first.iter().zip(runs)).map(move |(table, (first, runs))| {
            let worst = worst(&table.ranked());
            let pairs = first.iter().zip(runs);
            let more = |(first, run): (&Pair, &Pair)| {
                regret(&run.clean, n, worst) - regret(&first.clean, n, worst)
            };
            Mean::of(&pairs.map(more).collect::<Vec<_>>())
        })
    };
    let cells = AT.map(|n| Mean::over(by_table(n)).cell(100.0, 1)).join(" ");
    println!("{:17} | {cells}", "more");
}
