//! Whether a picture's file ends where the picture does. Decoders fill up what a cut JPEG lacks
//! with grey, and say nothing.

use std::io::{BufRead, ErrorKind, Read, Seek, SeekFrom};

use anyhow::{Result, bail, ensure};

const CUT: &str = "is cut short: download it again";

/// After this many bytes from its end a file is searched from the front.
const TAIL: u64 = 64 << 10;

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;

/// Of PNG: eight bytes of signature, then chunks of length, type, data and checksum.
const SIGNATURE: u64 = 8;
const CHUNK: u64 = 12;

/// Everything of a JPEG before its pixels, and the reader there.
///
/// # Errors
/// It ends before.
pub fn jpeg_head(file: &mut (impl BufRead + Seek)) -> Result<Vec<u8>> {
    while let Some(marker) = marker(file)? {
        // These stand alone; all others have a length, which counts itself.
        if matches!(marker, 0x01 | 0xd0..=0xd8) {
            continue;
        }
        ensure!(marker != END_OF_IMAGE, "is broken: it has no pixels");
        let Some([high, low]) = bytes(file)? else { bail!(CUT) };
        let length = i64::from(u16::from_be_bytes([high, low]));
        file.seek_relative(length.max(2) - 2)?;
        if marker == START_OF_SCAN {
            let mut head = vec![0; usize::try_from(file.stream_position()?)?];
            file.rewind()?;
            return file.read_exact(&mut head).map(|()| head).or_else(|_| bail!(CUT));
        }
    }
    bail!(CUT)
}

/// The next marker, whatever stands before it; `None` at the end.
fn marker(file: &mut impl BufRead) -> Result<Option<u8>> {
    loop {
        if file.skip_until(0xff)? == 0 {
            return Ok(None);
        }
        loop {
            match bytes(file)? {
                None => return Ok(None),
                Some([0xff]) => {}
                Some([0]) => break,
                Some([marker]) => return Ok(Some(marker)),
            }
        }
    }
}

/// Refuses a JPEG whose end is not marked after its pixels begin, where the reader is. Within
/// pixels the mark can't stand.
pub fn expect_jpegs_end(file: &mut (impl BufRead + Seek), size: u64) -> Result<()> {
    let pixels = file.stream_position()?;
    for start in [pixels.max(size.saturating_sub(TAIL)), pixels] {
        file.seek(SeekFrom::Start(start))?;
        while let Some(marker) = marker(file)? {
            if marker == END_OF_IMAGE {
                return Ok(());
            }
        }
    }
    bail!(CUT)
}

/// Refuses a PNG that ends before its last chunk does.
pub fn expect_pngs_end(file: &mut (impl BufRead + Seek), size: u64) -> Result<()> {
    let mut place = SIGNATURE;
    file.seek(SeekFrom::Start(place))?;
    while let Some([a, b, c, d, name @ ..]) = bytes::<8>(file)? {
        let length = u32::from_be_bytes([a, b, c, d]);
        place += CHUNK + u64::from(length);
        ensure!(place <= size, CUT);
        if &name == b"IEND" {
            return Ok(());
        }
        file.seek_relative(i64::from(length) + 4)?;
    }
    bail!(CUT)
}

fn bytes<const N: usize>(file: &mut impl Read) -> Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error.into()),
    }
}
