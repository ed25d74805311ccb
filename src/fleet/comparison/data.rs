//! A comparison for programs: JSON of all that was found, CSV with one row per run.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::gain::{Place, places};
use super::portability::{ProfilePortability, ProfileRegret};
use super::relation::{self, Relation, Wording};
use super::{Comparison, Member};
use crate::io::number::maybe;
use crate::io::printable;
use crate::space::arguments::written;
use crate::stats::Interval;

/// The version of the JSON's form.
pub const SCHEMA: u32 = 2;

/// All that was found, as JSON.
pub fn json(fleet: &Comparison) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(&value(fleet))?))
}

/// All that was found; shares, `null` where something is not known. With the goal `max` gains are growth
/// of the metric and regrets what is lost of it; else they are cost saved, and cost more.
pub fn value(fleet: &Comparison) -> Value {
    let [over_baseline, over_defaults] = fleet.means();
    let skipped = fleet
        .skipped
        .iter()
        .map(|(path, why)| json!({ "path": written(path.as_os_str()), "why": why }));
    json!({
        "schema": SCHEMA,
        "runs": fleet.members.iter().map(member).collect::<Vec<_>>(),
        "geometric_mean": {
            "goal": fleet.common().goal(),
            "over_baseline": over_baseline,
            "over_defaults": over_defaults,
        },
        "relations": relation::relations(&fleet.members).iter().map(relation).collect::<Vec<_>>(),
        "wordings": relation::wordings(&fleet.members).iter().map(wording).collect::<Vec<_>>(),
        "portability": {
            "different_profiles": fleet.portability.different,
            "profiles": fleet.portability.profiles.iter().map(|p| carried(fleet, p)).collect::<Vec<_>>(),
            "safest": fleet.portability.safest().into_iter().map(|p| safest(fleet, p)).collect::<Vec<_>>(),
        },
        "skipped": skipped.collect::<Vec<_>>(),
    })
}

fn member(member: &Member) -> Value {
    let [over_baseline, over_defaults] = member.shown_gains();
    json!({
        "run": member.name,
        "path": member.path,
        "machine": member.traits,
        "job": member.job,
        "workload": member.workload,
        "goal": member.metric.goal(),
        "started": member.started,
        "trials": member.trials.0,
        "failed": member.trials.1,
        "proven": member.proven,
        "over_baseline": over_baseline.map(interval),
        "over_defaults": over_defaults.map(interval),
        "profile": member.profile,
    })
}

/// An end that is infinite is not known.
fn interval(gain: Interval) -> Value {
    let end = |end: f64| end.is_finite().then_some(end);
    json!({ "mean": gain.mean, "low": end(gain.low), "high": end(gain.high) })
}

fn relation(relation: &Relation) -> Value {
    let Relation { knob, property, correlation, machines } = relation;
    json!({ "knob": knob, "property": property, "rank_correlation": correlation, "machines": machines })
}

fn wording(wording: &Wording) -> Value {
    let ranges = wording.ranges.iter().map(|(name, low, high)| (name.clone(), json!([low, high])));
    json!({
        "knob": wording.knob,
        "value": wording.value,
        "machines": wording.machines,
        "ranges": ranges.collect::<serde_json::Map<_, _>>(),
    })
}

fn carried(fleet: &Comparison, profile: &ProfilePortability) -> Value {
    let names =
        |of: &[usize]| of.iter().map(|&i| fleet.members[i].name.clone()).collect::<Vec<_>>();
    let on = fleet.members.iter().zip(&profile.regrets);
    let lost = |regret| fleet.lost(profile, regret);
    json!({
        "job": profile.job,
        "goal": fleet.metric(profile).goal(),
        "of": names(&profile.from),
        "knobs": profile.knobs,
        "missing": profile.missing(),
        "worst_regret": lost(profile.worst().0),
        "on": on.filter_map(|(member, c)| Some((member.name.clone(), cell(c, lost)?)))
            .collect::<serde_json::Map<_, _>>(),
    })
}

fn cell(cell: &ProfileRegret, lost: impl Fn(f64) -> f64) -> Option<Value> {
    Some(match cell {
        ProfileRegret::Own => json!({ "basis": "own", "regret": 0.0 }),
        ProfileRegret::Measured(regret) => json!({ "basis": "measured", "regret": lost(*regret) }),
        ProfileRegret::Predicted { regret, deviation, fitted } => json!({
            "basis": "predicted", "regret": lost(*regret), "ln_deviation": deviation, "fitted": fitted,
        }),
        ProfileRegret::Impossible(why) => json!({ "basis": "impossible", "why": why }),
        ProfileRegret::Unknown(why) => json!({ "basis": "unknown", "why": why }),
        ProfileRegret::OtherJob => return None,
    })
}

fn safest(fleet: &Comparison, profile: &ProfilePortability) -> Value {
    let (worst, at) = profile.worst();
    json!({
        "job": profile.job,
        "of": fleet.members[profile.from[0]].name,
        "worst_regret": fleet.lost(profile, worst),
        "on": fleet.members[at].name,
        "knobs": profile.knobs,
    })
}

/// One row per run: the machine, its gains, its profile's knobs. Columns of instruction sets are 0
/// or 1; a cell is empty where something is not known.
pub fn csv(fleet: &Comparison) -> Result<String> {
    let sets: BTreeSet<&String> = fleet.members.iter().flat_map(|m| &m.traits.isa).collect();
    let knobs: BTreeSet<&String> = fleet.members.iter().flat_map(|m| m.profile.keys()).collect();
    let places = places(&fleet.members.iter().map(|member| member.gain).collect::<Vec<_>>());
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (number, (member, place)) in fleet.members.iter().zip(places).enumerate() {
        let mut cells: Vec<(String, String)> =
            fixed(member, place).into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect();
        for set in &sets {
            let has = usize::from(member.traits.isa.contains(set));
            cells.push((format!("isa.{set}"), has.to_string()));
        }
        for knob in &knobs {
            cells.push((format!("knob.{knob}"), maybe(member.profile.get(*knob))));
        }
        let (header, cells): (Vec<String>, Vec<String>) = cells.into_iter().unzip();
        if number == 0 {
            writer.write_record(header.iter().map(|name| printable::cell(name)))?;
        }
        writer.write_record(cells.iter().map(|text| printable::cell(text)))?;
    }
    String::from_utf8(writer.into_inner().context("the comparison")?).context("the comparison")
}

/// The columns that every comparison has.
fn fixed(member: &Member, place: Option<Place>) -> [(&'static str, String); 27] {
    let traits = &member.traits;
    let end = |gain: Option<Interval>, end: fn(Interval) -> f64| {
        maybe(gain.map(end).filter(|end| end.is_finite()))
    };
    let [gain, over] = member.shown_gains();
    [
        ("run", member.name.clone()),
        ("path", member.path.clone()),
        ("host", traits.host.clone()),
        ("processor", traits.processor.clone()),
        ("cores", traits.cores.to_string()),
        ("cpus", traits.cpus.to_string()),
        ("packages", traits.packages.to_string()),
        ("l3_groups", traits.l3_groups.to_string()),
        ("l3_bytes", traits.l3_bytes.to_string()),
        ("nodes", traits.nodes.to_string()),
        ("memory_bytes", traits.memory_bytes.to_string()),
        ("gpus", traits.gpus.join(", ")),
        ("kernel", traits.kernel.clone()),
        ("job", member.job.clone()),
        ("workload", member.workload.clone()),
        ("goal", maybe(member.metric.goal())),
        ("started", member.started.clone()),
        ("trials", member.trials.0.to_string()),
        ("failed", member.trials.1.to_string()),
        ("proven", member.proven.to_string()),
        ("place", maybe(place.map(|place| place.rank))),
        ("over_baseline", end(gain, |gain| gain.mean)),
        ("over_baseline_low", end(gain, |gain| gain.low)),
        ("over_baseline_high", end(gain, |gain| gain.high)),
        ("over_defaults", end(over, |gain| gain.mean)),
        ("over_defaults_low", end(over, |gain| gain.low)),
        ("over_defaults_high", end(over, |gain| gain.high)),
    ]
}
