//! Forms: what the values of environment variables look like, knob by knob.

use regex_lite::Regex;

/// A number that counts something.
pub const COUNT: &str = "[1-9][0-9]{0,4}";

/// The number of a CPU or node.
pub const INDEX: &str = "(0|[1-9][0-9]{0,4})";

/// A variable that a knob may set, with the form of its value: a regular expression that Rust,
/// Python and `grep -E` read alike, so that there is one list for all that writes or reads profiles.
#[derive(Clone, Debug)]
pub struct VariableForm {
    pub(super) name: &'static str,
    pub(super) pattern: String,
    pub(super) of_the_machine: bool,
}

impl VariableForm {
    /// The form of what follows from the candidate alone.
    pub fn new(name: &'static str, pattern: impl Into<String>) -> Self {
        Self { name, pattern: pattern.into(), of_the_machine: false }
    }

    /// The form of what follows from the machine too.
    pub fn of_the_machine(name: &'static str, pattern: impl Into<String>) -> Self {
        Self { of_the_machine: true, ..Self::new(name, pattern) }
    }
}

/// What one knob may put into a variable.
#[derive(Debug)]
pub struct Part {
    /// The knob.
    pub knob: &'static str,
    pub(super) pattern: String,
}

impl Part {
    /// The knob's part of a list.
    pub fn find<'a>(&self, list: &'a str) -> Option<&'a str> {
        let part = Regex::new(&format!("(^|:)({})(:|$)", self.pattern)).ok()?;
        part.captures(list)?.get(2).map(|found| found.as_str())
    }
}

/// The form of a list to which each of `parts` may add, in their order.
pub fn list_of(parts: &[Part]) -> String {
    let from = |first: usize| {
        let rest = parts[first + 1..].iter().map(|part| format!("(:{})?", part.pattern));
        std::iter::once(parts[first].pattern.clone()).chain(rest).collect::<String>()
    };
    (0..parts.len()).map(from).collect::<Vec<_>>().join("|")
}

/// A pattern of these texts and no other.
pub fn one_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(regex_lite::escape).collect();
    format!("({})", texts.join("|"))
}
