//! Node: one machine of a fleet, as its engine lists it.

use crate::runner::nodes::is_of_name;

/// One machine of a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// What the engine calls it.
    pub name: String,
    /// The engine's word for its state, such as `idle`.
    pub state: String,
    /// CPUs that a job may have there, where the engine tells.
    pub cpus: Option<usize>,
    /// What else the engine tells nodes apart by: GPUs and CPUs that it keeps for itself.
    pub kind: String,
    /// Why it can't be used, where the engine says so.
    pub reason: Option<String>,
}

impl Node {
    /// A node of which nothing is known but its name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), state: "idle".to_owned(), ..Self::default() }
    }

    /// How soon it is likely to start a job: idle ones first, broken ones last.
    pub fn rank(&self) -> usize {
        let state = self.state.trim_end_matches(['*', '~', '#', '!', '%', '$', '@', '^', '-', '+']);
        match state {
            "idle" => 0,
            "mixed" => 1,
            "allocated" | "completing" => 2,
            _ => 3,
        }
    }
}

/// The names in a list such as `n[1-3,08],head`.
///
/// # Errors
/// What of it can't be read.
pub fn expanded(list: &str) -> Result<Vec<String>, String> {
    let problem = |what: &str| format!("`{list}`: {what}; write n1,n2 or n[1-9]");
    let mut names = Vec::new();
    for word in split(list).ok_or_else(|| problem("a bracket is not closed"))? {
        let Some((head, rest)) = word.split_once('[') else {
            names.push(word.to_owned());
            continue;
        };
        let (ranges, tail) = rest.split_once(']').ok_or_else(|| problem("a bracket"))?;
        for range in ranges.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| text.parse::<u32>().map_err(|_| problem("no number"));
            let (low, high, width) = (number(first)?, number(last)?, first.len());
            if high < low || high - low >= MOST {
                return Err(problem("no range"));
            }
            names.extend((low..=high).map(|n| format!("{head}{n:0width$}{tail}")));
        }
    }
    names.retain(|name| !name.is_empty());
    match names.iter().find(|name| !is_plain(name)) {
        Some(odd) => Err(problem(&format!("`{odd}` is no node's name"))),
        None => Ok(names),
    }
}

/// More nodes than these in a range are a mistake.
const MOST: u32 = 100_000;

/// Whether a name can be that of a node, and so of a folder.
pub(super) fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_of_name)
}

/// The words between commas that stand in no bracket.
fn split(list: &str) -> Option<Vec<&str>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_schedulers_write_them() {
        let names = |list: &str| expanded(list).unwrap().join(" ");
        assert_eq!(names("n1"), "n1");
        assert_eq!(names("n[1-3,07],head, gpu-a"), "n1 n2 n3 n07 head gpu-a");
        assert_eq!(names("n[08-11]-ib"), "n08-ib n09-ib n10-ib n11-ib");
        assert_eq!(names("root@10.0.0.7"), "root@10.0.0.7");
        assert_eq!(names(""), "");
        for odd in ["n[1", "n[a-b]", "n[3-1]", "n]1[", "../n1", "-w", "n[0-4000000000]", "n 1"] {
            assert!(expanded(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn idle_nodes_come_first() {
        let rank = |state: &str| Node { state: state.to_owned(), ..Node::default() }.rank();
        let states = ["idle", "idle~", "mixed", "allocated", "drained", "down*", "unknown"];
        assert_eq!(states.map(rank), [0, 0, 1, 2, 3, 3, 3]);
    }
}
