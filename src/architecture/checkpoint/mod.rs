//! Checkpoints: the trained weights of one model, as diffusers and transformers save them.
//!
//! Only headers are read here, in milliseconds. The tuner looks at them before the first trial,
//! and the worker finds its tensors by them, so that both say the same of the same folder.

mod disguise;
mod folder;
mod header;
mod tensor_mismatch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
pub use safetensors::Dtype;

pub use disguise::disguise;
pub use tensor_mismatch::TensorMismatch;

/// The tensors of one model, found but not read.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    tensors: BTreeMap<String, Stored>,
}

/// Where a tensor lies, and what it is.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The file that holds it.
    pub file: PathBuf,
    /// Its first byte in the file.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: usize,
    /// Its dimensions.
    pub shape: Vec<i64>,
    /// The kind of its numbers.
    pub dtype: Dtype,
}

impl Checkpoint {
    /// A safetensors file, or a folder with one model, in one file or in shards with their index.
    ///
    /// # Errors
    /// Names the file that is missing, cut, or something else, and what to do about it.
    pub fn open(path: &Path) -> Result<Self> {
        let tensors = if path.is_dir() {
            folder::read(path)?
        } else {
            header::read(path).with_context(|| path.display().to_string())?
        };
        Ok(Self { path: path.to_owned(), tensors })
    }

    /// The file or folder that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.tensors.keys()
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Stored> {
        self.tensors.get(name)
    }

    /// How the tensors differ from those that a model needs, by name and shape; `is_spare` says
    /// which others it may have.
    pub fn mismatch(
        &self,
        needed: &BTreeMap<String, Vec<i64>>,
        is_spare: impl Fn(&str) -> bool,
    ) -> TensorMismatch {
        let mut mismatch = TensorMismatch::default();
        for (name, shape) in needed {
            match self.get(name) {
                None => mismatch.missing(name, shape),
                Some(stored) => mismatch.compare(name, shape, stored),
            }
        }
        let surplus = |name: &&String| !needed.contains_key(*name) && !is_spare(name);
        self.names().filter(surplus).for_each(|name| mismatch.surplus(name));
        mismatch
    }
}

impl Stored {
    /// Whether its numbers are of a kind that models are built from.
    pub fn is_readable(&self) -> bool {
        matches!(self.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }
}
