//! Terminal: words for people, broken between words where a terminal would break them anywhere.
//! Nothing that others wrote can steer it.

pub mod progress;
pub mod signals;

use anyhow::Result;
use console::Term;
use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter, wrap};

use crate::io::{output, printable};

/// Columns that are room for words; a row of a table with less is left to the terminal.
const LEAST: usize = 12;

/// Prints words for people to stdout. What programs read, or is to be copied, goes through
/// [`output::print`] and [`output::print_json`].
///
/// # Errors
/// As [`output::print`].
pub fn show(text: &str) -> Result<()> {
    output::print(&fitted(&printable::lines(text), &Term::stdout()))
}

/// Says a sentence on stderr; where that can't be written, it is lost.
pub fn tell(sentence: &str) {
    output::say(&fitted(&printable::lines(sentence), &Term::stderr()));
}

/// As wide as the terminal allows; as it is in a pipe or a file, where lines are for programs.
pub fn fitted(text: &str, term: &Term) -> String {
    match term.size_checked() {
        Some((_, columns)) => broken(text, columns.into()),
        None => text.to_owned(),
    }
}

/// Every line in as many as it takes for them to have at most `width` columns. What follows two
/// blanks stands in a column of its own, and goes on below its beginning.
fn broken(text: &str, width: usize) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| line_broken(line, width)).collect();
    lines.join("\n")
}

fn line_broken(line: &str, width: usize) -> String {
    let start = line.rfind("  ").map_or(0, |blanks| blanks + 2);
    let (head, words) = line.split_at(start);
    let indent = display_width(head);
    if display_width(line) <= width || width < indent + LEAST || is_typed(words) {
        return line.to_owned();
    }
    let options = Options::new(width - indent)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    format!("{head}{}", wrap(words, options).join(&format!("\n{}", " ".repeat(indent))))
}

/// Whether the words are a command: it is copied as one line.
fn is_typed(words: &str) -> bool {
    ["wan22-tune ", "-> "].iter().any(|start| words.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_break_between_words() {
        let text = "note: affinity one-l3 rests\n\nas it is\n";
        let narrow = "note: affinity\none-l3 rests\n\nas it is\n";
        assert_eq!(broken(text, 16), narrow);
        assert_eq!(broken(text, 27), text);
        assert_eq!(broken("/a/path/that/is/long wide", 14), "/a/path/that/is/long\nwide");
    }

    #[test]
    fn a_last_column_goes_on_below_its_beginning() {
        let line = "! boost  off: slow clocks only";
        assert_eq!(broken(line, 22), "! boost  off: slow\n         clocks only");
        // 7 columns are no room.
        let (row, command) = ("a long name  1 2 3 4 5", "Use it   wan22-tune exec --profile a");
        assert_eq!(broken(row, 20), row);
        assert_eq!(broken(command, 20), command);
    }
}
