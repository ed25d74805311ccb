//! Findings: what the trials of a tune show, worked out once for all that is made of them.

use crate::evidence::confirmation::{Confirmation, Pair, Verdict};
use crate::evidence::drift::Drift;
use crate::evidence::ranking::{self, Ranked};
use crate::knobs::Values;
use crate::stats;
use crate::stats::Interval;
use crate::trial::Trial;

/// What the trials of a tune show.
#[derive(Clone, Debug)]
pub struct Findings {
    /// How the machine's speed changed.
    pub drift: Drift,
    /// The measured candidates, best first.
    pub ranking: Vec<Ranked>,
    /// The finalist against the baseline, if it came to that.
    pub confirmation: Option<Confirmation>,
    /// What the tune may claim.
    pub verdict: Verdict,
    /// The best settings beside the baseline; `None` where nothing beat it or nothing was measured.
    pub finalist: Option<Finalist>,
    /// Seconds per clip of the baseline: the median over its confirmation trials, else over all its
    /// trials.
    pub baseline_s: Option<f64>,
    /// The nodes, in the order of their first trials; none where one machine tuned by itself.
    pub nodes: Vec<NodeFinding>,
}

/// What one of several nodes shows.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFinding {
    /// Its name.
    pub name: String,
    /// Trials there.
    pub trials: usize,
    /// How many times as long as on the first node everything takes.
    pub factor: f64,
    /// Confirmation pairs there.
    pub pairs: usize,
    /// What the finalist saves there by itself, as a share.
    pub gain: Option<Interval>,
}

/// The finalist, or, where it came to no confirmation, the best candidate that beats the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Finalist {
    /// The value of every knob.
    pub knobs: Values,
    /// Seconds per clip: the median over its confirmation trials, else over all its trials.
    pub score_s: f64,
    /// Whether `score_s` comes from confirmation pairs.
    pub confirmed: bool,
}

impl Finalist {
    /// What a table calls it.
    pub fn heading(&self) -> &'static str {
        if self.confirmed { "#finalist" } else { "#best" }
    }
}

impl Findings {
    /// What `trials` show of candidates beside `baseline`.
    pub fn of(trials: &[Trial], baseline: &Values) -> Self {
        let drift = Drift::of(trials);
        let ranking = ranking::rank(trials, &drift);
        let confirmation = Confirmation::of(trials, baseline);
        let verdict = confirmation.as_ref().map_or(Verdict::NoGain(None), Confirmation::verdict);
        let finalist = finalist(&ranking, confirmation.as_ref(), baseline);
        let confirmed = confirmation.as_ref().and_then(|c| median(c, |pair| pair.baseline_s));
        let ranked = || ranking.iter().find(|ranked| ranked.knobs == *baseline);
        let baseline_s = confirmed.or_else(|| ranked().map(|ranked| ranked.score_s));
        let nodes = nodes(trials, &drift, confirmation.as_ref());
        Self { drift, ranking, confirmation, verdict, finalist, baseline_s, nodes }
    }
}

fn nodes(trials: &[Trial], drift: &Drift, confirmation: Option<&Confirmation>) -> Vec<NodeFinding> {
    let names = trials.iter().map(|trial| trial.node.as_str());
    let names = stats::distinct(names.filter(|name| !name.is_empty()));
    let gains = confirmation.map(Confirmation::gains).unwrap_or_default();
    let of_node = |name: &str| {
        let trials = trials.iter().filter(|trial| trial.node == name).count();
        let place = confirmation.and_then(|c| c.nodes.iter().position(|node| node == name));
        let own = |pair: &&Pair| Some(pair.node) == place;
        let pairs = confirmation.map_or(0, |c| c.pairs.iter().filter(own).count());
        let gain = place.and_then(|place| gains[place]);
        let (name, factor) = (name.to_owned(), drift.node_effects().factor(name));
        NodeFinding { name, trials, factor, pairs, gain }
    };
    names.into_iter().map(of_node).collect()
}

fn finalist(
    ranking: &[Ranked],
    confirmation: Option<&Confirmation>,
    baseline: &Values,
) -> Option<Finalist> {
    let Some(confirmation) = confirmation else {
        let Ranked { knobs, score_s, .. } = ranking.first()?.clone();
        return (knobs != *baseline).then_some(Finalist { knobs, score_s, confirmed: false });
    };
    let confirmed = median(confirmation, |pair| pair.finalist_s);
    let ranked = || ranking.iter().find(|ranked| ranked.knobs == confirmation.finalist);
    Some(Finalist {
        score_s: confirmed.or_else(|| ranked().map(|ranked| ranked.score_s))?,
        confirmed: confirmed.is_some(),
        knobs: confirmation.finalist.clone(),
    })
}

fn median(confirmation: &Confirmation, side: fn(&Pair) -> f64) -> Option<f64> {
    stats::median(confirmation.pairs.iter().map(side))
}
