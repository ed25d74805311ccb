//! The loop of a tune, on a simulated machine: when the baseline comes back, what is measured again, and
//! that a tune that was cut goes on as it would have.

mod nodes;
mod pruned;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use strum::VariantArray;
use wan22_tune::evidence::drift::Drift;
use wan22_tune::knobs::{Value, Values};
use wan22_tune::results::Folder;
use wan22_tune::runner::fake;
use wan22_tune::runner::{FakeRunner, Repetitions, Runner, TrialRequest};
use wan22_tune::search::pruning::{PROBE, Pruned};
use wan22_tune::search::{Plan, StrategyName};
use wan22_tune::space::{Space, SpaceFile};
use wan22_tune::trial::journal::Journal;
use wan22_tune::trial::{Outcome, Phase, Trial, journal};
use wan22_tune::tune::budget::Budget;
use wan22_tune::tune::calibrate::Rungs;
use wan22_tune::tune::{NoObserver, Session, TuneConfig};
use wan22_tune::workload::{BUILT_IN, Workload, WorkloadFile};

/// A trial of the baseline, in simulated seconds; the search's other trials take as long.
const TRIAL_S: f64 = 10.0;

/// Trials of the baseline's length after which it comes back.
const SENTINEL_INTERVAL_TRIALS: f64 = 8.0;

/// Seconds per clip of a candidate, of its `a` and `b`, at a time.
type Truth = fn(i64, i64, f64) -> f64;

fn level(values: &Values, name: &str) -> i64 {
    match values.get(name) {
        Some(Value::Integer(number)) => *number,
        _ => 0,
    }
}

fn machine(space: &Space, truth: Truth) -> FakeRunner<'static> {
    FakeRunner::new(space.given.baseline.clone(), move |request, now_s| {
        let [a, b] = ["a", "b"].map(|name| level(&request.values, name));
        fake::measured([truth(a, b, now_s); 3], TRIAL_S, 0.0)
    })
}

/// Of knobs with these names, each a digit.
fn space(names: &str) -> Space {
    let knob =
        |name: &str| format!("{name} = {{ why = '', values = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }}\n");
    let (knobs, zeros): (String, Vec<String>) =
        names.split(' ').map(|name| (knob(name), format!("{name} = 0"))).unzip();
    let head = "schema = 1\nname = 'made up'\nwhy = 'a test'\n";
    let text = format!("{head}baseline = {{ {} }}\n[knob]\n{knobs}", zeros.join(", "));
    Space::reopen(&SpaceFile::parse(&text).unwrap()).unwrap()
}

fn workload() -> Workload {
    WorkloadFile::parse(BUILT_IN[0].1).unwrap().size(0)
}

fn config() -> TuneConfig {
    let repetitions = Repetitions::exactly(3);
    TuneConfig { repetitions, min_psnr_db: Some(0.0), ..TuneConfig::default() }
}

/// The trials of a tune of as many trials of the baseline's length, after `before`.
fn tune(truth: Truth, trials: u32, before: &[Trial]) -> Vec<Trial> {
    tune_by(StrategyName::Random, "a b", truth, trials, before)
}

/// The same by another strategy and with knobs of these names.
fn tune_by(
    strategy: StrategyName,
    knobs: &str,
    truth: Truth,
    trials: u32,
    before: &[Trial],
) -> Vec<Trial> {
    let plan = Plan { strategy, seed: 1, ..Plan::default() };
    tune_with(&config(), plan, knobs, truth, trials, before)
}

fn tune_with(
    config: &TuneConfig,
    plan: Plan,
    knobs: &str,
    truth: Truth,
    trials: u32,
    before: &[Trial],
) -> Vec<Trial> {
    fake::set_now_s(before.len() as f64 * TRIAL_S);
    let scratch = tempfile::tempdir().unwrap();
    let folder = Folder::new(scratch.path());
    let space = space(knobs);
    let machine = machine(&space, truth);
    let mut journal = Journal::create(&folder.journal(), machine.baseline().keys(), 3).unwrap();
    before.iter().for_each(|trial| journal.append(trial).unwrap());
    let budget = Budget::on(fake::now, Duration::from_secs_f64(TRIAL_S) * trials);
    let session = Session::new(config, &machine, &NoObserver, budget);
    let mut session = session.recording(&folder, journal).after(before.to_vec());
    session.baseline(&workload()).unwrap();
    let space = session.probe(&space, &workload()).unwrap();
    session.compete(&space, &Rungs::same(workload()), plan).unwrap();
    let made = session.trials().to_vec();
    let kept = journal::read(&folder.journal()).unwrap();
    let (drift, again) = (Drift::of(&made), Drift::of(&kept));
    for (trial, row) in made.iter().zip(&kept) {
        assert_eq!((trial.phase, &trial.knobs), (row.phase, &row.knobs));
        assert_eq!(
            drift.is_invalidated(trial),
            again.is_invalidated(row),
            "the journal tells what is void"
        );
    }
    made
}

/// Rises with `a` and `b` by a tenth each: the baseline is the best.
fn steady(a: i64, b: i64, _: f64) -> f64 {
    1.0 + 0.1 * (a + b) as f64
}

fn phases(trials: &[Trial]) -> Vec<Phase> {
    trials.iter().map(|trial| trial.phase).collect()
}

fn count(trials: &[Trial], phase: Phase) -> usize {
    trials.iter().filter(|trial| trial.phase == phase).count()
}

#[test]
fn the_baseline_comes_back_after_eight_of_its_lengths() {
    let trials = tune(steady, 90, &[]);
    let is_baseline = |trial: &Trial| matches!(trial.phase, Phase::Baseline | Phase::Sentinel);
    let search: Vec<&Trial> = trials.iter().filter(|t| t.phase != Phase::Confirmation).collect();
    let gaps: Vec<usize> =
        search.split(|trial| is_baseline(trial)).skip(1).map(<[&Trial]>::len).collect();
    let (last, gaps) = gaps.split_last().unwrap();
    assert!(gaps.len() > 6, "{gaps:?}");
    assert!(gaps.iter().all(|gap| *gap == SENTINEL_INTERVAL_TRIALS as usize + 1), "{gaps:?}");
    assert!(*last <= SENTINEL_INTERVAL_TRIALS as usize + 3, "it comes back to the end: {last}");
}

#[test]
fn an_odd_return_is_looked_at_twice_and_what_lies_before_a_jump_is_void() {
    // From the 30th trial on a third slower.
    let jump = |a: i64, b: i64, time_s: f64| {
        let slow = if time_s < 30.0 * TRIAL_S { 1.0 } else { 1.33 };
        slow * (2.0 - 0.1 * ((a + b) as f64).min(8.0))
    };
    let trials = tune(jump, 120, &[]);
    let of = phases(&trials);
    let twice: Vec<usize> =
        (1..of.len()).filter(|&i| of[i - 1..=i] == [Phase::Sentinel, Phase::Sentinel]).collect();
    assert_eq!(twice.len(), 1, "{of:?}");
    assert!((30..=41).contains(&twice[0]), "{of:?}");
    let drift = Drift::of(&trials);
    let void: Vec<usize> =
        (0..trials.len()).filter(|&i| drift.is_invalidated(&trials[i])).collect();
    assert!(!void.is_empty() && void.iter().all(|i| (20..twice[0]).contains(i)), "{void:?}");
    // The void trials that looked good are repeated at once.
    let best = |trial: &Trial| level(&trial.knobs, "a") + level(&trial.knobs, "b") >= 8;
    for i in void.into_iter().filter(|&i| trials[i].phase == Phase::Search && best(&trials[i])) {
        let again = |trial: &Trial| trial.phase == Phase::Repeat && trial.knobs == trials[i].knobs;
        assert!(trials[twice[0]..].iter().any(again), "{:?}", trials[i].knobs);
    }
}

#[test]
fn a_short_tune_only_looks_further() {
    let trials = tune(steady, 12, &[]);
    assert_eq!((count(&trials, Phase::Sentinel), count(&trials, Phase::Repeat)), (0, 0));
    let improves = |a: i64, b: i64, _: f64| 2.0 - 0.05 * (a + b) as f64;
    let trials = tune(improves, 12, &[]);
    let of = [Phase::Baseline, Phase::Search, Phase::Sentinel, Phase::Repeat];
    let counts = of.map(|phase| count(&trials, phase));
    assert_eq!((counts[0], counts[2], counts[3]), (1, 0, 0), "{counts:?}");
    assert!(counts[1] >= 2 && count(&trials, Phase::Confirmation) >= 6, "{counts:?}");
    // Three pairs, without which nothing is proven, rather than a third candidate.
    let trials = tune(improves, 9, &[]);
    let counts = of.map(|phase| count(&trials, phase));
    assert_eq!((counts[0], count(&trials, Phase::Confirmation)), (1, 6), "{counts:?}");
}

/// The knobs of each whole round of the confirmation, in the order in which they ran.
fn rounds(trials: &[Trial]) -> Vec<Vec<&Values>> {
    let mut rounds: BTreeMap<u64, Vec<&Values>> = BTreeMap::new();
    for trial in trials {
        if let Some(pair) = trial.pair {
            rounds.entry(pair).or_default().push(&trial.knobs);
        }
    }
    rounds.into_values().filter(|round| round.len() > 1).collect()
}

#[test]
fn each_second_round_runs_in_the_reverse_order_also_after_a_break() {
    let noisy = |a: i64, b: i64, time_s: f64| {
        (2.0 - 0.02 * (a + b) as f64) * (1.0 + 0.1 * (1.3 * time_s).sin())
    };
    let whole = tune(noisy, 120, &[]);
    let first = whole.iter().position(|trial| trial.phase == Phase::Confirmation).unwrap();
    // In the middle of the second round.
    let cut = first + rounds(&whole)[0].len() + 1;
    for trials in [tune(noisy, 120, &whole[..cut]), whole] {
        let seen = rounds(&trials);
        assert!(seen.len() > 3, "{seen:?}");
        let mut second = seen[1].clone();
        second.reverse();
        let known = |round: &[&Values], other: &[&Values]| -> Vec<Values> {
            round.iter().filter(|values| other.contains(values)).map(|v| (*v).clone()).collect()
        };
        assert_eq!(known(&seen[0], &second), known(&second, &seen[0]));
    }
}

#[test]
fn at_most_every_other_trial_near_the_end_of_the_search_is_a_repetition() {
    let noisy = |a: i64, b: i64, time_s: f64| {
        let disturbed = (time_s / TRIAL_S * 7.0) % 11.0 < 2.0;
        (2.0 - 0.05 * (a + b) as f64) * if disturbed { 1.3 } else { 1.0 }
    };
    let trials = tune(noisy, 90, &[]);
    let of: Vec<Phase> = phases(&trials)
        .into_iter()
        .filter(|phase| matches!(phase, Phase::Search | Phase::Repeat))
        .collect();
    let searched = of.iter().rposition(|phase| *phase == Phase::Search).unwrap();
    let first = of.iter().position(|phase| *phase == Phase::Repeat).unwrap();
    assert!((searched / 2..searched).contains(&first), "{of:?}");
    assert!(!of[..=searched].windows(2).any(|two| two == [Phase::Repeat; 2]), "{of:?}");
}

#[test]
fn two_repetitions_tell_that_there_is_no_noise() {
    let trials = tune(|a, b, _| 2.0 - 0.05 * (a + b) as f64, 90, &[]);
    let last = trials.iter().rposition(|trial| trial.phase == Phase::Search).unwrap();
    assert_eq!(count(&trials[..last], Phase::Repeat), 2, "{:?}", phases(&trials));
}

#[test]
fn after_a_break_the_baseline_comes_first() {
    let before = tune(steady, 40, &[]);
    let before = &before[..12];
    let trials = tune(steady, 40, before);
    assert_eq!(trials[..12], *before);
    assert_eq!(trials[12].phase, Phase::Sentinel);
    assert_ne!(trials[13].phase, Phase::Sentinel);
}

/// Whatever was measured again meanwhile, and went out of the search: `c` changes nothing.
#[test]
fn after_a_break_a_strategy_asks_for_what_it_would_have_asked_for() {
    // With jitter, so that a trial says something else than another of the same values.
    let bowl = |a: i64, b: i64, time_s: f64| {
        let jitter = 0.002 * ((time_s / TRIAL_S * 7.0) % 11.0);
        (0.03 * ((a - 6).pow(2) + (b - 3).pow(2)) as f64 + jitter).exp()
    };
    let is_search = |trial: &&Trial| trial.phase == Phase::Search;
    let asked = |trials: &[Trial]| -> Vec<Values> {
        trials.iter().filter(is_search).map(|trial| trial.knobs.clone()).collect()
    };
    let next = |trials: &[Trial], from: usize| {
        from + trials[from..].iter().position(|trial| is_search(&trial)).unwrap()
    };
    let mut dropping = Vec::new();
    for &strategy in StrategyName::VARIANTS {
        let go_on = |trials, before: &[Trial]| tune_by(strategy, "a b c", bowl, trials, before);
        let whole = go_on(80, &[]);
        let before = &whole[..whole.iter().rposition(|trial| is_search(&trial)).unwrap()];
        assert!(count(before, Phase::Repeat) > 1, "{strategy}: {:?}", phases(&whole));
        let no_effect = Pruned::of(&space("a b c"), before).no_effect;
        dropping
            .extend(no_effect.iter().any(|no_effect| no_effect.knob == "c").then_some(strategy));
        let once = go_on(30, before);
        let n = asked(before).len();
        assert_eq!(asked(&once)[..=n], asked(&whole)[..=n], "{strategy}");
        // And again, with the last trial interrupted: it is repeated.
        let last = next(&once, before.len() + 6);
        let interrupted = Trial { outcome: Outcome::Interrupted, ..once[last].clone() };
        let before = [&once[..last], &[interrupted]].concat();
        let twice = asked(&go_on(20, &before));
        let n = asked(&before).len();
        assert_eq!(twice[..n], asked(&once)[..n], "{strategy}");
        assert_eq!(twice[n], once[last].knobs, "{strategy}");
    }
    assert!(dropping.contains(&StrategyName::Portfolio), "{dropping:?}");
}

#[test]
fn after_a_break_a_probe_gets_the_second_look_that_it_needs() {
    // The first look is 9% slower by chance.
    let first_is_slow = |_: i64, _: i64, time_s: f64| if time_s == TRIAL_S { 1.09 } else { 1.0 };
    let tune = |before: &[Trial]| {
        tune_by(StrategyName::Random, "a b batch_size", first_is_slow, 60, before)
    };
    let probes = |trials: &[Trial]| -> Vec<Values> {
        let probes = trials.iter().filter(|trial| trial.strategy == PROBE);
        probes.map(|trial| trial.knobs.clone()).collect()
    };
    let whole = tune(&[]);
    let two = probes(&whole)[..2].to_vec();
    assert_eq!(two[0], two[1]);
    assert_eq!(whole[1].strategy, PROBE);
    let again = tune(&whole[..2]);
    assert_eq!(again[2].phase, Phase::Sentinel);
    assert_eq!(probes(&again)[..2], two);
}

#[test]
fn what_the_machine_fails_by_itself_is_measured_again_after_it_recovered() {
    // The 5th to the 9th trial fail, whatever they are.
    let space = space("a b");
    let machine = FakeRunner::new(space.given.baseline.clone(), |request, now_s| {
        let is_broken = (5.0..10.0).contains(&(now_s / TRIAL_S));
        let seconds = 1.0 + 0.01 * level(&request.values, "a") as f64;
        let trial = fake::measured([seconds; 3], TRIAL_S, 0.0);
        if is_broken { Trial { outcome: Outcome::Crashed, ..trial } } else { trial }
    });
    fake::set_now_s(0.0);
    let config = TuneConfig { most_trials: 30, ..config() };
    let budget = Budget::on(fake::now, Duration::from_secs(2_000));
    let mut session = Session::new(&config, &machine, &NoObserver, budget);
    let plan = Plan { strategy: StrategyName::Random, ..Plan::default() };
    session.compete(&space, &Rungs::same(workload()), plan).unwrap();
    let trials = session.trials();
    let failed = |trial: &&Trial| trial.outcome == Outcome::Crashed;
    let failed: Vec<&Trial> = trials.iter().filter(failed).collect();
    assert!(failed.iter().any(|trial| trial.phase == Phase::Sentinel), "{failed:?}");
    assert!(failed.len() >= 4);
    for trial in failed {
        let again = |other: &Trial| other.knobs == trial.knobs && other.outcome == Outcome::Ok;
        assert!(trials.iter().any(again), "{:?}", trial.knobs);
    }
}

#[test]
fn what_breaks_the_tuner_ends_the_tune_and_its_trials_are_kept() {
    struct Breaking(FakeRunner<'static>);
    impl Runner for Breaking {
        fn run(&self, request: &TrialRequest) -> Result<Trial> {
            anyhow::ensure!(request.number < 5, "no space left on device");
            self.0.run(request)
        }
        fn identity(&self, workload: &Workload, values: &Values) -> Option<u64> {
            self.0.identity(workload, values)
        }
        fn baseline(&self) -> Values {
            self.0.baseline()
        }
    }
    let (config, space) = (config(), space("a b"));
    let machine = Breaking(machine(&space, steady));
    fake::set_now_s(0.0);
    let budget = Budget::on(fake::now, Duration::from_secs(2_000));
    let mut session = Session::new(&config, &machine, &NoObserver, budget);
    let error = session.compete(&space, &Rungs::same(workload()), Plan::default()).unwrap_err();
    assert_eq!(error.to_string(), "no space left on device");
    assert_eq!(session.trials().len(), 4);
}
