//! Projection: the seconds of a whole job, from the times of a slice of it.

use std::collections::BTreeMap;

use strum::VariantArray;

use super::{Stage, StageUnit, Tilings, Workload, stages};
use crate::architecture::Architecture;
use crate::knobs::Settings;

/// How many times as much of each unit, and of the rest of each stage, the job does.
///
/// A unit is repeated by its operations: tiles with their overlap, latent frames, blocks, steps and
/// tokens are all in there. What a stage does besides its units is repeated as all of it.
#[derive(Clone, Debug)]
pub struct Projection {
    units: BTreeMap<StageUnit, f64>,
    stages: BTreeMap<&'static str, f64>,
}

impl Projection {
    /// From a slice to the job that it is of, both under `settings`.
    pub fn of(slice: &Workload, parts: &Architecture, settings: &Settings) -> Self {
        let whole = slice.whole();
        let tilings = |job: &Workload| Tilings::new(parts, job, settings);
        let units = |job: &Workload| job.units(parts, tilings(job));
        let (of_slice, of_whole) = (units(slice), units(&whole));
        let times = |unit: &StageUnit| ratio(of_whole[unit], of_slice[unit]);
        Self {
            units: of_slice.keys().map(|unit| (*unit, times(unit))).collect(),
            stages: stage_ratios(slice, &whole, parts, tilings),
        }
    }

    /// Seconds per clip that the slice takes where the stages of the job take `job` seconds.
    pub fn slice_s(&self, job: &BTreeMap<String, f64>) -> f64 {
        let of = |(stage, seconds): (&String, &f64)| {
            seconds / self.stages.get(stage.as_str()).copied().unwrap_or(1.0)
        };
        job.iter().map(of).sum()
    }

    /// Seconds per clip of each stage of the job, where the slice's stages took `busy` seconds per clip,
    /// and its units `units` of them.
    pub fn stages(
        &self,
        busy: &BTreeMap<String, f64>,
        units: &BTreeMap<StageUnit, f64>,
    ) -> BTreeMap<String, f64> {
        let project = |(stage, seconds): (&String, &f64)| {
            let own = units.iter().filter(|(unit, _)| unit.stage().to_string() == *stage);
            let (mut rest, mut all) = (*seconds, 0.0);
            for (unit, seconds) in own {
                rest -= seconds;
                all += seconds * self.units.get(unit).copied().unwrap_or(1.0);
            }
            let times = self.stages.get(stage.as_str()).copied().unwrap_or(1.0);
            (stage.clone(), all + rest.max(0.0) * times)
        };
        busy.iter().map(project).collect()
    }
}

/// Seconds per clip of a job whose stages take `job` seconds, where a slice of it whose stages take
/// `slice` seconds took `wall_s`: the models' stages come one after the other, and of the others as
/// large a part is waited for as in the slice. What is waited for beyond them comes once.
pub fn total_s(wall_s: f64, slice: &BTreeMap<String, f64>, job: &BTreeMap<String, f64>) -> f64 {
    let sum = |times: &BTreeMap<String, f64>, is_model: bool| -> f64 {
        let of = |(stage, _): &(&String, &f64)| is_of_model(stage) == is_model;
        times.iter().filter(of).map(|(_, seconds)| seconds).sum()
    };
    let beside = sum(slice, false);
    let waited = (wall_s - sum(slice, true)).max(0.0);
    let exposed = waited.min(beside);
    let share = if beside > 0.0 { exposed / beside } else { 0.0 };
    sum(job, true) + share * sum(job, false) + waited - exposed
}

fn is_of_model(stage: &str) -> bool {
    Stage::VARIANTS.iter().any(|one| one.model().is_some() && one.to_string() == stage)
}

fn stage_ratios(
    slice: &Workload,
    whole: &Workload,
    parts: &Architecture,
    tilings: impl Fn(&Workload) -> Tilings,
) -> BTreeMap<&'static str, f64> {
    let costs = |job: &Workload| job.costs(parts, Some(tilings(job)));
    let (of_slice, of_whole) = (costs(slice), costs(whole));
    let written = |job: &Workload| {
        f64::from(job.sizes.window_frames)
            * f64::from(job.sizes.window_width)
            * f64::from(job.sizes.window_height)
    };
    let times = |name: &'static str| {
        let models = of_whole.iter().find(|(stage, _)| stage.to_string() == name);
        let times = match models {
            Some((stage, cost)) => ratio(cost.flops, of_slice[stage].flops),
            // Pictures are read and resized whole in a slice too.
            None if name == "write" && whole.has(Stage::Decode) => {
                ratio(written(whole), written(slice))
            }
            None => 1.0,
        };
        (name, times)
    };
    stages().map(times).collect()
}

fn ratio(whole: f64, slice: f64) -> f64 {
    if slice > 0.0 { whole / slice } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::{Baseline, Preset};
    use crate::machine::Machine;
    use crate::workload::{BUILT_IN, WorkloadFile};

    fn times<const N: usize>(of: [(&str, f64); N]) -> BTreeMap<String, f64> {
        of.into_iter().map(|(name, seconds)| (name.to_owned(), seconds)).collect()
    }

    fn projection(number: usize) -> Projection {
        let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == "i2v").unwrap();
        let slice = WorkloadFile::parse(text).unwrap().size(number);
        let machine = Machine::detect().unwrap();
        let knobs = Baseline::fit(Preset::Generic, &machine).knobs;
        let settings = crate::knobs::Knobs { tile_size: 512, vae_tile_size: 384, ..knobs };
        let settings = settings.resolve(&machine).unwrap();
        Projection::of(&slice, &slice.model.architecture(), &settings)
    }

    fn near(one: f64, other: f64) -> bool {
        (one / other - 1.0).abs() < 1e-9
    }

    /// Of 1280 x 704 x 121 the smallest slice has 128 of 27280 tokens, one of 30 blocks and one of 50
    /// steps.
    #[test]
    fn attention_is_repeated_for_tokens_blocks_and_steps() {
        let units = projection(0).units;
        assert!(near(units[&StageUnit::Attention], 30.0 * 50.0 * 27_280.0 / 128.0));
        assert!(units[&StageUnit::Ends] < 50.0 * 27_280.0 / 128.0);
    }

    /// Tiles of 24 latent pixels every 18 cover 44 rows as 24, 24 and 8, and 80 columns as 24, 24, 24,
    /// 24 and 8: 56 x 104 pixels for 4 x 4 of the slice; and 30 later frames for one. What the middle's
    /// attention takes grows with a tile's own pixels, so that it is a little more.
    #[test]
    fn tiles_are_repeated_with_their_overlap() {
        let times = projection(0).units[&StageUnit::DecodeLater];
        let area = 56.0 * 104.0 / 16.0;
        assert!((30.0 * area..1.1 * 30.0 * area).contains(&times), "{times}");
    }

    #[test]
    fn a_whole_job_takes_what_it_took() {
        let whole = projection(usize::MAX);
        let busy = times([("text", 1.0), ("denoise", 4.0), ("decode", 2.0), ("read", 0.5)]);
        let units =
            [(StageUnit::Attention, 1.0), (StageUnit::Blocks, 2.0), (StageUnit::DecodeLater, 2.0)];
        assert_eq!(whole.stages(&busy, &units.into()), busy);
    }

    #[test]
    fn units_and_the_rest_of_a_stage_are_repeated_apart() {
        let projection = Projection {
            units: [(StageUnit::DecodeFirst, 10.0), (StageUnit::DecodeLater, 100.0)].into(),
            stages: [("decode", 50.0)].into(),
        };
        let units = [(StageUnit::DecodeFirst, 0.5), (StageUnit::DecodeLater, 1.0)].into();
        // 10 x 0.5 + 100 x 1 + 50 x the other 0.25 s.
        let stages = projection.stages(&times([("decode", 1.75), ("read", 0.1)]), &units);
        assert_eq!(stages, times([("decode", 117.5), ("read", 0.1)]));
        assert_eq!(projection.slice_s(&times([("decode", 100.0), ("read", 1.0)])), 3.0);
    }

    /// A slice of 3 s whose models took 2 waited 1 s for the 4 s of the others: a quarter of them.
    #[test]
    fn as_much_of_the_other_stages_is_waited_for_as_in_the_slice() {
        let slice = times([("decode", 2.0), ("write", 3.0), ("read", 1.0)]);
        let job = times([("decode", 20.0), ("write", 7.0), ("read", 1.0)]);
        assert_eq!(total_s(3.0, &slice, &job), 22.0);
        assert_eq!(total_s(2.5, &times([("decode", 2.0)]), &times([("decode", 20.0)])), 20.5);
        // Of 1 s that was waited for, the frames' 0.25 s are a part; the rest is not repeated.
        let few = times([("decode", 2.0), ("write", 0.25)]);
        assert_eq!(total_s(3.0, &few, &times([("decode", 20.0), ("write", 10.0)])), 30.75);
    }
}
