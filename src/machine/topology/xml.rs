//! hwloc's XML as it arrives: from browsers, mails and other systems, in every version.

/// What opens a topology, and what closes it.
const OPEN: &str = "<topology";
const CLOSE: &str = "</topology>";

/// Marks with which browsers show that an element can be folded.
const FOLDS: [char; 6] = ['-', '+', '\u{25b6}', '\u{25b8}', '\u{25bc}', '\u{25be}'];

/// The text of these bytes: UTF-16 where a byte order mark says so, as of what PowerShell redirects
/// into a file, and UTF-8 otherwise.
pub fn decoded(bytes: &[u8]) -> String {
    let unit: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return String::from_utf8_lossy(bytes).into_owned(),
    };
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// The topology in `text`, as hwloc 2's own parser takes it, which knows no byte order mark, no
/// carriage return, and nothing around the topology.
///
/// # Errors
/// There is none, or more than one.
pub fn cleaned(text: &str) -> Result<String, String> {
    let (_, after) = opened(text).ok_or("no hwloc XML: write it with `lstopo FILE.xml`")?;
    let (inside, rest) = match after.split_once(CLOSE) {
        Some((inside, rest)) => (inside, rest),
        None => return Err("it is cut off: no `</topology>`".to_owned()),
    };
    if opened(rest).is_some() {
        return Err("it holds several machines: give the XML of one".to_owned());
    }
    let mut clean = String::with_capacity(text.len());
    clean.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    clean.push_str("<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n");
    clean.push_str(OPEN);
    for line in as_version_2(inside).split_inclusive('\n') {
        clean.push_str(&unfolded(line).replace('\r', ""));
    }
    clean.push_str(CLOSE);
    clean.push('\n');
    Ok(clean)
}

/// What stands before the first topology's name, and after it.
fn opened(text: &str) -> Option<(&str, &str)> {
    let is_name = |rest: &str| rest.starts_with(|c: char| c.is_whitespace() || c == '>');
    let mut found = text.match_indices(OPEN).map(|(at, _)| (&text[..at], &text[at + OPEN.len()..]));
    found.find(|(_, rest)| is_name(rest))
}

/// Version 3 of the format differs from 2, which hwloc 2 reads, in what is not used here: device
/// types, and notes about the machine outside of its object.
fn as_version_2(inside: &str) -> String {
    const VERSION_3: &str = " version=\"3.";
    let Some(rest) = inside.strip_prefix(VERSION_3) else { return inside.to_owned() };
    format!(" version=\"2.0{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// A line without the mark that a browser puts before an element.
fn unfolded(line: &str) -> &str {
    let element = line.trim_start_matches(|c: char| c.is_whitespace() || FOLDS.contains(&c));
    if element.starts_with('<') { element } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                         <!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n\
                         <topology version=\"2.0\">\n<object type=\"Machine\">\n</object>\n\
                         </topology>\n";

    #[test]
    fn what_stands_around_the_topology_is_cut() {
        let bare = PLAIN.split_once("hwloc2.dtd\">\n").unwrap().1;
        let sentence = "This XML file does not appear to have any style information associated \
                        with it. The document tree is shown below.\n";
        for text in [
            PLAIN.to_owned(),
            PLAIN.replace('\n', "\r\n"),
            format!("\u{feff}{PLAIN}"),
            format!("\n\n  {PLAIN}"),
            format!("{sentence}{bare}"),
            format!("<!-- made by <topology-tool> -->\n{bare}"),
            format!("```xml\n{PLAIN}```\nThat was it.\n\0"),
            bare.replace("<object", "\u{25bc} <object").replace("</object", "  - </object"),
            PLAIN.replace("2.0", "3.12"),
        ] {
            assert_eq!(cleaned(&text).as_deref(), Ok(PLAIN), "{text}");
        }
    }

    #[test]
    fn both_orders_of_utf_16_are_read() {
        let units = || std::iter::once(0xfeff).chain("<\u{e9}>\n".encode_utf16());
        let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
        for bytes in [&little, &big] {
            assert_eq!(decoded(bytes), "\u{feff}<\u{e9}>\n");
        }
        assert_eq!(decoded(b"<a>\xff"), "<a>\u{fffd}");
    }

    #[test]
    fn hyphens_within_and_the_first_version_stay() {
        let old = "<topology>\n<object/>\n-12 <a/>\n</topology>";
        assert!(
            cleaned(old).unwrap().ends_with("\n<topology>\n<object/>\n-12 <a/>\n</topology>\n")
        );
    }

    #[test]
    fn none_two_and_half_a_topology_are_told_apart() {
        assert!(cleaned("<html><topologyx>").unwrap_err().contains("lstopo FILE.xml"));
        assert!(cleaned("").unwrap_err().contains("lstopo FILE.xml"));
        assert!(cleaned(&PLAIN[..120]).unwrap_err().contains("cut off"));
        assert!(cleaned(&PLAIN.repeat(2)).unwrap_err().contains("several machines"));
    }
}
