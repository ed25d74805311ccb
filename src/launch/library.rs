//! The system's own libraries that a launch may load before all others.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::machine::Roots;

/// A library that settings may choose.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// The name that the dynamic linker knows it by.
    pub file: &'static str,
    /// The Debian package that brings it.
    pub package: &'static str,
}

/// Every library that there is to choose from.
pub const KNOWN: [Library; 5] = [
    Library { file: "libjemalloc.so.2", package: "libjemalloc2" },
    Library { file: "libtcmalloc_minimal.so.4", package: "libtcmalloc-minimal4" },
    Library { file: "libmimalloc.so.2", package: "libmimalloc2.0" },
    Library { file: "libiomp5.so", package: "libomp-dev" },
    Library { file: "libomp.so.5", package: "libomp5" },
];

/// This program's own, which lies beside it and makes MKL take its fast kernels on AMD's processors.
pub const MKL: &str = "libwan22-mkl.so";

/// Where distributions put libraries; the dynamic linker searches the same folders by itself.
pub const FOLDERS: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
];

/// The Debian package of a known library.
pub fn package(name: &str) -> Option<&'static str> {
    KNOWN.iter().find(|known| known.file == name).map(|known| known.package)
}

/// Why a library is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// The system lacks it.
    #[error("{0}")]
    Absent(String),
    /// It is none of [`KNOWN`], or others than root could have put it there.
    #[error("{0}")]
    Untrusted(String),
}

/// The system's file of that name, a path that nobody but root could have put there; or our own.
///
/// # Errors
/// There is none, with the package to install; or others may write to it.
pub fn find(name: &str, roots: &Roots) -> Result<String, NotFound> {
    if name == MKL {
        return beside_this_program(name);
    }
    let package = package(name)
        .ok_or_else(|| NotFound::Untrusted(format!("{name}: no library that may be loaded")))?;
    let mut places = FOLDERS.iter().map(|folder| roots.mounted(folder).join(name));
    let Some(place) = places.find(|place| place.exists()) else {
        return Err(NotFound::Absent(format!("no {name} is installed (Debian: {package})")));
    };
    // Packages put a link beside the file of the full version.
    let file = fs::canonicalize(&place)
        .map_err(|error| NotFound::Untrusted(format!("{}: {error}", place.display())))?;
    // A tree that stands in for a system belongs to whoever made it.
    let is_live = roots.mounts.as_os_str().is_empty();
    let owner = fs::metadata(&roots.mounts).map_or(0, |tree| tree.uid());
    let mut owners = vec![owner];
    owners.extend(outer_root().filter(|_| is_live));
    let folders = file.ancestors().skip(1).take_while(|_| is_live);
    for part in std::iter::once(file.as_path()).chain(folders) {
        only_of(&owners, part)?;
    }
    Ok(place.display().to_string())
}

/// Whoever could put another file there could as well put another program in this one's place.
fn beside_this_program(name: &str) -> Result<String, NotFound> {
    let place = std::env::current_exe().map(|program| program.with_file_name(name));
    match place {
        Ok(place) if place.exists() => Ok(place.display().to_string()),
        _ => Err(NotFound::Absent(format!("no {name} beside this program; `make build` makes it"))),
    }
}

/// Why a known library can't be chosen on this system, in words; `None` where it can.
pub fn refusal(name: &str, roots: &Roots) -> Option<String> {
    find(name, roots).err().map(|problem| problem.to_string())
}

/// Whether both are one file, such as Intel's name for LLVM's library.
pub fn are_one(library: &str, other: &str, roots: &Roots) -> bool {
    let file = |name: &str| find(name, roots).ok().and_then(|path| fs::canonicalize(path).ok());
    file(library).is_some_and(|path| file(other) == Some(path))
}

/// In a user namespace that has no number for the host's root, as rootless containers make them, the
/// host's own files belong to the number that stands for whoever has none. Nobody in there can write
/// to these.
fn outer_root() -> Option<u32> {
    let read = |path: &str| fs::read_to_string(path).ok();
    outer_root_of(&read("/proc/self/uid_map")?, &read("/proc/sys/kernel/overflowuid")?)
}

fn outer_root_of(map: &str, overflow: &str) -> Option<u32> {
    // Each row: the first number here, the first out there, how many.
    let mut outside = map.lines().filter_map(|row| row.split_whitespace().nth(1));
    let is_mapped = outside.any(|first| first == "0");
    (!is_mapped).then(|| overflow.trim().parse().ok()).flatten()
}

/// Whoever may write to a file or to a folder above it decides what runs in every process.
fn only_of(owners: &[u32], part: &Path) -> Result<(), NotFound> {
    let metadata = fs::metadata(part)
        .map_err(|error| NotFound::Untrusted(format!("{}: {error}", part.display())))?;
    let others_may_write = metadata.mode() & 0o022 != 0;
    if owners.contains(&metadata.uid()) && !others_may_write {
        return Ok(());
    }
    let problem = "others than root may write to it, so it is not loaded";
    Err(NotFound::Untrusted(format!("{}: {problem}", part.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_hosts_root_has_another_number_where_a_namespace_has_none_for_it() {
        let host = "         0          0 4294967295\n";
        assert_eq!(outer_root_of(host, "65534\n"), None);
        assert_eq!(outer_root_of("0 1000 1\n1 100000 65536\n", "65534\n"), Some(65534));
        assert_eq!(outer_root_of("1000 0 1\n", "65534\n"), None);
        assert_eq!(outer_root_of("", "65534\n"), Some(65534));
    }

    #[test]
    fn only_the_systems_own_files_are_loaded() {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("usr/lib64");
        fs::create_dir_all(tree.path().join("proc")).unwrap();
        fs::create_dir_all(&folder).unwrap();
        let roots = Roots::fixture(tree.path());
        let name = "libjemalloc.so.2";
        let absent = find(name, &roots).unwrap_err();
        assert_eq!(absent.to_string(), "no libjemalloc.so.2 is installed (Debian: libjemalloc2)");
        fs::write(folder.join(name), "").unwrap();
        let mode = |mode| fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode));
        mode(0o644).unwrap();
        assert_eq!(find(name, &roots).unwrap(), folder.join(name).display().to_string());
        for writable in [0o664, 0o646] {
            mode(writable).unwrap();
            assert!(matches!(find(name, &roots), Err(NotFound::Untrusted(_))));
        }
        for odd in ["libevil.so", "/tmp/libjemalloc.so.2", ""] {
            assert!(matches!(find(odd, &roots), Err(NotFound::Untrusted(_))), "{odd}");
        }
    }
}
