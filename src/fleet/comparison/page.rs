//! The comparison as one self-contained page.

use anyhow::Result;
use maud::{Markup, html};

use super::portability::MOST_PROFILES;
use super::{Comparison, Member, relation, tables, text};
use crate::io::number::count;
use crate::io::printable::line as plain;
use crate::report::page::{document, figure, section, table};
use crate::report::plots::Picture;
use crate::report::plots::gains::{GainsPlot, Row};
use crate::report::tables::Table;
use crate::stats::Interval;

/// More runs than this are too many for a plot.
const MOST_DRAWN: usize = 40;

/// The page of a comparison, with further tables under titles of their own.
pub fn page(fleet: &Comparison, further: &[(&str, Table)]) -> Result<String> {
    let picture = Picture::new("gains", &gains(fleet))?;
    let body = html! {
        main {
            (head(fleet))
            (section("Gains", &html! {
                (figure(Some(&picture)))
                @if fleet.members.len() > MOST_DRAWN { p { "The " (MOST_DRAWN) " largest." } }
                (table(&tables::gains(fleet), true))
                p { "Gain: " (fleet.gain_is()) ", with its 95% interval. " code { "~" } " marks a gain that can't be told from nothing, and a place that can't be told from another. The means count what is not proven as nothing." @if let Some(words) = fleet.mean_is() { " Here " (words) "." } }
            }))
            (differences("The machines", tables::machines(fleet)))
            (differences("Their best settings", tables::settings(fleet)))
            (relations(fleet))
            (portability(fleet))
            @for (title, rows) in further { (section(title, &table(rows, true))) }
            (skipped(fleet))
        }
    };
    Ok(document("wan22-tune: many runs compared", &body).into_string())
}

fn gains(fleet: &Comparison) -> GainsPlot {
    let common = fleet.common();
    // All on one axis, which takes one way to count.
    let shown = |gain: Option<Interval>| gain.map(|gain| common.shares(gain));
    let row = |member: &Member| Row {
        name: member.name.clone(),
        over_baseline: shown(member.gain),
        over_defaults: shown(member.over_defaults),
    };
    let rows = fleet.members.iter().take(MOST_DRAWN).map(row).collect();
    GainsPlot { rows, title: format!("{}, by run", fleet.axis_is()) }
}

fn head(fleet: &Comparison) -> Markup {
    let (runs, kinds) = (fleet.members.len(), relation::machines(&fleet.members));
    html! {
        header {
            p.kind { "wan22-tune compare" }
            h1 { (count(runs, "run")) " on " (count(kinds, "different machine")) }
            @for profile in fleet.portability.safest() {
                @if runs > 1 { p { (plain(&text::safest_line(fleet, profile))) } }
            }
        }
    }
}

fn differences(title: &str, (rows, same): (Table, Vec<String>)) -> Markup {
    section(
        title,
        &html! {
            @if rows.columns.len() > 1 { (table(&rows, true)) }
            @if !same.is_empty() { p { "The same everywhere: " (plain(&same.join(", "))) "." } }
        },
    )
}

fn relations(fleet: &Comparison) -> Markup {
    let relations = relation::relations(&fleet.members);
    let wordings = relation::wordings(&fleet.members);
    let is_few = relation::shapes(&fleet.members) < relation::FEWEST_MACHINES;
    if is_few || relations.is_empty() && wordings.is_empty() {
        return html! {};
    }
    section(
        "Which knobs move with the machine",
        &html! {
            @if !relations.is_empty() {
                (table(&tables::relations(&relations), true))
                p { "Spearman's rank correlation of the profiles' values with a property, over one run for each kind of machine; an instruction set counts as 1 where there is one. Of that many pairs, chance alone makes some look strong." }
            }
            @if !wordings.is_empty() { (table(&tables::wordings(&wordings), true)) }
        },
    )
}

fn portability(fleet: &Comparison) -> Markup {
    if fleet.members.len() < 2 {
        return html! {};
    }
    let carried = fleet.portability.profiles.len();
    section(
        "How far each profile carries",
        &html! {
            (table(&tables::profiles(fleet), true))
            @if carried < fleet.portability.different {
                p { (carried) " of " (fleet.portability.different) " different profiles: at most " (MOST_PROFILES) ", those that most machines ship and that save most." }
            }
            h3 { "On each machine" }
            (table(&tables::matrix(fleet), true))
            p { (tables::marks(fleet)) "." }
            @let reasons = tables::reasons(fleet);
            @if !reasons.is_empty() { ul { @for reason in &reasons { li { (plain(reason)) } } } }
        },
    )
}

fn skipped(fleet: &Comparison) -> Markup {
    let mut rows = Table::new(["folder", "why"]);
    for (path, why) in &fleet.skipped {
        rows.row([path.display().to_string(), why.clone()]);
    }
    html! { @if !rows.rows.is_empty() { (section("Skipped", &table(&rows, true))) } }
}
