//! Rooms: the folders of `src`, each of which uses only those before it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex_lite::Regex;

use crate::tree::Tree;

/// The rooms, in the order in which they may use each other.
const ORDER: [&str; 19] = [
    "stats",
    "io",
    "machine",
    "architecture",
    "knobs",
    "workload",
    "space",
    "trial",
    "launch",
    "evidence",
    "search",
    "results",
    "profile",
    "runner",
    "tune",
    "report",
    "fleet",
    "cli",
    "cmd",
];

/// Programs rather than rooms: they may use every room.
const PROGRAMS: [&str; 3] = ["lib", "main", "worker"];

static USES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\buse\s+([^;]+);").unwrap());
static PATHS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:crate|super)(?:\s*::\s*\w+)+").unwrap());

/// What uses a later room than its own, or none that there is.
pub fn against_the_order(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.sources() {
        let module = module(path);
        let Some(&room) = module.first().filter(|room| !PROGRAMS.contains(room)) else { continue };
        let Some(rank) = ORDER.iter().position(|other| *other == room) else {
            problems.push(format!("{path}: {room} is not among the rooms in tests/tidy/rooms.rs"));
            continue;
        };
        let later = |other: &String| {
            let is_constant = other.chars().all(|letter| letter.is_uppercase() || letter == '_');
            let theirs = ORDER.iter().position(|room| room == other);
            other != room && !is_constant && theirs.is_none_or(|theirs| theirs > rank)
        };
        let used = used(&module, &code(path, text)).into_iter().filter(later);
        problems.extend(used.map(|other| format!("{path}: {room} comes before {other}")));
    }
    problems
}

/// The path of a file's module, from the crate's root.
fn module(path: &str) -> Vec<&str> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').collect()
}

/// A file without comments and tests.
fn code(path: &str, text: &str) -> String {
    if path.ends_with("/tests.rs") {
        return String::new();
    }
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The rooms that a module's code names.
fn used(module: &[&str], code: &str) -> BTreeSet<String> {
    let imported = USES.captures_iter(code).flat_map(|tree| expanded(&tree[1]));
    let rest = USES.replace_all(code, "");
    let inline = PATHS.find_iter(&rest).map(|path| path.as_str().to_owned());
    imported.chain(inline).filter_map(|path| room(module, &path)).collect()
}

/// The room that a path leads to.
fn room(module: &[&str], path: &str) -> Option<String> {
    let mut names = path.split("::").map(str::trim);
    let mut above = module.len();
    loop {
        match names.next()? {
            "crate" => return names.next().map(str::to_owned),
            "super" => above = above.checked_sub(1)?,
            _ if above == module.len() => return None,
            name => return Some(module[..above].first().map_or(name, |room| room).to_owned()),
        }
    }
}

/// The paths of a `use` tree.
fn expanded(tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expanded(&format!("{}{}", head.trim(), part.trim()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::temporary;

    #[test]
    fn each_way_to_name_a_later_room_is_found() {
        for code in [
            "use crate::tune::Session;",
            "use crate::{stats, tune::{self, Session}};",
            "pub use crate::{\n    stats::mean,\n    tune::budget,\n};",
            "fn left() { crate::tune::budget::left() }",
            "use super::super::tune::Session;",
        ] {
            let (_folder, tree) = temporary(&[("src/io/file.rs", code)]);
            assert_eq!(
                against_the_order(&tree),
                ["src/io/file.rs: io comes before tune"],
                "{code}"
            );
        }
    }

    #[test]
    fn an_unknown_room_is_found() {
        let (_folder, tree) = temporary(&[("src/helpers/mod.rs", "")]);
        assert_eq!(against_the_order(&tree).len(), 1);
        let (_folder, tree) = temporary(&[("src/io/mod.rs", "use crate::helpers::help;")]);
        assert_eq!(against_the_order(&tree), ["src/io/mod.rs: io comes before helpers"]);
    }

    #[test]
    fn earlier_rooms_the_own_room_comments_and_tests_are_no_matter() {
        let code = "use super::file;\nuse crate::io::lock;\nuse crate::stats;\n// as crate::tune\n\
                    #[cfg(test)]\nmod tests {\n    use crate::tune;\n}\n";
        let (_folder, tree) = temporary(&[("src/io/held.rs", code)]);
        assert!(against_the_order(&tree).is_empty());
    }
}
