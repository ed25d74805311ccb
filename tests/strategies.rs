//! What every strategy keeps, whatever it proposes.

use std::collections::HashSet;

use strum::VariantArray;

use wan22_tune::knobs::{Value, Values};
use wan22_tune::search::replay::{Recorded, Replay};
use wan22_tune::search::{
    End, Ended, Finding, Measure, Observation, Plan, Stop, StrategyName, Transfer, choose, run,
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
        for cut in [1, 7, 25, 33, 38, 41] {
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
fn a_space_without_knobs_has_one_candidate() {
    let space = Space { knobs: Vec::new(), listed: None, ..bowl().space };
    for &strategy in StrategyName::VARIANTS {
        let mut failing = Failing { left: 10, ..Failing::default() };
        let ended = run(&space, &plan(strategy, 7), &mut failing);
        assert!(matches!(ended.why, End::Exhausted), "{strategy}: {:?}", ended.why);
        assert_eq!(failing.asked.len(), 1, "{strategy}");
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
        let chosen = choose(&recorded.space, &ended.observations);
        assert_eq!(chosen, Some(Candidate::new([13])), "{strategy}");
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

/// Measures each candidate again by itself, and finds it half as slow again.
struct Repeating<'a>(Replay<'a>, Option<Observation>);

impl Measure for Repeating<'_> {
    fn identity(&self, candidate: &Candidate) -> Option<u64> {
        self.0.identity(candidate)
    }

    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop> {
        let observation = self.0.measure(candidate)?;
        let finding = observation.finding.times(1.5);
        self.1 = Some(Observation { finding, ..observation.clone() });
        Ok(observation)
    }

    fn extra_observations(&mut self) -> Vec<Observation> {
        self.1.take().into_iter().collect()
    }
}

#[test]
fn what_was_measured_besides_is_learnt_after_what_was_asked_for() {
    let recorded = bowl();
    for &strategy in StrategyName::VARIANTS {
        let mut measure = Repeating(Replay::new(&recorded, 30, 0.0, 1), None);
        let learnt = run(&recorded.space, &plan(strategy, 1), &mut measure).observations;
        assert_eq!(learnt.len(), 60, "{strategy}");
        for pair in learnt.chunks(2) {
            assert_eq!(pair[0].candidate, pair[1].candidate, "{strategy}");
            assert_eq!(pair[1].finding, pair[0].finding.times(1.5), "{strategy}");
        }
        // It does not matter for what chance proposes.
        if strategy == StrategyName::Random {
            let usual = search(&recorded, &plan(strategy, 1), 30).observations;
            assert!(learnt.iter().step_by(2).eq(&usual), "{strategy}");
        }
    }
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

/// Answers from a record, and cuts what costs more than 4.
struct Cutting<'a>(Replay<'a>);

impl Measure for Cutting<'_> {
    fn identity(&self, candidate: &Candidate) -> Option<u64> {
        self.0.identity(candidate)
    }

    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop> {
        let mut observation = self.0.measure(candidate)?;
        if observation.cost().is_some_and(|cost| cost > 4.0) {
            observation.finding = Finding::AtLeast(4.0);
        }
        Ok(observation)
    }
}

#[test]
fn what_fails_and_what_takes_too_long_is_soon_not_proposed_any_more() {
    let recorded = treacherous();
    for strategy in [StrategyName::Portfolio, StrategyName::GaussianProcess, StrategyName::Forest] {
        let (mut early, mut late) = (0, 0);
        for seed in 0..20 {
            let mut measure = Cutting(Replay::new(&recorded, 80, 0.0, seed));
            let observations =
                run(&recorded.space, &plan(strategy, seed), &mut measure).observations;
            let bad = |some: &[Observation]| some.iter().filter(|o| o.cost().is_none()).count();
            early += bad(&observations[..15]);
            late += bad(&observations[40..]);
            let chosen = choose(&recorded.space, &observations).unwrap();
            assert_eq!(recorded.cost(&chosen), Some(1.0), "{strategy} seed {seed}");
        }
        // 68 of 192 candidates are bad: 106 of 300 drawn, and 283 of 800.
        assert!(early > 50, "{strategy}: {early} of 300");
        assert!(late <= 100, "{strategy}: {late} of 800");
    }
}

#[test]
fn what_noise_leaves_in_doubt_is_measured_again_near_the_end_if_that_is_known() {
    let recorded = treacherous();
    let again = |measure: &mut dyn Measure| -> Vec<usize> {
        let plan = plan(StrategyName::Portfolio, 4);
        let observed = run(&recorded.space, &plan, measure).observations;
        let mut seen = HashSet::new();
        let is_again = |(_, one): &(usize, &Observation)| !seen.insert(one.candidate.clone());
        observed.iter().enumerate().filter(is_again).map(|(at, _)| at).collect()
    };
    let noisy = || Replay::new(&recorded, 80, 0.05, 4);
    let late = again(&mut noisy());
    assert!(late.len() >= 5 && late.iter().all(|&at| at >= 60), "{late:?}");
    // `Cutting` does not say what is left.
    assert_eq!(again(&mut Cutting(noisy())), [0; 0]);
}

#[test]
fn what_was_cut_is_never_chosen() {
    let (cut, slow) = (Candidate::new([3, 1, 1]), Candidate::new([0, 0, 0]));
    let observations = [
        Observation::new(cut.clone(), Finding::AtLeast(0.5)),
        Observation::new(slow.clone(), Finding::Cost(2.0)),
    ];
    assert_eq!(choose(&bowl().space, &observations), Some(slow));
    assert_eq!(choose(&bowl().space, &observations[..1]), None);
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
    let observed = found
        .iter()
        .map(|(values, cost)| (values, Observation::new(Candidate::new([]), Finding::Cost(*cost))));
    // Knobs called threads, not intra_op_threads, are no counts of threads: nearest level.
    let earlier = Transfer::of(&space, 1.0, 1.0, observed);
    let candidates: Vec<&Candidate> = earlier.observations.iter().map(|o| &o.candidate).collect();
    assert_eq!(candidates, [&Candidate::new([3, 0, 0]), &Candidate::new([3, 1, 0])]);
    assert_eq!(Transfer::best(&[earlier]), [Candidate::new([3, 1, 0]), Candidate::new([3, 0, 0])]);
}
