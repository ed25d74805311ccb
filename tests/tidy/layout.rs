//! Layout: headings, lengths and folders.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::Tree;

/// Lines of a Rust file, at the most.
const LINES: usize = 400;

/// Entries of a folder of modules, at the most; `src` itself has the rooms.
const ENTRIES: usize = 16;
const ROOMS: usize = 22;

/// Modules whose first line does not say what they are.
pub fn without_heading(tree: &Tree) -> Vec<String> {
    let is_said = |text: &str| {
        let first = text.lines().next().and_then(|line| line.strip_prefix("//! "));
        first.is_some_and(|words| words.split_whitespace().count() > 1)
    };
    let silent = tree.rust().filter(|(_, text)| !is_said(text));
    silent.map(|(path, _)| format!("{path}: begin it with `//! Noun: what it is`")).collect()
}

/// Modules whose first line begins with a title, `//! Noun: …`, that is not the file's name.
pub fn foreign_titles(tree: &Tree) -> Vec<String> {
    let wrong = tree.rust().filter_map(|(path, text)| {
        let (title, _) = text.lines().next()?.strip_prefix("//! ")?.split_once(": ")?;
        let is_title = title.split(' ').count() <= 3 && !title.contains('`');
        let (folder, file) = path.strip_suffix(".rs")?.rsplit_once('/')?;
        let name = match file {
            "mod" | "main" => folder.rsplit('/').next()?,
            "tests" => return None,
            _ => file,
        };
        let is_same = |word: &str| name.split('_').any(|part| stem(part) == stem(word));
        (is_title && !title.split([' ', '-', '/', '.']).any(is_same))
            .then(|| format!("{path}: it is called {title}: use the file's name"))
    });
    wrong.collect()
}

/// A word without its ending: `policies` and `policy` are the same.
fn stem(word: &str) -> String {
    word.to_lowercase().chars().take(4).collect()
}

/// Files that are too long to be read at once.
pub fn long_files(tree: &Tree) -> Vec<String> {
    let lengths = tree.rust().map(|(path, text)| (path, text.lines().count()));
    let long = lengths.filter(|(_, lines)| *lines > LINES);
    long.map(|(path, lines)| format!("{path}: {lines} lines, {LINES} at the most")).collect()
}

/// Folders with more entries than a reader can take in.
pub fn crowded_folders(tree: &Tree) -> Vec<String> {
    let mut entries: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, _) in tree.files.iter().filter(|(path, _)| path.starts_with("src/")) {
        for (at, _) in path.match_indices('/') {
            let entry = path[at + 1..].split('/').next().unwrap_or_default();
            entries.entry(&path[..at]).or_default().insert(entry);
        }
    }
    let most = |folder: &str| if folder == "src" { ROOMS } else { ENTRIES };
    let counts = entries.into_iter().map(|(folder, entries)| (folder, entries.len()));
    let crowded = counts.filter(|(folder, count)| *count > most(folder));
    let said = |(folder, count)| format!("{folder}: {count} entries, {} at the most", most(folder));
    crowded.map(said).collect()
}

/// The compiler sees that public items are documented, as long as it is told to; where names are
/// somebody else's, an exception gives that as its reason.
pub fn undocumented(tree: &Tree) -> Vec<String> {
    let is_denied = tree.manifest.lines().any(|line| line.trim() == "missing_docs = \"deny\"");
    let allows = tree.sources().filter(|(_, text)| text.contains("allow(missing_docs)"));
    let mut problems: Vec<String> =
        allows.map(|(path, _)| format!("{path}: allows it without a reason")).collect();
    if !is_denied {
        problems.push("Cargo.toml: missing_docs is not denied".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::temporary;

    #[test]
    fn a_module_without_a_heading_is_found() {
        for text in ["use std::fs;\n", "//! Files\n", "/// Files of all kinds.\nfn all() {}\n", ""]
        {
            let (_folder, tree) = temporary(&[("src/io/mod.rs", text)]);
            assert_eq!(without_heading(&tree).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_title_that_is_not_the_files_name_is_found() {
        let good = [
            ("src/a/policy/mod.rs", "//! Policies: what to run next.\n"),
            ("src/a/aa_test.rs", "//! A/A test: the baseline twice.\n"),
            ("src/a/x.rs", "//! From a tree to flat sets.\n"),
            ("src/a/y.rs", "//! Once it is known what is wrong: what to do.\n"),
        ];
        assert!(foreign_titles(&temporary(&good).1).is_empty());
        let (_folder, tree) = temporary(&[("src/a/sampler.rs", "//! Draw: by chance.\n")]);
        assert_eq!(
            foreign_titles(&tree),
            ["src/a/sampler.rs: it is called Draw: use the file's name"]
        );
    }

    #[test]
    fn a_long_file_is_found() {
        let lines = |count| "//! One of many lines.\n".repeat(count);
        let (long, short) = (lines(LINES + 1), lines(LINES));
        let (_folder, tree) = temporary(&[("src/a.rs", &long), ("tests/b.rs", &short)]);
        assert_eq!(long_files(&tree), ["src/a.rs: 401 lines, 400 at the most"]);
    }

    #[test]
    fn a_crowded_folder_is_found() {
        let names: Vec<String> = (0..=ENTRIES).map(|n| format!("src/io/file{n}.rs")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        let (_folder, tree) = temporary(&files);
        assert_eq!(crowded_folders(&tree), ["src/io: 17 entries, 16 at the most"]);
        let (_folder, tree) = temporary(&files[1..]);
        assert!(crowded_folders(&tree).is_empty());
    }

    #[test]
    fn a_compiler_that_does_not_deny_is_found() {
        let warns = [("Cargo.toml", "[lints.rust]\nmissing_docs = \"warn\"\n")];
        assert_eq!(undocumented(&temporary(&warns).1).len(), 1);
        let denies = ("Cargo.toml", "[lints.rust]\nmissing_docs = \"deny\"\n");
        let allows = ("src/io/mod.rs", "#![allow(missing_docs)]\n");
        assert_eq!(
            undocumented(&temporary(&[denies, allows]).1),
            ["src/io/mod.rs: allows it without a reason"]
        );
    }
}
