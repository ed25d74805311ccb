//! A machine as a picture: SVG, and text for a terminal.

pub mod svg;
pub mod text;
