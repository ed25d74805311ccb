//! Template: a command's words with placeholders for the values of knobs.
//!
//! `{blocks}` stands for a value; `{blocks=20}` says too what it is today; `{compile:--compile}` is
//! there while a switch is on. `{{blocks}}` is the text `{blocks}`. No other braces are looked at:
//! neither JSON nor `${HOME}`. Trials, `exec` and exports fill words in here and nowhere else, and
//! whatever the values are, a placeholder becomes no more words than its user wrote.

use std::ffi::OsString;

use crate::knobs::{Value, Values, program_environment};

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

/// What a command's words are filled with.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    values: &'a Values,
    own: &'a Values,
    has_knobs: bool,
}

impl<'a> Filling<'a> {
    /// Fills `words` with the `values` of all knobs, of which the command has some of its `own`.
    /// Where it has none and no word has a placeholder that is certainly one, braces mean nothing.
    pub fn of(words: &[OsString], values: &'a Values, own: &'a Values) -> Self {
        let texts = words.iter().filter_map(|word| word.to_str()).filter(|word| !is_text(word));
        let is_ours = |one: Placeholder<'_>| one.is_certain() || values.contains_key(one.name);
        let has_knobs = !own.is_empty() || texts.flat_map(placeholders).any(is_ours);
        Self { values, own, has_knobs }
    }

    /// The words that a program is started with. Those that are no text stay as they are.
    ///
    /// # Errors
    /// The word, what is wrong with it, and what to write instead.
    pub fn words(&self, words: &[OsString]) -> Result<Vec<OsString>, String> {
        let mut filled = Vec::new();
        for (number, word) in words.iter().enumerate() {
            match word.to_str().filter(|_| self.has_knobs) {
                Some(text) => filled.extend(self.word(text).map_err(|problem| {
                    format!("word {} of the command, `{text}`: {problem}", number + 1)
                })?),
                None => filled.push(word.clone()),
            }
        }
        Ok(filled)
    }

    /// What becomes of one word: none where it is a switch that is off.
    fn word(&self, word: &str) -> Result<Vec<OsString>, String> {
        let (is_text, pieces) = (is_text(word), pieces(word));
        if let [Piece::Placeholder(alone @ Placeholder { words: Some(words), .. })] = &pieces[..] {
            let words = self.is_on(alone)?.then(|| words.split_whitespace());
            return Ok(words.into_iter().flatten().map(OsString::from).collect());
        }
        let mut filled = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) | Piece::Escaped(text) => filled += text,
                Piece::Placeholder(one) if is_text && !self.own.contains_key(one.name) => {
                    filled += one.whole;
                }
                Piece::Placeholder(one) => {
                    let text = self.text(&one)?;
                    if filled.is_empty() && text.starts_with('-') && one.words.is_none() {
                        return Err(no_option(&one, &text));
                    }
                    filled += &text;
                }
            }
        }
        Ok(vec![filled.into()])
    }

    fn is_on(&self, one: &Placeholder<'_>) -> Result<bool, String> {
        match self.values.get(one.name) {
            Some(Value::Switch(is_on)) => Ok(*is_on),
            Some(value) => Err(format!("`{}`: {value} is no switch", one.whole)),
            None => match one.today {
                Some(today) => {
                    let odd = || format!("`{}`: {today} is no switch", one.whole);
                    switch(today).ok_or_else(odd)
                }
                None if one.is_certain() => Ok(false),
                None => Err(unknown(one)),
            },
        }
    }

    fn text(&self, one: &Placeholder<'_>) -> Result<String, String> {
        if let Some(words) = one.words {
            return Ok(if self.is_on(one)? { words.to_owned() } else { String::new() });
        }
        let Some(value) = self.values.get(one.name) else {
            return one.today.map(ToOwned::to_owned).ok_or_else(|| unknown(one));
        };
        program_environment::custom_value(value)?;
        Ok(value.to_string())
    }
}

/// A value must not turn into an option that nobody wrote.
pub fn no_option(one: &Placeholder<'_>, text: &str) -> String {
    format!("`{text}` at its beginning would be an option: write --NAME={} as one word", one.whole)
}

fn unknown(one: &Placeholder<'_>) -> String {
    let Placeholder { whole, name, .. } = one;
    format!(
        "there is no value of `{name}`: write {{{name}=VALUE}} to say which it is then, or {{{whole}}} \
         for the text {whole}"
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

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        let word = |text: &str| Value::Word(text.to_owned());
        let values = [
            ("blocks", Value::Integer(12)),
            ("attention", word("sage")),
            ("threshold", Value::float(0.05).unwrap()),
            ("compile", Value::Switch(true)),
            ("fast", Value::Switch(false)),
            ("shift", Value::Integer(-3)),
        ];
        values.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn fill(words: &[&str], own: &Values) -> Result<Vec<String>, String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let filled = Filling::of(&words, own, own).words(&words)?;
        Ok(filled.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn values_stand_where_the_user_wrote_their_names() {
        for (word, expected) in [
            ("{blocks}", &["12"][..]),
            ("{blocks=20}", &["12"]),
            ("--swap={blocks},{attention=sdpa}", &["--swap=12,sage"]),
            ("{threshold}", &["0.05"]),
            ("{compile:--compile}", &["--compile"]),
            ("{compile=off:--compile --mode max}", &["--compile", "--mode", "max"]),
            ("{fast:--fast}", &[]),
            ("a{fast:,fp8}b{compile:,compiled}", &["ab,compiled"]),
            ("{compile}", &["true"]),
            ("--shift={shift}", &["--shift=-3"]),
            ("gen --swap {blocks} | tee log", &["gen --swap 12 | tee log"]),
            (r#"{"swap":{blocks},"of":{"fast":1}}"#, &[r#"{"swap":12,"of":{"fast":1}}"#]),
        ] {
            assert_eq!(fill(&[word], &values()).unwrap(), expected, "{word}");
        }
    }

    #[test]
    fn other_braces_are_left_alone() {
        for word in [
            r#"{"a":1}"#,
            r#"{"a":{"b":[1,2]}}"#,
            "${blocks}",
            "${{blocks}}",
            "{}",
            "{0}",
            "{a,b}",
            "{1..5}",
            "{Blocks}",
            "{{ blocks }}",
            r#"print(f"{x} {y:.2f} {z=}")"#,
            "a fox {red|blue} {running}",
        ] {
            assert_eq!(fill(&[word], &values()).unwrap(), [word]);
            assert_eq!(fill(&[word], &Values::new()).unwrap(), [word]);
            assert_eq!(fill(&[&literal(word)], &values()).unwrap(), [word], "literally");
        }
        // Of a command without knobs not even names are looked at.
        let plain = ["out_{step}.mp4", "{{step}}", "{blocks}"];
        assert_eq!(fill(&plain, &Values::new()).unwrap(), plain);
        assert_eq!(fill(&["{{blocks}}", "x{{step}}"], &values()).unwrap(), ["{blocks}", "x{step}"]);
        assert_eq!(fill(&[&literal("{{blocks}}{fast}")], &values()).unwrap(), ["{{blocks}}{fast}"]);
    }

    #[test]
    fn without_a_value_the_word_says_what_is_then() {
        let words = ["--swap", "{blocks=20}", "{compile:--compile}", "{fast=on:--fast}"];
        assert_eq!(fill(&words, &Values::new()).unwrap(), ["--swap", "20", "--fast"]);
        let refused = fill(&["x", "out_{step}.mp4"], &values()).unwrap_err();
        assert_eq!(
            refused,
            "word 2 of the command, `out_{step}.mp4`: there is no value of `step`: write {step=VALUE} \
             to say which it is then, or {{step}} for the text {step}"
        );
    }

    #[test]
    fn a_value_can_not_become_words_or_options() {
        let refused = fill(&["{shift}"], &values()).unwrap_err();
        assert!(refused.contains("`-3` at its beginning would be an option"), "{refused}");
        for evil in ["-rf", "--exec=x", "a b", "a\nb", "a\0b", "../x", "/bin/sh", "$(x)", ""] {
            let own = Values::from([("a".to_owned(), Value::Word(evil.to_owned()))]);
            assert!(fill(&["x={a}"], &own).is_err(), "{evil:?}");
        }
        let own = Values::from([("a".to_owned(), Value::Word("--evil".to_owned()))]);
        assert!(fill(&["{a:--mine}"], &own).unwrap_err().contains("is no switch"));
    }

    #[test]
    fn what_is_today_is_written_into_the_words() {
        let today = |word| with_today(word, &values());
        assert_eq!(today("--swap={blocks}"), "--swap={blocks=12}");
        assert_eq!(today("{fast:--fast}"), "{fast=false:--fast}");
        assert_eq!(today("{{blocks}} {other} {\"a\":1}"), "{{blocks}} {other} {\"a\":1}");
        let words = ["{blocks:{fast}}".to_owned()];
        assert_eq!(torn(&words, &|name| name == "blocks"), Some("{blocks:"));
        assert_eq!(torn(&words, &|name| name == "fast"), None);
    }
}
