//! Mismatch: what was asked for and did not take, typed; as words in a journal, and read from them.

use std::fmt;

use serde::Serialize;

use crate::knobs::{KNOBS, allow_list};

/// What was asked for and did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The knob that asked; `None` where no knob did.
    pub knob: Option<&'static str>,
    /// What the knob decides and is not so; empty where that is all that it decides.
    pub what: String,
    /// What was asked for.
    pub asked: String,
    /// What was read back.
    pub got: String,
}

impl Mismatch {
    /// `what` differs; the knob is filled in by whoever asks the knobs one by one.
    #[allow(clippy::needless_pass_by_value, reason = "most callers have no other use for them")]
    pub fn new(what: impl ToString, asked: impl ToString, got: impl ToString) -> Self {
        let (what, asked, got) = (what.to_string(), asked.to_string(), got.to_string());
        Self { knob: None, what, asked, got }
    }

    /// The same of the knob called `name`.
    #[must_use]
    pub fn of(self, name: &'static str) -> Self {
        Self { knob: Some(name), ..self }
    }

    /// The same of one thing among those that a knob decides.
    #[must_use]
    pub fn in_what(self, what: String) -> Self {
        Self { what, ..self }
    }
}

impl fmt::Display for Mismatch {
    /// `KNOB: WHAT: asked for ASKED, got GOT`, so that [`suspects`] finds the knob.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = Some(self.what.as_str()).filter(|what| !what.is_empty());
        self.knob.into_iter().chain(what).try_for_each(|part| write!(f, "{part}: "))?;
        write!(f, "asked for {}, got {}", self.asked, self.got)
    }
}

/// The difference between two values of a knob.
pub fn compare<T: PartialEq + Serialize + ?Sized>(asked: &T, got: &T) -> Option<Mismatch> {
    compare_reported(asked, Some(got))
}

/// The difference to what a process says of itself, if it says anything.
pub fn compare_reported<T>(asked: &T, got: Option<&T>) -> Option<Mismatch>
where
    T: PartialEq + Serialize + ?Sized,
{
    let differs = || Mismatch::new("", word(asked), got.map_or("not reported".to_owned(), word));
    (got != Some(asked)).then(differs)
}

/// A value as journals have it.
fn word(value: &(impl Serialize + ?Sized)) -> String {
    match serde_json::to_value(value).expect("a value is plain data") {
        serde_json::Value::String(word) => word,
        other => other.to_string(),
    }
}

/// A trial's detail: every mismatch in words.
pub fn in_words(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The mismatches of a trial's detail, in words.
pub fn each_in(detail: &str) -> impl Iterator<Item = &str> {
    detail.split("; ")
}

/// The knobs that a mismatch in words may come from; empty where it names none.
pub fn suspects(displayed: &str) -> Vec<&'static str> {
    // A launch that was refused says who speaks, then the knob.
    let mut words = displayed.split(": ").take(2);
    let named = words.find_map(|word| KNOBS.iter().find(|(name, _)| *name == word));
    if let Some((name, knob)) = named {
        return [&[*name], knob.rests_on()].concat();
    }
    let setters = displayed.split(": ").next().map_or(&[][..], allow_list::parts);
    if !setters.is_empty() {
        return setters.iter().map(|part| part.knob).collect();
    }
    let old = OLD.iter().find(|(words, _)| displayed.starts_with(words));
    old.map_or_else(Vec::new, |(_, knobs)| knobs.to_vec())
}

/// How mismatches begin in journals of older versions, where neither a knob nor a variable comes
/// first.
const OLD: [(&str, &[&str]); 20] = [
    ("intra-op threads", &["intra_op_threads"]),
    ("inter-op threads", &["inter_op_threads"]),
    ("io pool's CPUs", &["affinity"]),
    ("preprocess pool's CPUs", &["affinity"]),
    ("batch pool's CPUs", &["affinity"]),
    ("model pool's CPUs", &["affinity", "omp_places"]),
    ("CPUs of other threads", &["affinity", "omp_places"]),
    ("the command's CPUs", &["affinity"]),
    ("binding", &["affinity"]),
    ("io pool", &["io_workers"]),
    ("preprocess pool", &["preprocess_workers"]),
    ("batch pool", &["batch_workers"]),
    ("memory policy", &["memory_mode", "affinity"]),
    ("the memory policy", &["memory_mode", "affinity"]),
    ("the weights' memory policy", &["memory_mode", "affinity"]),
    ("anonymous memory", &["memory_mode", "affinity"]),
    ("weights", &["memory_mode", "affinity"]),
    ("numerics", &["precision", "matmul_precision", "conv_backend", "memory_format"]),
    ("OpenMP library", &["omp_runtime"]),
    ("huge pages", &["huge_pages"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knob_of_a_mismatch_is_read_from_its_words() {
        let wrong = compare(&8, &1).unwrap().of("intra_op_threads");
        assert_eq!(wrong.to_string(), "intra_op_threads: asked for 8, got 1");
        assert_eq!(suspects(&wrong.to_string()), ["intra_op_threads"]);
        let wrong = Mismatch::new("the command's CPUs", "within 0-3", "0-7").of("affinity");
        assert_eq!(
            wrong.to_string(),
            "affinity: the command's CPUs: asked for within 0-3, got 0-7"
        );
        assert_eq!(suspects(&wrong.to_string()), ["affinity"]);
        let policy = Mismatch::new("memory policy", "bind 0", "default").of("memory_mode");
        assert_eq!(suspects(&policy.to_string()), ["memory_mode", "affinity"]);
        let nobodys = Mismatch::new("KMP_AFFINITY", "not set", "compact");
        assert!(suspects(&nobodys.to_string()).is_empty());
    }

    #[test]
    fn words_of_older_journals_name_knobs_too() {
        let preload = "LD_PRELOAD: asked for libomp.so.5, got not set";
        let all = ["allocator", "omp_runtime", "mkl_dispatch"];
        assert_eq!(suspects(preload), all);
        let binding = "binding to CPUs 0-3 (…): Operation not permitted";
        assert_eq!(suspects(binding), ["affinity"]);
        assert_eq!(suspects(&format!("wan22-tune exec: affinity: {binding}")), ["affinity"]);
    }
}
