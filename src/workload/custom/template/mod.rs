//! Template: a command's words with placeholders for the values of knobs.
//!
//! `{blocks}` stands for a value; `{blocks=20}` says too what it is today; `{compile:--compile}` is
//! there while a switch is on. `{{blocks}}` is the text `{blocks}`. No other braces are looked at:
//! neither JSON nor `${HOME}`. Trials, `exec` and exports fill words in here and nowhere else, and
//! whatever the values are, a placeholder becomes no more words than its user wrote.

mod substitution;

use super::sizes::OwnSizes;
use crate::knobs::Values;

pub use substitution::Substitution;

/// One placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placeholder<'w> {
    /// All of it, with its braces.
    pub whole: &'w str,
    /// The knob.
    pub name: &'w str,
    /// The value that it has today.
    pub today: Option<&'w str>,
    /// What is there while a switch is on.
    pub words: Option<&'w str>,
}

/// A part of a word.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'w> {
    Text(&'w str),
    /// A placeholder in braces of its own, without these.
    Escaped(&'w str),
    Placeholder(Placeholder<'w>),
}

impl<'w> Placeholder<'w> {
    /// The placeholder with which `text` begins.
    fn at(text: &'w str) -> Option<Self> {
        let inner = text.strip_prefix('{')?;
        let inner = &inner[..inner.find(['{', '}'])?];
        let whole = text.get(..inner.len() + 2).filter(|whole| whole.ends_with('}'))?;
        let length = name_length(inner);
        let (name, rest) = inner.split_at(length);
        let some = |text: &'w str| Some(text).filter(|text| !text.is_empty());
        let (today, words) = match (rest.chars().next(), rest.get(1..)) {
            (None, _) => (None, None),
            // Python's own `{x=!r}`.
            (Some('='), Some(today)) if today.starts_with('!') => return None,
            (Some('='), Some(today)) => match today.split_once(':') {
                Some((today, words)) => (Some(some(today)?), Some(some(words)?)),
                None => (Some(some(today)?), None),
            },
            (Some(':'), Some(words)) => (None, Some(some(words)?)),
            _ => return None,
        };
        (length > 0).then_some(Self { whole, name, today, words })
    }

    /// Whether nothing but a placeholder looks like it: other programs have `{name}` and `{x:.2f}`.
    fn is_certain(&self) -> bool {
        self.today.is_some() || self.is_option()
    }

    /// Whether it stands for an option that is there or not.
    pub fn is_option(&self) -> bool {
        self.words.is_some_and(|words| words.starts_with('-'))
    }
}

/// How long the name is with which `text` begins: letters, digits and `_`, a letter first.
fn name_length(text: &str) -> usize {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let length = text.find(|c| !is_name(c)).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_lowercase()) { length } else { 0 }
}

fn pieces(word: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut begin, mut at) = (Vec::new(), 0, 0);
    while let Some(open) = word[at..].find('{').map(|open| at + open) {
        let rest = &word[open..];
        let braces = rest.len() - rest.trim_start_matches('{').len();
        if word[..open].ends_with('$') {
            at = open + braces;
            continue;
        }
        let escaped = rest.strip_prefix('{').and_then(Placeholder::at);
        let escaped = escaped.filter(|inner| rest[inner.whole.len() + 1..].starts_with('}'));
        let (piece, length) = match (escaped, Placeholder::at(rest)) {
            (Some(inner), _) => (Piece::Escaped(inner.whole), inner.whole.len() + 2),
            (None, Some(found)) => (Piece::Placeholder(found), found.whole.len()),
            (None, None) => {
                at = open + 1;
                continue;
            }
        };
        pieces.extend([Piece::Text(&word[begin..open]), piece]);
        (begin, at) = (open + length, open + length);
    }
    pieces.push(Piece::Text(&word[begin..]));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

/// The placeholders of a word.
pub fn placeholders(word: &str) -> Vec<Placeholder<'_>> {
    let placeholder = |piece| match piece {
        Piece::Placeholder(placeholder) => Some(placeholder),
        _ => None,
    };
    pieces(word).into_iter().filter_map(placeholder).collect()
}

/// Whether a word is code, JSON or a prompt, in which other braces than ours are usual.
fn is_text(word: &str) -> bool {
    let is_alone = matches!(pieces(word)[..], [Piece::Placeholder(_)]);
    !is_alone && word.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`'))
}

/// The placeholders of a command that stand for a knob if any do, each with the number of its word:
/// what `is_known` by name, and what looks like one beside others.
pub fn meant<'w>(
    words: &'w [String],
    is_known: &dyn Fn(&str) -> bool,
) -> Vec<(usize, Placeholder<'w>)> {
    let of_word = |(number, word): (usize, &'w String)| {
        let is_text = is_text(word);
        let kept = move |one: &Placeholder<'_>| !is_text || is_known(one.name);
        placeholders(word).into_iter().filter(kept).map(move |one| (number, one))
    };
    words.iter().enumerate().flat_map(of_word).collect()
}

/// A brace that opens what `is_known` but is no placeholder, such as one around another.
pub fn torn<'w>(words: &'w [String], is_known: &dyn Fn(&str) -> bool) -> Option<&'w str> {
    words.iter().flat_map(|word| pieces(word)).find_map(|piece| {
        let Piece::Text(text) = piece else { return None };
        text.split_inclusive('{').skip(1).zip(text.match_indices('{')).find_map(|(_, (at, _))| {
            let inner = &text[at + 1..];
            let (name, rest) = inner.split_at(name_length(inner));
            (is_known(name) && rest.starts_with(['=', ':'])).then_some(&text[at..])
        })
    })
}

/// Whether a value below zero in the place of `one`, after `before`, could be read as an option: at
/// the beginning of a word, in a text of whatever may be one there. Whoever wrote such a value for
/// today means it.
fn may_begin_option(one: &Placeholder<'_>, before: &str, is_text: bool) -> bool {
    let is_within = |c: char| c.is_alphanumeric() || "=:,_./+[".contains(c);
    let is_told = one.today.is_some_and(|today| today.starts_with('-'));
    let begins = if is_text { !before.ends_with(is_within) } else { before.is_empty() };
    one.words.is_none() && !is_told && begins
}

/// Why `one` can't stand in a word where its knob has the value `text`, which is below zero.
pub fn refused_below_zero(word: &str, one: &Placeholder<'_>, text: &str) -> Option<String> {
    let is_text = is_text(word);
    let mut places = word.match_indices(one.whole).map(|(at, _)| &word[..at]);
    let begins = places.any(|before| may_begin_option(one, before, is_text));
    begins.then(|| no_option(one, text, is_text))
}

/// A value must not turn into an option that nobody wrote.
fn no_option(one: &Placeholder<'_>, text: &str, is_text: bool) -> String {
    let Placeholder { whole, name, .. } = one;
    if is_text {
        return format!(
            "`{text}` here could be an option: write --NAME={whole}, or {{{name}={text}}} if it may be one"
        );
    }
    format!(
        "`{text}` at its beginning would be an option: write --NAME={whole} as one word, or \
         {{{name}={text}}} where such a value runs today"
    )
}

/// Words for on and off, off first.
pub const SWITCHES: [[&str; 2]; 4] = [["off", "on"], ["false", "true"], ["no", "yes"], ["0", "1"]];

/// The switch that a word stands for.
pub fn switch(word: &str) -> Option<bool> {
    let is = |place: usize| SWITCHES.iter().any(|pair| pair[place].eq_ignore_ascii_case(word));
    if is(1) { Some(true) } else { is(0).then_some(false) }
}

/// A text as a word that is filled in as that text.
pub fn literal(text: &str) -> String {
    let part = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Escaped(text) => format!("{{{{{text}}}}}"),
        Piece::Placeholder(one) => format!("{{{}}}", one.whole),
    };
    pieces(text).into_iter().map(part).collect()
}

/// The word of a command whose user declared the knobs of `today`: in a text each placeholder says
/// what it is today, as `exec` wants it there.
pub fn declared(word: &str, today: &Values) -> String {
    if is_text(word) { with_today(word, today) } else { word.to_owned() }
}

/// The word with the numbers of `sizes` in the place of their names.
pub fn sized(word: &str, sizes: &OwnSizes) -> String {
    let part = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Escaped(text) => format!("{{{text}}}"),
        Piece::Placeholder(one) => match sizes.get(one.name).filter(|_| one.words.is_none()) {
            Some(size) => size.to_string(),
            None => one.whole.to_owned(),
        },
    };
    pieces(word).into_iter().map(part).collect()
}

/// The word with what each of its placeholders is today, by `today`.
pub fn with_today(word: &str, today: &Values) -> String {
    let part = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Escaped(text) => format!("{{{text}}}"),
        Piece::Placeholder(one) => match today.get(one.name) {
            None => one.whole.to_owned(),
            Some(value) => {
                let words = one.words.map(|words| format!(":{words}")).unwrap_or_default();
                format!("{{{}={value}{words}}}", one.name)
            }
        },
    };
    pieces(word).into_iter().map(part).collect()
}
