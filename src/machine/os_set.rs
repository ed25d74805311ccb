//! Sets of operating-system indexes, as the kernel writes them.

use std::fmt;
use std::str::FromStr;

use bit_set::BitSet;
use serde::{Deserialize, Deserializer};

use crate::io::as_text;

/// The highest index that is believed: far above any kernel's CPU limit (8192),
/// low enough that a hostile `0-4294967295` can't fill the memory.
pub const HIGHEST_INDEX: u32 = 65_535;

/// Members that a text may name at the most, those that it names again included.
const MOST_NAMED: u64 = 4 * (HIGHEST_INDEX as u64 + 1);

/// A set of CPU or NUMA node numbers. Text form: the kernel's list format, `0-3,8,10-11`.
///
/// A bit each, as the kernel has them: a search asks for the sets of a thousand candidates before
/// each trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OsSet(BitSet);

/// CPU (hardware thread) numbers as the kernel counts them.
pub type CpuSet = OsSet;

/// NUMA node numbers as the kernel counts them.
pub type NodeSet = OsSet;

impl OsSet {
    /// The set without members.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().map(|index| index as u32)
    }

    /// How many members.
    pub fn len(&self) -> usize {
        self.0.count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `index` is a member.
    pub fn contains(&self, index: u32) -> bool {
        self.0.contains(index as usize)
    }

    /// The lowest member.
    pub fn first(&self) -> Option<u32> {
        self.iter().next()
    }

    /// The highest member.
    pub fn last(&self) -> Option<u32> {
        self.iter().last()
    }

    /// Adds one member.
    pub fn insert(&mut self, index: u32) {
        self.0.insert(index as usize);
    }

    /// Members of both.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut set = self.clone();
        set.0.intersect_with(&other.0);
        set
    }

    /// Members of either.
    pub fn union(&self, other: &Self) -> Self {
        let mut set = self.clone();
        set.0.union_with(&other.0);
        set
    }

    /// Members of this one that the other lacks.
    pub fn difference(&self, other: &Self) -> Self {
        let mut set = self.clone();
        set.0.difference_with(&other.0);
        set
    }

    /// Whether every member is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Whether no member is in `other`.
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.0.is_disjoint(&other.0)
    }

    /// Members as maximal runs `(first, last)`.
    pub fn runs(&self) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for index in self.iter() {
            match runs.last_mut() {
                Some(run) if run.1 + 1 == index => run.1 = index,
                _ => runs.push((index, index)),
            }
        }
        runs
    }
}

impl FromIterator<u32> for OsSet {
    fn from_iter<I: IntoIterator<Item = u32>>(indexes: I) -> Self {
        Self(indexes.into_iter().map(|index| index as usize).collect())
    }
}

impl fmt::Display for OsSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.runs().into_iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

/// Why a text is no set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{part}` in `{text}` is not a number or a range like 0-3 (at most {HIGHEST_INDEX})")]
pub struct BadOsSet {
    text: String,
    part: String,
}

impl FromStr for OsSet {
    type Err = BadOsSet;

    /// Reads the kernel's list format; blank text is the empty set.
    fn from_str(text: &str) -> Result<Self, BadOsSet> {
        let mut set = Self::empty();
        let mut named = 0;
        for part in text.trim().split(',').filter(|_| !text.trim().is_empty()) {
            let bad = || BadOsSet { text: shortened(text), part: shortened(part) };
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: u32 = index(first).ok_or_else(bad)?;
            let last: u32 = index(last).ok_or_else(bad)?;
            // Ranges that overlap over and over would take their time.
            named += u64::from(last.saturating_sub(first)) + 1;
            if first > last || named > MOST_NAMED {
                return Err(bad());
            }
            set.0.extend(first as usize..=last as usize);
        }
        Ok(set)
    }
}

/// For serde: a number that a set may hold.
pub fn believed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    let is_believed = number <= HIGHEST_INDEX;
    let wrong = || {
        serde::de::Error::custom(format_args!(
            "number {number} of a node: there are at most {HIGHEST_INDEX}"
        ))
    };
    is_believed.then_some(number).ok_or_else(wrong)
}

fn index(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|&i| i <= HIGHEST_INDEX)
}

fn shortened(text: &str) -> String {
    text.trim().chars().take(60).collect()
}

as_text!(OsSet);

impl schemars::JsonSchema for OsSet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OsSet".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Numbers of CPUs or NUMA nodes in the kernel's list format.",
            "type": "string",
            "pattern": "^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_format_round_trips() {
        for text in ["", "0", "0-3", "0-3,8,10-11", "1024-2047"] {
            assert_eq!(text.parse::<OsSet>().unwrap().to_string(), text);
        }
        assert_eq!("3,1,2,2, 7\n".parse::<OsSet>().unwrap().to_string(), "1-3,7");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["a", "3-1", "-1", "1-", ",", "0-99999999", "1,,2", "+3", "0x1"] {
            assert!(text.parse::<OsSet>().is_err(), "{text}");
        }
        assert!("0-65535,".repeat(3).parse::<OsSet>().is_err(), "ends with a comma");
        assert_eq!("0-65535,0-65535".parse::<OsSet>().unwrap().len(), 65_536);
        assert!(format!("{}0", "0-65535,".repeat(200_000)).parse::<OsSet>().is_err());
    }
}
