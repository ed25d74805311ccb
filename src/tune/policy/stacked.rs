//! Stacked experts: where runs are long, each expert's candidate is tried on top of those that gained.
//!
//! What halves a run makes every later trial half as long, and what gains beside it is what will be
//! shipped with it.

use crate::search::Observation;
use crate::space::{Candidate, Space};

/// What an expert's candidate must save, as a share, for others to be tried on top of it.
const LEAST_SAVED: f64 = 0.05;

/// The experts' candidates, each with what those before it gained by, as far as that is legal and
/// `observations` tell.
pub(super) fn stacked(
    space: &Space,
    experts: &[Candidate],
    observations: &[Observation],
) -> Vec<Candidate> {
    let baseline = space.baseline();
    let cost = |candidate: &Candidate| {
        let own = observations.iter().filter(|one| one.candidate == *candidate);
        own.filter_map(Observation::cost).min_by(f64::total_cmp)
    };
    let (mut lead, mut lead_cost) = (baseline.clone(), cost(&baseline));
    let mut all = Vec::new();
    for expert in experts {
        let candidate = Some(beside(&baseline, &lead, expert)).map(|one| space.canonical(&one));
        let candidate =
            candidate.filter(|one| space.is_legal(one)).unwrap_or_else(|| expert.clone());
        if let (Some(new), Some(old)) = (cost(&candidate), lead_cost)
            && new < old * (1.0 - LEAST_SAVED)
        {
            (lead, lead_cost) = (candidate.clone(), Some(new));
        }
        all.push(candidate);
    }
    all
}

/// `lead`, with whatever `expert` changes of the baseline.
fn beside(baseline: &Candidate, lead: &Candidate, expert: &Candidate) -> Candidate {
    let changed = expert.levels().zip(baseline.levels()).enumerate();
    let changed = changed.filter(|(_, (new, old))| new != old);
    changed.fold(lead.clone(), |candidate, (position, (level, _))| candidate.with(position, level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Measurement, Recorded};

    #[test]
    fn experts_are_tried_on_top_of_what_gained() {
        let rows = (0..8).map(|i| format!("{},{},{},1\n", i & 1, i >> 1 & 1, i >> 2));
        let text = format!("a:cat,b:cat,c:cat,value\n{}", rows.collect::<String>());
        let space = Recorded::parse("made", &text).unwrap().space;
        let baseline = space.baseline();
        let with = |positions: &[usize]| {
            positions.iter().fold(baseline.clone(), |candidate, &position| {
                candidate.with(position, 1 - baseline.level(position))
            })
        };
        let experts = [with(&[0]), with(&[1]), with(&[2])];
        let stack = |costs: &[(&[usize], f64)]| {
            let told = |(positions, cost): &(&[usize], f64)| {
                Observation::new(with(positions), Measurement::Cost(*cost))
            };
            stacked(&space, &experts, &costs.iter().map(told).collect::<Vec<_>>())
        };
        assert_eq!(stack(&[(&[], 10.0)]), experts);
        // The first halves the cost, the second gains nothing beside it.
        let first = [(&[][..], 10.0), (&[0], 5.0)];
        assert_eq!(stack(&first), [with(&[0]), with(&[0, 1]), with(&[0, 2])]);
        let second = [&first[..], &[(&[0, 1], 5.1)]].concat();
        assert_eq!(stack(&second), [with(&[0]), with(&[0, 1]), with(&[0, 2])]);
        let both = [&first[..], &[(&[0, 1], 4.0)]].concat();
        assert_eq!(stack(&both), [with(&[0]), with(&[0, 1]), with(&[0, 1, 2])]);
        assert_eq!(stack(&[(&[], 10.0), (&[0], 9.8)]), experts, "next to nothing");
    }
}
