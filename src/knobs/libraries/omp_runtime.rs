//! `omp_runtime`: whose OpenMP starts the threads; chosen when a process starts.

use strum::VariantArray;

use crate::knobs::allow_list::PRELOAD;
use crate::knobs::as_is::CallerEnvironment;
use crate::knobs::effect::{Effect, Mismatch};
use crate::knobs::form::{VariableForm, one_of};
use crate::knobs::knob::words;
use crate::knobs::{Host, Knob, Knobs, Settings, Variable};
use crate::machine::{SystemRoots, library};

words! {
    /// An OpenMP runtime. LLVM's and Intel's answer the calls that libtorch makes to GCC's, which is
    /// loaded all the same.
    pub enum OmpRuntime {
        /// GCC's, which comes with libtorch.
        #[default]
        Libgomp,
        /// Intel's.
        Libiomp5,
        /// LLVM's, of which Intel's is a build.
        Libomp,
    }
}

impl OmpRuntime {
    /// Its library's name, for the dynamic linker to find in the system's folders; `None` for
    /// libtorch's own.
    pub fn library(self) -> Option<&'static str> {
        match self {
            Self::Libgomp => None,
            Self::Libiomp5 => Some("libiomp5.so"),
            Self::Libomp => Some("libomp.so.5"),
        }
    }

    fn refusal(self, roots: &SystemRoots) -> Option<String> {
        let library = self.library()?;
        let intel = (self == Self::Libomp).then(|| Self::Libiomp5.library()).flatten();
        if intel.is_some_and(|intel| library::are_one(library, intel, roots)) {
            return Some(format!("it is the file that {} is a link to", Self::Libiomp5));
        }
        library::refusal(library, roots)
    }
}

/// libtorch's own OpenMP library.
const GOMP: &str = "libgomp";

/// OpenMP libraries by how their file's name begins: GCC's, Intel's, LLVM's.
const RUNTIMES: [&str; 3] = [GOMP, "libiomp5", "libomp"];

/// Whether a library's file is called as an OpenMP runtime.
pub fn is_runtime(file: &str) -> bool {
    runtime(file).is_some()
}

fn runtime(file: &str) -> Option<&'static str> {
    RUNTIMES.into_iter().find(|name| file.starts_with(name))
}

/// The runtime among the libraries that settings load before all others.
pub fn preloaded(settings: &Settings) -> Option<&str> {
    settings.preloaded().find(|file| is_runtime(file))
}

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = OmpRuntime;

    fn unavailable(&self, knobs: &Knobs, host: &Host<'_>) -> Option<String> {
        knobs.omp_runtime.refusal(host.roots.as_ref()?)
    }

    fn variables(&self, knobs: &Knobs) -> Vec<Variable> {
        knobs.omp_runtime.library().map(|name| (PRELOAD, name.to_owned())).into_iter().collect()
    }

    fn forms(&self) -> Vec<VariableForm> {
        let libraries = OmpRuntime::VARIANTS.iter().filter_map(|runtime| runtime.library());
        vec![VariableForm::new(PRELOAD, one_of(libraries))]
    }

    fn read_caller(&self, knobs: &mut Knobs, caller: &CallerEnvironment<'_>) {
        let found = caller.preloaded().find_map(runtime);
        knobs.omp_runtime = found.and_then(|name| name.parse().ok()).unwrap_or_default();
    }

    /// The runtime that was asked for answers; where none was, libtorch's own does.
    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        let asked = preloaded(asked);
        let wanted = asked.and_then(runtime).unwrap_or(GOMP);
        let got = got.openmp_in_use.as_deref().and_then(runtime);
        // A process without OpenMP has not put another in the place of libtorch's.
        let is_right = got.map_or(asked.is_none(), |got| got == wanted);
        let wrong = || Mismatch::new("OpenMP library", wanted, got.unwrap_or("none"));
        if is_right { Vec::new() } else { vec![wrong()] }
    }

    fn foreign_mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        let missing = preloaded(asked).filter(|file| got.openmp.iter().all(|name| name != file));
        let wrong = |file| Mismatch::new("OpenMP library", file, got.openmp.join(", "));
        missing.map(wrong).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_with_two_names_is_offered_once() {
        let (_tree, roots) = SystemRoots::of_files(&[("usr/lib64/x", "")]);
        let folder = roots.mounted("/usr/lib64");
        let missing = "no libomp.so.5 is installed (Debian: libomp5)";
        assert_eq!(OmpRuntime::Libomp.refusal(&roots).unwrap(), missing);
        assert_eq!(OmpRuntime::Libgomp.refusal(&roots), None);
        std::fs::write(folder.join("libomp.so.5"), "").unwrap();
        assert_eq!(OmpRuntime::Libomp.refusal(&roots), None);
        std::os::unix::fs::symlink("libomp.so.5", folder.join("libiomp5.so")).unwrap();
        assert_eq!(OmpRuntime::Libiomp5.refusal(&roots), None);
        let link = "it is the file that libiomp5 is a link to";
        assert_eq!(OmpRuntime::Libomp.refusal(&roots).unwrap(), link);
    }
}
