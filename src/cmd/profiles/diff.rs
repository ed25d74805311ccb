//! What differs between two profiles.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::cli::DiffArgs;
use crate::io::printable::line as plain;
use crate::profile::Profile;
use crate::report::tables::Table;

/// One value in two profiles; `None` where a profile lacks it.
type Difference = (String, Option<Value>, Option<Value>);

/// Compares and prints.
pub fn run(args: &DiffArgs) -> Result<()> {
    let profiles = [Profile::read(&args.one)?, Profile::read(&args.other)?];
    let differences = differences(&profiles)?;
    if args.json {
        let entry = |(at, one, other): &Difference| json!({ "at": at, "one": one, "other": other });
        let entries: Vec<Value> = differences.iter().map(entry).collect();
        return crate::io::output::print_value(&entries);
    }
    crate::cmd::terminal::show(&text(&differences))
}

fn text(differences: &[Difference]) -> String {
    if differences.is_empty() {
        return "The same.\n".to_owned();
    }
    let mut table = Table::new(["", "one", "other"]);
    let word = |value: &Option<Value>| match value {
        None => "-".to_owned(),
        Some(Value::String(word)) => word.clone(),
        Some(value) => value.to_string(),
    };
    for (at, one, other) in differences {
        table.row([at.clone(), word(one), word(other)]);
    }
    // Names from files must not steer the terminal.
    table.to_terminal().lines().map(|line| format!("{}\n", plain(line).trim_end())).collect()
}

/// All that differs, by key: what decides how a process runs first, then what the profile is and
/// what proves it.
fn differences(profiles: &[Profile; 2]) -> Result<Vec<Difference>> {
    let [mut one, mut other] =
        [flat(&serde_json::to_value(&profiles[0])?), flat(&serde_json::to_value(&profiles[1])?)];
    let mut found = Vec::new();
    for first in ["candidate", "custom_knobs", "launch", "workers", "optimal_settings", ""] {
        let of_first = |at: &String| at.starts_with(first);
        let mut keys: Vec<String> =
            one.keys().chain(other.keys()).filter(|at| of_first(at)).cloned().collect();
        keys.sort();
        keys.dedup();
        for at in keys {
            let (one, other) = (one.remove(&at), other.remove(&at));
            if one != other {
                found.push((at, one, other));
            }
        }
    }
    Ok(found)
}

/// Every value that is no object, by its keys with points between; lists are whole.
fn flat(value: &Value) -> Map<String, Value> {
    let mut flat_values = Map::new();
    let Value::Object(object) = value else { return flat_values };
    for (key, value) in object {
        match value {
            Value::Object(_) => {
                let inside = flat(value).into_iter();
                flat_values.extend(inside.map(|(inner, value)| (format!("{key}.{inner}"), value)));
            }
            value => {
                flat_values.insert(key.clone(), value.clone());
            }
        }
    }
    flat_values
}
