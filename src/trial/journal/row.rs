//! Row: one line of the journal, read by its columns.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::{MOST_SAMPLES, whole};
use crate::knobs::{Value, Values};
use crate::trial::{Noise, Peak, Quality, Sample, Trial};
use crate::workload::custom::printed::MetricValue;
use crate::workload::metric::Direction;

/// One row by column.
pub(super) struct Row<'a> {
    pub places: &'a BTreeMap<&'a str, usize>,
    pub cells: &'a csv::StringRecord,
    /// The baseline's value of each knob, which says of what kind its cells are.
    pub baseline: &'a Values,
}

impl Row<'_> {
    fn text(&self, column: &str) -> &str {
        self.places.get(column).and_then(|&place| self.cells.get(place)).unwrap_or_default()
    }

    fn maybe<T: std::str::FromStr>(&self, column: &str) -> Result<Option<T>> {
        match self.text(column) {
            "" => Ok(None),
            text => match text.parse().ok().or_else(|| whole_text(text)?.parse().ok()) {
                Some(value) => Ok(Some(value)),
                None => bail!("{column}: `{text}` makes no sense"),
            },
        }
    }

    /// A measured quantity: finite and not negative.
    fn quantity(&self, column: &str) -> Result<Option<f64>> {
        let value = self.maybe::<f64>(column)?;
        ensure!(value.is_none_or(|v| v.is_finite() && v >= 0.0), "{column}: not a quantity");
        Ok(value)
    }

    fn needed<T: std::str::FromStr>(&self, column: &str) -> Result<T> {
        self.maybe(column)?.with_context(|| format!("{column}: empty"))
    }

    /// The value of every knob.
    fn knobs(&self) -> Result<Values> {
        let value = |(name, cell): (&str, &str)| {
            let read = self.baseline.get(name).map(|value| value.kind().read(cell));
            let value = read.unwrap_or_else(|| Ok(Value::guess(cell)));
            Ok((name.to_owned(), value.map_err(|problem| anyhow!("knob.{name}: {problem}"))?))
        };
        self.family("knob.").into_iter().map(value).collect()
    }

    /// The cells that hold something of columns with this beginning, by the rest of their names.
    fn family(&self, beginning: &'static str) -> BTreeMap<&str, &str> {
        let columns = self.places.range(beginning..);
        let names = columns.map_while(|(column, &place)| {
            Some((column.strip_prefix(beginning)?, self.cells.get(place)?))
        });
        names.filter(|(_, cell)| !cell.is_empty()).collect()
    }
}

/// A whole number that another program saved with a fraction (`4330868736.0`), without it.
fn whole_text(text: &str) -> Option<String> {
    Some(whole(text.parse().ok()?)?.to_string())
}

/// The trial that a row tells of.
///
/// # Errors
/// The column and what is wrong there.
pub(super) fn trial(row: &Row<'_>) -> Result<Trial> {
    Ok(Trial {
        number: row.needed("trial")?,
        started: row.text("started").to_owned(),
        node: row.text("node").to_owned(),
        phase: row.needed("phase")?,
        pair: row.maybe("pair")?,
        strategy: row.text("strategy").to_owned(),
        seed: row.needed("seed")?,
        workload: row.text("workload").to_owned(),
        knobs: row.knobs()?,
        outcome: row.needed("outcome")?,
        detail: row.text("detail").to_owned(),
        samples: samples(row)?,
        peak_rss_bytes: row.maybe("peak_rss_bytes")?,
        peak_device_bytes: row.maybe("peak_device_bytes")?,
        stage_rss_bytes: row.family("rss.").into_iter().filter_map(stage_rss).collect(),
        setup_s: row.quantity("setup_s")?,
        overhead_s: row.quantity("overhead_s")?.unwrap_or_default(),
        wall_s: row.quantity("wall_s")?.unwrap_or_default(),
        process: row.maybe("process")?,
        spent_s: row.quantity("spent_s")?,
        noise: Noise {
            steal_share: row.quantity("steal_share")?,
            pressure_share: row.quantity("pressure_share")?,
            throttled_periods: row.maybe("throttled_periods")?,
            cpu_quota: row.quantity("cpu_quota")?,
            frequency_mhz: row.quantity("frequency_mhz")?,
            temperature_c: row.maybe("temperature_c")?,
        },
        quality: quality(row)?,
        peak: peak(row)?,
        effect: row.text("effect").to_owned(),
        tool: row.text("tool").to_owned(),
    })
}

fn stage_rss((name, cell): (&str, &str)) -> Option<(String, u64)> {
    Some((name.strip_suffix("_bytes")?.to_owned(), cell.parse().ok()?))
}

fn quality(row: &Row<'_>) -> Result<Option<Quality>> {
    let (Some(psnr_db), Some(ssim)) = (row.maybe("psnr_db")?, row.maybe("ssim")?) else {
        return Ok(None);
    };
    Ok(Some(Quality {
        psnr_db,
        ssim,
        seam_psnr_db: row.maybe("seam_psnr_db")?,
        seam_ssim: row.maybe("seam_ssim")?,
        prediction_db: row.maybe("prediction_db")?,
        embedding_db: row.maybe("embedding_db")?,
    }))
}

fn peak(row: &Row<'_>) -> Result<Option<Peak>> {
    let (gflops, gb_s) = (row.quantity("peak_gflops")?, row.quantity("peak_gb_s")?);
    let bf16_gflops = row.quantity("peak_bf16_gflops")?;
    Ok(gflops.zip(gb_s).map(|(gflops, gb_s)| Peak { gflops, bf16_gflops, gb_s }))
}

/// The samples' seconds are exact; their stages, faults and waits are the trial's summary.
fn samples(row: &Row<'_>) -> Result<Vec<Sample>> {
    let stage = |(name, cell): (&str, &str)| {
        let name = name.strip_suffix("_s")?;
        Some((name.to_owned(), cell.parse::<f64>().ok()?))
    };
    let stages: BTreeMap<String, f64> =
        row.family("stage.").into_iter().filter_map(stage).collect();
    let minor_faults = row.quantity("minor_faults")?.unwrap_or_default() as u64;
    let run_queue_share = row.quantity("run_queue_share")?.unwrap_or_default();
    let slice_s = row.quantity("slice_s")?;
    let goal: Option<Direction> = row.maybe("goal")?;
    let mut samples = Vec::new();
    for n in 1..=MOST_SAMPLES {
        let metric = row.quantity(&format!("metric.{n}"))?.zip(goal);
        let metric = metric.map(|(value, goal)| MetricValue { value, goal });
        let is_cost = metric.is_none_or(|m| m.goal.cost(m.value).is_finite() && m.value > 0.0);
        ensure!(is_cost, "metric.{n}: not a number above 0 that can be compared");
        if let Some(seconds) = row.quantity(&format!("sample.{n}_s"))? {
            let stages = stages.clone();
            samples.push(Sample {
                seconds,
                slice_s,
                metric,
                stages,
                minor_faults,
                run_queue_share,
            });
        }
    }
    Ok(samples)
}
