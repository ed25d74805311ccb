//! Scaling: what a few measured numbers of threads say about all others.
//!
//! Each stage's time follows a [`Law`] of its threads, times what the other knobs do to it; the
//! pipeline is as slow as the slowest of its parts that work side by side: the models' stages one
//! after another, and each pool. The report draws [`Scaling::stages`]; the Gaussian process takes
//! a [`TimingTable`] of it for its mean where [`Scaling::holds`] and stages tell nothing better.

mod effects;
mod law;
mod table;

use std::collections::BTreeMap;

use self::effects::Effects;
pub use self::law::{Law, Point};
pub use self::table::TimingTable;
use crate::knobs::Value;
use crate::trial::{Phase, Trial};
use crate::workload::THREADS;

/// How often a stage must have been measured, and on how many different numbers of threads.
const LEAST: usize = 5;
const DIFFERENT: usize = 3;
/// The share of the variance of log cost that a law must explain in trials that it did not see.
pub(in crate::search) const GOOD: f64 = 0.6;
/// Parts that trials are divided into to see how well the others predict each.
const FOLDS: usize = 5;

/// One measured candidate, as far as scaling goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timed {
    /// The value of every knob.
    pub knobs: BTreeMap<String, Value>,
    /// Seconds per clip.
    pub seconds: f64,
    /// Busy seconds per clip of each stage.
    pub stages: BTreeMap<String, f64>,
}

impl Timed {
    /// What `trial` says; `None` for one that failed, or that measured another size of the job.
    pub fn of(trial: &Trial) -> Option<Self> {
        let times = |stage: &&str| trial.stage_s(stage).filter(|seconds| *seconds > 0.0);
        let stages = THREADS.iter().map(|(stage, ..)| *stage);
        let stages = stages.filter_map(|s| Some((s.to_owned(), times(&s)?))).collect();
        let counts = trial.phase != Phase::Calibration;
        let seconds = trial.score().filter(|seconds| counts && *seconds > 0.0)?;
        Some(Self { knobs: trial.knobs.clone(), seconds, stages })
    }

    fn threads(&self, knob: &str) -> Option<f64> {
        self.knobs.get(knob)?.count()
    }
}

/// How one stage's time answers to its threads.
#[derive(Clone, Debug, PartialEq)]
pub struct StageLaw {
    /// The stage.
    pub stage: &'static str,
    /// The knob that gives it its threads.
    pub knob: &'static str,
    /// Seconds per clip over that knob, other knobs as in the first trial (the baseline).
    pub law: Law,
    /// What was measured, a point a number of threads, brought to the baseline's other knobs.
    pub points: Vec<Point>,
    effects: Effects,
    is_pool: bool,
}

/// The laws of all stages, and how well they predict the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// The stages that were measured on three different numbers of threads at least.
    pub stages: Vec<StageLaw>,
    /// The share of the variance of log seconds per clip that laws explain in trials that they were
    /// not fitted to: 1 is all, 0 no more than the mean does, and it can be worse than that.
    pub explained: f64,
    /// Measured seconds over those of the slowest part, the geometric mean.
    overlap: f64,
}

impl Scaling {
    /// The laws that `timed` trials follow, the baseline first; `None` where no stage was measured
    /// on three different numbers of threads.
    pub fn of(timed: &[Timed]) -> Option<Self> {
        let mut scaling = Self::fit(timed)?;
        scaling.explained = explained(timed);
        Some(scaling)
    }

    /// Whether the laws predict well enough to be believed.
    pub fn holds(&self) -> bool {
        self.explained >= GOOD
    }

    /// Seconds per clip under `knobs`; `None` where they lack the number of a stage's threads.
    pub fn seconds(&self, knobs: &BTreeMap<String, Value>) -> Option<f64> {
        let timed = Timed { knobs: knobs.clone(), ..Timed::default() };
        Some(self.overlap * self.slowest(&timed)?)
    }

    fn fit(timed: &[Timed]) -> Option<Self> {
        let stages: Vec<StageLaw> =
            THREADS.iter().filter_map(|stage| StageLaw::fit(timed, *stage)).collect();
        if stages.is_empty() {
            return None;
        }
        let mut scaling = Self { stages, explained: f64::NEG_INFINITY, overlap: 1.0 };
        let ratio = |one: &Timed| Some((one.seconds / scaling.slowest(one)?).ln());
        let ratios: Vec<f64> = timed.iter().filter_map(ratio).collect();
        scaling.overlap = (ratios.iter().sum::<f64>() / ratios.len().max(1) as f64).exp();
        Some(scaling)
    }

    /// The models' stages in turn, or the slowest pool beside them.
    fn slowest(&self, timed: &Timed) -> Option<f64> {
        let (mut models, mut pools) = (0.0, 0.0_f64);
        for stage in &self.stages {
            let seconds = stage.seconds(timed)?;
            if stage.is_pool {
                pools = pools.max(seconds);
            } else {
                models += seconds;
            }
        }
        Some(pools.max(models)).filter(|seconds| *seconds > 0.0)
    }
}

/// How much of the trials' variance laws explain that were fitted to the others.
fn explained(timed: &[Timed]) -> f64 {
    let n = timed.len();
    let mean = timed.iter().map(|one| one.seconds.ln()).sum::<f64>() / n as f64;
    let (mut missed, mut all) = (0.0, 0.0);
    for part in 0..FOLDS {
        let (mut others, mut held) = (Vec::new(), Vec::new());
        for (i, one) in timed.iter().enumerate() {
            // The baseline is in every part: the other knobs' effects are counted from it.
            if i % FOLDS == part && i > 0 { held.push(one) } else { others.push(one.clone()) }
        }
        let scaling = Scaling::fit(&others);
        for one in held {
            let told = scaling.as_ref().and_then(|scaling| scaling.seconds(&one.knobs));
            let told = told.map_or(mean, f64::ln);
            missed += (one.seconds.ln() - told).powi(2);
            all += (one.seconds.ln() - mean).powi(2);
        }
    }
    if all > 0.0 { 1.0 - missed / all } else { f64::NEG_INFINITY }
}

impl StageLaw {
    /// The relative error at numbers of threads that the law is not fitted to (root mean square).
    pub fn error(&self) -> f64 {
        Law::error(&self.points).unwrap_or(f64::INFINITY)
    }

    fn fit(
        timed: &[Timed],
        (stage, knob, is_pool): (&'static str, &'static str, bool),
    ) -> Option<Self> {
        let rows = timed.iter().filter_map(|one| {
            let threads = one.threads(knob)?;
            let busy = *one.stages.get(stage)?;
            let seconds = if is_pool { busy / threads } else { busy };
            Some((one, Point { threads, seconds }))
        });
        let rows: Vec<(&Timed, Point)> = rows.collect();
        if rows.len() < LEAST {
            return None;
        }
        let (effects, points) = Effects::apart_from(knob, &rows);
        let law = Law::fit(&points).filter(|_| points.len() >= DIFFERENT)?;
        Some(Self { stage, knob, law, points, effects, is_pool })
    }

    /// Seconds per clip that the pipeline waits for this stage.
    fn seconds(&self, timed: &Timed) -> Option<f64> {
        let threads = timed.threads(self.knob)?;
        Some(self.law.seconds(threads) * self.effects.factor(&timed.knobs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Denoising shares 8 s and keeps 1 s, half of both in bf16; a pool needs 6 s a clip.
    fn truth(threads: i64, workers: i64, precision: &str) -> Timed {
        let denoise = (8.0 / threads as f64 + 1.0) * if precision == "bf16" { 0.5 } else { 1.0 };
        let seconds = f64::max(denoise, 6.0 / workers as f64) * 1.1;
        let knobs = [
            ("intra_op_threads", Value::Integer(threads)),
            ("preprocess_workers", Value::Integer(workers)),
            ("precision", Value::Word(precision.to_owned())),
        ];
        let stages = [("denoise", denoise), ("preprocess", 6.0)];
        Timed {
            knobs: knobs.map(|(name, value)| (name.to_owned(), value)).into(),
            seconds,
            stages: stages.map(|(name, seconds)| (name.to_owned(), seconds)).into(),
        }
    }

    fn trials() -> Vec<Timed> {
        let some = [1, 2, 4, 8, 16, 32].into_iter().enumerate();
        let both = |(i, threads)| {
            let words = ["fp32", "bf16"];
            let other = words[(i + 1) % 2];
            [truth(threads, 8, words[i % 2]), truth(threads, [1, 2, 4][i % 3], other)]
        };
        some.flat_map(both).collect()
    }

    fn space() -> crate::space::Space {
        let text = "schema = 1\nname = 'x'\nwhy = 'x'\nbaseline = { intra_op_threads = 2, \
                    preprocess_workers = 8, precision = 'fp32' }\n[knob]\n\
                    intra_op_threads = { why = '', values = [2, 8, 64] }\n\
                    preprocess_workers = { why = '', values = [1, 8] }\n\
                    precision = { why = '', values = ['fp32', 'bf16'] }\n";
        crate::space::Space::reopen(&crate::space::SpaceFile::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn laws_predict_candidates_that_were_not_measured() {
        let scaling = Scaling::of(&trials()).unwrap();
        assert!(scaling.holds(), "{scaling:?}");
        let denoise = scaling.stages.iter().find(|law| law.stage == "denoise").unwrap();
        assert_eq!(denoise.knob, "intra_op_threads");
        // From the first trial's precision, fp32.
        assert!((denoise.law.seconds(64.0) / 1.125 - 1.0).abs() < 0.1, "{denoise:?}");
        for (threads, workers, precision) in [(64, 8, "bf16"), (8, 1, "fp32"), (2, 8, "fp32")] {
            let wanted = truth(threads, workers, precision);
            let told = scaling.seconds(&wanted.knobs).unwrap();
            assert!((told / wanted.seconds - 1.0).abs() < 0.15, "{told} {wanted:?}");
            let table = TimingTable::new(&scaling, &space()).unwrap();
            let candidate = space().candidate(&wanted.knobs).unwrap();
            assert!((table.log_seconds(&candidate) - told.ln()).abs() < 1e-9);
        }
    }

    #[test]
    fn costs_that_have_nothing_to_do_with_threads_are_not_explained() {
        let mut trials = trials();
        for (i, timed) in trials.iter_mut().enumerate() {
            timed.seconds = [3.0, 0.7, 9.0, 1.0, 0.2][i * 7 % 5];
        }
        assert!(!Scaling::of(&trials).unwrap().holds());
        assert_eq!(Scaling::of(&[]), None);
    }
}
