//! What every strategy keeps, whatever it proposes.

mod nodes;

use std::collections::HashSet;

use strum::VariantArray;

use wan22_tune::knobs::{Value, Values};
use wan22_tune::search::{Measurement, Observation, Plan, Recorded, StrategyName, Study, Transfer};
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

fn plan(strategy: StrategyName, seed: u64) -> Plan {
    Plan { strategy, seed, ..Plan::default() }
}

/// What a search came to.
struct Ended {
    observations: Vec<Observation>,
    is_exhausted: bool,
}

/// A study that was told `known`.
fn study<'s>(space: &'s Space, plan: &Plan, known: &[Observation]) -> Study<'s> {
    let mut study = Study::of_distinct(space, plan.clone());
    known.iter().for_each(|observation| study.tell(observation.clone()));
    study
}

/// Asks `study` until it was told of `budget` observations, or has nothing left.
fn run(mut study: Study<'_>, budget: usize, find: impl Fn(&Candidate) -> Measurement) -> Ended {
    let mut is_exhausted = false;
    while study.observations().len() < budget && !is_exhausted {
        match study.ask(&[]) {
            Some(asked) => {
                let measurement = find(&asked);
                study.tell(Observation::new(asked, measurement));
            }
            None => is_exhausted = true,
        }
    }
    Ended { observations: study.observations().to_vec(), is_exhausted }
}

fn search(recorded: &Recorded, plan: &Plan, budget: usize) -> Ended {
    run(study(&recorded.space, plan, &[]), budget, |asked| recorded.cost(asked).into())
}

/// A search of which every trial fails.
fn failing(space: &Space, plan: &Plan) -> Ended {
    run(study(space, plan, &[]), 1_000, |_| Measurement::Failed)
}

/// The cheapest candidate.
fn best(observations: &[Observation]) -> Option<Candidate> {
    let good = observations.iter().filter_map(|o| Some((o.cost()?, &o.candidate)));
    good.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate.clone())
}

fn different(observations: &[Observation]) -> usize {
    observations.iter().map(|o| &o.candidate).collect::<HashSet<_>>().len()
}

#[test]
fn only_legal_candidates_and_none_twice() {
    let recorded = bowl();
    for &strategy in StrategyName::VARIANTS {
        let ended = search(&recorded, &plan(strategy, 1), 40);
        assert_eq!(different(&ended.observations), 40, "{strategy}");
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
        assert!(ended.is_exhausted, "{strategy}");
        assert_eq!(different(&ended.observations), recorded.costs.len(), "{strategy}");
        let chosen = best(&ended.observations).unwrap();
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
        for cut in [1, 7, 25, 33, 38, 41] {
            let resumed = study(&recorded.space, &whole, &uninterrupted[..cut]);
            let resumed = run(resumed, 45, |asked| recorded.cost(asked).into());
            assert_eq!(resumed.observations, uninterrupted, "{strategy} cut at {cut}");
        }
    }
}

#[test]
fn model_based_strategies_find_the_optimum_in_less_than_half_the_space() {
    let recorded = bowl();
    for strategy in [StrategyName::Portfolio, StrategyName::GaussianProcess, StrategyName::Forest] {
        for seed in 0..5 {
            let ended = search(&recorded, &plan(strategy, seed), 35);
            let chosen = best(&ended.observations).unwrap();
            assert_eq!(recorded.cost(&chosen), Some(1.0), "{strategy} seed {seed}");
        }
    }
}

#[test]
fn a_space_where_all_fails_is_searched_to_its_end() {
    let recorded = bowl();
    for &strategy in StrategyName::VARIANTS {
        let ended = failing(&recorded.space, &plan(strategy, 6));
        assert!(ended.is_exhausted, "{strategy}");
        assert_eq!(different(&ended.observations), recorded.costs.len(), "{strategy}");
        assert_eq!(best(&ended.observations), None, "{strategy}");
    }
}

#[test]
fn a_space_of_one_candidate_is_searched() {
    let recorded = Recorded::parse("one", "threads:ord,layout:cat,value\n4,a,2.5\n").unwrap();
    for &strategy in StrategyName::VARIANTS {
        let ended = search(&recorded, &plan(strategy, 7), 10);
        assert!(ended.is_exhausted, "{strategy}");
        assert_eq!(ended.observations.len(), 1, "{strategy}");
        assert_eq!(ended.observations[0].cost(), Some(2.5), "{strategy}");
    }
}

#[test]
fn a_space_without_knobs_has_one_candidate() {
    let space = Space { knobs: Vec::new(), listed: None, ..bowl().space };
    for &strategy in StrategyName::VARIANTS {
        let ended = failing(&space, &plan(strategy, 7));
        assert!(ended.is_exhausted, "{strategy}");
        assert_eq!(ended.observations.len(), 1, "{strategy}");
    }
}

#[test]
fn the_largest_number_marks_a_failure_that_is_never_chosen() {
    let marked = |level: usize| [3, 11, 17].contains(&level);
    let cost = |level| if marked(level) { f64::MAX } else { 5.0 + (level as f64 - 13.0).abs() };
    let rows: String = (0..20).map(|level| format!("{level},{}\n", cost(level))).collect();
    let recorded = Recorded::parse("marked", &format!("a:ord,value\n{rows}")).unwrap();
    for &strategy in StrategyName::VARIANTS {
        let ended = search(&recorded, &plan(strategy, 8), 20);
        assert_eq!(best(&ended.observations), Some(Candidate::new([13])), "{strategy}");
    }
}

#[test]
fn knobs_that_do_nothing_make_no_second_candidate() {
    // threads 1, 2, 4, 8 with local memory; the same with interleaving over one node; and with
    // interleaving over two nodes, where 8 threads break the constraint: 4 + 4 + 3.
    let space = conditional();
    for &strategy in StrategyName::VARIANTS {
        let ended = failing(&space, &plan(strategy, 8));
        assert_eq!(ended.observations.len(), 11, "{strategy}");
        for candidate in ended.observations.iter().map(|observation| &observation.candidate) {
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
fn repetitions_are_of_no_account_for_what_chance_proposes() {
    let recorded = bowl();
    let plan = plan(StrategyName::Random, 1);
    let mut repeating = study(&recorded.space, &plan, &[]);
    for expected in search(&recorded, &plan, 30).observations {
        assert_eq!(repeating.ask(&[]).as_ref(), Some(&expected.candidate));
        let measurement = expected.measurement.times(1.5);
        repeating.tell(expected.clone());
        repeating.tell(Observation { measurement, ..expected });
    }
    assert_eq!(repeating.observations().len(), 60);
}

/// 8 x 6 x 4 candidates; all with layout c and more than 3 threads fail, as if out of memory, and
/// those with layout d take longer than anybody waits.
fn treacherous() -> Recorded {
    let mut text = "threads:ord,workers:ord,layout:cat,value\n".to_owned();
    for (threads, workers) in (0..48_i32).map(|i| (i % 8, i / 8)) {
        for (layout, extra) in [("a", 0.5), ("b", 0.0), ("c", 0.0), ("d", 9.0)] {
            let fails = layout == "c" && threads > 3;
            let away = (threads - 5).abs() + (workers - 2).abs();
            let cost = 1.0 + 0.1 * f64::from(away) + extra;
            let cost = if fails { "inf".to_owned() } else { cost.to_string() };
            text += &format!("{threads},{workers},{layout},{cost}\n");
        }
    }
    Recorded::parse("treacherous", &text).unwrap()
}

#[test]
fn what_fails_and_what_takes_too_long_is_soon_not_proposed_any_more() {
    let recorded = treacherous();
    for strategy in [StrategyName::Portfolio, StrategyName::GaussianProcess, StrategyName::Forest] {
        let (mut early, mut late) = (0, 0);
        for seed in 0..20 {
            let study = study(&recorded.space, &plan(strategy, seed), &[]);
            // What costs more than 4 is cut there.
            let find = |asked: &Candidate| match recorded.cost(asked) {
                Some(cost) if cost > 4.0 => Measurement::AtLeast(4.0),
                cost => cost.into(),
            };
            let observations = run(study, 80, find).observations;
            let bad = |some: &[Observation]| some.iter().filter(|o| o.cost().is_none()).count();
            early += bad(&observations[..15]);
            late += bad(&observations[40..]);
            let chosen = best(&observations).unwrap();
            assert_eq!(recorded.cost(&chosen), Some(1.0), "{strategy} seed {seed}");
        }
        // 68 of 192 candidates are bad: 106 of 300 drawn, and 283 of 800.
        assert!(early > 50, "{strategy}: {early} of 300");
        assert!(late <= 100, "{strategy}: {late} of 800");
    }
}

/// What a search on another machine found: the same costs, or the worst for the best.
fn earlier(recorded: &Recorded, misleading: bool) -> Vec<Transfer> {
    let mut all: Vec<&Candidate> = recorded.costs.keys().collect();
    all.sort();
    let told = |candidate: &Candidate| {
        let cost = recorded.cost(candidate)?;
        Some(if misleading { 1.0 / cost } else { cost })
    };
    let observed =
        |candidate: &&Candidate| Observation::new((*candidate).clone(), told(candidate).into());
    let observations = all.iter().step_by(3).map(observed).collect();
    vec![Transfer { weight: 0.9, observations }]
}

/// Trials until something costs less than 3% above the optimum of `recorded`, over 24 seeds.
fn trials_to_good(recorded: &Recorded, earlier: &[Transfer]) -> f64 {
    let needed = |seed| {
        let plan = Plan { transfers: earlier.to_vec(), ..plan(StrategyName::Portfolio, seed) };
        let observations = search(recorded, &plan, 50).observations;
        let good = |o: &Observation| o.cost().is_some_and(|cost| cost < 1.03);
        observations.iter().position(good).unwrap_or(50) as f64
    };
    (0..24).map(needed).sum::<f64>() / 24.0
}

#[test]
fn an_earlier_search_helps_and_a_misleading_one_costs_a_few_trials() {
    let recorded = treacherous();
    let cold = trials_to_good(&recorded, &[]);
    let warm = trials_to_good(&recorded, &earlier(&recorded, false));
    let misled = trials_to_good(&recorded, &earlier(&recorded, true));
    assert!(warm < 0.6 * cold, "{warm} against {cold}");
    assert!(misled < cold + 6.0, "{misled} against {cold}");
}

/// Earlier searches that say nothing true: the worst for the best, all the same, all failed.
fn misleading(recorded: &Recorded) -> Vec<Transfer> {
    let told = |measurement: Measurement| {
        let observed = |candidate: &Candidate| Observation::new(candidate.clone(), measurement);
        let observations = recorded.succeeded().into_iter().map(observed).collect();
        Transfer { weight: 1.0, observations }
    };
    let all =
        [told(Measurement::Cost(2.0)), told(Measurement::Failed), told(Measurement::AtLeast(1e9))];
    [earlier(recorded, true), all.to_vec()].concat()
}

#[test]
fn sources_that_mislead_hide_nothing_from_any_strategy() {
    let recorded = bowl();
    for &strategy in StrategyName::VARIANTS {
        let plan = Plan { transfers: misleading(&recorded), ..plan(strategy, 5) };
        let ended = search(&recorded, &plan, 1_000);
        assert!(ended.is_exhausted, "{strategy}");
        assert_eq!(different(&ended.observations), recorded.costs.len(), "{strategy}");
        let known = &ended.observations[..20];
        let mut resumed = study(&recorded.space, &plan, known);
        assert_eq!(resumed.ask(&[]).as_ref(), Some(&ended.observations[20].candidate));
    }
}

/// Two that mislead, on machines that are said to be more alike, beside one that does not.
#[test]
fn of_several_earlier_searches_that_counts_which_foretells() {
    let recorded = treacherous();
    let cold = trials_to_good(&recorded, &[]);
    let [one, other] = [earlier(&recorded, true), earlier(&recorded, true)];
    let mut good = earlier(&recorded, false);
    good[0].weight = 0.5;
    let mixed = trials_to_good(&recorded, &[one, other, good].concat());
    assert!(mixed < 0.8 * cold, "{mixed} against {cold}");
}

#[test]
fn what_was_found_elsewhere_is_translated() {
    let space = conditional();
    let values = |threads: i64, memory: &str| -> Values {
        let threads = ("threads".to_owned(), Value::Integer(threads));
        let memory = ("memory".to_owned(), Value::Word(memory.to_owned()));
        let unknown = ("unknown".to_owned(), Value::Integer(7));
        [threads, memory, unknown].into()
    };
    let found =
        [(values(60, "local"), 2.0), (values(17, "interleave"), 1.0), (values(8, "bind"), 0.5)];
    let observed = found.iter().map(|(values, cost)| {
        (values, Observation::new(Candidate::new([]), Measurement::Cost(*cost)))
    });
    // Knobs called threads, not intra_op_threads, are no counts of threads: nearest level.
    let earlier = Transfer::of(&space, 1.0, 1.0, observed);
    let candidates: Vec<&Candidate> = earlier.observations.iter().map(|o| &o.candidate).collect();
    assert_eq!(candidates, [&Candidate::new([3, 0, 0]), &Candidate::new([3, 1, 0])]);
    assert_eq!(Transfer::best(&[earlier]), [Candidate::new([3, 1, 0]), Candidate::new([3, 0, 0])]);
}
