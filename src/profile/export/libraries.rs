//! Libraries in scripts: a script that runs where one of them is absent says so and stops, since the
//! dynamic linker would only complain and go on without.

use super::Export;
use crate::io::shell;
use crate::knobs::allow_list::PRELOAD;
use crate::machine::library::{FOLDERS, package};

/// Exit status of a launch that could not be applied, as `wan22-tune exec` has it.
const NOT_APPLIED: &str = "125";

impl Export<'_> {
    /// The libraries that are loaded before all others: paths where this host has them, names
    /// otherwise.
    pub(super) fn libraries(&self) -> Result<Vec<String>, String> {
        let mut environment = self.host_environment()?;
        let list = environment.remove(PRELOAD).unwrap_or_default();
        Ok(list.split(':').filter(|file| !file.is_empty()).map(ToOwned::to_owned).collect())
    }

    /// For a POSIX shell: ends by `stop` (`exit`, or `return` in a sourced file) where a library is
    /// absent.
    pub(super) fn library_test(&self, stop: &str) -> Result<String, String> {
        let libraries = self.libraries()?;
        let test = |file: &String| {
            let name = file.rsplit('/').next().unwrap_or(file);
            let places: Vec<String> =
                places(file).iter().map(|place| shell::text(&[place])).collect();
            let tests: Vec<String> = places.iter().map(|place| format!("[ -e {place} ]")).collect();
            let cure = package(name).map(|package| format!(" (Debian: {package})"));
            let words =
                format!("wan22-tune: no {name} is installed here{}", cure.unwrap_or_default());
            format!(
                "{} || {{ echo {} >&2; {stop} {NOT_APPLIED}; }}\n",
                tests.join(" || "),
                shell::text(&[words])
            )
        };
        Ok(libraries.iter().map(test).collect())
    }
}

/// Where the dynamic linker finds a file: there, or where distributions put libraries.
pub(super) fn places(file: &str) -> Vec<String> {
    if file.contains('/') {
        return vec![file.to_owned()];
    }
    FOLDERS.iter().map(|folder| format!("{folder}/{file}")).collect()
}
