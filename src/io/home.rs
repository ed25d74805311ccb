//! The user's folders, as the environment names them (XDG base directories).

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The folders of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// `$HOME`, where it is an absolute path; otherwise `None`.
    pub folder: Option<PathBuf>,
    /// What is kept: `$XDG_DATA_HOME`, or `~/.local/share`.
    pub data: Option<PathBuf>,
    /// What can be made again: `$XDG_CACHE_HOME`, or `~/.cache`.
    pub cache: Option<PathBuf>,
}

impl Home {
    /// The folders that this process's environment names.
    pub fn of_user() -> Self {
        Self::from_variables(|name| env::var_os(name))
    }

    /// The same from variables of your own.
    ///
    /// An empty or relative path counts as unset: it would name another folder in each working
    /// folder.
    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let absolute =
            |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = absolute("HOME");
        let below = |path: &str| folder.as_ref().map(|home| home.join(path));
        Self {
            data: absolute("XDG_DATA_HOME").or_else(|| below(".local/share")),
            cache: absolute("XDG_CACHE_HOME").or_else(|| below(".cache")),
            folder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(variables: &[(&str, &str)]) -> Home {
        Home::from_variables(|wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted)?;
            Some(found.1.into())
        })
    }

    fn path(text: &str) -> Option<PathBuf> {
        Some(text.into())
    }

    #[test]
    fn xdg_folders_come_before_those_below_home() {
        let below = home(&[("HOME", "/home/a")]);
        assert_eq!(
            [below.data, below.cache],
            [path("/home/a/.local/share"), path("/home/a/.cache")]
        );
        let named = home(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "/d"), ("XDG_CACHE_HOME", "/c")]);
        assert_eq!([named.data, named.cache], [path("/d"), path("/c")]);
    }

    #[test]
    fn an_empty_or_relative_path_counts_as_unset() {
        for odd in ["", ".", "relative", "./x", "~"] {
            assert_eq!(home(&[("HOME", odd)]), Home::default(), "{odd}");
            let xdg = [("HOME", "/h"), ("XDG_DATA_HOME", odd), ("XDG_CACHE_HOME", odd)];
            assert_eq!(home(&xdg), home(&[("HOME", "/h")]), "{odd}");
        }
    }
}
