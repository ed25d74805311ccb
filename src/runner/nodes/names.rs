//! Names: a list of nodes as Slurm writes it, such as `n[1-3,08],head`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// More nodes than these in a bracket are a mistake.
const MOST: usize = 100_000;

/// Names of nodes in the order of their list, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeList(pub Vec<String>);

impl FromStr for NodeList {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        let problem = |what: &str| format!("`{list}`: {what}; write n1,n2 or n[1-9]");
        let mut names = Vec::new();
        for word in parted(list).ok_or_else(|| problem("a bracket is not closed"))? {
            names.extend(expanded(word).map_err(problem)?);
        }
        names.retain(|name| !name.is_empty());
        if let Some(odd) = names.iter().find(|name| !is_name(name)) {
            return Err(problem(&format!("`{odd}` is no node's name")));
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Ok(Self(names))
    }
}

impl fmt::Display for NodeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Whether a name can be that of a node, and so of a folder.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_of_name)
}

/// Whether a letter may stand in the name of a node, and so of a file.
pub fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-_.@:".contains(letter)
}

/// The words between commas that stand in no bracket.
fn parted(list: &str) -> Option<Vec<&str>> {
    let (mut depth, mut start, mut words) = (0_u32, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                words.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(list[start..].trim());
    (depth == 0).then_some(words)
}

/// Brackets in one word.
const MOST_BRACKETS: usize = 8;

/// The names that a word stands for: one of each bracket's numbers in every combination.
fn expanded(word: &str) -> Result<Vec<String>, &'static str> {
    let Some((head, rest)) = word.split_once('[') else { return Ok(vec![word.to_owned()]) };
    if rest.matches('[').count() >= MOST_BRACKETS {
        return Err("too many brackets");
    }
    let (ranges, tail) = rest.split_once(']').ok_or("a bracket is not closed")?;
    let (numbers, tails) = (numbers(ranges)?, expanded(tail)?);
    if numbers.len() * tails.len() > MOST {
        return Err("too many nodes");
    }
    let named = |number: &String| {
        let name = |tail: &String| format!("{head}{number}{tail}");
        tails.iter().map(name).collect::<Vec<_>>()
    };
    Ok(numbers.iter().flat_map(named).collect())
}

/// The numbers of ranges such as `1-3,08`, as wide as they are written.
fn numbers(ranges: &str) -> Result<Vec<String>, &'static str> {
    let mut numbers = Vec::new();
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (low, high) = number(first).zip(number(last)).ok_or("a bracket holds no number")?;
        if high < low || high - low >= MOST || numbers.len() > MOST {
            return Err("no range of numbers");
        }
        let width = first.len();
        numbers.extend((low..=high).map(|number| format!("{number:0width$}")));
    }
    Ok(numbers)
}

fn number(text: &str) -> Option<usize> {
    let is_number = text.len() < 19 && text.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_slurm_writes_them() {
        for (list, names) in [
            ("n1", "n1"),
            ("n[1-3,7,09-12]", "n1 n2 n3 n7 n09 n10 n11 n12"),
            ("n[1-3,07],head, gpu-a", "n1 n2 n3 n07 head gpu-a"),
            ("n[08-11]-ib", "n08-ib n09-ib n10-ib n11-ib"),
            ("r[1-2]n[1,3],r3n[1-2]", "r1n1 r1n3 r2n1 r2n3 r3n1 r3n2"),
            ("n2,n[1-3],n1", "n2 n1 n3"),
            ("root@10.0.0.7", "root@10.0.0.7"),
            ("n[099-101]", "n099 n100 n101"),
            ("a,,b,", "a b"),
            ("", ""),
        ] {
            assert_eq!(list.parse::<NodeList>().unwrap().0.join(" "), names, "{list}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused_with_an_example() {
        for odd in [
            "n[1",
            "n1]",
            "n[]",
            "n[a-b]",
            "n[3-1]",
            "n]1[",
            "n[1[2]]",
            "../n1",
            "-w",
            "n 1",
            "n1;rm",
            "n[+1-2]",
            "n[0-4000000000]",
            "n[0-99999][0-99999]",
            "n[1 - 2]",
        ] {
            let problem = odd.parse::<NodeList>().unwrap_err();
            assert!(problem.starts_with(&format!("`{odd}`: ")), "{problem}");
            assert!(problem.ends_with("; write n1,n2 or n[1-9]"), "{problem}");
        }
    }
}
