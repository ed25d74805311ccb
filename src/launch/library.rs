//! Libraries that a process is started with: by name, out of the system's folders.

use std::fs;
use std::path::PathBuf;

use crate::machine::Roots;

/// Where distributions put libraries; the dynamic linker searches the same folders by itself.
const FOLDERS: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
];

/// The file that the system's folders have for `library`, links followed.
fn file(library: &str, roots: &Roots) -> Option<PathBuf> {
    FOLDERS.iter().find_map(|folder| fs::canonicalize(roots.mounted(folder).join(library)).ok())
}

/// Whether both are one file, such as Intel's name for LLVM's library.
pub fn are_one(library: &str, other: &str, roots: &Roots) -> bool {
    file(library, roots).is_some_and(|path| file(other, roots) == Some(path))
}

/// That no folder has `library`, which `package` brings, in words.
pub fn missing(library: &str, package: &str, roots: &Roots) -> Option<String> {
    file(library, roots).is_none().then(|| format!("no {library} is installed (Debian: {package})"))
}
