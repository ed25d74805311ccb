//! Tree: the text files that the rules look at.

use std::fs;
use std::path::Path;

/// Where rules look, from the repository's root.
const ROOTS: [&str; 6] = ["src", "tests", "benches", "docs", "README.md", "ARCHITECTURE.md"];

/// Text files by their path from the root, with `/` between folders; in order.
pub struct Tree {
    pub files: Vec<(String, String)>,
    pub manifest: String,
}

impl Tree {
    pub fn of(root: &Path) -> Self {
        let mut files = Vec::new();
        ROOTS.iter().for_each(|name| collect(root, name, &mut files));
        files.sort();
        Self { files, manifest: fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default() }
    }

    /// The modules of the library and the worker.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rust().filter(|(path, _)| path.starts_with("src/"))
    }

    /// Every Rust file.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        files.filter(|(path, _)| path.ends_with(".rs"))
    }
}

fn collect(root: &Path, name: &str, files: &mut Vec<(String, String)>) {
    let path = root.join(name);
    if path.is_dir() {
        for entry in fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap().file_name().into_string().unwrap();
            collect(root, &format!("{name}/{entry}"), files);
        }
    } else if let Ok(text) = fs::read_to_string(&path) {
        files.push((name.to_owned(), text));
    }
}

/// A tree of these files in a folder that goes away with the first value.
pub fn temporary(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let tree = Tree::of(folder.path());
    (folder, tree)
}
