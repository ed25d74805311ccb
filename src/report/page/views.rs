//! Views: the reference's picture and the finalist's side by side.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, RgbImage};

use crate::io::input;
use crate::results::{Folder, Results};
use crate::trial::Quality;

/// How much a difference is amplified, so that eyes can see it.
const AMPLIFIED: i16 = 8;

/// The largest picture of one frame.
const LARGEST_BYTES: u64 = 64 << 20;

/// The same frame, decoded whole in float32 and by the finalist, or of the user's own job made by the
/// baseline and by the finalist; and how they differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Views {
    /// What stands below each picture, and the picture as a data URL.
    pub pictures: [(String, String); 3],
    /// How alike they are.
    pub quality: Quality,
}

impl Views {
    /// The finalist's views; `None` where its picture is the reference's, or was not kept.
    pub fn of(results: &Results, folder: &Folder) -> Option<Self> {
        let findings = results.findings();
        let finalist = findings.finalist.as_ref()?;
        let trials = results.trials_of(&finalist.knobs);
        let shown = |number: u64| folder.trial_view(number).exists();
        let trial = trials.into_iter().find(|trial| shown(trial.number))?;
        let is_custom = results.workload.is_custom();
        let reference = match is_custom {
            true => folder.reference_view_of(trial.number),
            false => folder.reference_view(),
        };
        let reference = input::bytes(&reference, LARGEST_BYTES).ok()?;
        let candidate = input::bytes(&folder.trial_view(trial.number), LARGEST_BYTES).ok()?;
        let difference = difference(&reference, &candidate)?;
        let named = |name: &str, png: &[u8]| (name.to_owned(), data_url(png));
        Some(Self {
            pictures: [
                named(if is_custom { "the baseline" } else { "whole, in float32" }, &reference),
                named("the best settings", &candidate),
                named(&format!("difference, {AMPLIFIED} times"), &difference),
            ],
            quality: trial.quality?,
        })
    }
}

fn data_url(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

/// Amplified absolute differences as a PNG; `None` for files that are no pictures of one size.
fn difference(one: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let read = |png: &[u8]| Some(image::load_from_memory(png).ok()?.into_rgb8());
    let (one, other) = (read(one)?, read(other)?);
    let pixels = one
        .iter()
        .zip(other.iter())
        .map(|(a, b)| (i16::from(a.abs_diff(*b)) * AMPLIFIED).min(i16::from(u8::MAX)) as u8);
    let difference = RgbImage::from_raw(one.width(), one.height(), pixels.collect())?;
    let mut png = Cursor::new(Vec::new());
    difference.write_to(&mut png, ImageFormat::Png).ok()?;
    Some(png.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(value: u8) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let grey = RgbImage::from_pixel(2, 2, image::Rgb([value; 3]));
        grey.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn differences_are_amplified_and_bounded() {
        let shown = |one, other| {
            let png = difference(&png(one), &png(other)).unwrap();
            image::load_from_memory(&png).unwrap().into_rgb8().get_pixel(1, 1).0[0]
        };
        assert_eq!([shown(10, 13), shown(13, 10), shown(0, 200)], [24, 24, 255]);
        assert_eq!(difference(&png(1), b"not a picture"), None);
    }
}
