//! Weights in safetensors files: one file, or a folder as diffusers and transformers write it.
#![allow(unsafe_code)] // Maps files; see the SAFETY notes.

use std::fs::File;
use std::path::Path;

use anyhow::{Result, ensure};
use memmap2::{Mmap, MmapOptions};
use tch::{Kind, Tensor};
use wan22_tune::architecture::checkpoint::{Checkpoint, Dtype, Stored, TensorMismatch};

use super::fresh::TensorSpec;

/// The tensors of one model, found but not read.
pub struct Files(Checkpoint);

impl Files {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self(Checkpoint::open(path)?))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.names()
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    /// The tensor, cast to its `form`'s kind. Only its own bytes are mapped, and only while they are
    /// copied. What is wrong with it is noted in `mismatch`.
    pub fn tensor(
        &self,
        name: &str,
        form: TensorSpec<'_>,
        mismatch: &mut TensorMismatch,
    ) -> Option<Tensor> {
        let shape = form.shape;
        let Some(stored) = self.0.get(name) else {
            mismatch.missing(name, shape);
            return None;
        };
        mismatch.compare(name, shape, stored);
        let (kind, size) = kind(stored.dtype).filter(|_| stored.shape == shape)?;
        if stored.bytes == 0 {
            return Some(Tensor::empty(shape, (kind, tch::Device::Cpu)));
        }
        match map(stored) {
            Ok(map) => Some(form.filled(|start, length| {
                let bytes = &map[start as usize * size..(start + length) as usize * size];
                Tensor::from_data_size(bytes, &[length], kind)
            })),
            Err(error) => {
                mismatch.unreadable(name, &error.to_string());
                None
            }
        }
    }
}

/// The kind of stored numbers, and the bytes of one.
fn kind(dtype: Dtype) -> Option<(Kind, usize)> {
    match dtype {
        Dtype::F32 => Some((Kind::Float, 4)),
        Dtype::F16 => Some((Kind::Half, 2)),
        Dtype::BF16 => Some((Kind::BFloat16, 2)),
        _ => None,
    }
}

fn map(stored: &Stored) -> Result<Mmap> {
    let file = File::open(&stored.file)?;
    let end = stored.offset + stored.bytes as u64;
    ensure!(file.metadata()?.len() >= end, "the file was cut meanwhile");
    // SAFETY: the map is read only and dropped once it is copied; a file that shrinks meanwhile
    // kills the worker by SIGBUS, which its tuner records as a crash.
    Ok(unsafe { MmapOptions::new().offset(stored.offset).len(stored.bytes).map(&file) }?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file's own pages lie where the page cache has them, whatever the trial's memory policy.
    #[test]
    fn weights_lie_in_memory_of_their_own() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/wan/text_encoder");
        let files = Files::open(&folder).unwrap();
        let shape = files.0.get("shared.weight").unwrap().shape.clone();
        // Stored as bfloat16: no cast makes the copy.
        let form = TensorSpec { shape: &shape, strides: None, kind: Kind::BFloat16 };
        let tensor = files.tensor("shared.weight", form, &mut TensorMismatch::default()).unwrap();
        let address = tensor.data_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let holds = |line: &&str| {
            let (range, _) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|text| usize::from_str_radix(text, 16).unwrap());
            (start..end).contains(&address)
        };
        let line = maps.lines().find(holds).unwrap();
        assert!(!line.contains("safetensors"), "{line}");
    }
}
