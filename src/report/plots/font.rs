//! The embedded font: plots look the same on machines without any.

use std::sync::Once;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plotters::style::{FontStyle, register_font};

/// The family's name, in plotters and in style sheets.
pub const FAMILY: &str = "DejaVu Sans";

const BOOK: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");
const BOLD: &[u8] = include_bytes!("fonts/DejaVuSans-Bold.ttf");

/// Makes the family known to plotters, which looks for no font of the system.
pub fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        for (style, bytes) in [(FontStyle::Normal, BOOK), (FontStyle::Bold, BOLD)] {
            assert!(register_font(FAMILY, style, bytes).is_ok(), "the embedded font is a font");
        }
    });
}

/// The style-sheet rules that carry the family inside a document.
pub fn css() -> String {
    let face = |weight: &str, bytes: &[u8]| {
        format!(
            "@font-face{{font-family:\"{FAMILY}\";font-weight:{weight};\
             src:url(data:font/ttf;base64,{}) format(\"truetype\")}}\n",
            STANDARD.encode(bytes)
        )
    };
    [face("normal", BOOK), face("bold", BOLD)].concat()
}
