//! Expressions of space files: arithmetic and comparisons over the machine and the knobs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use rhai::{AST, Dynamic, Engine, Map, Scope};

use super::Value;

/// What expressions may speak of besides knobs: facts of the machine and of the workload
/// (`cores`, `cpus`, `nodes`, …) and the baseline's values (`baseline.batch_size`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Facts by name.
    pub facts: BTreeMap<String, i64>,
    /// The baseline's value of every knob.
    pub baseline: BTreeMap<String, Value>,
}

/// A compiled expression, equal to another with the same text.
#[derive(Clone)]
pub struct Expression {
    text: String,
    ast: Arc<AST>,
}

/// One expression is tiny: whatever needs more than this is a mistake or an attack.
const MOST_OPERATIONS: u64 = 10_000;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut engine = Engine::new();
    engine.set_max_operations(MOST_OPERATIONS);
    engine.set_max_expr_depths(32, 8);
    engine.set_max_string_size(1_000);
    engine.set_max_array_size(100);
    engine.on_print(|_| {});
    engine.on_debug(|_, _, _| {});
    engine.disable_symbol("eval");
    engine
});

impl Expression {
    /// Compiles `text`.
    ///
    /// # Errors
    /// The parser's message, with its position, when `text` is no expression.
    pub fn new(text: &str) -> Result<Self, String> {
        let ast = ENGINE.compile_expression(text).map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_owned(), ast: Arc::new(ast) })
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
        for (name, fact) in &given.facts {
            scope.push(name.as_str(), *fact);
        }
        if self.text.contains("baseline") {
            let baseline: Map =
                given.baseline.iter().map(|(k, v)| (k.into(), dynamic(v))).collect();
            scope.push("baseline", baseline);
        }
        for (name, value) in knobs {
            scope.push_dynamic(name, dynamic(value));
        }
        ENGINE.eval_ast_with_scope(&mut scope, &self.ast).map_err(|error| error.to_string())
    }
}

fn dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Number(number) => Dynamic::from(*number),
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
