//! What a terminal shows of a comparison.

use super::portability::{MOST_PROFILES, ProfilePortability};
use super::relation::{self, FEWEST_MACHINES};
use super::{Comparison, tables};
use crate::io::number::{count, percent};
use crate::io::printable::line as plain;
use crate::report::tables::Table;

/// More rows than this are left to the page and to CSV.
const MOST_ROWS: usize = 24;
/// More machines than this make a matrix too wide for a terminal.
const MOST_COLUMNS: usize = 12;
/// Weaker correlations than this are not worth a line.
const WEAKEST: f64 = 0.5;

/// The comparison in sections: gains, machines, settings, relations, portability.
pub fn text(fleet: &Comparison) -> String {
    let mut text = count(fleet.members.len(), "run");
    text.push_str(&format!(
        " on {}\n",
        count(relation::machines(&fleet.members), "different machine")
    ));
    text.push_str(&section("", &tables::gains(fleet)));
    text.push_str(&format!(
        "{} [95% interval]; ~: not told apart from nothing, or in place from another\n",
        fleet.gain_is()
    ));
    text.push_str("means of all runs count what is not proven as nothing\n");
    text.extend(fleet.mean_is().map(|words| format!("{words}\n")));
    for (title, (table, same)) in [
        ("The machines", tables::machines(fleet)),
        ("Their best settings", tables::settings(fleet)),
    ] {
        if table.columns.len() > 1 {
            text.push_str(&section(title, &table));
        }
        if fleet.members.len() > 1 && !same.is_empty() {
            text.push_str(&format!("the same everywhere: {}\n", same.join(", ")));
        }
    }
    if fleet.members.len() > 1 {
        text.push_str(&moves(fleet));
        text.push_str(&portability(fleet));
    }
    // Names from files must not steer the terminal.
    text.lines().map(|line| format!("{}\n", plain(line))).collect()
}

fn section(title: &str, table: &Table) -> String {
    let head = if title.is_empty() { String::new() } else { format!("{title}\n") };
    let mut shown = table.clone();
    shown.rows.truncate(MOST_ROWS);
    let more = table.rows.len() - shown.rows.len();
    let rest = match more {
        0 => String::new(),
        more => format!("and {more} more: --html, --csv and --json have all\n"),
    };
    format!("\n{head}{}{rest}", shown.to_terminal())
}

/// Which knobs move with which property.
fn moves(fleet: &Comparison) -> String {
    let mut relations = relation::relations(&fleet.members);
    let looked_at = relations.len();
    relations.retain(|relation| relation.correlation.abs() >= WEAKEST);
    let mut text = String::new();
    let kinds = relation::shapes(&fleet.members);
    if kinds < FEWEST_MACHINES {
        return format!(
            "\nWhich knobs move with which property of the machine takes {FEWEST_MACHINES} different \
             machines to see\n"
        );
    }
    if !relations.is_empty() {
        text.push_str(&section("Knobs that move with the machine", &tables::relations(&relations)));
        text.push_str(&format!(
            "{}of {} looked at: chance alone makes some look strong\n",
            if relations.len() < looked_at { "the strongest " } else { "" },
            count(looked_at, "pair")
        ));
    }
    let wordings = relation::wordings(&fleet.members);
    if !wordings.is_empty() {
        text.push_str(&section("Who ships which word", &tables::wordings(&wordings)));
    }
    text
}

fn portability(fleet: &Comparison) -> String {
    let mut text = section("How far each profile carries", &tables::profiles(fleet));
    let left_out = fleet.portability.different - fleet.portability.profiles.len();
    if left_out > 0 {
        text.push_str(&format!(
            "{left_out} of {} different profiles are left out: {MOST_PROFILES} are carried, those \
             that most machines ship and that save most\n",
            fleet.portability.different
        ));
    }
    if fleet.members.len() <= MOST_COLUMNS {
        text.push_str(&section("Each profile on each machine", &tables::matrix(fleet)));
        text.push_str(&format!("{}\n", tables::marks(fleet)));
        tables::reasons(fleet).iter().take(MOST_ROWS).for_each(|line| {
            text.push_str(&format!("{line}\n"));
        });
    }
    let safest = fleet.portability.safest();
    for profile in &safest {
        text.push_str(&format!("\n{}\n", safest_line(fleet, profile)));
    }
    if safest.is_empty() {
        text.push_str("\nNo profile can be judged on all machines.\n");
    }
    text
}

/// The profile to ship where one has to do for all.
pub fn safest_line(fleet: &Comparison, profile: &ProfilePortability) -> String {
    let (worst, at) = profile.worst();
    let whose = tables::shippers(fleet, profile);
    let basis = match profile.predicted() {
        0 => "all measured".to_owned(),
        n => format!("{n} of them predicted"),
    };
    let machines = count(profile.machines(), "run");
    let metric = fleet.metric(profile);
    let (lost, [_, worse]) = (percent(metric.lost(worst)), metric.better());
    let of = if metric.goal().is_some() { "of the metric" } else { "time" };
    let worst = if worst <= 0.0 {
        "none of them loses by it".to_owned()
    } else {
        format!("at worst {lost} {worse} {of}, on {}", fleet.members[at].name)
    };
    format!(
        "If one {} profile has to do for all {machines}, take that of {whose}: {worst} ({basis}).",
        profile.job
    )
}
