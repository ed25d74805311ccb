//! Tidy: how the source tree is laid out, which room may use which, and which words it avoids.
//!
//! Each rule is a function from a tree to what is wrong with it, so that it can be shown a bad tree.

mod layout;
mod rooms;
mod tree;
mod words;

use std::path::Path;

use tree::{Tree, temporary};

/// What is wrong with a tree, one line each.
type Rule = fn(&Tree) -> Vec<String>;

const RULES: [(&str, Rule); 8] = [
    ("each module's first line says what it is", layout::without_heading),
    ("a title is the file's name", layout::foreign_titles),
    ("no file is long", layout::long_files),
    ("no folder is crowded", layout::crowded_folders),
    ("public items are documented", layout::undocumented),
    ("a room uses only rooms before it", rooms::against_the_order),
    ("the field's words are used", words::private),
    ("the glossary's words are the code's", words::glossary),
];

#[test]
fn the_tree_is_tidy() {
    let tree = Tree::of(Path::new(env!("CARGO_MANIFEST_DIR")));
    let broken = RULES.iter().flat_map(|(rule, problems)| {
        problems(&tree).into_iter().map(move |problem| format!("{rule}: {problem}"))
    });
    let broken: Vec<String> = broken.collect();
    assert!(broken.is_empty(), "{} problems:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn a_good_tree_breaks_no_rule() {
    let manifest = "[lints.rust]\nmissing_docs = \"deny\"\n";
    let files = [
        ("Cargo.toml", manifest),
        ("src/io/mod.rs", "//! Input and output.\n\npub mod file;\n"),
        ("src/report/mod.rs", "//! Report: one page.\n\nuse crate::io::file;\n"),
    ];
    let (_folder, tree) = temporary(&files);
    for (rule, problems) in RULES {
        assert_eq!(problems(&tree), Vec::<String>::new(), "{rule}");
    }
}
