//! Reference: the frames that the baseline made, and what others are compared with.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use image::RgbImage;

use crate::trial::Quality;
use crate::trial::similarity::{Plane, mean, psnr_db};

/// Values of a colour go from 0 to 255.
const RANGE: f64 = 255.0;

/// Writes the frames of the baseline, one after the other.
pub struct Recording(BufWriter<File>);

impl Recording {
    /// Begins a file.
    pub fn begin(path: &Path) -> Result<Self, String> {
        File::create(path).map(|file| Self(BufWriter::new(file))).map_err(|error| unwritten(&error))
    }

    /// Takes the next frame.
    pub fn take(&mut self, frame: &RgbImage) -> Result<(), String> {
        let sizes = [frame.width(), frame.height()].map(u32::to_le_bytes).concat();
        let written = self.0.write_all(&sizes).and_then(|()| self.0.write_all(frame));
        written.map_err(|error| unwritten(&error))
    }

    /// Ends the file.
    pub fn end(mut self) -> Result<(), String> {
        self.0.flush().map_err(|error| unwritten(&error))
    }
}

fn unwritten(error: &io::Error) -> String {
    format!("the baseline's pictures can't be kept: {error}")
}

/// Frames beside those of the baseline.
pub struct FrameComparison {
    reference: BufReader<File>,
    count: usize,
    worst: Option<WorstFrame>,
}

/// The worst frame so far.
pub struct WorstFrame {
    /// How alike the two are; of the similarity the lowest of all frames.
    pub quality: Quality,
    /// Its number, from 1.
    pub number: usize,
    /// The baseline's and the other.
    pub pair: [RgbImage; 2],
}

impl FrameComparison {
    /// Opens the baseline's frames.
    ///
    /// # Errors
    /// They can't be read.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| unread(&error))?;
        Ok(Self { reference: BufReader::new(file), count: 0, worst: None })
    }

    /// Compares the next frame.
    ///
    /// # Errors
    /// The baseline's clip has no more, or its frame is of another size.
    pub fn take(&mut self, frame: RgbImage) -> Result<(), String> {
        let Some(reference) = self.next().map_err(|error| unread(&error))? else {
            return Err(format!("more than the {} frames of the baseline", self.count));
        };
        self.count += 1;
        let (here, there) = (frame.dimensions(), reference.dimensions());
        if here != there {
            let size = |(width, height)| format!("{width} x {height} pixels");
            let (number, here, there) = (self.count, size(here), size(there));
            return Err(format!("frame {number} has {here}, the baseline's {there}"));
        }
        let quality = quality(&reference, &frame);
        let ssim = self.worst.as_ref().map_or(1.0, |worst| worst.quality.ssim).min(quality.ssim);
        match &mut self.worst {
            Some(worst) if worst.quality.psnr_db <= quality.psnr_db => worst.quality.ssim = ssim,
            worst => {
                let (quality, number) = (Quality { ssim, ..quality }, self.count);
                *worst = Some(WorstFrame { quality, number, pair: [reference, frame] });
            }
        }
        Ok(())
    }

    /// The worst frame.
    ///
    /// # Errors
    /// The baseline's clip has more.
    pub fn end(mut self) -> Result<WorstFrame, String> {
        let (made, mut count) = (self.count, self.count);
        while self.next().map_err(|error| unread(&error))?.is_some() {
            count += 1;
        }
        let worst = self.worst.filter(|_| made == count);
        worst.ok_or_else(|| format!("{made} frames, the baseline made {count}"))
    }

    fn next(&mut self) -> io::Result<Option<RgbImage>> {
        let mut sizes = [0; 8];
        match self.reference.read(&mut sizes[..1])? {
            0 => return Ok(None),
            _ => self.reference.read_exact(&mut sizes[1..])?,
        }
        let [width, height] =
            [0, 4].map(|at| u32::from_le_bytes([0, 1, 2, 3].map(|byte| sizes[at + byte])));
        let mut pixels = vec![0; 3 * width as usize * height as usize];
        self.reference.read_exact(&mut pixels)?;
        Ok(RgbImage::from_raw(width, height, pixels))
    }
}

fn unread(error: &io::Error) -> String {
    format!("the baseline's pictures can't be read: {error}")
}

/// How alike two frames of one size are: squared differences over all colours, and the similarity of
/// each colour by itself.
fn quality(one: &RgbImage, other: &RgbImage) -> Quality {
    if one == other {
        return Quality { psnr_db: Quality::EQUAL_DB, ssim: 1.0, ..Quality::default() };
    }
    let colour = |picture: &RgbImage, colour: usize| -> Vec<f32> {
        picture.iter().skip(colour).step_by(3).map(|value| f32::from(*value)).collect()
    };
    let width = one.width() as usize;
    let of_colour = |number| {
        let (one, other) = (colour(one, number), colour(other, number));
        let [one, other] = [&one, &other].map(|values| Plane { values, width });
        (mean(&one.squares(other)), mean(&one.similarity(other, RANGE).0))
    };
    let colours = [0, 1, 2].map(of_colour);
    let mean = |of: fn(&(f64, f64)) -> f64| colours.iter().map(of).sum::<f64>() / 3.0;
    Quality {
        psnr_db: psnr_db(mean(|colour| colour.0), RANGE),
        ssim: mean(|colour| colour.1),
        ..Quality::default()
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn grey(value: u8) -> RgbImage {
        RgbImage::from_pixel(12, 12, Rgb([value; 3]))
    }

    fn compared(frames: &[RgbImage]) -> Result<WorstFrame, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reference");
        let mut recording = Recording::begin(&path)?;
        [10, 20, 30].iter().try_for_each(|value| recording.take(&grey(*value)))?;
        recording.end()?;
        let mut comparison = FrameComparison::open(&path)?;
        frames.iter().try_for_each(|frame| comparison.take(frame.clone()))?;
        comparison.end()
    }

    #[test]
    fn the_worst_frame_counts() {
        let equal = compared(&[grey(10), grey(20), grey(30)]).unwrap().quality;
        assert_eq!((equal.psnr_db, equal.ssim), (Quality::EQUAL_DB, 1.0));
        let worst = compared(&[grey(10), grey(45), grey(31)]).unwrap();
        // 20 log10(255 / 25).
        assert!((worst.quality.psnr_db - 20.172).abs() < 1e-3, "{:?}", worst.quality);
        assert_eq!((worst.number, &worst.pair[1]), (2, &grey(45)));
        // (2·20·45 + c1) / (20² + 45² + c1) with c1 = 2.55².
        assert!((worst.quality.ssim - 1806.5025 / 2431.5025).abs() < 1e-4, "{:?}", worst.quality);
    }

    #[test]
    fn another_number_or_size_of_frames_is_no_number() {
        let small = RgbImage::new(12, 11);
        for (frames, says) in [
            (&[grey(10)][..], "1 frames, the baseline made 3"),
            (&[], "0 frames, the baseline made 3"),
            (&[grey(10), small], "frame 2 has 12 x 11 pixels, the baseline's 12 x 12 pixels"),
            (&[grey(1), grey(1), grey(1), grey(1)], "more than the 3 frames of the baseline"),
        ] {
            assert_eq!(compared(frames).err().unwrap(), says);
        }
    }
}
