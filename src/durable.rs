//! Files that survive a crash: replaced whole, or appended to line by line.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// Replaces a file: written beside it, synced, renamed over it, and the folder synced.
///
/// # Errors
/// The file and what failed; the old content is then untouched.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = || format!("writing {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(place)?;
    file.write_all(content).with_context(place)?;
    file.as_file().sync_all().with_context(place)?;
    // A temporary file is private; what people share is not.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable).with_context(place)?;
    file.persist(path).with_context(place)?;
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(place)
}
