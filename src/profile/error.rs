//! Error of a profile: where it is not what it should be, and why.

use std::fmt::Display;

/// What is wrong with a profile: a JSON pointer (RFC 6901) and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", if pointer.is_empty() { "the whole file" } else { pointer })]
pub struct ProfileError {
    /// The value that is wrong; empty for the whole document.
    pub pointer: String,
    /// Why it is refused.
    pub reason: String,
}

impl ProfileError {
    /// An error at what the keys and indexes lead to.
    pub fn at<S: AsRef<str>>(path: impl IntoIterator<Item = S>, reason: impl Display) -> Self {
        let escaped = |segment: S| {
            let visible: String = segment.as_ref().chars().flat_map(char::escape_debug).collect();
            let visible: String = visible.chars().take(80).collect();
            format!("/{}", visible.replace('~', "~0").replace('/', "~1"))
        };
        let pointer = path.into_iter().map(escaped).collect();
        Self { pointer, reason: reason.to_string() }
    }
}

/// `Ok` if `holds`, else an error at what the pointer leads to.
pub(super) fn require(
    holds: bool,
    pointer: &str,
    reason: impl Display,
) -> Result<(), ProfileError> {
    if holds {
        Ok(())
    } else {
        Err(ProfileError { pointer: pointer.to_owned(), reason: reason.to_string() })
    }
}
