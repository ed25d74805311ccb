//! Ownership: whether somebody else could have put a file where it is, or change it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The users whose files are taken.
#[derive(Clone, Debug)]
pub struct Owners(Vec<u32>);

/// Somebody else may write to a file, or to a folder on the way to it.
#[derive(Debug, thiserror::Error)]
pub enum NotOurs {
    /// Somebody else may write to this file or folder.
    #[error("{}: others than {users} may write to it, so it is not loaded", .path.display())]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// The users who alone should be able to write to it.
        users: &'static str,
    },
    /// It can't be looked at.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

impl Owners {
    /// Only root.
    pub fn root() -> Self {
        Self([0].into_iter().chain(outer_root()).collect())
    }

    /// Root, and the user who runs this process.
    pub fn root_and_user() -> Self {
        let mut owners = Self::root();
        owners.0.push(rustix::process::geteuid().as_raw());
        owners
    }

    /// Whoever owns a tree that stands in for a system.
    pub fn of(uid: u32) -> Self {
        Self(vec![uid])
    }

    /// Checks that nobody else can change a file or put another in its place: it, the folder that
    /// it is in, and every folder above, along the path as given and along the one that links lead
    /// to.
    ///
    /// # Errors
    /// What others may write to.
    pub fn alone_can_write(&self, path: &Path) -> Result<(), NotOurs> {
        let unreadable = |source| NotOurs::Unreadable { path: path.to_owned(), source };
        let target = fs::canonicalize(path).map_err(unreadable)?;
        self.file(&target)?;
        let given = std::path::absolute(path).map_err(unreadable)?;
        self.folders(&target)?;
        if given == target { Ok(()) } else { self.folders(&given) }
    }

    /// Checks a file without the folders that it is in.
    ///
    /// # Errors
    /// Others may write to it.
    pub fn file(&self, path: &Path) -> Result<(), NotOurs> {
        self.part(path, false)
    }

    fn folders(&self, file: &Path) -> Result<(), NotOurs> {
        let mut folders = file.ancestors().skip(1);
        // Others can add files to a sticky folder, so the file's own may not be one.
        folders.next().map_or(Ok(()), |folder| self.part(folder, false))?;
        // Further up they could only rename what is theirs.
        folders.try_for_each(|folder| self.part(folder, true))
    }

    fn part(&self, path: &Path, may_be_sticky: bool) -> Result<(), NotOurs> {
        let metadata = fs::metadata(path)
            .map_err(|source| NotOurs::Unreadable { path: path.to_owned(), source })?;
        let is_sticky = may_be_sticky && metadata.mode() & 0o1000 != 0;
        let group_may = metadata.mode() & 0o020 != 0 && !self.is_private(metadata.gid());
        let others_may = metadata.mode() & 0o002 != 0 || group_may;
        if self.0.contains(&metadata.uid()) && (!others_may || is_sticky) {
            return Ok(());
        }
        let is_root = self.0.iter().all(|&uid| [Some(0), outer_root()].contains(&Some(uid)));
        let users = if is_root { "root" } else { "root and you" };
        Err(NotOurs::Writable { path: path.to_owned(), users })
    }

    /// Whether a group is a user's own: distributions give every user one, and let it write.
    fn is_private(&self, gid: u32) -> bool {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let user = rustix::process::geteuid().as_raw();
        user != 0
            && self.0.contains(&user)
            && is_private_group(gid, user, &read("/etc/passwd"), &read("/etc/group"))
    }
}

/// Whether `gid` is the group of the user alone, by the text of the two files.
fn is_private_group(gid: u32, user: u32, passwd: &str, group: &str) -> bool {
    let fields = |line: &'_ str| line.split(':').map(ToOwned::to_owned).collect::<Vec<_>>();
    let number = |fields: &[String], at: usize| fields.get(at)?.parse::<u32>().ok();
    let users: Vec<Vec<String>> = passwd.lines().map(fields).collect();
    let own_name = users.iter().find(|line| number(line, 2) == Some(user)).map(|line| &line[0]);
    let is_first_of_others =
        users.iter().any(|line| number(line, 3) == Some(gid) && number(line, 2) != Some(user));
    let Some(own_name) = own_name.filter(|_| !is_first_of_others) else { return false };
    let groups: Vec<Vec<String>> = group.lines().map(fields).collect();
    let Some(line) = groups.iter().find(|line| number(line, 2) == Some(gid)) else { return false };
    let mut members = line.get(3).map_or("", String::as_str).split(',').filter(|m| !m.is_empty());
    line[0] == *own_name && members.all(|member| member == own_name)
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
    fn a_group_is_private_that_nobody_else_is_in() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbob:x:1001:1000:::\n";
        let alone = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbob:x:1001:1001:::\n";
        let group = "ann:x:1000:\nbob:x:1001:\nstaff:x:50:ann\n";
        assert!(is_private_group(1000, 1000, alone, group));
        assert!(!is_private_group(1000, 1000, passwd, group), "bob's first group");
        assert!(!is_private_group(50, 1000, alone, group), "a group of another name");
        assert!(!is_private_group(1000, 1000, alone, "ann:x:1000:bob\n"));
        assert!(!is_private_group(4, 1000, alone, group), "an unknown group");
    }

    #[test]
    fn a_file_is_ours_where_nobody_else_can_write_on_the_way_to_it() {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("bin");
        fs::create_dir(&folder).unwrap();
        let file = folder.join("library.so");
        fs::write(&file, "").unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let refused =
            || Owners::root_and_user().alone_can_write(&file).err().map(|e| e.to_string());
        mode(&folder, 0o755);
        // The temporary folder itself is sticky, and the world may write to it.
        assert_eq!(refused(), None);
        for (path, open, closed) in [
            (file.as_path(), 0o646, 0o644),
            (folder.as_path(), 0o1777, 0o755),
            (folder.as_path(), 0o757, 0o755),
            (tree.path(), 0o757, 0o700),
        ] {
            mode(path, open);
            let words = refused().unwrap_or_default();
            assert!(words.starts_with(&path.display().to_string()), "{open:o}: {words}");
            assert!(words.contains("may write to it, so it is not loaded"), "{words}");
            mode(path, closed);
            assert_eq!(refused(), None);
        }
    }

    #[test]
    fn what_a_link_leads_to_and_the_folder_it_is_in_both_count() {
        let tree = tempfile::tempdir().unwrap();
        let (open, safe) = (tree.path().join("open"), tree.path().join("safe"));
        fs::create_dir(&open).unwrap();
        fs::create_dir(&safe).unwrap();
        fs::write(safe.join("library.so"), "").unwrap();
        let link = open.join("library.so");
        std::os::unix::fs::symlink(safe.join("library.so"), &link).unwrap();
        let owners = Owners::root_and_user();
        assert!(owners.alone_can_write(&link).is_ok());
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(owners.alone_can_write(&link).is_err(), "anybody may put another link there");
    }

    #[test]
    fn run_by_root_nobodys_files_are_not_taken() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let tree = tempfile::tempdir().unwrap();
        let file = tree.path().join("library.so");
        fs::write(&file, "").unwrap();
        let owners = Owners::root_and_user();
        assert!(owners.alone_can_write(&file).is_ok());
        for path in [file.as_path(), tree.path()] {
            std::os::unix::fs::chown(path, Some(65534), None).unwrap();
            let words = owners.alone_can_write(&file).unwrap_err().to_string();
            assert!(words.contains("others than root may write"), "{words}");
            std::os::unix::fs::chown(path, Some(0), None).unwrap();
        }
    }
}
