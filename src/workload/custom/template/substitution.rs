//! Substitution: values in the place of placeholders.

use std::ffi::OsString;

use super::{
    Piece, Placeholder, is_text, may_begin_option, no_option, pieces, placeholders, switch,
};
use crate::io::shell;
use crate::knobs::{Value, Values, program_environment};

/// What a command's words are filled with.
#[derive(Clone, Copy, Debug)]
pub struct Substitution<'a> {
    values: &'a Values,
    own: &'a Values,
    has_knobs: bool,
}

impl<'a> Substitution<'a> {
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
            let words = if self.is_on(alone)? { shell::parted(words)? } else { Vec::new() };
            return Ok(words.into_iter().map(OsString::from).collect());
        }
        let mut filled = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) | Piece::Escaped(text) => filled += text,
                Piece::Placeholder(one) if is_text && !self.is_filled_in_text(&one) => {
                    filled += one.whole;
                }
                Piece::Placeholder(one) => {
                    let text = self.text(&one)?;
                    if text.starts_with('-') && may_begin_option(&one, &filled, is_text) {
                        return Err(no_option(&one, &text, is_text));
                    }
                    filled += &text;
                }
            }
        }
        Ok(vec![filled.into()])
    }

    /// In code and prompts other braces are usual, and whoever made the profile chose its names: only
    /// a placeholder that says what it is today was meant as one.
    fn is_filled_in_text(&self, one: &Placeholder<'_>) -> bool {
        one.today.is_some() && self.own.contains_key(one.name)
    }

    /// The placeholders that stay as they are in texts although a knob has that name, with the cure.
    pub fn left(&self, words: &[OsString]) -> Vec<String> {
        let texts = words.iter().filter_map(|word| word.to_str()).filter(|word| is_text(word));
        let left = texts.flat_map(placeholders).filter(|one| !self.is_filled_in_text(one));
        let known = left.filter(|one| self.values.contains_key(one.name));
        let line = |one: Placeholder<'_>| {
            let Placeholder { whole, name, words, .. } = one;
            let cure = match (self.own.contains_key(name), words) {
                (true, None) => format!("write {{{name}=VALUE}}, what it is without a profile"),
                (true, Some(words)) => format!("write {{{name}=off:{words}}}"),
                (false, _) => {
                    let variable = program_environment::variable(name);
                    format!("write it as a word of its own, or read the variable {variable}")
                }
            };
            format!("`{whole}` in a text stays as it is: for the knob's value {cure}")
        };
        known.map(line).collect()
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

fn unknown(one: &Placeholder<'_>) -> String {
    let Placeholder { whole, name, .. } = one;
    format!(
        "there is no value of `{name}`: write {{{name}=VALUE}} to say which it is then, or {{{whole}}} \
         for the text {whole}"
    )
}

#[cfg(test)]
mod tests {
    use super::super::{literal, torn, with_today};
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
        let filled = Substitution::of(&words, own, own).words(&words)?;
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
            (r#"{compile:--as "a b"}"#, &["--as", "a b"]),
            ("a{fast:,fp8}b{compile:,compiled}", &["ab,compiled"]),
            ("{compile}", &["true"]),
            ("--shift={shift}", &["--shift=-3"]),
            ("gen --swap {blocks=20} | tee log", &["gen --swap 12 | tee log"]),
            ("gen {compile=off:--compile --all} x", &["gen --compile --all x"]),
            (r#"{"swap":{blocks=20},"of":{"fast":1}}"#, &[r#"{"swap":12,"of":{"fast":1}}"#]),
            ("gen --shift={shift=3} x", &["gen --shift=-3 x"]),
            ("gen --shift {shift=-1} x", &["gen --shift -3 x"]),
        ] {
            assert_eq!(fill(&[word], &values()).unwrap(), expected, "{word}");
        }
    }

    /// Whoever made the profile chose its names and values.
    #[test]
    fn in_a_text_a_profile_alone_makes_no_placeholder_and_no_option() {
        let words = [
            r#"x=5; print(f"{blocks} {shift=!r} {fast:-5}")"#,
            "head {shift} file",
            "kill {shift}",
        ];
        assert_eq!(fill(&words, &values()).unwrap(), words);
        let count = |own: &Values| {
            let words = words.map(OsString::from);
            Substitution::of(&words, own, own).left(&words).len()
        };
        assert_eq!((count(&values()), count(&Values::new())), (4, 0));
        for text in ["kill {shift=1}", "a;{shift=1} b", "a '{shift=1}'", "a $({shift=1})"] {
            let refused = fill(&[text], &values()).unwrap_err();
            assert!(refused.contains("`-3` here could be an option"), "{text}: {refused}");
        }
    }

    #[test]
    fn what_a_tune_declares_is_meant_in_texts_too() {
        let declared = |word: &str| super::super::declared(word, &values());
        assert_eq!(declared("gen {blocks} {x} {{fast}}"), "gen {blocks=12} {x} {{fast}}");
        assert_eq!(declared("gen {fast:--fast}"), "gen {fast=false:--fast}");
        assert_eq!(declared("--swap={blocks}"), "--swap={blocks}");
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
    fn a_size_stands_wherever_its_name_does() {
        let sizes = [("frames".to_owned(), 17)].into();
        let sized = |word| super::super::sized(word, &sizes);
        assert_eq!(sized("--frames={frames}x{blocks}"), "--frames=17x{blocks}");
        assert_eq!(sized("gen {frames=81} {{frames}} {fps}"), "gen 17 {{frames}} {fps}");
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
