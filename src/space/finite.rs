//! Numbers that TOML can write and no quantity has: `nan`, `inf`, and times below zero.

use toml::{Table, Value};

/// Seconds that a tune was given or took: below zero they make no sense.
const SECONDS: &str = "_s";

/// Refuses a table that holds such a number.
///
/// # Errors
/// The key, as in `tune.min_psnr_db`, its value, and what it may be.
pub fn check(table: &Table) -> Result<(), String> {
    table.iter().try_for_each(|(key, value)| number(key, value))
}

fn number(place: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Float(number) if !number.is_finite() => {
            Err(format!("{place} is {number}: give a finite number"))
        }
        Value::Float(number) if *number < 0.0 && place.ends_with(SECONDS) => {
            Err(format!("{place} is {number}: give seconds, 0 or more"))
        }
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(i, item)| number(&format!("{place}[{i}]"), item))
        }
        Value::Table(table) => {
            let mut entries = table.iter();
            entries.try_for_each(|(key, value)| number(&format!("{place}.{key}"), value))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_named_by_its_key() {
        let refused = |text: &str| check(&text.parse().unwrap()).unwrap_err();
        assert_eq!(refused("[a]\nb = nan"), "a.b is NaN: give a finite number");
        assert_eq!(refused("a = [1.0, -inf]"), "a[1] is -inf: give a finite number");
        assert_eq!(refused("[[a]]\nb_s = -0.5"), "a[0].b_s is -0.5: give seconds, 0 or more");
        let fine = "a = -1.5\nb_s = 0.0\nc = \"nan\"\nd = 9223372036854775807";
        assert_eq!(check(&fine.parse().unwrap()), Ok(()));
    }
}
