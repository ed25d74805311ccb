//! Scope: which knobs of a worker can change in its process, and which take a new one.

use std::collections::{BTreeMap, BTreeSet};

use crate::knobs::{Value, Values, program_environment};
use crate::launch::Effect;

/// What is known of a worker's knobs.
#[derive(Debug, Default)]
pub struct Scope {
    /// Those that it takes, as far as it has said; `None` before it said anything.
    takes: Option<BTreeSet<String>>,
    /// Those that it can change while it runs, as it says.
    run: BTreeSet<String>,
    /// Those among them in which a warm process and a fresh one turned out to differ.
    raised: BTreeSet<String>,
    /// Those in which they differed once, which a neighbour of the machine may have caused.
    suspected: BTreeSet<String>,
    /// Those in which they turned out to agree.
    agreed: BTreeSet<String>,
    /// How often the first run after a change took no longer than the next.
    even: BTreeMap<String, u32>,
    /// Those after a change of which it once took longer.
    uneven: BTreeSet<String>,
}

/// First runs that have to take no longer than the next before a change of a knob needs no warm-up.
const EVEN: u32 = 2;

impl Scope {
    /// Learns what a worker says of itself. What it reads may depend on what it is told, so all that
    /// it ever took counts.
    pub fn learn(&mut self, effect: &Effect) {
        let named = effect.applied.keys().cloned();
        let takes = self.takes.get_or_insert_default();
        let said = effect.applied.keys().filter(|name| !effect.run_scope.contains(*name));
        for name in said {
            self.run.remove(name);
        }
        self.run.extend(effect.run_scope.iter().filter(|name| !takes.contains(*name)).cloned());
        takes.extend(named);
    }

    /// Whether a knob means something: one that nothing outside the worker can apply, and that it
    /// does not take, does not.
    pub fn is_taken(&self, name: &str) -> bool {
        let is_told = is_told(name);
        self.takes.as_ref().is_none_or(|takes| !is_told || takes.contains(name))
    }

    /// Whether a knob can change in a process that runs.
    pub fn is_run(&self, name: &str) -> bool {
        self.run.contains(name) && !self.raised.contains(name)
    }

    /// The knobs that the worker applies and in which two candidates differ.
    pub fn changed<'v>(&'v self, from: &Values, to: &'v Values) -> impl Iterator<Item = &'v str> {
        let from = from.clone();
        let differs = move |(name, value): &(&String, &Value)| from.get(*name) != Some(*value);
        let told = |(name, _): &(&String, &Value)| is_told(name) && self.is_taken(name);
        to.iter().filter(differs).filter(told).map(|(name, _)| name.as_str())
    }

    /// Whether a process of these values can be given those without a new start.
    pub fn fits(&self, now: &Values, wanted: &Values) -> bool {
        self.changed(now, wanted).all(|name| self.is_run(name))
    }

    /// Those in which candidates differ and of which nobody knows yet whether a warm process tells
    /// the truth.
    pub fn doubtful(&self, from: &Values, to: &Values) -> Vec<String> {
        let open = self.changed(from, to).filter(|name| self.is_run(name));
        open.filter(|name| !self.agreed.contains(*name)).map(str::to_owned).collect()
    }

    /// Whether what runs first after a change of these knobs may take longer for that.
    pub fn needs_warm_up(&self, knobs: &[String]) -> bool {
        let is_even = |name: &String| self.even.get(name).is_some_and(|times| *times >= EVEN);
        !knobs.iter().all(|name| is_even(name) && !self.uneven.contains(name))
    }

    /// Takes note of how long the first run took after a change of these knobs.
    pub fn warmed_up(&mut self, knobs: Vec<String>, is_even: bool) {
        if is_even {
            knobs.into_iter().for_each(|name| *self.even.entry(name).or_default() += 1);
        } else {
            self.uneven.extend(knobs);
        }
    }

    /// Takes note of a comparison in which these knobs were changed; returns those that take a new
    /// process from now on.
    pub fn compared(&mut self, knobs: Vec<String>, agree: bool) -> Vec<String> {
        if agree {
            self.agreed.extend(knobs);
            return Vec::new();
        }
        let (again, first): (Vec<_>, Vec<_>) =
            knobs.into_iter().partition(|name| self.suspected.contains(name));
        self.raised.extend(again.clone());
        self.suspected.extend(first);
        again
    }
}

/// Whether the worker is told the knob's value, and nothing outside it can set it.
pub fn is_told(name: &str) -> bool {
    program_environment::is_handed_over(name) || program_environment::is_own(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(all: &[(&str, i64)]) -> Values {
        all.iter().map(|(name, value)| ((*name).to_owned(), Value::Integer(*value))).collect()
    }

    fn scope() -> Scope {
        let mut scope = Scope::default();
        let applied = values(&[("vae_tile_size", 256), ("blocks", 3), ("steps", 4)]);
        let run_scope = ["vae_tile_size", "steps"].map(str::to_owned).into();
        scope.learn(&Effect { applied, run_scope, ..Effect::default() });
        scope
    }

    #[test]
    fn a_knob_that_the_worker_can_not_change_takes_a_new_process_and_one_that_it_ignores_does_not()
    {
        let scope = scope();
        let now = values(&[("vae_tile_size", 256), ("blocks", 3), ("batch_size", 1)]);
        let with = |name: &str, value| {
            let mut wanted = now.clone();
            wanted.insert(name.to_owned(), Value::Integer(value));
            scope.fits(&now, &wanted)
        };
        assert!(with("vae_tile_size", 128) && with("batch_size", 4));
        assert!(!with("blocks", 4));
        assert!(!scope.is_taken("batch_size") && scope.is_taken("intra_op_threads"));
    }

    #[test]
    fn a_difference_from_a_fresh_process_is_blamed_on_what_is_not_known_to_agree() {
        let mut scope = scope();
        let (now, then) = (values(&[("vae_tile_size", 256)]), values(&[("vae_tile_size", 64)]));
        let both = |tile| values(&[("vae_tile_size", tile), ("steps", 9)]);
        assert_eq!(scope.doubtful(&now, &then), ["vae_tile_size"]);
        scope.compared(scope.doubtful(&now, &then), true);
        assert_eq!(scope.doubtful(&both(256), &both(64)), [""; 0]);
        assert_eq!(scope.doubtful(&now, &both(64)), ["steps"]);
        assert_eq!(scope.compared(scope.doubtful(&now, &both(64)), false), [""; 0]);
        assert!(scope.fits(&now, &both(64)), "once is chance");
        assert_eq!(scope.compared(scope.doubtful(&now, &both(64)), false), ["steps"]);
        assert!(scope.fits(&now, &then) && !scope.fits(&now, &both(64)));
    }

    #[test]
    fn a_knob_whose_change_never_took_longer_at_first_needs_no_warm_up() {
        let mut scope = scope();
        let [tile, steps] = ["vae_tile_size", "steps"].map(|name| vec![name.to_owned()]);
        scope.warmed_up(tile.clone(), true);
        assert!(scope.needs_warm_up(&tile), "once is chance");
        scope.warmed_up([&tile[..], &steps].concat(), true);
        assert!(!scope.needs_warm_up(&tile) && scope.needs_warm_up(&steps));
        scope.warmed_up(steps.clone(), false);
        scope.warmed_up(steps.clone(), true);
        assert!(scope.needs_warm_up(&[tile.clone(), steps].concat()));
        assert!(!scope.needs_warm_up(&tile));
    }

    #[test]
    fn what_a_worker_later_reads_before_it_is_ready_is_no_more_changed_while_it_runs() {
        let mut scope = scope();
        let applied = values(&[("steps", 4), ("cache", 1)]);
        let run_scope = ["cache".to_owned()].into();
        scope.learn(&Effect { applied, run_scope, ..Effect::default() });
        assert_eq!(
            ["steps", "cache", "vae_tile_size"].map(|name| scope.is_run(name)),
            [false, true, true]
        );
    }
}
