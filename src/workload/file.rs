//! Workload files: jobs as data, from the smallest repetition that means something to a whole job.

use serde::Deserialize;

use super::custom::sizes::OwnSizes;
use super::{FullJob, Sizes, Stage, WHOLE_CONTEXT, Workload, rung};
use crate::architecture::{Architecture, Model};

/// The version of the format.
const SCHEMA: u32 = 1;

/// Pixels of a side at the most: four times those of an 8K picture's rows.
const LONGEST_SIDE: u32 = 32_768;

/// Pictures of a clip at the most: an hour of them.
const MOST_FRAMES: u32 = 86_401;

/// Clips of a repetition at the most.
const MOST_CLIPS: u32 = 65_536;

macro_rules! built_in {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../search-spaces/workloads/", $name, ".toml")))),*]
    };
}

/// The jobs that come with the program, by name.
pub const BUILT_IN: &[(&str, &str)] =
    built_in!["i2v", "t2v", "i2v-a14b", "t2v-a14b", "encode", "vae-decode", "preprocess"];

/// A job and the sizes that a repetition of it may have.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadFile {
    schema: u32,
    /// The job's name.
    pub name: String,
    /// What it stands for, and why its sizes are what they are.
    pub why: String,
    /// Whose sizes the models have.
    #[serde(default)]
    model: Model,
    stages: Vec<Stage>,
    /// The whole job.
    job: Option<FullJob>,
    /// Slices of it from the smallest; without `job`, the last is the whole job.
    #[serde(default)]
    size: Vec<Sizes>,
}

impl WorkloadFile {
    /// Reads TOML.
    ///
    /// # Errors
    /// The parser's message with line and column, or the key that makes no sense.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut file: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.schema != SCHEMA {
            return Err(format!(
                "schema: this program reads version {SCHEMA}, the file has {}",
                file.schema
            ));
        }
        file.check_stages()?;
        if file.size.is_empty() && file.job.is_none() {
            return Err("job: give the whole job as [job]".to_owned());
        }
        if !file.size.is_empty() && file.job.is_some() {
            return Err("size: a file with [job] has no [[size]]; leave one of them out".to_owned());
        }
        let parts = file.model.architecture();
        file.slice(&parts)?;
        Ok(file)
    }

    /// The same file for another size of the job's clips or number of steps, or without guidance.
    ///
    /// # Errors
    /// What the models can't run; slices that the file lists itself.
    pub fn with_job(
        mut self,
        clip: Option<[u32; 3]>,
        steps: Option<u32>,
        has_guidance: bool,
    ) -> Result<Self, String> {
        let Some(mut job) = self.job else {
            return Err("the workload lists its sizes: give it the whole job as [job]".to_owned());
        };
        job = clip.map_or(job, |clip| job.shaped(clip));
        job = steps.map_or(job, |steps| job.with_steps(steps));
        job = if has_guidance { job } else { job.without_guidance() };
        (self.job, self.size) = (Some(job), Vec::new());
        let parts = self.model.architecture();
        self.slice(&parts)?;
        Ok(self)
    }

    /// Makes slices of the job where the file has none.
    fn slice(&mut self, parts: &Architecture) -> Result<(), String> {
        if let Some(job) = self.job.filter(|_| self.size.is_empty()) {
            let full = self.workload(job.sizes(self.model), None);
            full.check(parts).map_err(|problem| format!("job.{problem}"))?;
            self.size = rung::rungs(&full, parts);
        }
        self.check_sizes(parts)
    }

    fn workload(&self, sizes: Sizes, job: Option<Sizes>) -> Workload {
        let Self { name, model, stages, .. } = self;
        let (name, stages, own_sizes) = (name.clone(), stages.clone(), OwnSizes::new());
        Workload { name, model: *model, stages, sizes, job, own_sizes }
    }

    /// How many sizes there are.
    pub fn size_count(&self) -> usize {
        self.size.len()
    }

    /// The job at size `number`, or at the largest where there are fewer.
    pub fn size(&self, number: usize) -> Workload {
        let sizes = self.size[number.min(self.size.len() - 1)].clone();
        self.workload(sizes, self.job.map(|job| job.sizes(self.model)))
    }

    /// The whole job.
    pub fn full(&self) -> Workload {
        self.size(self.size.len()).whole()
    }

    /// The job with at least this many clips per repetition, where it makes several.
    #[must_use]
    pub fn at_least(mut self, clips: u32) -> Self {
        let several = self.size.iter_mut().filter(|sizes| sizes.clips > 1);
        several.for_each(|sizes| sizes.clips = sizes.clips.max(clips));
        self
    }

    /// The job one clip at a time.
    #[must_use]
    pub fn one_clip(mut self) -> Self {
        self.size.iter_mut().for_each(|sizes| sizes.clips = 1);
        self.job = self.job.map(FullJob::one_clip);
        self
    }

    /// The job no deeper than these models are.
    ///
    /// # Errors
    /// The size that they can't run all the same.
    pub fn cut_to(mut self, parts: &Architecture) -> Result<Self, String> {
        let depth = |layers: i64| u32::try_from(layers).unwrap_or(u32::MAX);
        let [blocks, text] =
            [parts.transformer.num_layers, parts.text_encoder.num_layers].map(depth);
        for sizes in &mut self.size {
            sizes.layers = sizes.layers.min(blocks);
            sizes.text_layers = sizes.text_layers.min(text);
        }
        self.job = self.job.map(|job| job.cut(blocks, text));
        self.check_sizes(parts)?;
        Ok(self)
    }

    fn check_sizes(&self, parts: &Architecture) -> Result<(), String> {
        (0..self.size.len()).try_for_each(|number| {
            let checked = self.size(number).check(parts);
            checked.map_err(|problem| format!("size[{number}].{problem}"))
        })
    }

    fn check_stages(&self) -> Result<(), String> {
        let is_ordered = self.stages.windows(2).all(|pair| pair[0] < pair[1]);
        let has = |stage| self.stages.contains(&stage);
        let goes = |stage, before| !has(stage) || has(before);
        if self.stages.is_empty() || !is_ordered {
            return Err("stages: give at least one, each once, in the pipeline's order".to_owned());
        }
        let needs = [
            (Stage::Preprocess, Stage::Read),
            (Stage::Read, Stage::Preprocess),
            (Stage::Pack, Stage::Preprocess),
            (Stage::Preprocess, Stage::Pack),
            (Stage::Encode, Stage::Pack),
        ];
        match needs.into_iter().find(|&(stage, before)| !goes(stage, before)) {
            Some((stage, before)) => Err(format!("stages: {stage} needs {before}")),
            None => Ok(()),
        }
    }
}

impl Sizes {
    /// Refuses sizes that no model runs, whatever it is.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn check_largest(&self) -> Result<(), String> {
        let all = [
            ("clips", self.clips, MOST_CLIPS),
            ("width", self.width, LONGEST_SIDE),
            ("height", self.height, LONGEST_SIDE),
            ("frames", self.frames, MOST_FRAMES),
            ("window_width", self.window_width, LONGEST_SIDE),
            ("window_height", self.window_height, LONGEST_SIDE),
            ("window_frames", self.window_frames, MOST_FRAMES),
        ];
        match all.into_iter().find(|(_, size, most)| size > most) {
            Some((key, size, most)) => Err(format!("{key} is {size}: give {most} at the most")),
            None => Ok(()),
        }
    }
}

impl Workload {
    /// Refuses sizes that these models can't run.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn check(&self, parts: &Architecture) -> Result<(), String> {
        let sizes = &self.sizes;
        sizes.check_largest()?;
        let step = parts.pixel_step();
        let ratio = u32::try_from(parts.vae.ratio()).unwrap_or(u32::MAX);
        let sides = [
            ("width", sizes.width, step, u32::MAX),
            ("height", sizes.height, step, u32::MAX),
            ("window_width", sizes.window_width, ratio, sizes.width),
            ("window_height", sizes.window_height, ratio, sizes.height),
        ];
        for (key, side, step, most) in sides {
            if side == 0 || side % step != 0 || side > most {
                return Err(format!("{key} is {side}: give a multiple of {step}{}", up_to(most)));
            }
        }
        let counts = [("frames", sizes.frames), ("window_frames", sizes.window_frames)];
        if let Some((key, count)) = counts.into_iter().find(|(_, count)| count % 4 != 1) {
            return Err(format!("{key} is {count}: give 1, 5, 9, …"));
        }
        if sizes.window_frames > sizes.frames {
            return Err(format!(
                "window_frames is {}: frames is {}",
                sizes.window_frames, sizes.frames
            ));
        }
        self.check_condition(parts)?;
        self.check_depths(parts)
    }

    fn check_condition(&self, parts: &Architecture) -> Result<(), String> {
        let lacks = parts.takes_condition() && !self.has(Stage::Encode);
        if self.has(Stage::Denoise) && lacks {
            return Err("stages: this model denoises around an image: give encode too".to_owned());
        }
        Ok(())
    }

    fn check_depths(&self, parts: &Architecture) -> Result<(), String> {
        let sizes = &self.sizes;
        let most = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        let (denoises, reads_text) = (self.has(Stage::Denoise), self.has(Stage::Text));
        let (blocks, text) = (parts.transformer.num_layers, parts.text_encoder.num_layers);
        let limits = [
            ("clips", sizes.clips, true, 1..=MOST_CLIPS),
            ("layers", sizes.layers, denoises, 1..=most(blocks)),
            ("steps", sizes.steps, denoises, 1..=1000),
            ("text_layers", sizes.text_layers, reads_text, 0..=most(text)),
            ("context_tokens", sizes.context_tokens, denoises || reads_text, 1..=WHOLE_CONTEXT),
            ("text_tokens", sizes.text_tokens, reads_text, 1..=sizes.context_tokens),
        ];
        for (key, count, is_used, range) in limits {
            if is_used && !range.contains(&count) {
                let (least, most) = (range.start(), up_to(*range.end()));
                return Err(format!("{key} is {count}: give {least}{most}"));
            }
        }
        Ok(())
    }
}

fn up_to(most: u32) -> String {
    if most == u32::MAX { " or more".to_owned() } else { format!(" to {most}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in(name: &str) -> WorkloadFile {
        let (_, text) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name).unwrap();
        WorkloadFile::parse(text).unwrap()
    }

    #[test]
    fn every_built_in_job_rises_from_small_to_whole() {
        for (name, _) in BUILT_IN {
            let file = built_in(name);
            assert_eq!(&file.name, name);
            let parts = file.model.architecture();
            let work = |n| f64::from(file.size(n).sizes.clips) * file.size(n).work(&parts);
            assert!((1..file.size_count()).all(|n| work(n - 1) < work(n)), "{name}");
        }
    }

    /// 1280 x 704, 121 frames, 50 steps of 30 blocks: some 52 of 54 PFLOP are denoising.
    #[test]
    fn a_whole_job_is_mostly_denoising() {
        let full = built_in("i2v").full();
        let costs = full.costs(&Model::Ti2v5b.architecture(), None);
        let all: f64 = costs.values().map(|cost| cost.flops).sum();
        let share = costs[&Stage::Denoise].flops / all;
        assert!((0.95..0.97).contains(&share), "{share}");
    }

    const BOTH: &str = "[[size]]\nclips = 1\nwidth = 128\nheight = 128\nframes = 1\nwindow_width = 32\n\
                        window_height = 32\nwindow_frames = 1\n[job]";

    #[test]
    fn mistakes_are_named_by_key() {
        let (_, text) = BUILT_IN[0];
        let mistakes = [
            ("schema = 1", "schema = 9", "schema: this program reads version 1"),
            ("frames = 121", "frames = 122", "job.frames is 122: give 1, 5, 9"),
            ("\"encode\", ", "\"encode\", \"encode\", ", "stages: give at least one, each once"),
            ("\"read\", ", "", "stages: preprocess needs read"),
            ("width = 1280", "width = 1290", "job.width is 1290: give a multiple of 32"),
            ("\nlayers = 30", "\nlayers = 31", "job.layers is 31: give 1 to 30"),
            ("text_layers = 24", "text_layers = 25", "job.text_layers is 25: give 0 to 24"),
            ("steps = 50", "step = 50", "unknown field `step`"),
            ("[job]", "[job]\nclips = 4000000000", "job.clips is 4000000000: give 65536 at"),
            ("steps = 50", "steps = nan", "invalid type: floating point `NaN`, expected u32"),
            ("frames = 121", "frames = 1000000001", "job.frames is 1000000001: give 86401"),
            ("width = 1280", "width = 1000000000", "job.width is 1000000000: give 32768"),
            ("[job]", "[[size]]\nclips = 1\n[job]", "missing field `width`"),
            ("[job]", BOTH, "size: a file with [job] has no [[size]]"),
        ];
        for (right, wrong, says) in mistakes {
            assert!(text.contains(right), "{right}");
            let error = WorkloadFile::parse(&text.replacen(right, wrong, 1)).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
