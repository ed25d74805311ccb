//! Workload files: jobs as data, from the smallest repetition that means something to a whole job.

use serde::Deserialize;

use super::{Sizes, Stage, WHOLE_CONTEXT, Workload};
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
    /// From the smallest to a whole job.
    size: Vec<Sizes>,
}

impl WorkloadFile {
    /// Reads TOML.
    ///
    /// # Errors
    /// The parser's message with line and column, or the key that makes no sense.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.schema != SCHEMA {
            return Err(format!(
                "schema: this program reads version {SCHEMA}, the file has {}",
                file.schema
            ));
        }
        file.check_stages()?;
        if file.size.is_empty() {
            return Err("size: give at least one [[size]]".to_owned());
        }
        let parts = file.model.architecture();
        file.check_sizes(&parts)?;
        Ok(file)
    }

    /// How many sizes there are.
    pub fn size_count(&self) -> usize {
        self.size.len()
    }

    /// The job at size `number`, or at the largest where there are fewer.
    pub fn size(&self, number: usize) -> Workload {
        Workload {
            name: self.name.clone(),
            model: self.model,
            stages: self.stages.clone(),
            sizes: self.size[number.min(self.size.len() - 1)].clone(),
        }
    }

    /// The whole job: the largest size.
    pub fn full(&self) -> Workload {
        self.size(self.size.len())
    }

    /// The job with at least this many clips per repetition.
    #[must_use]
    pub fn at_least(mut self, clips: u32) -> Self {
        self.size.iter_mut().for_each(|sizes| sizes.clips = sizes.clips.max(clips));
        self
    }

    /// The job one clip at a time.
    #[must_use]
    pub fn one_clip(mut self) -> Self {
        self.size.iter_mut().for_each(|sizes| sizes.clips = 1);
        self
    }

    /// The job no deeper than these models are.
    ///
    /// # Errors
    /// The size that they can't run all the same.
    pub fn cut_to(mut self, parts: &Architecture) -> Result<Self, String> {
        let depth = |layers: i64| u32::try_from(layers).unwrap_or(u32::MAX);
        for sizes in &mut self.size {
            sizes.layers = sizes.layers.min(depth(parts.transformer.num_layers));
            sizes.text_layers = sizes.text_layers.min(depth(parts.text_encoder.num_layers));
        }
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

    #[test]
    fn mistakes_are_named_by_key() {
        let (_, text) = BUILT_IN[0];
        let mistakes = [
            ("schema = 1", "schema = 9", "schema: this program reads version 1"),
            ("frames = 1\n", "frames = 2\n", "frames is 2: give 1, 5, 9"),
            ("\"encode\", ", "\"encode\", \"encode\", ", "stages: give at least one, each once"),
            ("\"read\", ", "", "stages: preprocess needs read"),
            (
                "window_width = 32",
                "window_width = 30",
                "size[0].window_width is 30: give a multiple of 16",
            ),
            ("layers = 1\n", "layers = 31\n", "size[0].layers is 31: give 1 to 30"),
            ("text_tokens = 16", "text_tokens = 17", "size[0].text_tokens is 17: give 1 to 16"),
            ("clips = 2", "clip = 2", "unknown field `clip`"),
            ("clips = 2", "clips = 4000000000", "size[0].clips is 4000000000: give 65536 at"),
            ("clips = 2", "clips = nan", "invalid type: floating point `NaN`, expected u32"),
            ("frames = 1\n", "frames = 1000000001\n", "size[0].frames is 1000000001: give 86401"),
            ("width = 128", "width = 1000000000", "size[0].width is 1000000000: give 32768"),
        ];
        for (right, wrong, says) in mistakes {
            assert!(text.contains(right), "{right}");
            let error = WorkloadFile::parse(&text.replacen(right, wrong, 1)).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
