//! Which nodes search together.

use std::fmt;
use std::str::FromStr;

use crate::runner::nodes::NodeList;

/// The nodes of one search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodesChoice {
    /// As many as there are, between these numbers.
    Count(usize, usize),
    /// These.
    Named(NodeList),
}

impl NodesChoice {
    /// How many are needed at least.
    pub fn least(&self) -> usize {
        match self {
            Self::Count(least, _) => *least,
            Self::Named(_) => 1,
        }
    }

    /// How many may take part.
    pub fn most(&self) -> usize {
        match self {
            Self::Count(_, most) => *most,
            Self::Named(names) => names.0.len(),
        }
    }
}

impl FromStr for NodesChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let cure = "a number (4) or a range (2-8)";
        let number = |word: &str| word.parse::<usize>().ok();
        let ends = text.split_once('-').and_then(|(a, b)| number(a).zip(number(b)));
        if let Some((least, most)) = ends.or_else(|| number(text).map(|n| (n, n))) {
            let is_range = (1..=most).contains(&least) && most <= 10_000;
            return if is_range {
                Ok(Self::Count(least, most))
            } else {
                Err(format!("`{text}`: type {cure} of 1 to 10000 nodes"))
            };
        }
        match text.parse::<NodeList>() {
            Ok(names) if names.0.is_empty() => Err(format!("no node: type {cure}, or names")),
            named => named.map(Self::Named).map_err(|problem| format!("{problem}, {cure}")),
        }
    }
}

impl fmt::Display for NodesChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(least, most) if least == most => write!(f, "{least}"),
            Self::Count(least, most) => write!(f, "{least}-{most}"),
            Self::Named(names) => write!(f, "{names}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ranges_and_names_are_read_and_anything_else_is_refused() {
        let named = |list: &str| Ok(NodesChoice::Named(list.parse().unwrap()));
        assert_eq!("4".parse(), Ok(NodesChoice::Count(4, 4)));
        assert_eq!("2-8".parse(), Ok(NodesChoice::Count(2, 8)));
        assert_eq!("n1,n2".parse(), named("n1,n2"));
        assert_eq!("gpu-07.site".parse(), named("gpu-07.site"));
        assert_eq!("n[1-3],n2".parse(), named("n1,n2,n3"));
        for text in ["", "0", "8-2", "0-3", "n[1", "-x", "a b", "n1;rm", "99999999"] {
            assert!(text.parse::<NodesChoice>().unwrap_err().contains("2-8"), "{text}");
        }
        for text in ["4", "2-8", "n1,n2"] {
            assert_eq!(text.parse::<NodesChoice>().unwrap().to_string(), text);
        }
    }
}
