//! Decode: the frames of a file. PNG, JPEG and AVI of JPEGs are read here, everything else by ffmpeg.

use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use image::codecs::png::PngDecoder;
use image::{AnimationDecoder, DynamicImage, ImageFormat, RgbImage};

use super::avi;
use crate::io::input;
use crate::machine::threads;
use crate::runner::process::output::Output;

/// A picture in a file is smaller.
const LARGEST_BYTES: u64 = 256 << 20;

/// Pixels of a row or rows at the most, of what another program says.
const MOST_PIXELS: u32 = 1 << 15;

/// The program that reads videos.
const FFMPEG: &str = "ffmpeg";

/// What to do where it is missing.
pub const NO_FFMPEG: &str = "ffmpeg reads everything but PNG, JPEG and AVI of JPEGs, and it is not on \
    PATH: install it (apt install ffmpeg), or have pictures written";

/// Hands each frame of a file to `take`, in order.
///
/// # Errors
/// The file can't be read, or `take` refuses a frame.
pub fn frames(
    file: &Path,
    take: &mut dyn FnMut(RgbImage) -> Result<(), String>,
) -> Result<(), String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let unreadable = |problem: String| format!("{name}: {problem}");
    let mut begin = Vec::new();
    let opened = input::open(file).and_then(|file| Ok(file.take(16).read_to_end(&mut begin)?));
    opened.map_err(|error| unreadable(format!("{error:#}")))?;
    if begin.is_empty() {
        return Err(unreadable("an empty file".to_owned()));
    }
    let whole =
        || input::bytes(file, LARGEST_BYTES).map_err(|error| unreadable(format!("{error:#}")));
    let picture = |bytes: &[u8]| match image::load_from_memory(bytes) {
        Ok(picture) => Ok(picture.into_rgb8()),
        Err(error) => Err(unreadable(error.to_string())),
    };
    match image::guess_format(&begin) {
        Ok(ImageFormat::Png) => {
            let bytes = whole()?;
            match animated(&bytes) {
                Some(mut frames) => frames.try_for_each(|frame| take(frame.map_err(unreadable)?)),
                None => take(picture(&bytes)?),
            }
        }
        Ok(ImageFormat::Jpeg) => take(picture(&whole()?)?),
        _ if avi::is_avi(&begin) => match avi::jpegs(&whole()?).map_err(unreadable)? {
            Some(jpegs) => jpegs.into_iter().try_for_each(|jpeg| take(picture(jpeg)?)),
            None => of_video(file, take).map_err(unreadable),
        },
        _ => of_video(file, take).map_err(unreadable),
    }
}

/// The frames of a PNG that has several.
fn animated(png: &[u8]) -> Option<impl Iterator<Item = Result<RgbImage, String>> + '_> {
    let decoder = PngDecoder::new(Cursor::new(png)).ok()?;
    let frames = decoder.is_apng().ok()?.then(|| decoder.apng().ok())??.into_frames();
    Some(frames.map(|frame| {
        let frame = frame.map_err(|error| error.to_string())?;
        Ok(DynamicImage::from(frame.into_buffer()).into_rgb8())
    }))
}

/// Whether videos can be read.
pub fn reads_videos() -> bool {
    let found = |folder: std::path::PathBuf| folder.join(FFMPEG).is_file();
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(found))
}

fn of_video(
    file: &Path,
    take: &mut dyn FnMut(RgbImage) -> Result<(), String>,
) -> Result<(), String> {
    let child = Command::new(FFMPEG)
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args(["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(NO_FFMPEG.to_owned()),
        child => threads::started(FFMPEG, child).map_err(|error| format!("{error:#}"))?,
    };
    let read = read(&mut child, take);
    // One that is not read to its end is not waited for.
    let _ = if read.is_err() { child.kill() } else { Ok(()) };
    let status = child.wait().map_err(|error| error.to_string())?;
    match read? {
        words if !status.success() => Err(format!("ffmpeg ended with {status}: {words}")),
        _ => Ok(()),
    }
}

/// Reads all frames, and what else was said.
fn read(
    child: &mut Child,
    take: &mut dyn FnMut(RgbImage) -> Result<(), String>,
) -> Result<String, String> {
    let errors = child.stderr.take().map(|pipe| threads::spawn(move || Output::of(pipe)));
    let errors = errors.transpose().map_err(|error| format!("{error:#}"))?;
    if let Some(pipe) = child.stdout.take() {
        let mut pipe = BufReader::new(pipe);
        while let Some(frame) = portable_pixmap(&mut pipe)? {
            take(frame)?;
        }
    }
    let said = errors.and_then(|errors| errors.join().ok()).unwrap_or_default();
    Ok(said.to_string())
}

/// The next picture of a stream of portable pixmaps.
fn portable_pixmap(stream: &mut impl BufRead) -> Result<Option<RgbImage>, String> {
    let odd = || "ffmpeg's output is not a stream of pictures".to_owned();
    let mut words = Vec::new();
    while words.len() < 4 {
        let mut line = String::new();
        let read = stream.by_ref().take(64).read_line(&mut line);
        match read.map_err(|_| odd())? {
            0 if words.is_empty() => return Ok(None),
            0 => return Err(odd()),
            _ => words.extend(line.split_whitespace().map(str::to_owned)),
        }
    }
    let number = |word: &String| word.parse().ok().filter(|n| (1..=MOST_PIXELS).contains(n));
    match (&words[..], number(&words[1]), number(&words[2])) {
        ([magic, .., most], Some(width), Some(height)) if magic == "P6" && most == "255" => {
            let mut pixels = vec![0; 3 * width as usize * height as usize];
            stream.read_exact(&mut pixels).map_err(|_| odd())?;
            Ok(RgbImage::from_raw(width, height, pixels))
        }
        _ => Err(odd()),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    /// As ComfyUI's SaveAnimatedPNG writes it: two frames of one pixel, of which one is 10 and one 200.
    #[test]
    fn every_frame_of_an_animated_picture_is_read() {
        let png = base64::engine::general_purpose::STANDARD.decode(
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACGFjVEwAAAACAAAAAPONk3AAAAAaZmNUTAAAAAAAAAAB\
             AAAAAQAAAAAAAAAAAAEACgAAWn8w0AAAAApJREFUeNpj4AIAAAwAC8qyUREAAAAaZmNUTAAAAAEAAAABAAAAAQAAAAAA\
             AAAAAAEACgAAwQzaBAAAAA5mZEFUAAAAAnjaYzgBAADKAMlGXWwjAAAAAElFTkSuQmCC",
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.png");
        let read = |bytes: &[u8]| {
            let mut shades = Vec::new();
            std::fs::write(&file, bytes).unwrap();
            let read = frames(&file, &mut |frame| {
                shades.push(frame.get_pixel(0, 0).0);
                Ok(())
            });
            read.map(|()| shades)
        };
        let png = png.unwrap();
        assert_eq!(read(&png), Ok(vec![[10; 3], [200; 3]]));
        assert!(read(&png[..png.len() - 30]).unwrap_err().starts_with("a.png: "));
    }

    #[test]
    fn a_stream_of_pictures_is_read_one_by_one() {
        let stream = b"P6\n2 1\n255\n\x01\x02\x03\x0a\x20\x06P6 1 1\n255\n\x07\x08\x09";
        let mut stream = &stream[..];
        let sizes: Vec<_> = std::iter::from_fn(|| portable_pixmap(&mut stream).unwrap())
            .map(|picture| (picture.dimensions(), picture.into_raw()))
            .collect();
        assert_eq!(sizes, [((2, 1), vec![1, 2, 3, 10, 32, 6]), ((1, 1), vec![7, 8, 9])]);
        for odd in
            [&b"P6\n2 1\n255\nxx"[..], b"P6\n0 1\n255\n", b"P5\n1 1\n255\nx", b"P6\n", b"x y"]
        {
            assert!(portable_pixmap(&mut &odd[..]).is_err(), "{odd:?}");
        }
    }
}
