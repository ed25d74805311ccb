//! Digest: a few digits that stand for content, in names and where it is told from other content.

use sha2::{Digest as _, Sha256};

/// The first 16 hexadecimal digits of the SHA-256 of `content`.
pub fn digest(content: impl AsRef<[u8]>) -> String {
    Sha256::digest(content)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest of no bytes, as FIPS 180-4's test vectors have it.
    #[test]
    fn digits_are_those_of_sha_256() {
        assert_eq!(digest(""), "e3b0c44298fc1c14");
        assert_eq!(digest(b"abc"), "ba7816bf8f01cfea");
    }
}

/// Whether a text is as many of such digits.
pub fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
