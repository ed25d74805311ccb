//! The system's own libraries that a launch may load before all others.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::io::ownership::Owners;
use crate::machine::SystemRoots;

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
pub fn find(name: &str, roots: &SystemRoots) -> Result<String, NotFound> {
    if name == MKL {
        return beside_this_program(name);
    }
    let package = package(name)
        .ok_or_else(|| NotFound::Untrusted(format!("{name}: no library that may be loaded")))?;
    let mut places = FOLDERS.iter().map(|folder| roots.mounted(folder).join(name));
    let Some(place) = places.find(|place| place.exists()) else {
        return Err(NotFound::Absent(format!("no {name} is installed (Debian: {package})")));
    };
    // A tree that stands in for a system belongs to whoever made it.
    let trusted = if roots.mounts.as_os_str().is_empty() {
        // Packages put a link beside the file of the full version.
        Owners::root().alone_can_write(&place)
    } else {
        let owner = fs::metadata(&roots.mounts).map_or(0, |tree| tree.uid());
        Owners::of(owner).file(&place)
    };
    trusted.map_err(|problem| NotFound::Untrusted(problem.to_string()))?;
    Ok(place.display().to_string())
}

/// The file of that name in the folder of this program, if nobody else could have put it there: they
/// may be able to add a file where they can't replace the program.
fn beside_this_program(name: &str) -> Result<String, NotFound> {
    let place = std::env::current_exe().map(|program| program.with_file_name(name));
    let Some(place) = place.ok().filter(|place| place.exists()) else {
        let cure = "`make build` makes it";
        return Err(NotFound::Absent(format!("no {name} beside this program; {cure}")));
    };
    let trusted = Owners::root_and_user().alone_can_write(&place);
    trusted.map_err(|problem| NotFound::Untrusted(problem.to_string()))?;
    Ok(place.display().to_string())
}

/// Why a known library can't be chosen on this system, in words; `None` where it can.
pub fn refusal(name: &str, roots: &SystemRoots) -> Option<String> {
    find(name, roots).err().map(|problem| problem.to_string())
}

/// Whether both are one file, such as Intel's name for LLVM's library.
pub fn are_one(library: &str, other: &str, roots: &SystemRoots) -> bool {
    let file = |name: &str| find(name, roots).ok().and_then(|path| fs::canonicalize(path).ok());
    file(library).is_some_and(|path| file(other) == Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_the_systems_own_files_are_loaded() {
        let (_tree, roots) = SystemRoots::of_files(&[("proc/x", ""), ("usr/lib64/x", "")]);
        let folder = roots.mounted("/usr/lib64");
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
