//! Stages: the cost by what its parts take, each stage with a process of its own.
//!
//! A knob that matters to one stage stands out in that stage's time and is lost in the whole's, and
//! how stages add up is known (Astudillo and Frazier, *Bayesian optimization of composite
//! functions*, 2019): the models' one after another, each pool beside them.

use std::rc::Rc;

use super::FITTED_TO;
use super::data::Data;
use super::gp::{Process, Scales, fit};
use super::prior::Prior;
use crate::search::objective::log_like;
use crate::search::scaling::{GOOD, Row, THREADS};
use crate::search::{Finding, Observation};
use crate::space::{Candidate, Space, Value};

/// A stage that was timed less often is left out.
const LEAST: usize = 8;

/// What takes too long to be learnt anew for each proposal, a stage each.
#[derive(Clone, Default)]
pub(super) struct Taught(Vec<Lesson>);

#[derive(Clone)]
struct Lesson {
    stage: &'static str,
    /// The pool's knob, where it is one.
    workers: Option<&'static str>,
    shared: Rc<Row>,
    scales: Scales,
}

impl Taught {
    /// By `observations`, from the scales of the lessons `before`. Laws for the processes' means were
    /// worse: they are too sure of the other knobs' effects.
    pub fn by(
        space: &Space,
        observations: &[Observation],
        before: Option<&Self>,
        steps: usize,
    ) -> Self {
        let lesson = |(stage, knob, is_pool): (&'static str, &'static str, bool)| {
            let workers = is_pool.then_some(knob);
            let shared = Rc::new(Row::shared(space, workers)?);
            let last = before.and_then(|b| b.0.iter().find(|lesson| lesson.stage == stage));
            let scales = last.map_or_else(|| Scales::usual(space), |last| last.scales.clone());
            let mut lesson = Lesson { stage, workers, shared, scales };
            let data = lesson.data(space, observations).filter(|data| data.len() >= LEAST)?;
            lesson.scales = fit(space, &data.thinned(FITTED_TO), &lesson.scales, steps);
            Some(lesson)
        };
        Self(THREADS.into_iter().filter_map(lesson).collect())
    }
}

impl Lesson {
    /// The seconds a clip that the pipeline waits for this stage; `None` where its workers are
    /// not counted.
    fn data(&self, space: &Space, observations: &[Observation]) -> Option<Data> {
        let position = self.workers.map(|knob| space.knob(knob));
        let position = match position {
            Some(None) => return None,
            position => position.flatten().map(|(position, _)| position),
        };
        let timed = |observation: &Observation| {
            observation.cost()?;
            let busy = observation.stages.get(self.stage).filter(|busy| **busy > 0.0)?;
            let workers = match position.map(|p| space.value(&observation.candidate, p)) {
                Some(Value::Number(workers)) => *workers as f64,
                Some(Value::Word(_)) => return None,
                None => 1.0,
            };
            let finding = Finding::Cost(busy / workers);
            Some(Observation::new(observation.candidate.clone(), finding))
        };
        let timed: Vec<Observation> = observations.iter().filter_map(timed).collect();
        let mut data = Data::unclipped(&timed);
        data.expect(Some(&Prior::Shared(Rc::clone(&self.shared))));
        Some(data)
    }
}

/// What is known of every stage.
#[derive(Debug)]
pub(in crate::search) struct Stages {
    models: Vec<Process>,
    pools: Vec<Process>,
}

impl Stages {
    /// `None` where stages were not timed, or where they don't tell what the whole takes.
    pub(super) fn new(
        space: &Space,
        observations: &[Observation],
        taught: &Taught,
    ) -> Option<Self> {
        let mut stages = Self { models: Vec::new(), pools: Vec::new() };
        for lesson in &taught.0 {
            let data = lesson.data(space, observations)?.thinned(FITTED_TO);
            let process = Process::new(space, data, &lesson.scales)?;
            let side =
                if lesson.workers.is_some() { &mut stages.pools } else { &mut stages.models };
            side.push(process);
        }
        (!taught.0.is_empty() && stages.explained(observations) >= GOOD).then_some(stages)
    }

    /// The share of the variance of log cost that is told where stages were timed.
    fn explained(&self, observations: &[Observation]) -> f64 {
        let known = observations.iter().filter(|o| !o.stages.is_empty());
        let known = known.filter_map(|o| Some((o.candidate.clone(), log_like(o.cost()?))));
        let (candidates, costs): (Vec<Candidate>, Vec<f64>) = known.unzip();
        let told = self.log_costs(&candidates);
        let missed = costs.iter().zip(told).map(|(cost, (told, _))| cost - told);
        let missed: Vec<f64> = missed.collect();
        1.0 - variance(&missed) / variance(&costs).max(f64::MIN_POSITIVE)
    }

    /// Log cost and its standard deviation, to first order and as if what is unknown of one
    /// stage had nothing to do with another.
    pub fn log_costs(&self, candidates: &[Candidate]) -> Vec<(f64, f64)> {
        let mut models = vec![(0.0, 0.0); candidates.len()];
        for process in &self.models {
            for (sum, (seconds, deviation)) in models.iter_mut().zip(seconds(process, candidates)) {
                *sum = (sum.0 + seconds, deviation.hypot(sum.1));
            }
        }
        let mut slowest = models;
        for process in &self.pools {
            for (most, (seconds, deviation)) in slowest.iter_mut().zip(seconds(process, candidates))
            {
                if seconds > most.0 {
                    *most = (seconds, deviation);
                }
            }
        }
        let log = |(seconds, deviation): (f64, f64)| {
            let seconds = seconds.max(f64::MIN_POSITIVE);
            (seconds.ln(), deviation / seconds)
        };
        slowest.into_iter().map(log).collect()
    }
}

/// Seconds of one stage and their standard deviation.
fn seconds(process: &Process, candidates: &[Candidate]) -> impl Iterator<Item = (f64, f64)> {
    process.predict(candidates).into_iter().map(|(mean, deviation)| {
        let seconds = process.log_cost(mean).exp();
        (seconds, seconds * process.log_deviation(deviation))
    })
}

fn variance(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::SpaceFile;

    const SPACE: &str = "schema = 1\nname = 'x'\nwhy = 'x'\nbaseline = { precision = 'fp32', \
                         allocator = 'a', preprocess_workers = 1 }\n[knob]\n\
                         precision = { why = '', values = ['fp32', 'bf16'] }\n\
                         allocator = { why = '', values = ['a', 'b', 'c', 'd'] }\n\
                         preprocess_workers = { why = '', values = [1, 2, 3, 4] }\n";

    /// bf16 halves denoising's 4 s, each allocator makes decoding's 1 s half a second longer, and a
    /// clip takes a worker 6 s: whatever is slower.
    fn observed(candidate: Candidate) -> Observation {
        let denoise = [4.0, 2.0][candidate.level(0)];
        let decode = 1.0 + 0.5 * candidate.level(1) as f64;
        let pool = 6.0 / (candidate.level(2) + 1) as f64;
        let stages = [("denoise", denoise), ("decode", decode), ("preprocess", 6.0)];
        let stages = stages.map(|(name, seconds)| (name.to_owned(), seconds)).into();
        let finding = Finding::Cost(f64::max(denoise + decode, pool));
        Observation { candidate, finding, stages }
    }

    fn told(observations: &[Observation], candidates: &[Candidate]) -> Option<Vec<(f64, f64)>> {
        let space = Space::reopen(&SpaceFile::parse(SPACE).unwrap()).unwrap();
        let taught = Taught::by(&space, observations, None, 30);
        Stages::new(&space, observations, &taught).map(|stages| stages.log_costs(candidates))
    }

    fn all() -> impl Iterator<Item = Candidate> {
        (0..32).map(|i| Candidate::new([i % 2, i / 2 % 4, i / 8]))
    }

    #[test]
    fn the_whole_is_told_from_stages_that_were_seen_apart() {
        // Every third is unseen; of those the cost is between 3 and 6 s.
        let seen = all().enumerate().filter(|(i, _)| i % 3 > 0);
        let seen: Vec<Observation> = seen.map(|(_, candidate)| observed(candidate)).collect();
        let unseen: Vec<Candidate> = all().step_by(3).collect();
        let told = told(&seen, &unseen).unwrap();
        for (candidate, (log_cost, doubt)) in unseen.into_iter().zip(told) {
            let truth = observed(candidate.clone()).cost().unwrap();
            let off = log_cost - log_like(truth);
            assert!(off.abs() < 0.1, "{candidate:?} {log_cost} {truth}");
            assert!(doubt > 0.0 && doubt < 0.3, "{doubt}");
        }
    }

    #[test]
    fn stages_that_have_nothing_to_do_with_the_whole_are_not_believed() {
        let odd = |(i, candidate): (usize, Candidate)| {
            let finding = Finding::Cost([3.0, 0.7, 9.0, 1.0, 0.2][i * 7 % 5]);
            Observation { finding, ..observed(candidate) }
        };
        let observations: Vec<Observation> = all().enumerate().map(odd).collect();
        assert_eq!(told(&observations, &[]), None);
        let untimed = |candidate| Observation { stages: [].into(), ..observed(candidate) };
        assert_eq!(told(&all().map(untimed).collect::<Vec<_>>(), &[]), None);
    }
}
