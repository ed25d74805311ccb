//! The tables of a comparison, for a terminal and for a page.

use std::collections::BTreeMap;

use super::gain::{Place, places};
use super::portability::{ProfilePortability, ProfileRegret};
use super::relation::{Relation, Wording};
use super::{Comparison, Member};
use crate::io::number::{bytes, digits, gain, percent};
use crate::io::printable::shortened;
use crate::knobs::Value;
use crate::report::tables::Table;
use crate::stats::Interval;

/// Each machine's gains, with its place among them.
pub fn gains(fleet: &Comparison) -> Table {
    let titles =
        ["##", "run", "#place", "#over its baseline", "#over libtorch's defaults", "#trials"];
    let mut table = Table::new(titles);
    let members = &fleet.members;
    let places = places(&members.iter().map(|member| member.gain).collect::<Vec<_>>());
    for (i, (member, place)) in members.iter().zip(places).enumerate() {
        let (trials, failed) = member.trials;
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        let [over_baseline, over_defaults] = member.shown_gains();
        let shown = |gain| format!("{}{}", told_apart(gain), fleet.word(member.metric));
        table.row([
            number(i),
            member.name.clone(),
            place.map(self::place).unwrap_or_default(),
            over_baseline.map_or("not confirmed".to_owned(), shown),
            over_defaults.map_or("not measured".to_owned(), shown),
            format!("{trials}{failed}"),
        ]);
    }
    if members.len() > 1 {
        table.row(means(fleet));
    }
    table
}

/// The row of geometric means.
fn means(fleet: &Comparison) -> [String; 6] {
    let (word, blank) = (fleet.word(fleet.common()), String::new);
    let shown = |mean| format!("{}{word}", percent(mean));
    let [baseline, defaults] = fleet.means().map(|mean| mean.map(shown).unwrap_or_default());
    [blank(), "geometric mean".to_owned(), blank(), baseline, defaults, blank()]
}

/// What a run is called where its name is too long.
fn number(position: usize) -> String {
    (position + 1).to_string()
}

fn place(place: Place) -> String {
    format!("{}{}", if place.overlaps { "~" } else { "" }, place.rank)
}

/// A gain with its interval, after `~` where the interval holds zero.
fn told_apart(saved: Interval) -> String {
    let same = saved.low <= 0.0 && saved.high >= 0.0;
    format!("{}{}", if same { "~ " } else { "" }, gain(saved))
}

/// What differs between the machines, and what does not.
pub fn machines(fleet: &Comparison) -> (Table, Vec<String>) {
    let cell = |member: &Member| {
        let traits = &member.traits;
        [
            ("#cores", traits.cores.to_string()),
            ("#CPUs", traits.cpus.to_string()),
            ("#packages", traits.packages.to_string()),
            ("#L3 groups", traits.l3_groups.to_string()),
            ("#L3", bytes(traits.l3_bytes)),
            ("#nodes", traits.nodes.to_string()),
            ("#memory", bytes(traits.memory_bytes)),
            ("processor", traits.processor.clone()),
            ("GPUs", traits.gpus.join(", ")),
            ("instruction sets", traits.isa.join(" ")),
            ("kernel", traits.kernel.clone()),
            ("workload", member.workload.clone()),
        ]
    };
    differing(fleet, &fleet.members.iter().map(|member| cell(member).to_vec()).collect::<Vec<_>>())
}

/// What differs between the best settings, and what does not.
pub fn settings(fleet: &Comparison) -> (Table, Vec<String>) {
    let Some(first) = fleet.members.first() else { return (Table::default(), Vec::new()) };
    let text = |value: Option<&Value>| value.map(ToString::to_string).unwrap_or_default();
    let row = |member: &Member| {
        let cells = first.profile.iter().map(|(name, value)| {
            let mark = if value.number().is_some() { "#" } else { "" };
            (format!("{mark}{name}"), text(member.profile.get(name)))
        });
        cells.collect::<Vec<_>>()
    };
    differing(fleet, &fleet.members.iter().map(row).collect::<Vec<_>>())
}

/// One row a member with the columns in which members differ; the others in words.
fn differing<N: AsRef<str>>(fleet: &Comparison, rows: &[Vec<(N, String)>]) -> (Table, Vec<String>) {
    let Some(first) = rows.first() else { return (Table::default(), Vec::new()) };
    let differs = |i: &usize| rows.iter().any(|row| row[*i].1 != first[*i].1);
    let (different, same): (Vec<usize>, Vec<usize>) = (0..first.len()).partition(differs);
    let title = |i: &usize| first[*i].0.as_ref();
    let mut table = Table::new(["run"].into_iter().chain(different.iter().map(title)));
    for (member, row) in fleet.members.iter().zip(rows) {
        let cells = different.iter().map(|&i| row[i].1.clone());
        table.row([member.name.clone()].into_iter().chain(cells));
    }
    let known = same.into_iter().filter(|&i| !first[i].1.is_empty());
    let words = known.map(|i| format!("{} {}", title(&i).trim_start_matches('#'), first[i].1));
    (table, words.collect())
}

/// Each profile that was carried, with its worst regret.
pub fn profiles(fleet: &Comparison) -> Table {
    let titles = ["profile of", "#worst regret", "#on", "#measured", "#predicted", "#neither"];
    let mut table = Table::new(titles);
    for profile in &fleet.portability.profiles {
        let (worst, at) = profile.worst();
        table.row([
            shippers(fleet, profile),
            percent(fleet.lost(profile, worst.max(0.0))),
            if worst > 0.0 { number(at) } else { String::new() },
            profile.measured().to_string(),
            profile.predicted().to_string(),
            profile.missing().to_string(),
        ]);
    }
    table
}

/// Who ships a profile, in words.
pub fn shippers(fleet: &Comparison, profile: &ProfilePortability) -> String {
    let first = profile.from[0];
    let name = format!("{} {}", number(first), fleet.members[first].name);
    match profile.from.len() {
        1 => name,
        n => format!("{name} and {} more", n - 1),
    }
}

/// How every profile does on every machine: regrets, with what they rest on; machines by their
/// number in [`gains`].
pub fn matrix(fleet: &Comparison) -> Table {
    let titles = (0..fleet.members.len()).map(|i| format!("#{}", number(i)));
    let titles: Vec<String> = ["profile of".to_owned()].into_iter().chain(titles).collect();
    let mut table = Table::new(&titles);
    for profile in &fleet.portability.profiles {
        let cell = |cell| regret(cell, |regret| fleet.lost(profile, regret));
        table.row([shippers(fleet, profile)].into_iter().chain(profile.regrets.iter().map(cell)));
    }
    table
}

/// What the marks of [`matrix`] mean.
pub fn marks(fleet: &Comparison) -> String {
    format!(
        "regret: {} than with the machine's own profile. No mark: measured. *: predicted from the \
         machine's own trials. ≈: predicted, counts fitted to the machine. -: the machine can't \
         run it. ?: nothing to predict from",
        fleet.regret_is()
    )
}

/// Why machines can't run profiles, a line for each reason.
pub fn reasons(fleet: &Comparison) -> Vec<String> {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for profile in &fleet.portability.profiles {
        for (i, cell) in profile.regrets.iter().enumerate() {
            if let ProfileRegret::Impossible(why) = cell {
                let pair = format!("{} on {}", number(profile.from[0]), number(i));
                reasons.entry(why).or_default().push(pair);
            }
        }
    }
    reasons.into_iter().map(|(why, pairs)| format!("- {why}: {}", shortened(&pairs))).collect()
}

fn regret(cell: &ProfileRegret, lost: impl Fn(f64) -> f64) -> String {
    match cell {
        ProfileRegret::Own => "own".to_owned(),
        ProfileRegret::Measured(regret) => percent(lost(*regret)),
        ProfileRegret::Predicted { regret, fitted, .. } => {
            format!("{}{}", percent(lost(*regret)), if *fitted { "\u{2248}" } else { "*" })
        }
        ProfileRegret::Impossible(_) => "-".to_owned(),
        ProfileRegret::Unknown(_) => "?".to_owned(),
        ProfileRegret::OtherJob => String::new(),
    }
}

/// The strongest correlations between knobs and properties.
pub fn relations(relations: &[Relation]) -> Table {
    let mut table = Table::new(["knob", "property", "#rank correlation", "#machines"]);
    for Relation { knob, property, correlation, machines } in relations {
        let strength = digits((100.0 * correlation).round() / 100.0);
        table.row([knob.clone(), property.clone(), strength, machines.to_string()]);
    }
    table
}

/// Who ships which word.
pub fn wordings(wordings: &[Wording]) -> Table {
    let properties = wordings.first().map(|wording| wording.ranges.iter().map(|range| &range.0));
    let properties = properties.into_iter().flatten().map(|name| format!("#{name}"));
    let fixed = ["knob", "value", "#machines"].map(str::to_owned);
    let titles: Vec<String> = fixed.into_iter().chain(properties).collect();
    let mut table = Table::new(&titles);
    for Wording { knob, value, machines, ranges } in wordings {
        let range = |(_, low, high): &(String, f64, f64)| match low == high {
            true => short(*low),
            false => format!("{} to {}", short(*low), short(*high)),
        };
        let head = [knob.clone(), value.to_string(), machines.to_string()];
        table.row(head.into_iter().chain(ranges.iter().map(range)));
    }
    table
}

/// A count as it is, and an amount in three digits.
fn short(value: f64) -> String {
    if value.fract() == 0.0 { value.to_string() } else { digits(value) }
}
