//! The report as Markdown, and splicing it into a file.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::plots::stages::StagesPlot;
use super::tables::time_breakdown::TimeBreakdown;
use super::tables::{Table, escape, nodes, work};
use super::winner::Winner;
use super::{summary, verdict};
use crate::evidence::findings::Finalist;
use crate::io::number::count;
use crate::io::{atomic_write, input, number};
use crate::results::Results;

/// The line after which [`splice`] puts its text.
pub const BEGIN: &str = "<!-- wan22-tune report: begin -->";
/// The line before which it ends.
pub const END: &str = "<!-- wan22-tune report: end -->";

/// A page that people read has less.
const LARGEST_BYTES: u64 = 64 << 20;

/// The verdict, baseline against best, and the stages, with the command and the machine that
/// they come from.
pub fn markdown(results: &Results) -> String {
    let machine = &results.machine;
    let breakdown = TimeBreakdown::of(results);
    let mut parts = vec![
        format!(
            "{} on {}, {}:",
            code(&results.tune.command),
            escape(&machine.cpu.model),
            count(machine.core_count(), "core")
        ),
        format!("**{}**", escape(&verdict::sentence(results))),
    ];
    if let Some(finalist) = &results.findings().finalist {
        parts.push(summary::knobs(results, finalist, work::in_words).to_markdown());
        let same = summary::as_in_the_baseline(results, finalist);
        parts.extend(same.map(|sentence| format!("{}.", escape(&sentence))));
    }
    parts.extend(summary::against_preset(results));
    let line = Winner::of(results).and_then(|winner| winner.line(Path::new("")));
    parts.extend(line.map(|line| format!("The command that it comes to: {}", code(&line))));
    if let Some(stages) = StagesPlot::of(results) {
        let findings = results.findings();
        let best = findings.finalist.as_ref().map_or("#best", Finalist::heading);
        parts.push(stage_table(&stages, best).to_markdown());
    }
    parts.extend(nodes::nodes(results).map(|table| table.to_markdown()));
    parts.extend(nodes::sentences(results).iter().map(|text| format!("{}.", escape(text))));
    parts.extend(
        results.dropped().sentences().iter().map(|sentence| format!("{}.", escape(sentence))),
    );
    parts.push(format!(
        "{}. {}.",
        breakdown.trials_line(),
        breakdown.time_line(results.tune.budget_s)
    ));
    parts.extend(summary::cut_short(results).map(|sentence| format!("{sentence}.")));
    parts.extend(
        results.lost.iter().map(|lost| format!("{}.", escape(&format!("trials.csv: {lost}")))),
    );
    parts.iter().map(|part| format!("{}\n", part.trim_end())).collect::<Vec<_>>().join("\n")
}

/// Busy seconds per clip of every stage.
fn stage_table(stages: &StagesPlot, best: &'static str) -> Table {
    let mut table = Table::new(["busy seconds per clip", "#baseline", best]);
    let digits = |value: Option<f64>| value.map(number::digits).unwrap_or_default();
    for row in &stages.rows {
        table.row([row.name.to_owned(), digits(row.baseline_s), digits(row.best_s)]);
    }
    table
}

/// Text between backticks: as many as it takes.
fn code(text: &str) -> String {
    let text = crate::io::printable::line(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let blank = if longest > 0 { " " } else { "" };
    format!("{fence}{blank}{text}{blank}{fence}")
}

/// Puts the report between [`BEGIN`] and [`END`] of a Markdown file, each a line of its own; all
/// else in the file stays as it is.
///
/// # Errors
/// The file can't be read or written, or does not hold each marker once, in this order.
pub fn splice(path: &Path, results: &Results) -> Result<()> {
    let place = || path.display().to_string();
    let old = input::text(path, LARGEST_BYTES).with_context(place)?;
    let new = spliced(&old, &markdown(results)).with_context(place)?;
    if new == old { Ok(()) } else { atomic_write::replace(path, new.as_bytes()) }
}

fn spliced(old: &str, text: &str) -> Result<String> {
    let line_of = |marker: &str| -> Result<usize> {
        let lines: Vec<usize> = old
            .lines()
            .enumerate()
            .filter(|(_, line)| line.trim() == marker)
            .map(|(number, _)| number)
            .collect();
        match lines.as_slice() {
            [line] => Ok(*line),
            [] => bail!("no line `{marker}`: the report goes between `{BEGIN}` and `{END}`"),
            [_, again, ..] => bail!("line {}: `{marker}` stands there again", again + 1),
        }
    };
    let (begin, end) = (line_of(BEGIN)?, line_of(END)?);
    if begin > end {
        bail!("line {}: `{END}` stands before `{BEGIN}`", end + 1);
    }
    let lines: Vec<&str> = old.split_inclusive('\n').collect();
    let new = format!("\n{text}\n");
    // The file's own line ends.
    let new = if lines[begin].ends_with("\r\n") { new.replace('\n', "\r\n") } else { new };
    Ok(format!("{}{new}{}", lines[..=begin].concat(), lines[end..].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let file = format!("a\n{BEGIN}\nold\n{END}\nb");
        let once = spliced(&file, "new\n").unwrap();
        assert_eq!(once, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb"));
        assert_eq!(spliced(&once, "new\n").unwrap(), once);
        let [file, once] = [file, once].map(|text| text.replace('\n', "\r\n"));
        assert_eq!(spliced(&file, "new\n").unwrap(), once);
        assert_eq!(spliced(&once, "new\n").unwrap(), once);
    }

    #[test]
    fn a_file_without_its_markers_is_refused() {
        let refused = |file: &str| spliced(file, "new").unwrap_err().to_string();
        assert!(refused("a").starts_with(&format!("no line `{BEGIN}`")));
        assert!(refused(BEGIN).starts_with(&format!("no line `{END}`")));
        assert!(refused(&format!("{END}\n{BEGIN}\n")).starts_with("line 1:"));
        assert!(refused(&format!("{BEGIN}\n{END}\n{BEGIN}\n")).starts_with("line 3:"));
    }

    #[test]
    fn code_with_backticks_stays_code() {
        assert_eq!(code("a b"), "`a b`");
        assert_eq!(code("a `b`"), "`` a `b` ``");
    }
}
