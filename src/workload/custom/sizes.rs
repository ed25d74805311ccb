//! Sizes of the user's own job: a small one to search on, the whole one to believe.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::io::as_text;
use crate::knobs::program_environment::knob_name;

/// The size that counts denoising steps: one of them takes as much memory as all.
const STEPS: &str = "steps";

/// What a run of the job is as large as, by name.
pub type OwnSizes = BTreeMap<String, i64>;

/// One size of a job, from the smallest value to the whole job's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSize {
    /// What it is called in the command's words, or by the worker.
    pub name: String,
    values: Vec<i64>,
}

impl FromStr for JobSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}`: give a name and whole numbers, such as frames=17,81");
        let (name, values) = text.split_once('=').ok_or_else(form)?;
        knob_name(name)?;
        let values = values.split(',').map(|value| value.trim().parse::<i64>());
        let values: Vec<i64> = values.collect::<Result<_, _>>().map_err(|_| form())?;
        let rises = values[0] > 0 && values.windows(2).all(|pair| pair[0] < pair[1]);
        rises
            .then(|| Self { name: name.to_owned(), values })
            .ok_or_else(|| format!("`{text}`: begin with the smallest, from 1 on"))
    }
}

impl fmt::Display for JobSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values.iter().map(ToString::to_string).collect();
        write!(f, "{}={}", self.name, values.join(","))
    }
}

as_text!(JobSize);

/// What the job is run at, from the smallest to the whole. A size with fewer values than others is
/// whole from its last one on.
pub fn rungs(sizes: &[JobSize]) -> Vec<OwnSizes> {
    let count = sizes.iter().map(|size| size.values.len()).max().unwrap_or(1);
    let value = |size: &JobSize, rung: usize| size.values[rung.min(size.values.len() - 1)];
    let rung = |rung| sizes.iter().map(|size| (size.name.clone(), value(size, rung))).collect();
    (0..count).map(rung).collect()
}

/// The whole job.
pub fn whole(sizes: &[JobSize]) -> OwnSizes {
    rungs(sizes).pop().unwrap_or_default()
}

/// Sizes in words: `frames=81 steps=20`.
pub fn in_words(sizes: &OwnSizes) -> String {
    let words: Vec<String> = sizes.iter().map(|(name, size)| format!("{name}={size}")).collect();
    words.join(" ")
}

/// The whole job with a single step, which takes its memory and a part of its time, and with the fewest
/// steps that the user has, for a program that refuses one; none where nothing says how many there are.
pub fn memory_tests(sizes: &[JobSize]) -> Vec<OwnSizes> {
    let fewest = sizes.iter().find(|size| size.name == STEPS).map(|size| size.values[0]);
    let mut steps: Vec<i64> = fewest.into_iter().flat_map(|fewest| [1, fewest]).collect();
    steps.dedup();
    let with = |steps| whole(sizes).into_iter().chain([(STEPS.to_owned(), steps)]).collect();
    steps.into_iter().map(with).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(texts: &[&str]) -> Vec<JobSize> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn rungs_go_from_the_smallest_to_the_whole() {
        let of = |texts: &[&str]| rungs(&sizes(texts)).iter().map(in_words).collect::<Vec<_>>();
        assert_eq!(
            of(&["frames=17,81", "steps=4,20"]),
            ["frames=17 steps=4", "frames=81 steps=20"]
        );
        assert_eq!(
            of(&["frames=5,17,81", "steps=4,20"])[1..],
            ["frames=17 steps=20", "frames=81 steps=20"]
        );
        assert_eq!(of(&[]), [""]);
        let tests =
            |texts: &[&str]| memory_tests(&sizes(texts)).iter().map(in_words).collect::<Vec<_>>();
        assert_eq!(
            tests(&["frames=17,81", "steps=4,20"]),
            ["frames=81 steps=1", "frames=81 steps=4"]
        );
        assert_eq!(tests(&["frames=17,81", "steps=1,20"]), ["frames=81 steps=1"]);
        assert!(tests(&["frames=17,81"]).is_empty());
        assert_eq!(sizes(&["a=1,2"])[0].to_string(), "a=1,2");
    }

    #[test]
    fn what_is_no_size_is_refused_with_a_cure() {
        for (text, says) in [
            ("frames", "such as frames=17,81"),
            ("frames=", "such as frames=17,81"),
            ("frames=17,x", "such as frames=17,81"),
            ("frames=81,17", "begin with the smallest"),
            ("frames=0,17", "begin with the smallest"),
            ("Frames=1", "is no name of a knob"),
        ] {
            let refused = text.parse::<JobSize>().unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }
}
