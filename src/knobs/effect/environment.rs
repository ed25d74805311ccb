//! Variables that a process was started with, against those that were asked for.

use std::collections::BTreeMap;

use super::Mismatch;
use crate::knobs::allow_list;

type Variables = BTreeMap<String, String>;

/// Whatever differs, each with the knob that sets the variable.
pub fn mismatches(got: &Variables, asked: &Variables) -> Vec<Mismatch> {
    let missing = asked.keys().filter(|name| got.get(*name) != asked.get(*name));
    let extra = got.keys().filter(|name| !asked.contains_key(*name));
    let differing = missing.chain(extra);
    differing.flat_map(|name| of_variable(name, asked.get(name), got.get(name))).collect()
}

fn of_variable(name: &str, asked: Option<&String>, got: Option<&String>) -> Vec<Mismatch> {
    let word = |value: Option<&str>| value.unwrap_or("not set").to_owned();
    let differs = |asked: Option<&str>, got: Option<&str>| {
        (asked != got).then(|| Mismatch::new(name, word(asked), word(got)))
    };
    let (asked, got) = (asked.map(String::as_str), got.map(String::as_str));
    let parts = allow_list::parts(name);
    if let [only] = parts {
        return differs(asked, got).map(|wrong| wrong.of(only.knob)).into_iter().collect();
    }
    // Several knobs add to a list: each answers for its part.
    let of_knob = parts.iter().filter_map(|part| {
        let [asked, got] = [asked, got].map(|list| list.and_then(|list| part.find(list)));
        Some(differs(asked, got)?.of(part.knob))
    });
    let mut found: Vec<Mismatch> = of_knob.collect();
    if found.is_empty() {
        found.extend(differs(asked, got));
    }
    found
}
