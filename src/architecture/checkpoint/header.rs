//! Headers: a safetensors file begins with the length of a JSON text that lists its tensors.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Metadata, TensorInfo};

use super::{Stored, disguise};
use crate::io::input;

/// The format's own limit.
const LONGEST: u64 = 100_000_000;

/// How many first bytes tell what a file is instead.
const START: u64 = 512;

/// Bytes of the header's length.
const LENGTH: u64 = 8;

/// The tensors of one file.
///
/// # Errors
/// It is something else, or shorter or longer than its header says. The caller names the file.
pub fn read(path: &Path) -> Result<BTreeMap<String, Stored>> {
    let file = input::open(path)?;
    let size = file.metadata()?.len();
    let mut start = Vec::new();
    (&file).take(START).read_to_end(&mut start)?;
    if let Some(disguise) = disguise(&start) {
        bail!("{disguise}");
    }
    let (length, header) = header(&file, &start, size)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .context("is not a safetensors file, or its header is broken: download it again")?;
    expect_whole(size, LENGTH + length + metadata.data_len() as u64)?;
    let data = LENGTH + length;
    let tensors = metadata.tensors().into_iter();
    tensors.map(|(name, info)| Ok((checked(name)?, stored(path, data, info)))).collect()
}

fn expect_whole(size: u64, whole: u64) -> Result<()> {
    ensure!(
        size >= whole,
        "is not a whole safetensors file: {size} of {whole} bytes are there; download it again"
    );
    ensure!(
        size == whole,
        "is not a safetensors file: {} bytes follow its last tensor; download it again",
        size - whole
    );
    Ok(())
}

/// The header's length and text.
fn header(file: &File, start: &[u8], size: u64) -> Result<(u64, Vec<u8>)> {
    let length = start.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    let length = length.filter(|length| *length <= LONGEST && start.get(8) == Some(&b'{'));
    let Some(length) = length else { bail!("is not a safetensors file: download it again") };
    ensure!(
        length <= size - LENGTH,
        "is not a whole safetensors file: it ends within its header; download it again"
    );
    let mut header = start[LENGTH as usize..].to_vec();
    header.truncate(length as usize);
    file.take(length - header.len() as u64).read_to_end(&mut header)?;
    Ok((length, header))
}

/// A name goes into messages as it is.
fn checked(name: String) -> Result<String> {
    let is_plain = name.len() <= 500 && !name.chars().any(char::is_control);
    ensure!(is_plain, "is broken: {:?} is no tensor's name", name.get(..40).unwrap_or("…"));
    Ok(name)
}

fn stored(path: &Path, data: u64, info: &TensorInfo) -> Stored {
    let (start, end) = info.data_offsets;
    Stored {
        file: path.to_owned(),
        offset: data + start as u64,
        bytes: end - start,
        shape: info.shape.iter().map(|&side| i64::try_from(side).unwrap_or(i64::MAX)).collect(),
        dtype: info.dtype,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::Dtype;

    /// One tensor `w` of two float32 values.
    fn whole() -> Vec<u8> {
        let header = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  "#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(&[0; 8]);
        bytes
    }

    fn told(bytes: &[u8]) -> Result<BTreeMap<String, Stored>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, bytes).unwrap();
        read(&path).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_header_says_where_each_tensor_lies() {
        let bytes = whole();
        let tensors = told(&bytes).unwrap();
        let w = &tensors["w"];
        assert_eq!((w.shape.as_slice(), w.dtype, w.bytes), (&[2_i64][..], Dtype::F32, 8));
        assert_eq!(w.offset, bytes.len() as u64 - 8);
    }

    #[test]
    fn what_is_cut_or_something_else_is_said() {
        let bytes = whole();
        let size = bytes.len();
        let refused = |bytes: &[u8], words: &str| {
            let error = told(bytes).unwrap_err();
            assert!(error.contains(words) && !error.contains('\n'), "{error}");
        };
        refused(&bytes[..size - 1], &format!("{} of {size} bytes", size - 1));
        refused(&bytes[..20], "ends within its header");
        refused(&[bytes.clone(), vec![1]].concat(), "1 bytes follow");
        refused(b"\xff\xff\xff\xff\xff\xff\xff\x7f{", "not a safetensors file");
        refused(b"abc", "not a safetensors file");
        refused(b"", "empty");
        let broken = String::from_utf8_lossy(&bytes).replace("F32", "Q4K");
        refused(broken.as_bytes(), "its header is broken");
        refused(&[bytes[..8].to_vec(), br#"{"w\u001b[2J"#.to_vec()].concat(), "ends within");
    }
}
