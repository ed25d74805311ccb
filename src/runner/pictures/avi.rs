//! AVI: the frames of a video that is a row of JPEGs, as stable-diffusion.cpp writes it.

/// Where the first chunk begins, behind `RIFF`, a size and `AVI `.
const CHUNKS: usize = 12;

/// How a JPEG begins.
const JPEG: [u8; 2] = [0xff, 0xd8];

/// Whether a file that begins so is an AVI file.
pub fn is_avi(begin: &[u8]) -> bool {
    begin.starts_with(b"RIFF") && begin.get(8..CHUNKS) == Some(b"AVI ")
}

/// The JPEGs of an AVI file, in order; `None` where its frames are something else.
///
/// # Errors
/// The file is cut.
pub fn jpegs(file: &[u8]) -> Result<Option<Vec<&[u8]>>, String> {
    let (mut rest, mut frames) = (file.get(CHUNKS..).unwrap_or_default(), Vec::new());
    while let Some((head, behind)) = rest.split_at_checked(8) {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let is_list = matches!(&head[..4], b"LIST" | b"RIFF");
        rest = match behind.get(..4) {
            // What is in these lists are chunks like those around them.
            Some(b"movi" | b"rec " | b"AVIX") if is_list => &behind[4..],
            _ => {
                let cut = || format!("it is cut after {} frames", frames.len());
                let data = behind.get(..size).ok_or_else(cut)?;
                match &head[2..4] {
                    b"dc" | b"db" if data.starts_with(&JPEG) => frames.push(data),
                    b"dc" | b"db" => return Ok(None),
                    _ => {}
                }
                behind.get(size + size % 2..).unwrap_or_default()
            }
        };
    }
    Ok((!frames.is_empty()).then_some(frames))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8], data: &[u8]) -> Vec<u8> {
        let size = (data.len() as u32).to_le_bytes();
        let odd = if data.len() % 2 == 1 { &b"\0"[..] } else { b"" };
        [name, &size, data, odd].concat()
    }

    fn avi(frames: &[&[u8]]) -> Vec<u8> {
        let header = [&b"hdrl"[..], &chunk(b"avih", &[0; 56])].concat();
        let frames: Vec<u8> = frames.iter().flat_map(|data| chunk(b"00dc", data)).collect();
        let frames = [&b"movi"[..], &frames, &chunk(b"01wb", b"sound")].concat();
        let lists = [header, frames].map(|list| chunk(b"LIST", &list)).concat();
        chunk(b"RIFF", &[&b"AVI "[..], &lists, &chunk(b"idx1", &[0; 16])].concat())
    }

    #[test]
    fn frames_come_in_order_between_what_is_no_frame() {
        let [one, two] = [&b"\xff\xd8one"[..], b"\xff\xd8frame"];
        let file = avi(&[one, two]);
        assert!(is_avi(&file) && !is_avi(b"RIFF....WAVE") && !is_avi(b""));
        assert_eq!(jpegs(&file), Ok(Some(vec![one, two])));
        assert_eq!(jpegs(&avi(&[one, b"H264"])), Ok(None));
        assert_eq!(jpegs(&avi(&[])), Ok(None));
        let cut = file.windows(5).position(|five| five == b"frame").unwrap();
        assert_eq!(jpegs(&file[..cut]), Err("it is cut after 1 frames".to_owned()));
    }
}
