//! Table: rows of text, for a terminal, for Markdown and for a page.

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
    pub fn new<'a>(titles: impl IntoIterator<Item = &'a str>) -> Self {
        let column = |title: &str| match title.strip_prefix('#') {
            Some(title) => Column { title: title.to_owned(), numbers: true },
            None => Column { title: title.to_owned(), numbers: false },
        };
        Self { columns: titles.into_iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Text with aligned columns, one line a row, two blanks between columns.
    pub fn to_terminal(&self) -> String {
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.clone()).collect();
        let lines = std::iter::once(&titles).chain(&self.rows);
        let width = |i: usize| lines.clone().map(|row| plain(&row[i]).chars().count()).max();
        let widths: Vec<usize> =
            (0..self.columns.len()).map(|i| width(i).unwrap_or_default()).collect();
        let mut text = String::new();
        for row in lines {
            let cells =
                row.iter().zip(&self.columns).zip(&widths).map(|((cell, column), width)| {
                    let cell = plain(cell);
                    if column.numbers {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
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

/// Without control characters, which could steer a terminal or break a file.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// As Markdown that shows `text` as it is.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in plain(text).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '\\' | '`' | '*' | '[' | ']' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}
