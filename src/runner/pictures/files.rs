//! Files: which of those that a pattern means a run wrote itself.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::workload::custom::pictures::patterns;

/// A clip of pictures has fewer.
const MOST_FILES: usize = 10_000;

/// What changes about a file when somebody writes it: nobody can set the time of its last change.
type State = (u64, u64, i64, i64, u64);

/// The files that were there before a run.
#[derive(Debug)]
pub struct FilesBefore<'a> {
    text: &'a str,
    patterns: Vec<String>,
    files: BTreeMap<PathBuf, State>,
}

impl<'a> FilesBefore<'a> {
    /// What the patterns of `text` mean now in `folder`.
    ///
    /// # Errors
    /// They mean too many files, or can't be looked for.
    pub fn now(text: &'a str, folder: &Path) -> Result<Self, String> {
        let folder = glob::Pattern::escape(&folder.display().to_string());
        let patterns = patterns(text)?;
        let patterns = patterns.into_iter().map(|one| match one.starts_with('/') {
            true => one,
            false => format!("{folder}/{one}"),
        });
        let patterns: Vec<String> = patterns.collect();
        let files = found(&patterns)?;
        Ok(Self { text, patterns, files })
    }

    /// The files that were written since, `2.png` before `10.png`.
    ///
    /// # Errors
    /// There is none.
    pub fn written(&self) -> Result<Vec<PathBuf>, String> {
        let now = found(&self.patterns)?;
        let is_new = |(path, state): &(PathBuf, State)| self.files.get(path) != Some(state);
        let (count, files) = (now.len(), now.into_iter().filter(is_new));
        let mut files: Vec<PathBuf> = files.map(|(path, _)| path).collect();
        if files.len() > MOST_FILES {
            let problem = "files that --output means: name fewer";
            return Err(format!("it wrote more than {MOST_FILES} {problem}"));
        }
        files.sort_by(|one, other| by_number(&one.to_string_lossy(), &other.to_string_lossy()));
        if files.is_empty() {
            let text = self.text;
            let old = match count {
                0 => String::new(),
                1 => "; the one that is there is of an earlier run".to_owned(),
                _ => format!("; the {count} that are there are of earlier runs"),
            };
            return Err(format!("it wrote no file that --output '{text}' means{old}"));
        }
        Ok(files)
    }
}

fn found(patterns: &[String]) -> Result<BTreeMap<PathBuf, State>, String> {
    let mut files = BTreeMap::new();
    for pattern in patterns {
        let paths = glob::glob(pattern).map_err(|error| format!("--output: {error}"))?;
        for path in paths.flatten() {
            files.extend(state(&path).map(|state| (path, state)));
        }
    }
    Ok(files)
}

fn state(path: &Path) -> Option<State> {
    let data = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some((data.dev(), data.ino(), data.ctime(), data.ctime_nsec(), data.len()))
}

/// Compares names as people count: by the numbers in them.
fn by_number(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let ([a, next], [b, next_other]) = (part(one), part(other));
        let value = |digits: &str| digits.trim_start_matches('0').to_owned();
        let order = match is_number(a) && is_number(b) {
            true => value(a).len().cmp(&value(b).len()).then_with(|| value(a).cmp(&value(b))),
            false => a.cmp(b),
        };
        match order.then_with(|| next.is_empty().cmp(&next_other.is_empty()).reverse()) {
            Ordering::Equal if next.is_empty() => return a.cmp(b),
            Ordering::Equal => (one, other) = (next, next_other),
            order => return order,
        }
    }
}

fn is_number(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_digit())
}

/// The digits with which a text begins, or what comes before the next ones; and the rest.
fn part(text: &str) -> [&str; 2] {
    let of_number = is_number(text);
    let end = text.find(|c: char| c.is_ascii_digit() != of_number).unwrap_or(text.len());
    text.split_at(end).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_run_wrote_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let names = |before: &FilesBefore<'_>| -> Result<Vec<String>, String> {
            let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
            Ok(before.written()?.into_iter().map(name).collect())
        };
        let before = FilesBefore::now("*.png|*.mp4", folder.path()).unwrap();
        let none = before.written().unwrap_err();
        assert_eq!(none, "it wrote no file that --output '*.png|*.mp4' means");
        for name in ["10.png", "9.png", "a.mp4", "a.txt"] {
            write(name, "x");
        }
        assert_eq!(names(&before).unwrap(), ["9.png", "10.png", "a.mp4"]);
        let before = FilesBefore::now("*.png", folder.path()).unwrap();
        assert!(
            before.written().unwrap_err().ends_with("the 2 that are there are of earlier runs")
        );
        std::fs::remove_file(folder.path().join("9.png")).unwrap();
        write("9.png", "xy");
        assert_eq!(names(&before).unwrap(), ["9.png"]);
    }

    #[test]
    fn names_are_sorted_by_their_numbers() {
        let mut names = ["b1", "a10b2", "a2", "a10b", "a02", "a", "a10b10"];
        names.sort_by(|one, other| by_number(one, other));
        assert_eq!(names, ["a", "a02", "a2", "a10b", "a10b2", "a10b10", "b1"]);
    }
}
