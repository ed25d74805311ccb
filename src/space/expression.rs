//! Expressions of space files: arithmetic and comparisons over the machine and the knobs.
//!
//! Space files and results folders come from anybody, so an expression can do nothing else: the
//! engine has no functions but those of [`FUNCTIONS`], and neither loops nor blocks.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, LazyLock};

use rhai::packages::{ArithmeticPackage, LogicPackage, Package};
use rhai::{AST, Array, Dynamic, Engine, EvalAltResult, Map, Scope};

use crate::knobs::Value;

use super::Given;

/// A compiled expression, equal to another with the same text.
#[derive(Clone)]
pub struct Expression {
    text: String,
    /// Every word of the text: what it names is among them.
    words: BTreeSet<String>,
    ast: Arc<AST>,
}

/// The functions that an expression may call.
const FUNCTIONS: [&str; 4] = ["min", "max", "abs", "contains"];

/// Bytes of one expression at the most. Without loops and functions of its own, its cost grows
/// with its length alone.
const LONGEST: usize = 2_000;

/// A limit beside that of the length, should a function turn out to be costly.
const MOST_OPERATIONS: u64 = 10_000;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut engine = Engine::new_raw();
    ArithmeticPackage::new().register_into_engine(&mut engine);
    LogicPackage::new().register_into_engine(&mut engine);
    // `value in [1, 2]` calls it.
    engine.register_fn("contains", |list: Array, number: i64| {
        list.iter().any(|item| amount(item) == Some(number as f64))
    });
    engine.register_fn("contains", |list: Array, number: f64| {
        list.iter().any(|item| amount(item) == Some(number))
    });
    engine.register_fn("contains", |list: Array, is_on: bool| {
        list.iter().any(|item| item.as_bool() == Ok(is_on))
    });
    engine.register_fn("contains", |list: Array, word: &str| {
        list.into_iter().any(|item| item.into_string().is_ok_and(|item| item == word))
    });
    engine.register_fn("contains", |range: Range<i64>, number: i64| range.contains(&number));
    engine
        .register_fn("contains", |range: RangeInclusive<i64>, number: i64| range.contains(&number));
    engine.register_fn("contains", |text: &str, part: &str| text.contains(part));
    engine.set_max_operations(MOST_OPERATIONS);
    engine.set_max_expr_depths(32, 8);
    engine.set_max_call_levels(8);
    engine.set_max_string_size(1_000);
    engine.set_max_array_size(100);
    engine.set_max_map_size(100);
    engine.set_allow_looping(false);
    engine.set_allow_anonymous_fn(false);
    engine.set_allow_statement_expression(false);
    engine
});

impl Expression {
    /// Compiles `text`.
    ///
    /// # Errors
    /// The parser's message, with its position, when `text` is no expression; a function that
    /// there is not; a text that is too long.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!(
                "an expression of {} bytes: give at most {LONGEST}, or several constraints",
                text.len()
            ));
        }
        if let Some(name) = called(text).find(|name| !FUNCTIONS.contains(name)) {
            return Err(no_function(name));
        }
        let ast = ENGINE.compile_expression(text).map_err(|error| error.to_string())?;
        let words = text.split(|c| !is_word(c)).map(str::to_owned).collect();
        Ok(Self { text: text.to_owned(), words, ast: Arc::new(ast) })
    }

    /// The text it was made from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value as a whole number.
    ///
    /// # Errors
    /// What is wrong: an unknown name, a value that is no number, an overflow.
    pub fn number(&self, given: &Given) -> Result<i64, String> {
        let value = self.evaluate(given, std::iter::empty())?;
        value.as_int().map_err(|kind| format!("`{}` gives a {kind}, not a whole number", self.text))
    }

    /// The value as a finite number, whole or not.
    ///
    /// # Errors
    /// As [`Expression::number`].
    pub fn amount(&self, given: &Given) -> Result<f64, String> {
        let value = self.evaluate(given, std::iter::empty())?;
        let finite = amount(&value).filter(|number| number.is_finite());
        finite.ok_or_else(|| format!("`{}` gives {value}, not a finite number", self.text))
    }

    /// The value as a truth.
    ///
    /// # Errors
    /// As [`Expression::number`].
    pub fn truth<'a>(
        &self,
        given: &Given,
        knobs: impl Iterator<Item = (&'a str, &'a Value)>,
    ) -> Result<bool, String> {
        let value = self.evaluate(given, knobs)?;
        value.as_bool().map_err(|kind| format!("`{}` gives a {kind}, not true or false", self.text))
    }

    /// The truth of an expression that resolution has already tried; a candidate for which it
    /// can't be worked out (a division by zero, say) does not keep it.
    pub fn is_true<'a>(
        &self,
        given: &Given,
        knobs: impl Iterator<Item = (&'a str, &'a Value)>,
    ) -> bool {
        self.truth(given, knobs).unwrap_or(false)
    }

    fn evaluate<'a>(
        &self,
        given: &Given,
        knobs: impl Iterator<Item = (&'a str, &'a Value)>,
    ) -> Result<Dynamic, String> {
        let mut scope = Scope::new();
        // Most expressions name two or three of some forty names.
        let is_named = |name: &str| self.words.contains(name);
        for (name, fact) in given.facts.iter().filter(|(name, _)| is_named(name)) {
            scope.push(name.as_str(), *fact);
        }
        if is_named("baseline") {
            let baseline: Map =
                given.baseline.iter().map(|(k, v)| (k.into(), dynamic(v))).collect();
            scope.push("baseline", baseline);
        }
        for (name, value) in knobs.filter(|(name, _)| is_named(name)) {
            scope.push_dynamic(name, dynamic(value));
        }
        ENGINE.eval_ast_with_scope(&mut scope, &self.ast).map_err(|error| match *error {
            EvalAltResult::ErrorFunctionNotFound(signature, _) => no_function(&signature),
            error => error.to_string(),
        })
    }
}

/// The number that a value is, whole or not.
fn amount(value: &Dynamic) -> Option<f64> {
    value.as_int().map(|whole| whole as f64).or_else(|_| value.as_float()).ok()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn no_function(name: &str) -> String {
    let functions = FUNCTIONS.join(", ");
    format!(
        "there is no function `{name}`: an expression takes arithmetic, comparisons, &&, ||, !, \
         in, and the functions {functions}"
    )
}

/// The names in `text` that an opening parenthesis follows, but for those in string literals.
/// Evaluation would refuse unknown ones too, but only where it comes to them.
fn called(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('(').filter_map(move |(at, _)| {
        let before = text[..at].trim_end();
        let start = before
            .rfind(|c| !is_word(c))
            .map_or(0, |end| end + before[end..].chars().next().map_or(1, char::len_utf8));
        let name = &before[start..];
        let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        (is_name && name != "in" && !is_quoted(&text[..at])).then_some(name)
    })
}

/// Whether a string literal is open at the end of `text`.
fn is_quoted(text: &str) -> bool {
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(_) if c == '\\' => drop(chars.next()),
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
    }
    quote.is_some()
}

fn dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Switch(is_on) => Dynamic::from(*is_on),
        Value::Integer(number) => Dynamic::from(*number),
        Value::Float(float) => Dynamic::from(float.get()),
        Value::Word(word) => Dynamic::from(word.clone()),
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn given() -> Given {
        let facts = BTreeMap::from([("cores".to_owned(), 8), ("cpus".to_owned(), 16)]);
        let word = Value::Word("glibc".to_owned());
        let baseline =
            [("batch_size".to_owned(), Value::Integer(4)), ("allocator".to_owned(), word)];
        Given { facts, baseline: baseline.into() }
    }

    fn truth(text: &str) -> Result<bool, String> {
        let given = given();
        let knobs = given.baseline.iter().map(|(name, value)| (name.as_str(), value));
        Expression::new(text)?.truth(&given, knobs)
    }

    #[test]
    fn arithmetic_comparisons_and_the_functions_of_the_list_work() {
        for text in [
            "max(cores / 4, baseline.batch_size + 1) == 5",
            "-min(cores, 3) == -3 && abs(-2) == 2 && !(cores > cpus)",
            "allocator == \"glibc\" || allocator == \"min(\"",
            "batch_size in [1, 2, 4] && allocator in [\"glibc\"] && !(3 in [1])",
            "cores % 3 == 2 && 2 ** 10 == 1024 && (7 & 3) == 3",
            "cores in ([8]) && cores in 1..9 && cores in 8..=8 && !(cores in 1..8)",
        ] {
            assert_eq!(truth(text), Ok(true), "{text}");
        }
    }

    #[test]
    fn whatever_else_a_script_could_do_is_refused_with_the_functions_there_are() {
        for text in [
            "sleep(1e18) == ()",
            "true || sleep (1) == ()",
            "eval(\"40 + 2\") == 42",
            "print(\"x\") == ()",
            "debug(1) == ()",
            "timestamp() == ()",
            "Fn(\"max\").call(1, 2) == 2",
            "allocator.pad(1000000000, \"x\") == ()",
            "[1].push(2) == ()",
            "parse_json(\"1\") == 1",
            "'\"' != \"a\" && sleep(1) == ()",
        ] {
            let refused = truth(text).unwrap_err();
            assert!(refused.contains("functions min, max, abs, contains"), "{text}: {refused}");
        }
    }

    #[test]
    fn there_are_no_loops_blocks_closures_and_endless_texts() {
        let deep = format!("{}1{} == 1", "(".repeat(100), ")".repeat(100));
        let long = format!("{} == 1", vec!["1"; 1_000].join(" + "));
        let texts = ["while true {}", "loop {}", "{ 1 } == 1", "(|x| x) == 1", "let x = 1"];
        let growing =
            "\"aaaaaaaaaa\" + \"bbbbbbbbbb\" != \"\"".replace("aaaaaaaaaa", &"a".repeat(999));
        for text in texts.into_iter().chain([deep.as_str(), &long, &growing]) {
            assert!(truth(text).is_err(), "{text}");
        }
        assert!(truth(&long).unwrap_err().contains("give at most 2000"));
    }
}
