//! What every strategy keeps, whatever it proposes.

use std::collections::HashSet;

use strum::VariantArray;

use wan22_tune::measure::replay::{Recorded, Replay};
use wan22_tune::search::{
    End, Ended, Finding, Measure, Observation, Plan, Stop, StrategyName, choose, run,
};
use wan22_tune::space::{Candidate, Space, SpaceFile};

/// 6 x 4 x 3 candidates less the corner where the first two are both highest; the cheapest is
/// (3, 1, b), at 1, and cost grows by a tenth with every level away from it, and half in other
/// categories.
fn bowl() -> Recorded {
    let mut text = "threads:ord,workers:ord,layout:cat,value\n".to_owned();
    for threads in 0..6_i32 {
        for workers in 0..4_i32 {
            for (layout, extra) in [("a", 0.5), ("b", 0.0), ("c", 0.7)] {
                let away = (threads - 3).abs() + (workers - 1).abs();
                let cost = 1.0 + 0.1 * f64::from(away) + extra;
                if threads + workers < 8 {
                    text += &format!("{threads},{workers},{layout},{cost}\n");
                }
            }
        }
    }
    Recorded::parse("bowl", &text).unwrap()
}

/// A space with a condition and a constraint, measured by a formula.
fn conditional() -> Space {
    let text = r#"
        schema = 1
        name = "conditional"
        why = "a test"
        [knob.threads]
        why = "x"
        values = [1, 2, 4, 8]
        [knob.memory]
        why = "x"
        values = ["local", "interleave"]
        [knob.nodes]
        why = "x"
        values = [1, 2]
        when = "memory == \"interleave\""
        [[constraint]]
        holds = "threads * nodes <= 8"
        why = "cores"
    "#;
    let mut file = SpaceFile::parse(text).unwrap();
    file.baseline = [("threads", "1"), ("nodes", "1")]
        .map(|(name, value)| (name.to_owned(), serde_json::from_str(value).unwrap()))
        .into();
    file.baseline.insert("memory".to_owned(), serde_json::from_str("\"local\"").unwrap());
    Space::reopen(&file).unwrap()
}

/// Fails every candidate, and remembers what it was asked.
#[derive(Default)]
struct Failing {
    asked: Vec<Candidate>,
    left: usize,
}

impl Measure for Failing {
    fn identity(&self, candidate: &Candidate) -> Option<u64> {
        Some(candidate.levels().fold(0, |sum, level| sum * 100 + level as u64))
    }

    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop> {
        self.left = self.left.checked_sub(1).ok_or(Stop::Budget)?;
        self.asked.push(candidate.clone());
        Ok(Observation::new(candidate.clone(), Finding::Failed))
    }
}

fn plan(strategy: StrategyName, seed: u64) -> Plan {
    Plan { strategy, seed, ..Plan::default() }
}

fn search(recorded: &Recorded, plan: &Plan, budget: usize) -> Ended {
    run(&recorded.space, plan, &mut Replay::new(recorded, budget, 0.0, plan.seed))
}

fn different(observations: &[Observation]) -> usize {
    observations.iter().map(|o| &o.candidate).collect::<HashSet<_>>().len()
}

#[test]
fn only_legal_candidates_within_budget_and_hardly_any_twice() {
    let recorded = bowl();
    for &strategy in StrategyName::VARIANTS {
        let ended = search(&recorded, &plan(strategy, 1), 40);
        assert_eq!(ended.observations.len(), 40, "{strategy}");
        assert!(matches!(ended.why, End::Stopped(Stop::Budget)), "{strategy}: {:?}", ended.why);
        // Model-based strategies measure a few again, to learn how noisy they are.
        assert!(different(&ended.observations) >= 38, "{strategy}");
        for observation in &ended.observations {
            assert!(recorded.space.is_legal(&observation.candidate), "{strategy}");
        }
    }
}

#[test]
fn every_candidate_of_a_small_space_is_measured_once_and_then_it_ends() {
    let recorded = bowl();
    for &strategy in StrategyName::VARIANTS {
        let ended = search(&recorded, &plan(strategy, 2), 1_000);
        assert!(matches!(ended.why, End::Exhausted), "{strategy}: {:?}", ended.why);
        assert_eq!(different(&ended.observations), recorded.costs.len(), "{strategy}");
        let chosen = choose(&recorded.space, &ended.observations).unwrap();
        assert_eq!(recorded.cost(&chosen), Some(1.0), "{strategy}");
    }
}

#[test]
fn the_same_seed_proposes_the_same_and_another_does_not() {
    let recorded = bowl();
    for &strategy in StrategyName::VARIANTS {
        let first = search(&recorded, &plan(strategy, 3), 30).observations;
        assert_eq!(first, search(&recorded, &plan(strategy, 3), 30).observations, "{strategy}");
        assert_ne!(first, search(&recorded, &plan(strategy, 4), 30).observations, "{strategy}");
    }
}

#[test]
fn a_search_goes_on_from_what_is_known_as_it_would_have() {
    let recorded = bowl();
    for &strategy in StrategyName::VARIANTS {
        let first = vec![recorded.space.baseline()];
        let whole = Plan { first, ..plan(strategy, 5) };
        let uninterrupted = search(&recorded, &whole, 45).observations;
        for cut in [1, 7, 25, 33] {
            let known = uninterrupted[..cut].to_vec();
            let resumed = Plan { known, ..whole.clone() };
            let resumed = search(&recorded, &resumed, 45 - cut).observations;
            assert_eq!(resumed, uninterrupted, "{strategy} cut at {cut}");
        }
    }
}

#[test]
fn model_based_strategies_find_the_optimum_in_less_than_half_the_space() {
    let recorded = bowl();
    for strategy in [StrategyName::Portfolio, StrategyName::GaussianProcess, StrategyName::Forest] {
        for seed in 0..5 {
            let ended = search(&recorded, &plan(strategy, seed), 35);
            let chosen = choose(&recorded.space, &ended.observations).unwrap();
            assert_eq!(recorded.cost(&chosen), Some(1.0), "{strategy} seed {seed}");
        }
    }
}

#[test]
fn a_space_where_all_fails_is_searched_to_its_end() {
    let recorded = bowl();
    for &strategy in StrategyName::VARIANTS {
        let mut failing = Failing { left: 1_000, ..Failing::default() };
        let ended = run(&recorded.space, &plan(strategy, 6), &mut failing);
        assert!(matches!(ended.why, End::Exhausted), "{strategy}: {:?}", ended.why);
        assert_eq!(failing.asked.len(), recorded.costs.len(), "{strategy}");
        assert_eq!(choose(&recorded.space, &ended.observations), None, "{strategy}");
    }
}

#[test]
fn a_space_of_one_candidate_is_searched() {
    let recorded = Recorded::parse("one", "threads:ord,layout:cat,value\n4,a,2.5\n").unwrap();
    for &strategy in StrategyName::VARIANTS {
        let ended = search(&recorded, &plan(strategy, 7), 10);
        assert!(matches!(ended.why, End::Exhausted), "{strategy}: {:?}", ended.why);
        assert_eq!(ended.observations.len(), 1, "{strategy}");
        assert_eq!(ended.observations[0].cost(), Some(2.5), "{strategy}");
    }
}

#[test]
fn knobs_that_do_nothing_make_no_second_candidate() {
    // threads 1, 2, 4, 8 with local memory; the same with interleaving over one node; and with
    // interleaving over two nodes, where 8 threads break the constraint: 4 + 4 + 3.
    let space = conditional();
    for &strategy in StrategyName::VARIANTS {
        let mut failing = Failing { left: 1_000, ..Failing::default() };
        run(&space, &plan(strategy, 8), &mut failing);
        assert_eq!(failing.asked.len(), 11, "{strategy}");
        for candidate in &failing.asked {
            assert!(space.is_legal(candidate), "{strategy}");
            assert_eq!(space.canonical(candidate), *candidate, "{strategy}");
        }
    }
}

#[test]
fn experts_candidates_come_first_and_illegal_ones_are_left_out() {
    let recorded = bowl();
    let good = Candidate::new([3, 1, 1]);
    let illegal = Candidate::new([5, 3, 0]);
    for &strategy in StrategyName::VARIANTS {
        let plan = Plan { first: vec![illegal.clone(), good.clone()], ..plan(strategy, 9) };
        let ended = search(&recorded, &plan, 5);
        assert_eq!(ended.observations[0].candidate, good, "{strategy}");
    }
}

#[test]
fn a_broken_journal_ends_the_search_and_keeps_what_was_observed() {
    struct Breaking(usize);
    impl Measure for Breaking {
        fn identity(&self, candidate: &Candidate) -> Option<u64> {
            Failing::default().identity(candidate)
        }
        fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop> {
            self.0 += 1;
            if self.0 == 4 {
                return Err(anyhow::anyhow!("no space left on device").into());
            }
            Ok(Observation::new(candidate.clone(), Finding::Cost(self.0 as f64)))
        }
    }
    for &strategy in StrategyName::VARIANTS {
        let ended = run(&bowl().space, &plan(strategy, 10), &mut Breaking(0));
        let End::Stopped(Stop::Broken(error)) = ended.why else { panic!("{strategy}") };
        assert_eq!(error.to_string(), "no space left on device");
        assert_eq!(ended.observations.len(), 3, "{strategy}");
    }
}
