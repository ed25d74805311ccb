//! Numbers as people read them.

use crate::stats::Interval;

/// Seconds with three digits that matter and their unit.
pub fn seconds(value: f64) -> String {
    format!("{} s", digits(value))
}

/// A quantity with three digits that matter, at most four behind the point.
pub fn digits(value: f64) -> String {
    let places = match value.abs() {
        v if v >= 99.95 || v == 0.0 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        v if v >= 0.09995 => 3,
        _ => 4,
    };
    signed(format!("{value:.places$}"))
}

/// A share as a percentage with one digit behind the point.
pub fn percent(share: f64) -> String {
    format!("{}%", signed(format!("{:.1}", 100.0 * share)))
}

/// A saving with its 95% interval, percent: `25.0% [24.8, 25.2]`; `?` for an end that is not known.
pub fn gain(saved: Interval) -> String {
    let end = |end: f64| match end.is_finite() {
        true => signed(format!("{:.1}", 100.0 * end)),
        false => "?".to_owned(),
    };
    format!("{} [{}, {}]", percent(saved.mean), end(saved.low), end(saved.high))
}

/// A span of time in the two largest units that it has.
pub fn span(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes, rest) {
        (0, 0, _) if seconds < 10.0 => self::seconds(seconds),
        (0, 0, rest) => format!("{rest} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, rest) => format!("{minutes} min {rest} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// Bytes in binary units.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut units = ["bytes", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "bytes" { format!("{count} bytes") } else { format!("{} {unit}", digits(value)) }
}

/// `1 trial`, `2 trials`.
pub fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// What there is, in words; nothing where there is none.
pub fn maybe(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// With a true minus sign, and none before a zero.
fn signed(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("\u{2212}{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_matter() {
        let written = [0.0, 0.01234, 0.5, 0.99951, 3.2149, 12.34, 99.97, 1234.5, -2.0].map(digits);
        assert_eq!(
            written,
            ["0", "0.0123", "0.500", "1.00", "3.21", "12.3", "100", "1234", "\u{2212}2.00"]
        );
    }

    #[test]
    fn spans_and_sizes() {
        let written = [0.5, 59.0, 60.0, 150.0, 3600.0, 5400.0].map(span);
        assert_eq!(written, ["0.500 s", "59 s", "1 min", "2 min 30 s", "1 h", "1 h 30 min"]);
        let written = [999, 2048, 16 << 30].map(bytes);
        assert_eq!(written, ["999 bytes", "2.00 KiB", "16.0 GiB"]);
    }

    #[test]
    fn a_rounded_zero_has_no_sign() {
        assert_eq!([percent(-0.0004), percent(-0.01)], ["0.0%", "\u{2212}1.0%"]);
    }
}
