//! Bounds: sizes that a model can have, so that no arithmetic on them overflows and no list of
//! layers fills the memory.

use anyhow::{Result, ensure};

/// How many times larger than the largest of Wan's models one may be in each of its sizes.
const GENEROUS: i64 = 16;

/// Refuses a size that is less than 1, or more than generous beside the largest of Wan's.
///
/// # Errors
/// Names the key and its value.
pub fn expect_sizes(sizes: &[(&str, i64, i64)]) -> Result<()> {
    for (key, value, largest) in sizes {
        ensure!(*value > 0, "{key} is {value}: it must be at least 1");
        expect_at_most(key, *value, *largest)?;
    }
    Ok(())
}

/// The same for a number of layers, which may be 0.
///
/// # Errors
/// As [`expect_sizes`].
pub fn expect_layers(key: &str, value: i64, largest: i64) -> Result<()> {
    ensure!(value >= 0, "{key} is {value}: it can't be negative");
    expect_at_most(key, value, largest)
}

/// Refuses a number that no norm or schedule works with.
///
/// # Errors
/// Names the key and its value.
pub fn expect_number(key: &str, value: f64, least: f64, most: f64) -> Result<()> {
    ensure!((least..=most).contains(&value), "{key} is {value}: it must be from {least} to {most}");
    Ok(())
}

fn expect_at_most(key: &str, value: i64, largest: i64) -> Result<()> {
    let most = GENEROUS * largest;
    ensure!(
        value <= most,
        "{key} is {value}: it can be at most {most}, {GENEROUS} times that of the largest Wan model"
    );
    Ok(())
}
