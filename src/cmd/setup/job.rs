//! The job that trials run, as the flags and its file describe it.

use std::path::Path;

use anyhow::Result;

use super::weights;
use crate::architecture::{Architecture, Model};
use crate::cli::{BaselineChoice, JobArgs, Objective};
use crate::cmd::{Usage, terminal};
use crate::knobs::{Baseline, MatmulPrecision, Precision, Preset, as_is};
use crate::machine::Machine;
use crate::profile;
use crate::space::SpaceFile;
use crate::workload::custom::{CustomJob, sizes};
use crate::workload::{BUILT_IN, Workload, WorkloadFile};

/// What a tune measures.
#[derive(Clone, Debug)]
pub enum Job {
    /// The pipeline, at one of several sizes.
    Pipeline(WorkloadFile),
    /// The user's own, as it is.
    Custom(CustomJob),
}

impl Job {
    /// The smallest repetition of it.
    pub fn smallest(&self) -> Workload {
        match self {
            Self::Pipeline(file) => file.size(0),
            Self::Custom(_) => self.sizes().swap_remove(0),
        }
    }

    /// All its sizes.
    pub fn sizes(&self) -> Vec<Workload> {
        match self {
            Self::Pipeline(file) => {
                (0..file.size_count()).map(|number| file.size(number)).collect()
            }
            Self::Custom(custom) => {
                let of_size = |sizes| Workload::custom(custom.space()).at(sizes);
                sizes::rungs(custom.sizes()).into_iter().map(of_size).collect()
            }
        }
    }

    /// Whether a repetition of it at some size is that of this workload.
    pub fn includes(&self, workload: &Workload) -> bool {
        self.sizes().iter().any(|size| size.whole() == workload.whole())
    }

    /// The whole job, where a repetition is a small one that stands for it.
    pub fn full(&self) -> Option<Workload> {
        match self {
            Self::Pipeline(file) => Some(file.full()),
            Self::Custom(_) => None,
        }
    }
}

/// The job that was asked for, with clips enough for a batch of the baseline's size.
///
/// # Errors
/// [`Usage`] that names the file, the key and the cure.
pub fn open(args: &JobArgs, baseline: &Baseline) -> Result<WorkloadFile> {
    let name = &args.workload;
    let text = crate::cmd::built_in_or_file("workload", name, BUILT_IN)?;
    let file = WorkloadFile::parse(&text);
    let mut file =
        file.map_err(|problem| Usage(format!("workload {}: {problem}", name.display())))?;
    if args.clip.is_some() || args.steps.is_some() || args.no_guidance {
        let changed = file.with_job(args.clip, args.steps, !args.no_guidance);
        file = changed
            .map_err(|problem| Usage(format!("--clip, --steps, --no-guidance: {problem}")))?;
    }
    Ok(match args.objective {
        Objective::Throughput => file.at_least(baseline.knobs.batch_size),
        Objective::Latency => file.one_clip(),
    })
}

/// The baseline with batches no larger than the job.
pub fn fitted(baseline: Baseline, job: &WorkloadFile) -> Baseline {
    let clips = job.full().sizes.clips;
    baseline.with(|knobs| knobs.batch_size = knobs.batch_size.min(clips))
}

/// The models' sizes: the job's, or those of the user's own weights, to whose depth the job is cut.
///
/// # Errors
/// [`Usage`] for a folder that holds no such models, or weights that are not theirs.
pub fn parts(job: WorkloadFile, weights: Option<&Path>) -> Result<(WorkloadFile, Architecture)> {
    let Some(folder) = weights else {
        let parts = job.size(0).model.architecture();
        return Ok((job, parts));
    };
    let parts = Architecture::open(folder, &job.size(0).models(), job.size(0).model);
    let parts = parts.map_err(|error| Usage(format!("--weights {error:#}")))?;
    let job = cut(job, &parts).map_err(|problem| Usage(format!("--weights: {problem}")))?;
    weights::check(folder, &job, &parts).map_err(|error| Usage(format!("--weights {error:#}")))?;
    Ok((job, parts))
}

/// The job no deeper than these models are.
///
/// # Errors
/// The size that they can't run, and the job for them where this one is another model's.
fn cut(job: WorkloadFile, parts: &Architecture) -> Result<WorkloadFile, String> {
    let (meant, theirs) = (job.size(0).model, Model::of(parts));
    job.cut_to(parts).map_err(|problem| {
        let jobs = match theirs {
            Model::Ti2v5b => "i2v or --workload t2v",
            Model::T2vA14b => "t2v-a14b",
            Model::I2vA14b => "i2v-a14b",
        };
        let cure = format!("; the job is for {meant}, and these are {theirs}'s: --workload {jobs}");
        if meant == theirs { problem } else { problem + cure.as_str() }
    })
}

/// The baseline that was asked for, or the one that people would copy for this machine, as far as
/// the job's flags leave it.
///
/// # Errors
/// [`Usage`] for a file that is none, or whose settings this machine can't run.
pub fn baseline(
    choice: Option<&BaselineChoice>,
    args: &JobArgs,
    machine: &Machine,
    is_command: bool,
) -> Result<Baseline> {
    let fit = |preset| Baseline::fit(preset, machine);
    let chosen = match choice {
        Some(BaselineChoice::AsIs) if !is_command => {
            let cure = "name a preset (5995wx, rtx4080, generic), or give a command after `--`";
            return Err(
                Usage(format!("--baseline as-is: nobody runs this job today: {cure}")).into()
            );
        }
        None if !is_command => fit(Preset::detect(machine)),
        None | Some(BaselineChoice::AsIs) => {
            fit(Preset::detect(machine)).as_is(machine, &as_is::environment())
        }
        Some(BaselineChoice::Preset(preset)) => fit(*preset),
        Some(BaselineChoice::File(path)) => from_file(fit(Preset::detect(machine)), path, machine)
            .map_err(|problem| Usage(format!("--baseline {}: {problem}", path.display())))?,
    };
    Ok(chosen.with(|knobs| {
        if args.objective == Objective::Latency {
            knobs.batch_size = 1;
        }
        if let Some(precision) = args.precision {
            knobs.precision = precision;
            knobs.as_is.remove("precision");
        }
        if args.precision == Some(Precision::Fp32) {
            knobs.matmul_precision = MatmulPrecision::Highest;
            knobs.as_is.remove("matmul_precision");
        }
    }))
}

fn from_file(fitted: Baseline, path: &Path, machine: &Machine) -> Result<Baseline, String> {
    let presets = "no preset (5995wx, rtx4080, generic), and as a file";
    let text = profile::text(path).map_err(|problem| format!("{presets}: {problem:#}"))?;
    let (baseline, notes) =
        fitted.from_file(profile::unmarked(&text), machine).map_err(|error| error.to_string())?;
    for note in notes {
        terminal::tell(&format!("wan22-tune: --baseline {}: {note}", path.display()));
    }
    baseline.knobs.resolve(machine)?;
    Ok(baseline)
}

/// Leaves out of the search what the flags fix.
pub fn fix(file: &mut SpaceFile, args: &JobArgs) {
    let numbers = ["precision", "matmul_precision"];
    let fixed = if args.precision.is_some() { &numbers[..] } else { &[] };
    fixed.iter().for_each(|knob| drop(file.knob.remove(*knob)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(job: &str, weights: Model) -> String {
        let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == job).unwrap();
        let file = WorkloadFile::parse(text).unwrap();
        cut(file, &weights.architecture()).unwrap_err()
    }

    #[test]
    fn weights_of_another_model_than_the_jobs_name_their_own_job() {
        let small = refused("i2v-a14b", Model::Ti2v5b);
        assert!(small.contains("height is 720: give a multiple of 32"), "{small}");
        assert!(
            small.ends_with("these are ti2v-5b's: --workload i2v or --workload t2v"),
            "{small}"
        );
        for job in ["t2v", "t2v-a14b"] {
            let condition = refused(job, Model::I2vA14b);
            assert!(condition.contains("denoises around an image"), "{condition}");
            assert!(condition.ends_with("i2v-a14b's: --workload i2v-a14b"), "{condition}");
        }
    }
}
