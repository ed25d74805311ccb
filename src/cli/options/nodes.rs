//! Which nodes search together.

use std::fmt;
use std::str::FromStr;

use crate::runner::nodes::is_of_name;

/// The nodes of one search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodesChoice {
    /// As many as there are, between these numbers.
    Count(usize, usize),
    /// These.
    Named(Vec<String>),
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
            Self::Named(names) => names.len(),
        }
    }
}

impl FromStr for NodesChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let cure = "type a number (4), a range (2-8) or names (n1,n2)";
        let number = |word: &str| word.parse::<usize>().ok();
        let ends = text.split_once('-').and_then(|(a, b)| number(a).zip(number(b)));
        if let Some((least, most)) = ends.or_else(|| number(text).map(|n| (n, n))) {
            let is_range = (1..=most).contains(&least) && most <= 10_000;
            return if is_range {
                Ok(Self::Count(least, most))
            } else {
                Err(format!("`{text}`: {cure}"))
            };
        }
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        let is_name = |name: &String| {
            !name.is_empty() && !name.starts_with('-') && name.chars().all(is_of_name)
        };
        let is_again = |(place, name): (usize, &String)| names[..place].contains(name);
        if !names.iter().all(is_name) || names.iter().enumerate().any(is_again) {
            return Err(format!("`{text}`: {cure}, each once"));
        }
        Ok(Self::Named(names))
    }
}

impl fmt::Display for NodesChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(least, most) if least == most => write!(f, "{least}"),
            Self::Count(least, most) => write!(f, "{least}-{most}"),
            Self::Named(names) => f.write_str(&names.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ranges_and_names_are_read_and_anything_else_is_refused() {
        let named =
            |names: &[&str]| NodesChoice::Named(names.iter().map(ToString::to_string).collect());
        assert_eq!("4".parse(), Ok(NodesChoice::Count(4, 4)));
        assert_eq!("2-8".parse(), Ok(NodesChoice::Count(2, 8)));
        assert_eq!("n1,n2".parse(), Ok(named(&["n1", "n2"])));
        assert_eq!("gpu-07.site".parse(), Ok(named(&["gpu-07.site"])));
        for text in ["", "0", "8-2", "0-3", "a,,b", "a,a", "-x", "a b", "n1;rm", "99999999"] {
            assert!(text.parse::<NodesChoice>().unwrap_err().contains("2-8"), "{text}");
        }
        for text in ["4", "2-8", "n1,n2"] {
            assert_eq!(text.parse::<NodesChoice>().unwrap().to_string(), text);
        }
    }
}
