//! Searches over several nodes, which have several candidates pending.

use strum::VariantArray;
use wan22_tune::search::{Measurement, Observation, StrategyName, Study};
use wan22_tune::space::Candidate;

use crate::{bowl, different, plan, search, study, treacherous};

/// What a search over several nodes measures, in the order of the ends: each trial ends `length` after
/// it began, and its node is given the next one at once.
fn concurrent(
    mut study: Study<'_>,
    (nodes, budget): (usize, usize),
    length: impl Fn(&Candidate) -> f64,
    find: impl Fn(&Candidate) -> Measurement,
) -> Vec<Observation> {
    let mut running: Vec<(f64, Candidate)> = Vec::new();
    let mut now = 0.0;
    while study.observations().len() < budget {
        let pending = |running: &[(f64, Candidate)]| {
            running.iter().map(|(_, candidate)| candidate.clone()).collect::<Vec<_>>()
        };
        while running.len() < nodes {
            let Some(asked) = study.ask(&pending(&running)) else { break };
            assert!(!pending(&running).contains(&asked), "{asked:?} is pending");
            running.push((now + length(&asked), asked));
        }
        let first = (0..running.len()).min_by(|&a, &b| running[a].0.total_cmp(&running[b].0));
        let Some(first) = first else { break };
        let (end, candidate) = running.swap_remove(first);
        now = end;
        let measurement = find(&candidate);
        study.tell(Observation::new(candidate, measurement));
    }
    study.observations().to_vec()
}

#[test]
fn several_nodes_measure_every_candidate_once_whatever_the_order_of_the_ends() {
    let recorded = bowl();
    for &strategy in StrategyName::VARIANTS.iter().filter(|name| !name.searches_alone()) {
        for nodes in [2, 5, 16] {
            // Later candidates may end before earlier ones.
            let length = |asked: &Candidate| 1.0 + (asked.level(0) * 7 % 5) as f64;
            let study = study(&recorded.space, &plan(strategy, 3), &[]);
            let find = |asked: &Candidate| recorded.cost(asked).into();
            let seen = concurrent(study, (nodes, 1_000), length, find);
            assert_eq!(seen.len(), recorded.costs.len(), "{strategy} on {nodes}");
            assert_eq!(different(&seen), recorded.costs.len(), "{strategy} on {nodes}");
        }
    }
}

#[test]
fn what_is_pending_is_not_taken_for_good_or_bad() {
    let recorded = bowl();
    let known = search(&recorded, &plan(StrategyName::Portfolio, 4), 30).observations;
    // The worst candidates pending: as if nothing was, but for how many were asked for.
    for strategy in [StrategyName::Portfolio, StrategyName::GaussianProcess, StrategyName::Forest] {
        let mut study = study(&recorded.space, &plan(strategy, 4), &known);
        let mut unknown: Vec<&Candidate> = recorded.costs.keys().collect();
        unknown.retain(|one| !known.iter().any(|seen| seen.candidate == **one));
        unknown.sort();
        let asked = |pending: &[Candidate], study: &mut Study<'_>| study.ask(pending).unwrap();
        let bests: Vec<f64> = unknown
            .iter()
            .filter_map(|one| recorded.cost(&asked(&[(*one).clone()], &mut study)))
            .collect();
        let mean = bests.iter().sum::<f64>() / bests.len() as f64;
        let rest = unknown.iter().filter_map(|one| recorded.cost(one)).sum::<f64>();
        assert!(mean < rest / unknown.len() as f64, "{strategy}: {mean}");
    }
}

#[test]
fn what_searches_alone_waits_for_what_it_proposed() {
    let recorded = bowl();
    for &strategy in StrategyName::VARIANTS.iter().filter(|name| name.searches_alone()) {
        let mut study = study(&recorded.space, &plan(strategy, 3), &[]);
        for _ in 0..12 {
            let asked = study.ask(&[]).unwrap();
            assert_eq!(study.ask(std::slice::from_ref(&asked)), None, "{strategy}");
            let measurement = recorded.cost(&asked).into();
            study.tell(Observation::new(asked, measurement));
        }
    }
}

#[test]
fn sixteen_nodes_find_what_one_finds_in_a_fraction_of_the_time() {
    let recorded = treacherous();
    // Rounds of a trial's length until something costs less than 3% above the optimum.
    let rounds = |nodes: usize| {
        let of_seed = |seed| {
            let study = study(&recorded.space, &plan(StrategyName::Portfolio, seed), &[]);
            let find = |asked: &Candidate| recorded.cost(asked).into();
            let seen = concurrent(study, (nodes, 96), |_| 1.0, find);
            let good = |o: &Observation| o.cost().is_some_and(|cost| cost < 1.03);
            (seen.iter().position(good).unwrap_or(96) / nodes) as f64
        };
        (0..12).map(of_seed).sum::<f64>() / 12.0
    };
    let (one, many) = (rounds(1), rounds(16));
    assert!(many < one / 4.0, "{one} rounds with one node, {many} with sixteen");
}
