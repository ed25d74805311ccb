//! Reading what a worker prints, however much and whatever it is.

use std::io::{BufRead, BufReader, Read};

/// A message is far shorter.
const LONGEST_LINE: usize = 1 << 20;

/// A trial's messages are far fewer.
const MOST_BYTES: u64 = 16 << 20;

/// Hands on line after line until `send` refuses; the last may be an error.
pub fn read(output: impl Read, mut send: impl FnMut(Result<String, String>) -> bool) {
    let mut reader = BufReader::new(output.take(MOST_BYTES));
    let mut total = 0;
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', &mut line) {
            Ok(0) if total >= MOST_BYTES => {
                send(Err(format!("printed more than {MOST_BYTES} bytes")));
                return;
            }
            Ok(0) | Err(_) => return,
            Ok(length) => total += length as u64,
        }
        let whole = line.ends_with(b"\n");
        let text = match String::from_utf8(line) {
            Ok(text) if whole => Ok(text),
            Ok(text) => Err(format!("a line without an end: `{}`", shortened(&text))),
            Err(_) => Err("a line that is not UTF-8".to_owned()),
        };
        let is_last = text.is_err();
        if !send(text) || is_last {
            return;
        }
    }
}

/// The first part of a long text.
pub fn shortened(text: &str) -> String {
    let short: String = text.trim().chars().take(120).collect();
    if short.len() < text.trim().len() { format!("{short}…") } else { short }
}
