//! A command line in `space.toml`, whose texts are UTF-8: an argument that is not is kept in base64.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What begins an argument that is not written as it is.
const ENCODED: &str = "base64:";

/// How an argument is written: as it is, where that is a text that can't be taken for another.
pub fn written(argument: &OsStr) -> String {
    match argument.to_str() {
        Some(text) if !text.starts_with(ENCODED) => text.to_owned(),
        _ => format!("{ENCODED}{}", STANDARD.encode(argument.as_bytes())),
    }
}

/// The argument that [`written`] wrote.
///
/// # Errors
/// What stands after `base64:` is none.
pub fn read(text: &str) -> Result<OsString, String> {
    let Some(encoded) = text.strip_prefix(ENCODED) else { return Ok(text.into()) };
    let bytes = STANDARD.decode(encoded).map_err(|error| format!("`{text}`: {error}"))?;
    Ok(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_reads_back_as_it_was() {
        for bytes in [&b"caf\xe9/r"[..], b"caf\xc3\xa9", b"", b"base64:Zg==", b"a b\n", b"\xff"] {
            let argument = OsStr::from_bytes(bytes);
            assert_eq!(read(&written(argument)).unwrap(), argument, "{argument:?}");
        }
        assert_eq!(written(OsStr::new("--budget")), "--budget");
        assert_eq!(written(OsStr::from_bytes(b"\xe9")), "base64:6Q==");
        assert!(read("base64:?").unwrap_err().starts_with("`base64:?`: "));
    }
}
