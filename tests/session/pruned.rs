//! What a knob without effect means to the search and to the finalists.

use super::*;

#[test]
fn a_grid_also_measures_what_changes_nothing() {
    let measured = |strategy| {
        let trials = tune_by(strategy, "b c", steady, 300, &[]);
        let has_no_effect = !Pruned::of(&space("b c"), &trials).no_effect.is_empty();
        let searched = trials.iter().filter(|trial| trial.phase == Phase::Search);
        let mut different: Vec<&Values> = searched.map(|trial| &trial.knobs).collect();
        different.sort();
        different.dedup();
        (different.len(), has_no_effect)
    };
    // All but the baseline, which comes first anyway.
    assert_eq!(measured(StrategyName::Grid), (99, false));
    let (few, has_no_effect) = measured(StrategyName::Random);
    assert!(has_no_effect && few < 60, "{few}");
}

#[test]
fn no_finalist_changes_what_has_no_effect() {
    let falling = |_, b, _| 2.0 - 0.1 * b as f64;
    let trials = tune_by(StrategyName::Random, "b c", falling, 150, &[]);
    let no_effect = Pruned::of(&space("b c"), &trials).no_effect;
    assert!(no_effect.iter().any(|no_effect| no_effect.knob == "c"), "{no_effect:?}");
    let confirmed = || trials.iter().filter(|trial| trial.phase == Phase::Confirmation);
    assert!(confirmed().any(|trial| level(&trial.knobs, "b") == 9), "{:?}", phases(&trials));
    assert!(confirmed().all(|trial| level(&trial.knobs, "c") == 0));
}
