//! Sources: what earlier searches found, on related tables or on made ones.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use wan22_tune::knobs::Values;
use wan22_tune::search::{Observation, Plan, Recorded, Study, Transfer};
use wan22_tune::space::Candidate;
use wan22_tune::stats;

/// Evaluations of an earlier search, and how alike its machine is taken to be.
const SEARCHED: usize = 120;
const ALIKE: f64 = 0.6;
/// Different searches of each related table.
const SEARCHES: u64 = 8;
/// Deviations of log cost that a made table's other effects have, and those of one that misleads.
const APART: f64 = 0.75;
const MISLEADING: f64 = 10.0;

/// How many earlier searches there are, and of what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warm {
    /// As many, of related tables or, without, of made ones.
    Told(usize),
    /// One, of a table that has nothing to do with it.
    Misled,
}

impl FromStr for Warm {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "cold" => Ok(Self::Told(0)),
            "misled" => Ok(Self::Misled),
            count => count.parse().map(Self::Told).with_context(|| {
                format!("WARM: `{count}`: neither cold nor misled nor a number of searches")
            }),
        }
    }
}

impl Display for Warm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(0) => f.write_str("cold"),
            Self::Told(1) => f.write_str("one earlier search"),
            Self::Told(count) => write!(f, "{count} earlier searches"),
            Self::Misled => f.write_str("an earlier search that misleads"),
        }
    }
}

impl Warm {
    /// Whether the earlier searches for `table` are of made ones.
    pub fn is_made(self, tables: &[Recorded], table: &Recorded) -> bool {
        match self {
            Self::Told(count) => count > 0 && relatives(tables, table).is_empty(),
            Self::Misled => true,
        }
    }
}

/// The word with which the names of related tables begin.
pub fn family(table: &Recorded) -> &str {
    let name = &table.space.name;
    name.split_once('_').map_or(name, |(family, _)| family)
}

fn relatives(tables: &[Recorded], table: &Recorded) -> Vec<usize> {
    let is_related =
        |other: &Recorded| family(other) == family(table) && other.space.name != table.space.name;
    (0..tables.len()).filter(|&place| is_related(&tables[place])).collect()
}

type Measured = Vec<(Values, Observation)>;

/// The searches of related tables: each is of use to many runs.
#[derive(Default)]
pub struct Searches(Mutex<HashMap<(usize, u64), Arc<Measured>>>);

impl Searches {
    /// What earlier searches found, for a run on the table at `place`.
    pub fn before(
        &self,
        tables: &[Recorded],
        place: usize,
        seed: u64,
        warm: Warm,
    ) -> Vec<Transfer> {
        let here = &tables[place];
        let (count, apart) = match warm {
            Warm::Told(count) => (count, APART),
            Warm::Misled => (1, MISLEADING),
        };
        let source = |number: usize| {
            // Other seeds than those of the runs.
            let other = 1_000_000 + 1_000 * number as u64;
            let measured = if warm.is_made(tables, here) {
                Arc::new(searched(&made(here, apart, other + seed), other + seed))
            } else {
                let relatives = relatives(tables, here);
                let turn = number + seed as usize;
                self.of(tables, relatives[turn % relatives.len()], other + seed % SEARCHES)
            };
            let measured = measured.iter().map(|(values, one)| (values, one.clone()));
            Transfer::of(&here.space, ALIKE, 1.0, measured)
        };
        (0..count).map(source).collect()
    }

    fn of(&self, tables: &[Recorded], place: usize, seed: u64) -> Arc<Measured> {
        let known = || self.0.lock().expect("nobody panics").get(&(place, seed)).cloned();
        known().unwrap_or_else(|| {
            let found = Arc::new(searched(&tables[place], seed));
            self.0.lock().expect("nobody panics").insert((place, seed), Arc::clone(&found));
            found
        })
    }
}

/// What the default finds on `table`.
fn searched(table: &Recorded, seed: u64) -> Measured {
    let plan = Plan { seed, ..Plan::default() };
    let mut study = Study::of_distinct(&table.space, plan);
    for _ in 0..SEARCHED {
        let Some(candidate) = study.ask(&[]) else { break };
        let finding = table.cost(&candidate).into();
        study.tell(Observation::new(candidate, finding));
    }
    let named = |one: &Observation| (table.space.values(&one.candidate), one.clone());
    study.observations().iter().map(named).collect()
}

/// A table of the same candidates with other costs.
fn made(table: &Recorded, apart: f64, seed: u64) -> Recorded {
    let costs = table.ranked().into_iter().filter(|cost| cost.is_finite() && *cost > 0.0);
    let logs: Vec<f64> = costs.map(f64::ln).collect();
    let knobs = table.space.knobs.len();
    let scale = stats::deviation(&logs).unwrap_or(0.0) * apart
        / ((knobs * (knobs + 1)) as f64 / 2.0).sqrt();
    let effect = |candidate: &Candidate| -> f64 {
        let levels: Vec<usize> = candidate.levels().collect();
        let pairs = (0..knobs).flat_map(|one| (one..knobs).map(move |other| (one, other)));
        pairs.map(|(one, other)| drawn(seed, [one, levels[one], other, levels[other]])).sum()
    };
    let mut made = table.clone();
    for (candidate, costs) in &mut made.costs {
        let factor = (scale * effect(candidate)).exp();
        costs.iter_mut().for_each(|cost| *cost *= factor);
    }
    made
}

/// An even draw of variance 1 that is a function of `key`.
fn drawn(seed: u64, key: [usize; 4]) -> f64 {
    let key = key.into_iter().fold(seed, |hash, part| {
        (hash ^ part as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
    });
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(key);
    (rng.random::<f64>() - 0.5) * 12_f64.sqrt()
}
