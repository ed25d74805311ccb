//! Table: rows of text, for a terminal, for Markdown and for a page.

pub mod facts;
pub mod fidelity;
pub mod nodes;
pub mod pictures;
pub mod time_breakdown;
pub mod trials;
pub mod usage;
pub mod work;

use crate::io::printable::line as plain;

/// One table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The cells, row by row; every row has as many as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What stands above it, with the unit.
    pub title: String,
    /// Whether it holds numbers, which stand to the right.
    pub numbers: bool,
}

impl Table {
    /// A table without rows; a title that starts with `#` is one of a column of numbers.
    pub fn new<T: AsRef<str>>(titles: impl IntoIterator<Item = T>) -> Self {
        let column = |title: T| match title.as_ref().strip_prefix('#') {
            Some(title) => Column { title: title.to_owned(), numbers: true },
            None => Column { title: title.as_ref().to_owned(), numbers: false },
        };
        Self { columns: titles.into_iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Text with aligned columns, one line per row, two blanks between columns; what is longer than
    /// any sensible cell is cut.
    pub fn to_terminal(&self) -> String {
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.clone()).collect();
        let rows = std::iter::once(&titles).chain(&self.rows);
        let rows: Vec<Vec<String>> =
            rows.map(|row| row.iter().map(|cell| clipped(&plain(cell))).collect()).collect();
        let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max();
        let widths: Vec<usize> =
            (0..self.columns.len()).map(|i| width(i).unwrap_or_default()).collect();
        let mut text = String::new();
        for row in &rows {
            let cells =
                row.iter().zip(&self.columns).zip(&widths).map(|((cell, column), width)| {
                    let blanks = " ".repeat(width - cell.chars().count());
                    if column.numbers {
                        format!("{blanks}{cell}")
                    } else {
                        format!("{cell}{blanks}")
                    }
                });
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// A table of GitHub's Markdown.
    pub fn to_markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let rule = |column: &Column| if column.numbers { "---:" } else { "---" }.to_owned();
        let mut text = line(self.columns.iter().map(|c| escape(&c.title)).collect());
        text.push_str(&line(self.columns.iter().map(rule).collect()));
        for row in &self.rows {
            text.push_str(&line(row.iter().map(|cell| escape(cell)).collect()));
        }
        text
    }
}

/// What breaks a name or an address in Markdown, and is not shown.
const BREAK: &str = "<!-- -->";

/// The most characters of a cell on a terminal.
const LONGEST: usize = 200;

fn clipped(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some(_) => text.chars().take(LONGEST - 1).chain(['\u{2026}']).collect(),
        None => text.to_owned(),
    }
}

/// As Markdown that shows `text` as it is: a name in it calls nobody, an address is no link.
pub fn escape(text: &str) -> String {
    let text = plain(text);
    let mut escaped = String::new();
    for (at, c) in text.char_indices() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '\\' | '`' | '*' | '[' | ']' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
        if is_live(&text[..at], c, &text[at + c.len_utf8()..]) {
            escaped.push_str(BREAK);
        }
    }
    escaped
}

/// Whether `c` is where a mention, a reference to an issue or an address begins to be one.
fn is_live(before: &str, c: char, after: &str) -> bool {
    let is_www = |before: &str| {
        let start = before.len().saturating_sub(2);
        before.get(start..).is_some_and(|ww| ww.eq_ignore_ascii_case("ww"))
    };
    match c {
        '@' => true,
        '#' => after.starts_with(|c: char| c.is_ascii_digit()),
        ':' => after.starts_with("//"),
        'w' | 'W' => after.starts_with('.') && is_www(before),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_of_any_length_has_room() {
        let mut table = Table::new(["name", "#number"]);
        table.row(["é".repeat(70_000), "1".to_owned()]);
        table.row(["b".to_owned(), "23".to_owned()]);
        let text = table.to_terminal();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 208), "{text}");
        assert!(lines[1].ends_with("\u{e9}\u{2026}       1"), "{text}");
        assert!(lines[2].ends_with("  23"), "{text}");
    }

    #[test]
    fn no_text_calls_somebody_or_leads_somewhere() {
        assert_eq!(escape("@team, a@b.example"), "@<!-- -->team, a@<!-- -->b.example");
        assert_eq!(escape("see HTTPS://x.example/a"), "see HTTPS:<!-- -->//x.example/a");
        assert_eq!(escape("Www.x.example, ww.x"), "Www<!-- -->.x.example, ww.x");
        assert_eq!(escape("fixes #12, knob #: a:b"), "fixes #<!-- -->12, knob #: a:b");
        assert_eq!(escape("a|b <i> \x1b[2J"), "a\\|b &lt;i&gt;  \\[2J");
    }
}
