//! Stages: the cost by what its parts take, each stage with a process of its own.
//!
//! A knob that matters to one stage stands out in that stage's time and is lost in the whole's, and
//! how stages add up is known (Astudillo and Frazier, *Bayesian optimization of composite
//! functions*, 2019): the models' one after another, or the slowest pool beside them, and at both ends
//! of a repetition what works alone: the first batch has to be prepared and the last to be written.

use super::data::Data;
use super::gp::{GaussianProcess, fit};
use super::kernel::{Hyperparameters, STAGE};
use crate::knobs::Value;
use crate::search::cost::log_like;
use crate::search::scaling::GOOD;
use crate::search::{Measurement, Observation};
use crate::space::{Candidate, Space};
use crate::stats::{mean, scatter};
use crate::workload::{THREADS, batch_turns};

/// Points that a stage's process is fitted to and conditioned on: there is one for each stage, and
/// proposals have to be quick.
const POINTS: usize = 72;
/// A stage that was timed less often is left out.
const LEAST: usize = 8;

/// What takes too long to be learnt anew for each proposal, a stage each.
#[derive(Clone, Default)]
pub(in crate::search) struct StageModels(Vec<FittedStage>);

#[derive(Clone)]
struct FittedStage {
    stage: &'static str,
    /// Those of the pool, where it is one.
    workers: Option<Count>,
    scales: Hyperparameters,
}

/// What a knob counts, by its level.
#[derive(Clone, Debug)]
struct Count {
    position: usize,
    counts: Vec<f64>,
}

/// How much of a repetition the pools work alone.
#[derive(Clone, Debug)]
struct Ends {
    batch_size: Count,
    /// Clips of a repetition.
    clips: f64,
}

impl Ends {
    /// `None` where batches have one size, or nobody says how many clips there are.
    fn of(space: &Space) -> Option<Self> {
        let clips = *space.given.facts.get("clips")? as f64;
        Some(Self { batch_size: Count::of(space, "batch_size")?, clips })
    }

    /// Clips of a batch.
    fn batch(&self, candidate: &Candidate) -> f64 {
        self.batch_size.of_candidate(candidate).min(self.clips)
    }

    /// Seconds per clip that one batch takes the pool which does `stage` with that many `workers`, if
    /// a worker takes a second for a clip.
    fn share(&self, stage: &str, candidate: &Candidate, workers: f64) -> f64 {
        batch_turns(stage, self.batch(candidate), workers) / self.clips
    }
}

impl StageModels {
    /// By `observations`, from the scales of the fits `before`. Laws for the processes' means were
    /// worse: they are too sure of the other knobs' effects.
    pub fn by(space: &Space, observations: &[Observation], before: Option<&Self>) -> Self {
        let fitted = |(stage, knob, is_pool): (&'static str, &'static str, bool)| {
            let workers = if is_pool { Some(Count::of(space, knob)?) } else { None };
            let data = Some(timed(observations, stage)).filter(|data| data.len() >= LEAST)?;
            let last = before.and_then(|b| b.0.iter().find(|fitted| fitted.stage == stage));
            let start = last.map(|last| &last.scales);
            let scales = fit(space, &STAGE, &data.subsample(POINTS), start);
            Some(FittedStage { stage, workers, scales })
        };
        Self(THREADS.into_iter().filter_map(fitted).collect())
    }
}

impl Count {
    /// Those that `knob` counts; `None` where it is no knob of the space, or counts nothing.
    fn of(space: &Space, knob: &str) -> Option<Self> {
        let (position, knob) = space.knob(knob)?;
        let counts = knob.levels.iter().map(Value::count).collect::<Option<_>>()?;
        Some(Self { position, counts })
    }

    fn of_candidate(&self, candidate: &Candidate) -> f64 {
        self.counts[candidate.level(self.position)]
    }
}

/// The busy seconds per clip of `stage`.
fn timed(observations: &[Observation], stage: &str) -> Data {
    let timed = observations.iter().filter_map(|observation| {
        observation.cost()?;
        let busy = observation.stages.get(stage).filter(|busy| **busy > 0.0)?;
        Some(Observation::new(observation.candidate.clone(), Measurement::Cost(*busy)))
    });
    Data::unclipped(&timed.collect::<Vec<_>>())
}

/// What is known of a stage that a pool does.
#[derive(Debug)]
struct Pool {
    stage: &'static str,
    process: GaussianProcess,
    workers: Count,
}

/// What is known of every stage.
#[derive(Debug)]
pub(in crate::search) struct Stages {
    models: Vec<GaussianProcess>,
    pools: Vec<Pool>,
    ends: Option<Ends>,
}

impl Stages {
    /// `None` where stages were not timed, or where they don't tell what the whole takes.
    pub(in crate::search) fn new(
        space: &Space,
        observations: &[Observation],
        taught: &StageModels,
    ) -> Option<Self> {
        let mut stages = Self { models: Vec::new(), pools: Vec::new(), ends: Ends::of(space) };
        for fitted in &taught.0 {
            let data = timed(observations, fitted.stage).subsample(POINTS);
            let process = GaussianProcess::new(space, data, &fitted.scales)?;
            match &fitted.workers {
                Some(workers) => {
                    let (stage, workers) = (fitted.stage, workers.clone());
                    stages.pools.push(Pool { stage, process, workers });
                }
                None => stages.models.push(process),
            }
        }
        (!taught.0.is_empty() && stages.explained(observations) >= GOOD).then_some(stages)
    }

    /// The share of the variance of log cost that is told where stages were timed.
    fn explained(&self, observations: &[Observation]) -> f64 {
        let known = observations.iter().filter(|o| !o.stages.is_empty());
        let known = known.filter_map(|o| Some((o.candidate.clone(), log_like(o.cost()?))));
        let (candidates, costs): (Vec<Candidate>, Vec<f64>) = known.unzip();
        let told = self.log_means(&candidates);
        let missed = costs.iter().zip(told).map(|(cost, told)| cost - told);
        let missed: Vec<f64> = missed.collect();
        let all = |values: &[f64]| mean(values).map_or(0.0, |mean| scatter(values, mean));
        1.0 - all(&missed) / all(&costs).max(f64::MIN_POSITIVE)
    }

    /// Log cost and its standard deviation, to first order and as if what is unknown of one
    /// stage had nothing to do with another.
    pub fn log_costs(&self, candidates: &[Candidate]) -> Vec<(f64, f64)> {
        self.predict(candidates, seconds)
    }

    /// The log costs alone, in a fraction of the time.
    pub fn log_means(&self, candidates: &[Candidate]) -> Vec<f64> {
        self.predict(candidates, mean_seconds).into_iter().map(|(mean, _)| mean).collect()
    }

    fn predict(&self, candidates: &[Candidate], seconds: Seconds) -> Vec<(f64, f64)> {
        let mut models = vec![(0.0, 0.0); candidates.len()];
        for process in &self.models {
            for (sum, (seconds, deviation)) in models.iter_mut().zip(seconds(process, candidates)) {
                *sum = (sum.0 + seconds, deviation.hypot(sum.1));
            }
        }
        let parts = |pool: &Pool| self.parts(pool, candidates, seconds);
        let pools: Vec<Vec<Part>> = self.pools.iter().map(parts).collect();
        let whole = |(i, (models, candidate)): (usize, (&(f64, f64), &Candidate))| {
            let ends: f64 = pools.iter().map(|parts| parts[i].end).sum();
            let one_batch = self.ends.as_ref().map_or(0.0, |e| e.batch(candidate) / e.clips);
            // The models wait for the first batch, or for every one of the slowest pool's.
            let mut most = (models.0 + ends, models.1);
            for Part { rate, deviation, end } in pools.iter().map(|parts| parts[i]) {
                let seconds = rate + ends - end + models.0 * one_batch;
                if seconds > most.0 {
                    most = (seconds, deviation);
                }
            }
            let seconds = most.0.max(f64::MIN_POSITIVE);
            (seconds.ln(), most.1 / seconds)
        };
        models.iter().zip(candidates).enumerate().map(whole).collect()
    }

    /// What a pool contributes to each candidate.
    fn parts(&self, pool: &Pool, candidates: &[Candidate], seconds: Seconds) -> Vec<Part> {
        let busy = seconds(&pool.process, candidates).into_iter().zip(candidates);
        let part = |((seconds, deviation), candidate): ((f64, f64), &Candidate)| {
            let workers = pool.workers.of_candidate(candidate);
            let share = |ends: &Ends| ends.share(pool.stage, candidate, workers);
            let end = seconds * self.ends.as_ref().map_or(0.0, share);
            Part { rate: seconds / workers, deviation: deviation / workers, end }
        };
        busy.map(part).collect()
    }
}

/// Seconds per clip that a pool takes while it always has work, their standard deviation, and what one
/// batch alone is waited for.
#[derive(Clone, Copy)]
struct Part {
    rate: f64,
    deviation: f64,
    end: f64,
}

/// Busy seconds of one stage and their standard deviation.
type Seconds = fn(&GaussianProcess, &[Candidate]) -> Vec<(f64, f64)>;

fn seconds(process: &GaussianProcess, candidates: &[Candidate]) -> Vec<(f64, f64)> {
    let of = |(mean, deviation): (f64, f64)| {
        let seconds = process.log_cost(mean).exp();
        (seconds, seconds * process.log_deviation(deviation))
    };
    process.predict(candidates).into_iter().map(of).collect()
}

/// As if they were known for sure.
fn mean_seconds(process: &GaussianProcess, candidates: &[Candidate]) -> Vec<(f64, f64)> {
    let means = process.means(candidates).into_iter();
    means.map(|mean| (process.log_cost(mean).exp(), 0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::prior::Prior;
    use super::*;
    use crate::search::Transfer;
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
        let measurement = Measurement::Cost(f64::max(denoise + decode, pool));
        Observation { candidate, measurement, stages }
    }

    fn told(observations: &[Observation], candidates: &[Candidate]) -> Option<Vec<(f64, f64)>> {
        let space = Space::reopen(&SpaceFile::parse(SPACE).unwrap()).unwrap();
        let taught = StageModels::by(&space, observations, None);
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
    fn the_first_batch_is_waited_for_as_long_as_its_size_takes_the_workers() {
        let text = "schema = 1\nname = 'x'\nwhy = 'x'\ngiven = { clips = 8 }\nbaseline = { \
                    batch_size = 1, preprocess_workers = 1 }\n[knob]\n\
                    batch_size = { why = '', values = [1, 2, 4, 8] }\n\
                    preprocess_workers = { why = '', values = [1, 2, 4, 8] }\n";
        let space = Space::reopen(&SpaceFile::parse(text).unwrap()).unwrap();
        // A clip takes the model 1 s and a worker 2 s, whatever the batch: event by event.
        let seconds = |candidate: &Candidate| {
            let counts = [1, 2, 4, 8];
            let (batch, workers) = (counts[candidate.level(0)], counts[candidate.level(1)]);
            let mut done = 0;
            for last in (1..=8 / batch).map(|batches| batches * batch - 1) {
                let prepared = 2 * (last / workers + 1);
                done = done.max(prepared) + batch;
            }
            f64::from(done) / 8.0
        };
        let observed = |candidate: Candidate| Observation {
            measurement: Measurement::Cost(seconds(&candidate)),
            candidate,
            stages: [("denoise".to_owned(), 1.0), ("preprocess".to_owned(), 2.0)].into(),
        };
        let at = |batch| (0..4).map(move |workers| Candidate::new([batch, workers]));
        let seen: Vec<Observation> = at(0).chain(at(1)).map(observed).collect();
        let taught = StageModels::by(&space, &seen, None);
        let unseen: Vec<Candidate> = at(3).collect();
        let told = Stages::new(&space, &seen, &taught).unwrap().log_costs(&unseen);
        for (candidate, (log_cost, _)) in unseen.iter().zip(told) {
            assert!(
                (log_cost - log_like(seconds(candidate))).abs() < 0.01,
                "{candidate:?} {log_cost}"
            );
        }
    }

    #[test]
    fn stages_are_asked_before_an_earlier_search_that_tells_less() {
        let space = Space::reopen(&SpaceFile::parse(SPACE).unwrap()).unwrap();
        let seen: Vec<Observation> = all().filter(|c| c.level(1) != 2).map(observed).collect();
        let prior = |found: &dyn Fn(&Candidate) -> f64| {
            let one = |c: Candidate| Observation::new(c.clone(), Measurement::Cost(found(&c)));
            let earlier = Transfer { weight: 0.9, observations: all().map(one).collect() };
            let beliefs = Prior::beliefs(&space, &[earlier]);
            crate::search::strategies::model::FittedModel::of(&space, &seen, &beliefs, None)
                .prior(&space, &seen)
        };
        let the_same = |candidate: &Candidate| observed(candidate.clone()).cost().unwrap();
        assert!(matches!(prior(&the_same), Some(Prior::Earlier { .. })));
        let only_precision = |candidate: &Candidate| [4.0, 2.0][candidate.level(0)];
        assert!(matches!(prior(&only_precision), Some(Prior::Stages(_))));
    }

    #[test]
    fn stages_that_have_nothing_to_do_with_the_whole_are_not_believed() {
        let odd = |(i, candidate): (usize, Candidate)| {
            let measurement = Measurement::Cost([3.0, 0.7, 9.0, 1.0, 0.2][i * 7 % 5]);
            Observation { measurement, ..observed(candidate) }
        };
        let observations: Vec<Observation> = all().enumerate().map(odd).collect();
        assert_eq!(told(&observations, &[]), None);
        let untimed = |candidate| Observation { stages: [].into(), ..observed(candidate) };
        assert_eq!(told(&all().map(untimed).collect::<Vec<_>>(), &[]), None);
    }
}
