//! What a process printed, however much and whatever it is: the end of it.

use std::fmt;
use std::io::Read;

/// What is kept; a metric and last words stand at the end.
const MOST_BYTES: usize = 1 << 20;

/// The end of what is shown of it.
const LAST_WORDS: usize = 2048;

/// The end of an output.
#[derive(Clone, Debug, Default)]
pub struct Output(Vec<u8>);

impl Output {
    /// Reads to the end and keeps the last part.
    pub fn of(mut source: impl Read) -> Self {
        let mut kept = Vec::new();
        let mut buffer = [0; 1 << 16];
        while let Ok(length @ 1..) = source.read(&mut buffer) {
            kept.extend_from_slice(&buffer[..length]);
            if kept.len() > 2 * MOST_BYTES {
                kept.drain(..kept.len() - MOST_BYTES);
            }
        }
        kept.drain(..kept.len().saturating_sub(MOST_BYTES));
        Self(kept)
    }

    /// The bytes as they were printed.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The very end, in one line; empty where nothing was printed.
    pub fn last_words(&self) -> String {
        let text = String::from_utf8_lossy(&self.0[self.0.len().saturating_sub(LAST_WORDS)..]);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Output {
    /// The last words on stderr, or that there were none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last_words() {
            words if words.is_empty() => f.write_str("it said nothing on stderr"),
            words => f.write_str(&words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_its_end() {
        let flood = std::io::repeat(b'x').take(50 << 20).chain(&b"\n the  end\n"[..]);
        let output = Output::of(flood);
        assert_eq!(output.bytes().len(), MOST_BYTES);
        assert!(output.last_words().ends_with("x the end"));
        assert_eq!(Output::of(&b""[..]).last_words(), "");
    }
}
