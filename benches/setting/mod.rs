//! What a bench is told by the environment.

use std::fmt::Display;
use std::str::FromStr;

use anyhow::anyhow;

/// The variable `name`, or what is `usual`.
///
/// # Errors
/// The variable, its value and what is wrong with that.
pub fn setting<T: FromStr<Err: Display>>(name: &str, usual: T) -> anyhow::Result<T> {
    let Ok(text) = std::env::var(name) else { return Ok(usual) };
    text.parse().map_err(|error| anyhow!("{name}={text}: {error}"))
}
