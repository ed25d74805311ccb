//! Shell: words as a POSIX shell parts and quotes them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The words of a line.
///
/// # Errors
/// A quote that is not closed.
pub fn parted(line: &str) -> Result<Vec<String>, String> {
    shlex::split(line).ok_or_else(|| format!("`{line}`: a quote is not closed"))
}

/// Words with blanks between, which [`parted`] and every POSIX shell part again: one is in single
/// quotes unless nothing in it means anything to a shell.
pub fn line(words: &[impl AsRef<OsStr>]) -> OsString {
    let quoted: Vec<Vec<u8>> = words.iter().map(|word| quoted(word.as_ref().as_bytes())).collect();
    OsString::from_vec(quoted.join(&b' '))
}

/// The same of words that are texts.
pub fn text(words: &[impl AsRef<str>]) -> String {
    let words: Vec<&OsStr> = words.iter().map(|word| OsStr::new(word.as_ref())).collect();
    line(&words).to_string_lossy().into_owned()
}

fn quoted(word: &[u8]) -> Vec<u8> {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-+./:,@%=".contains(b);
    if !word.is_empty() && word.iter().all(is_plain) {
        return word.to_owned();
    }
    let inner: Vec<&[u8]> = word.split(|b| *b == b'\'').collect();
    [&b"'"[..], &inner.join(&br"'\''"[..]), b"'"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_parted_as_a_shell_does() {
        for (line, words) in [
            ("ssh  -T {node}", &["ssh", "-T", "{node}"][..]),
            ("ssh -o 'A B=\"c\"' {node}", &["ssh", "-o", "A B=\"c\"", "{node}"]),
            (" --a='' \"\" b", &["--a=", "", "b"]),
            (r"a\ b \{node\}", &["a b", "{node}"]),
            ("", &[]),
        ] {
            assert_eq!(parted(line).unwrap(), words, "{line}");
        }
        assert_eq!(parted("ssh 'a").unwrap_err(), "`ssh 'a`: a quote is not closed");
    }

    #[test]
    fn words_reach_a_shell_as_they_are() {
        let words = ["plain/a-1.json", "two words", "it's", "$HOME", "", "*", "a\nb", "''", r"\"];
        let expected = [
            "plain/a-1.json",
            "'two words'",
            r"'it'\''s'",
            "'$HOME'",
            "''",
            "'*'",
            "'a\nb'",
            r"''\'''\'''",
            r"'\'",
        ];
        assert_eq!(text(&words), expected.join(" "));
        assert_eq!(parted(&text(&words)).unwrap(), words);
        let bytes = OsStr::from_bytes(b"caf\xe9 it's");
        let mut script = OsString::from("printf %s ");
        script.push(line(&[bytes]));
        let said = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert_eq!(said.stdout, b"caf\xe9 it's");
    }
}
