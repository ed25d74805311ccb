//! Printable: text that others wrote, as it may be shown to people.
//!
//! Names, notes and messages come from files, folders and programs of others. A control character
//! in them could steer a terminal, an invisible one could show another text than there is, and a
//! spreadsheet takes a cell for a formula. Whatever is printed passes here.

use std::fmt::Write;

/// A text in one line: what can't be seen becomes a blank, line ends and tabs as well.
pub fn line(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).collect()
}

/// As [`line()`], but keeps line ends and tabs.
pub fn lines(text: &str) -> String {
    let hides = |c: char| is_hidden(c) && !matches!(c, '\n' | '\t');
    text.chars().map(|c| if hides(c) { ' ' } else { c }).collect()
}

/// JSON with the same values, in which hidden characters are escaped.
///
/// JSON's own rules escape some of them only. Between its values there is no other whitespace
/// than line ends and blanks, so all others stand within strings.
pub fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && !matches!(c, '\n' | '\r' | '\t') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// A cell of a CSV file that people open with a spreadsheet: one line, and with an apostrophe
/// before what would be run as a formula there. A number stays as it is.
pub fn cell(text: &str) -> String {
    let runs = |c: char| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
    let shown = line(text);
    let is_formula = text.starts_with(['\t', '\r', '\n']) || shown.trim_start().starts_with(runs);
    let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
    if is_formula && !is_number { format!("'{shown}") } else { shown }
}

/// Whether a character acts on a terminal or can't be seen.
pub fn is_hidden(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// Characters that turn the direction of writing, join, separate or fill, without being seen.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}'
            | '\u{034F}'
            | '\u{061C}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// The first twelve of a list, and how many more there are.
pub fn shortened(words: &[String]) -> String {
    const MOST: usize = 12;
    match words.len() {
        n if n > MOST => format!("{} and {} more", words[..MOST].join(", "), n - MOST),
        _ => words.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A title for the terminal, a C1 sequence, a bidirectional override, a tag character.
    const HOSTILE: &str = "a\x1b]0;owned\x07b\u{9b}31mc\u{202e}d\u{e0041}e";

    #[test]
    fn nothing_that_acts_on_a_terminal_is_left() {
        assert_eq!(line(HOSTILE), "a ]0;owned b 31mc d e");
        assert_eq!(line("a\nb\tc\r\nd"), "a b c  d");
        assert_eq!(lines("a\nb\tc\r\nd\x7f"), "a\nb\tc \nd ");
        assert_eq!(line("Größe 東京 é ✓ │"), "Größe 東京 é ✓ │");
    }

    #[test]
    fn json_keeps_its_values_and_hides_nothing() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, "Größe"] });
        let text = json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(|c| is_hidden(c) && c != '\n'), "{text:?}");
        assert!(text.contains("\\u009b31mc\\u202ed\\udb40\\udc41e"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn formulas_are_quoted_and_numbers_are_not() {
        for number in ["-1.5", "+2", "1e-3", "0", "", "none", "epyc-9754", "a=b"] {
            assert_eq!(cell(number), number);
        }
        assert_eq!(cell("=HYPERLINK(\"x\")"), "'=HYPERLINK(\"x\")");
        for formula in ["+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", " =1+1", "＝1", "-inf", "-nan"]
        {
            assert_eq!(cell(formula), format!("'{formula}"));
        }
        assert_eq!(cell("\t=1"), "' =1");
        assert_eq!(cell("\r1"), "' 1");
        assert_eq!(cell("a\x1b[2Jb"), "a [2Jb");
    }
}
