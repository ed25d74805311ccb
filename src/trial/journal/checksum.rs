//! Checksum: what tells a row as it was written from one that was changed since.
//!
//! It is computed over what the cells say, by the names of their columns, and not over bytes:
//! another order of columns, quotes, line ends, columns of one's own and numbers in another
//! notation (`4330868736.0`) change nothing. A digit that was lost or cells that were swapped do.

use crc32fast::Hasher;

/// The column that holds it.
pub(super) const COLUMN: &str = "checksum";

/// Begins each, so that no spreadsheet takes one such as `12345e12` for a number.
const PREFIX: &str = "crc32-";

/// The checksum of a row.
pub(super) fn of<'a>(cells: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let filled = cells.filter(|(name, _)| is_covered(name));
    let mut filled: Vec<(&str, String)> = filled
        .map(|(name, cell)| (name, if is_switch(name, cell) { lower(cell) } else { plain(cell) }))
        .filter(|(_, cell)| !cell.is_empty())
        .collect();
    filled.sort();
    let mut hasher = Hasher::new();
    for (name, cell) in filled {
        for part in [name.as_bytes(), b"\x1f", cell.as_bytes(), b"\x1e"] {
            hasher.update(part);
        }
    }
    format!("{PREFIX}{:08x}", hasher.finalize())
}

/// Whether the column is one of a journal's own.
fn is_covered(name: &str) -> bool {
    const FAMILIES: [&str; 5] = ["knob", "sample", "metric", "stage", "rss"];
    let fixed = super::IDENTITY.iter().chain(&super::RESULT).chain(&super::OPTIONAL);
    fixed.chain(&super::RESOURCES).any(|own| *own == name)
        || name.split_once('.').is_some_and(|(family, _)| FAMILIES.contains(&family))
}

/// Whether a knob is on or off; spreadsheets write that in capitals.
fn is_switch(name: &str, cell: &str) -> bool {
    name.starts_with("knob.") && ["true", "false"].contains(&lower(cell).as_str())
}

fn lower(cell: &str) -> String {
    cell.trim().to_ascii_lowercase()
}

/// One notation for each number; other text as it is.
fn plain(cell: &str) -> String {
    let cell = cell.trim();
    if let Ok(whole) = cell.parse::<u64>() {
        return whole.to_string();
    }
    match cell.parse::<f64>() {
        Ok(number) if number.is_finite() => {
            super::whole(number).map_or_else(|| number.to_string(), |whole| whole.to_string())
        }
        _ => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(cells: &[(&str, &str)]) -> String {
        of(cells.iter().copied())
    }

    #[test]
    fn it_is_of_what_the_cells_say() {
        // Worked out with Python's zlib.crc32 over "knob.a\x1f7\x1ewall_s\x1f0.1\x1e".
        let row = [("wall_s", "0.1"), ("knob.a", "7")];
        assert_eq!(sum(&row), "crc32-a85c39e3");
        for same in [
            &[("knob.a", "7.0"), ("wall_s", "0.10")][..],
            &[("knob.a", "+7"), ("", "3"), ("my notes", "x"), ("wall_s", " 1e-1"), ("detail", "")],
        ] {
            assert_eq!(sum(same), sum(&row), "{same:?}");
        }
        for other in [
            &[("knob.a", "0.1"), ("wall_s", "7")][..],
            &[("knob.a", "7")],
            &[("knob.b", "7"), ("wall_s", "0.1")],
            &[("knob.a", "7"), ("wall_s", "0.11")],
            &[("knob.a", "7"), ("wall_s", "0.1"), ("detail", "x")],
        ] {
            assert_ne!(sum(other), sum(&row), "{other:?}");
        }
        assert_eq!(sum(&[("knob.a", "TRUE")]), sum(&[("knob.a", "true")]));
        assert_ne!(sum(&[("detail", "TRUE")]), sum(&[("detail", "true")]));
    }
}
