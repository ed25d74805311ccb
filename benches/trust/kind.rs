//! Kinds of noise: what each run of a command costs, relative to what it truly costs.

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use wan22_tune::stats::normal;

/// A clock reading's own spread.
const JITTER: f64 = 0.002;

/// How a command's runs differ though nothing else does.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Normal, of this deviation.
    Normal(f64),
    /// Heavy tails: infinite variance.
    Pareto,
    /// Log-normal, of this deviation.
    LogNormal(f64),
    /// Slower by this share in one run of two.
    Bimodal(f64),
    /// Neighbours that come and go: slower by the first share, with the second as the chance to
    /// change between runs.
    Neighbours(f64, f64),
    /// Each run's log is this share of the one before and as much of noise as keeps the deviation
    /// at the second.
    Correlated(f64, f64),
    /// Normal, of the first deviation, rounded to the second share.
    Quantised(f64, f64),
    /// Rises by this share over this many runs, and falls back.
    Sawtooth(f64, f64),
    /// Slower by this share in each second (negative: faster).
    Drift(f64),
    /// Costs this share more in each run than in the one before.
    Growth(f64),
    /// The same of a metric, while a run takes as long as ever.
    MetricGrowth(f64),
}

/// The noise of one tune, run after run.
pub struct Noise {
    kind: Kind,
    rng: Xoshiro256PlusPlus,
    runs: f64,
    /// Of those that remember: the last log, or whether the neighbour is here.
    state: f64,
}

impl Noise {
    /// Noise of this kind from here on.
    pub fn new(kind: Kind, mut rng: Xoshiro256PlusPlus) -> Self {
        let state = match kind {
            Kind::Neighbours(..) => f64::from(rng.random_bool(0.5)),
            Kind::Sawtooth(_, period) => (period * rng.random::<f64>()).floor(),
            _ => normal(&mut rng),
        };
        Self { kind, rng, runs: 0.0, state }
    }

    /// How many times as much as usual the next run costs, `now_s` seconds after the first.
    pub fn next(&mut self, now_s: f64) -> f64 {
        self.runs += 1.0;
        let (rng, runs) = (&mut self.rng, self.runs);
        let factor = match self.kind {
            Kind::Normal(deviation) => return (1.0 + deviation * normal(rng)).max(0.05),
            Kind::Pareto => return (0.97 + 0.03 * rng.random::<f64>().powf(-1.0 / 1.3)).min(20.0),
            Kind::LogNormal(deviation) => return (deviation * normal(rng)).exp(),
            Kind::Growth(share) | Kind::MetricGrowth(share) => return (1.0 + share).powf(runs),
            Kind::Sawtooth(share, period) => {
                return 1.0 + share * ((runs + self.state) % period) / period;
            }
            Kind::Quantised(deviation, step) => {
                return ((1.0 + deviation * normal(rng)) / step).round() * step;
            }
            Kind::Correlated(share, deviation) => {
                self.state = share * self.state + (1.0 - share * share).sqrt() * normal(rng);
                return (deviation * self.state).exp();
            }
            Kind::Bimodal(share) => 1.0 + share * f64::from(rng.random_bool(0.5)),
            Kind::Neighbours(share, chance) => {
                if rng.random_bool(chance) {
                    self.state = 1.0 - self.state;
                }
                1.0 + share * self.state
            }
            Kind::Drift(share) => (1.0 + share * now_s).max(0.05),
        };
        factor * (1.0 + JITTER * normal(rng))
    }
}
