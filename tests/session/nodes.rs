//! The loop over several nodes: one loop, of which one machine is the case of one node.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use strum::VariantArray;
use wan22_tune::evidence::confirmation::{Confirmation, Verdict};
use wan22_tune::evidence::drift::Drift;
use wan22_tune::knobs::Values;
use wan22_tune::runner::fake::{self, FakeNodes};
use wan22_tune::runner::{FakeRunner, Runner, TrialRequest};
use wan22_tune::search::{Plan, StrategyName};
use wan22_tune::trial::{Outcome, Phase, Trial};
use wan22_tune::tune::budget::Budget;
use wan22_tune::tune::calibrate::Rungs;
use wan22_tune::tune::{NoObserver, Session, TuneConfig};

use crate::{TRIAL_S, config, level, space, workload};

#[test]
fn four_nodes_make_as_many_trials_as_one() {
    let bowl = |request: &TrialRequest| {
        let [a, b] = ["a", "b"].map(|name| level(&request.values, name));
        1.0 + 0.03 * ((a - 6).pow(2) + (b - 3).pow(2)) as f64
    };
    for &strategy in StrategyName::VARIANTS.iter().filter(|name| !name.searches_alone()) {
        let count = |nodes| {
            fake::set_now_s(0.0);
            let space = space("a b");
            let runner = FakeRunner::new(space.given.baseline.clone(), |_, _| Trial::default());
            let nodes = FakeNodes::new(nodes, |_, request, _| measured(bowl(request)));
            let config = TuneConfig { most_trials: 38, ..config() };
            let budget = Budget::on(fake::now, Duration::from_secs(5_000));
            let mut session = Session::new(&config, &runner, &NoObserver, budget).on(&nodes);
            let plan = Plan { strategy, seed: 3, ..Plan::default() };
            session.compete(&space, &Rungs::same(workload()), plan).unwrap();
            let searched = session.trials().iter().filter(|trial| trial.phase == Phase::Search);
            searched.map(|trial| &trial.knobs).collect::<BTreeSet<_>>().len()
        };
        assert_eq!((count(1), count(4)), (38, 38), "{strategy}");
    }
}

/// A tune on `count` nodes of as many of the baseline's trials each.
fn tune_on(
    count: usize,
    trials: u32,
    simulate: impl Fn(usize, &TrialRequest, f64) -> Trial,
) -> anyhow::Result<Vec<Trial>> {
    fake::set_now_s(0.0);
    let space = space("a b");
    let runner = FakeRunner::new(space.given.baseline.clone(), |_, _| Trial::default());
    let (nodes, config) = (FakeNodes::new(count, simulate), config());
    let budget = Budget::on(fake::now, Duration::from_secs_f64(TRIAL_S) * trials);
    let mut session = Session::new(&config, &runner, &NoObserver, budget).on(&nodes);
    let plan = Plan { strategy: StrategyName::Random, seed: 1, ..Plan::default() };
    session.compete(&space, &Rungs::same(workload()), plan)?;
    Ok(session.trials().to_vec())
}

/// Falls with `a` by 3% each and rises with `b` by half a percent: the best saves 27%.
fn falling(values: &Values) -> f64 {
    1.0 - 0.03 * level(values, "a") as f64 + 0.005 * level(values, "b") as f64
}

fn measured(seconds: f64) -> Trial {
    fake::measured([seconds; 3], TRIAL_S, 0.0)
}

fn of_node<'t>(trials: &'t [Trial], name: &'t str) -> impl Iterator<Item = &'t Trial> {
    trials.iter().filter(move |trial| trial.node == name)
}

const NAMES: [&str; 4] = ["n1", "n2", "n3", "n4"];

#[test]
fn every_node_measures_the_baseline_first_and_gets_its_share() {
    let trials = tune_on(4, 60, |_, request, _| measured(falling(&request.values))).unwrap();
    let numbers: BTreeSet<u64> = trials.iter().map(|trial| trial.number).collect();
    assert_eq!(numbers, (1..=trials.len() as u64).collect());
    for name in NAMES {
        let own: Vec<&Trial> = of_node(&trials, name).collect();
        assert_eq!(own[0].phase, Phase::Baseline, "{name}");
        assert!((15..=62).contains(&own.len()), "{name} ran {} trials", own.len());
        assert!(own.iter().any(|trial| trial.phase == Phase::Sentinel), "{name}");
    }
    let searched = trials.iter().filter(|trial| trial.phase == Phase::Search);
    let different: BTreeSet<_> = searched.clone().map(|trial| &trial.knobs).collect();
    assert_eq!(different.len(), searched.count(), "no candidate is searched twice");
}

#[test]
fn a_pair_runs_on_one_node_and_every_node_runs_pairs() {
    let trials = tune_on(4, 60, |_, request, _| measured(falling(&request.values))).unwrap();
    let mut rounds: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for trial in trials.iter().filter(|trial| trial.phase == Phase::Confirmation) {
        rounds.entry(trial.pair.unwrap()).or_default().insert(&trial.node);
    }
    assert!(rounds.values().all(|nodes| nodes.len() == 1), "{rounds:?}");
    let confirmation = Confirmation::of(&trials, &space("a b").given.baseline).unwrap();
    assert_eq!(confirmation.nodes.iter().collect::<BTreeSet<_>>().len(), 4);
    let Verdict::Gain(gain) = confirmation.verdict() else { panic!("{confirmation:?}") };
    assert!((gain.mean - 0.27).abs() < 1e-3, "{gain:?}");
}

/// Nodes of which each is a tenth slower than the one before: the fastest node must not make its
/// candidates look good.
#[test]
fn a_nodes_speed_is_taken_out_of_its_times() {
    let speed = |node: usize| 1.1_f64.powi(node as i32);
    let trials =
        tune_on(4, 60, |node, request, _| measured(speed(node) * falling(&request.values)));
    let trials = trials.unwrap();
    let drift = Drift::of(&trials);
    for trial in trials.iter().filter(|trial| trial.phase == Phase::Search) {
        let seen = drift.score(trial).unwrap();
        let right = falling(&trial.knobs);
        assert!((seen / right - 1.0).abs() < 0.02, "{right} on {}: {seen}", trial.node);
    }
    let confirmation = Confirmation::of(&trials, &space("a b").given.baseline).unwrap();
    assert_eq!(level(&confirmation.finalist, "a"), 9);
}

/// One node's machine breaks: its failures are held against nobody, and the others go on.
#[test]
fn a_node_whose_baseline_fails_is_put_out() {
    let broken = Trial { outcome: Outcome::Crashed, wall_s: 1.0, ..Trial::default() };
    let trials = tune_on(3, 40, |node, request, now_s| match node == 1 && now_s > 100.0 {
        true => broken.clone(),
        false => measured(falling(&request.values)),
    });
    let trials = trials.unwrap();
    let last = of_node(&trials, "n2").last().unwrap();
    assert_eq!(last.outcome, Outcome::Crashed);
    assert!(of_node(&trials, "n2").count() < of_node(&trials, "n1").count());
    let confirmation = Confirmation::of(&trials, &space("a b").given.baseline).unwrap();
    assert_eq!((level(&confirmation.finalist, "a"), confirmation.failures), (9, 0));
    assert!(matches!(confirmation.verdict(), Verdict::Gain(_)), "{confirmation:?}");
}

#[test]
fn without_a_node_left_it_says_so() {
    let broken = Trial { outcome: Outcome::Crashed, wall_s: 1.0, ..Trial::default() };
    let failed = tune_on(2, 40, |_, _, _| broken.clone()).unwrap_err();
    assert!(failed.to_string().starts_with("the baseline does not run here (crashed)"), "{failed}");
}

/// The same tune on one node is that of one machine, trial by trial.
#[test]
fn one_node_is_one_machine() {
    let on_one = tune_on(1, 40, |_, request, _| measured(falling(&request.values))).unwrap();
    fake::set_now_s(0.0);
    let space = space("a b");
    let runner = FakeRunner::new(space.given.baseline.clone(), |request, _| {
        measured(falling(&request.values))
    });
    let config = config();
    let budget = Budget::on(fake::now, Duration::from_secs_f64(TRIAL_S) * 40);
    let mut session = Session::new(&config, &runner, &NoObserver, budget);
    let plan = Plan { strategy: StrategyName::Random, seed: 1, ..Plan::default() };
    session.compete(&space, &Rungs::same(workload()), plan).unwrap();
    let named = |trial: &Trial| Trial { node: "n1".to_owned(), ..trial.clone() };
    let alone: Vec<Trial> = session.trials().iter().map(named).collect();
    assert_eq!(on_one, alone);
    assert_eq!(runner.baseline(), space.given.baseline);
}

/// Under noise some candidates are measured again: not on the node that measured them first, and not on
/// more than half of the nodes.
#[test]
fn what_is_measured_again_is_measured_elsewhere_and_half_of_the_nodes_stay_without() {
    let last = RefCell::new(0_u64);
    let trials = tune_on(4, 60, |_, request, _| {
        let mut last = last.borrow_mut();
        *last =
            last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise = (*last >> 40) as f64 / (1 << 24) as f64 - 0.5;
        measured(falling(&request.values) * (1.0 + 0.06 * noise))
    });
    let trials = trials.unwrap();
    let again = trials.iter().filter(|trial| trial.phase == Phase::Repeat);
    let firsts = again.filter_map(|again| {
        let mut all = trials.iter().filter(|trial| trial.knobs == again.knobs);
        let first = all.next()?;
        let second = all.next()?;
        (second.number == again.number).then_some((first, second))
    });
    let firsts: Vec<(&Trial, &Trial)> = firsts.collect();
    assert!(!firsts.is_empty(), "nothing was measured again");
    assert!(firsts.iter().all(|(first, second)| first.node != second.node));
    let mut measured: BTreeMap<&Values, BTreeSet<&str>> = BTreeMap::new();
    for trial in trials.iter().filter(|t| matches!(t.phase, Phase::Search | Phase::Repeat)) {
        measured.entry(&trial.knobs).or_default().insert(&trial.node);
    }
    assert!(measured.values().all(|nodes| nodes.len() <= 2), "{measured:?}");
}
