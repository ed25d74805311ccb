//! Words: private ones that this code had for things which have a name in the field.

use std::sync::LazyLock;

use regex_lite::Regex;

use crate::tree::Tree;

/// Where the words are written down.
const HERE: &str = "tests/tidy/";

/// Private words, and what the field says instead.
const WORDS: &[(&str, &str)] = &[
    ("contender", "finalist"),
    ("foretell", "predict"),
    ("inert", "no effect"),
    ("kin", "divisibility"),
    ("lesson", "fitted model"),
    ("likeness", "machine match"),
    ("promise", "acquisition value"),
    ("rehearsal", "warm-up or sandbox"),
    ("rehearse", "warm up"),
    ("rehearsed", "warmed up or sandboxed"),
    ("rig", "runner"),
    ("sitting", "session segment"),
    ("struck", "unsupported"),
    ("tenant", "memory context"),
    ("thrifty", "efficiency"),
    ("upkeep", "remeasure"),
    ("voice", "acquisition function"),
    ("yardstick", "metric"),
    ("handover", "program environment"),
    ("hopeless", "early stop"),
    ("residence", "page placement"),
    ("foretold", "predicted"),
    ("truths", "posterior means"),
    ("voices", "acquisition functions"),
];

/// Private phrases.
const PHRASES: &[(&str, &str)] = &[
    ("seconds a clip", "seconds per clip"),
    ("one file a", "one file per"),
    ("for ever", "indefinitely"),
    ("so many", "the number, or `this many`"),
    ("no picture", "not a picture"),
];

/// Names and prose, in words: `BestRig::of_kin` is `best rig of kin`.
static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[A-Z]+(?:[a-z]+)?|[a-z]+").unwrap());

/// Private words and phrases, with their places.
pub fn private(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in tree.files.iter().filter(|(path, _)| !path.starts_with(HERE)) {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let next = lines.get(number + 1).copied().unwrap_or_default();
            // A phrase may go on in the next line of a comment or a page.
            let goes_on = path.ends_with(".md") || [*line, next].map(is_comment) == [true; 2];
            let (own, later) = (spoken(line), spoken(next));
            let both = if goes_on { format!("{own}{}", later.trim_start()) } else { own };
            for (old, new) in WORDS.iter().chain(PHRASES) {
                let old = format!(" {old} ");
                if both.contains(&old) && !(goes_on && later.contains(&old)) {
                    problems.push(format!("{path}:{}: `{}`: say {new}", number + 1, old.trim()));
                }
            }
        }
    }
    problems
}

/// The words of a line, each between spaces.
fn spoken(line: &str) -> String {
    let words = WORD.find_iter(line).map(|word| word.as_str().to_lowercase());
    format!(" {} ", words.collect::<Vec<_>>().join(" "))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Words of the README's glossary that no type or variant has.
pub fn glossary(tree: &Tree) -> Vec<String> {
    let readme = tree.files.iter().find(|(path, _)| path == "README.md");
    let (_, table) =
        readme.and_then(|(_, text)| text.split_once("## Glossary")).unwrap_or_default();
    let words = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let words = words.flat_map(|words| words.split(", ")).filter(|word| is_name(word));
    let is_named =
        |word: &&str| tree.sources().any(|(_, text)| text.lines().any(|line| names(line, word)));
    let strangers = words.filter(|word| !is_named(word));
    strangers.map(|word| format!("README.md: {word}: no type or variant has this name")).collect()
}

fn is_name(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_ascii_uppercase())
}

/// Whether a line declares a type or a variant of this name.
fn names(line: &str, word: &str) -> bool {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub(") {
        Some(scope) => scope.split_once(") ").map_or(line, |(_, line)| line),
        None => line.trim_start_matches("pub "),
    };
    let kinds = ["struct ", "enum ", "trait ", "type "];
    let name = kinds.iter().find_map(|kind| line.strip_prefix(kind)).unwrap_or(line);
    name.strip_prefix(word).is_some_and(|rest| {
        rest.starts_with([',', '(', '<', ';']) || rest.starts_with(" {") || rest.starts_with(":")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::temporary;

    #[test]
    fn a_private_word_is_found_in_names_and_prose() {
        for text in [
            "let rig = 1;",
            "struct BestRig;",
            "const OLD_RIG: u8 = 0;",
            "//! The rig's.",
            "Twelve seconds a clip.",
            "FOR_EVER",
            "kin()",
        ] {
            let (_folder, tree) = temporary(&[("src/io/mod.rs", text)]);
            assert_eq!(private(&tree).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_word_of_the_glossary_that_the_code_lacks_is_found() {
        let readme = (
            "README.md",
            "## Glossary\n\n| word | meaning |\n| Trial, Sentinel | a |\n| Rig | b |\n",
        );
        let code = ("src/trial/mod.rs", "pub struct Trial {}\nenum Phase {\n    Sentinel,\n}\n");
        let missing = ["README.md: Rig: no type or variant has this name"];
        assert_eq!(glossary(&temporary(&[readme, code]).1), missing);
    }

    #[test]
    fn words_that_only_look_so_are_not() {
        let text = "right trigger kind inertia promising original seconds per clip";
        let (_folder, tree) = temporary(&[("docs/search.md", text)]);
        assert!(private(&tree).is_empty());
    }
}
