//! Weights in safetensors files: one file, or a folder as diffusers and transformers write it.
#![allow(unsafe_code)] // Maps files; see the SAFETY notes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use memmap2::{Mmap, MmapOptions};
use safetensors::{Dtype, SafeTensors};
use tch::{Kind, Tensor};

use super::fresh::Form;

/// The file names, without extension, under which diffusers and transformers save a model.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// The tensors of one model, found but not read.
pub struct Files {
    path: PathBuf,
    tensors: BTreeMap<String, Entry>,
}

struct Entry {
    file: PathBuf,
    offset: u64,
    bytes: usize,
    shape: Vec<i64>,
    dtype: Dtype,
}

/// Why a tensor can't be had.
pub enum Unfit {
    Missing,
    Misshapen(String),
    Unwanted,
}

impl Files {
    pub fn open(path: &Path) -> Result<Self> {
        let mut files = Self { path: path.to_owned(), tensors: BTreeMap::new() };
        if path.is_dir() {
            files.open_folder(path)?;
        } else {
            files.add(path, None)?;
        }
        Ok(files)
    }

    fn open_folder(&mut self, folder: &Path) -> Result<()> {
        for stem in STEMS {
            let index = folder.join(format!("{stem}.safetensors.index.json"));
            if index.is_file() {
                return self.add_shards(folder, &index);
            }
            let single = folder.join(format!("{stem}.safetensors"));
            if single.is_file() {
                return self.add(&single, None);
            }
        }
        bail!(
            "{} holds no weights: expected {}.safetensors or {}.safetensors, or their \
             .safetensors.index.json with the shards beside it",
            folder.display(),
            STEMS[0],
            STEMS[1]
        )
    }

    fn add_shards(&mut self, folder: &Path, index: &Path) -> Result<()> {
        #[derive(serde::Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let text =
            std::fs::read(index).with_context(|| format!("cannot read {}", index.display()))?;
        let map = serde_json::from_slice::<Index>(&text)
            .with_context(|| format!("{} is not an index of shards", index.display()))?
            .weight_map;
        let mut shards: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, shard) in &map {
            if Path::new(shard).components().count() != 1 || shard == ".." {
                bail!(
                    "{}: the shard {shard:?} of {name} is not a plain file name",
                    index.display()
                );
            }
            shards.entry(shard).or_default().insert(name);
        }
        for (shard, names) in shards {
            self.add(&folder.join(shard), Some(&names)).with_context(|| {
                format!("a shard that {} names; download the folder again", index.display())
            })?;
        }
        Ok(())
    }

    /// Takes the tensors of one file, or only those that `wanted` names.
    fn add(&mut self, path: &Path, wanted: Option<&BTreeSet<&str>>) -> Result<()> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        // SAFETY: the map is read only and dropped here; a file that shrinks meanwhile kills the
        // worker by SIGBUS, which its tuner records as a crash.
        let map = unsafe { Mmap::map(&file) }
            .with_context(|| format!("cannot map {}", path.display()))?;
        let broken = || format!("{} is not a whole safetensors file", path.display());
        let views = SafeTensors::deserialize(&map).with_context(broken)?;
        for (name, view) in views.iter() {
            if wanted.is_some_and(|wanted| !wanted.contains(name)) {
                continue;
            }
            let entry = Entry {
                file: path.to_owned(),
                offset: (view.data().as_ptr() as usize - map.as_ptr() as usize) as u64,
                bytes: view.data().len(),
                shape: view.shape().iter().map(|&size| size as i64).collect(),
                dtype: view.dtype(),
            };
            self.tensors.insert(name.to_owned(), entry);
        }
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.tensors.keys()
    }

    pub fn shape(&self, name: &str) -> Option<&[i64]> {
        self.tensors.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The tensor, cast to its `form`'s kind. Only its own bytes are mapped, and only while they are
    /// copied.
    pub fn tensor(&self, name: &str, form: Form<'_>) -> Result<Tensor, Unfit> {
        let Form { shape, kind, .. } = form;
        let entry = self.tensors.get(name).ok_or(Unfit::Missing)?;
        if entry.shape != shape {
            return Err(Unfit::Misshapen(format!("{:?}", entry.shape)));
        }
        let (stored, size) = match entry.dtype {
            Dtype::F32 => (Kind::Float, 4),
            Dtype::F16 => (Kind::Half, 2),
            Dtype::BF16 => (Kind::BFloat16, 2),
            other => {
                return Err(Unfit::Misshapen(format!(
                    "of type {other:?} (F32, F16 and BF16 are known)"
                )));
            }
        };
        if entry.bytes == 0 {
            return Ok(Tensor::empty(shape, (kind, tch::Device::Cpu)));
        }
        let map = entry.map().map_err(|error| Unfit::Misshapen(format!("unreadable ({error})")))?;
        Ok(form.filled(|start, length| {
            let bytes = &map[start as usize * size..(start + length) as usize * size];
            Tensor::from_data_size(bytes, &[length], stored)
        }))
    }
}

impl Entry {
    fn map(&self) -> std::io::Result<Mmap> {
        let file = File::open(&self.file)?;
        // SAFETY: as in `Files::add`; the range was inside the file when its header was read.
        unsafe { MmapOptions::new().offset(self.offset).len(self.bytes).map(&file) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file's own pages lie where the page cache has them, whatever the trial's memory policy.
    #[test]
    fn weights_lie_in_memory_of_their_own() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/wan/text_encoder");
        let files = Files::open(&folder).unwrap();
        let shape = files.shape("shared.weight").unwrap().to_vec();
        // Stored as bfloat16: no cast makes the copy.
        let form = Form { shape: &shape, strides: None, kind: Kind::BFloat16 };
        let tensor = files.tensor("shared.weight", form).ok().unwrap();
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
