//! The colours of plots: each has a part to play, and a light and a dark tone.

use plotters::style::RGBColor;

/// One colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// RGB on a white page; also what tells colours apart, so no two are alike.
    pub light: u32,
    /// RGB on a dark page.
    pub dark: u32,
}

/// The background.
pub const PAPER: Colour = Colour { light: 0xFFFFFF, dark: 0x15181E };
/// Words and axes.
pub const INK: Colour = Colour { light: 0x1F2733, dark: 0xE7EAF0 };
/// Lesser words.
pub const MUTED: Colour = Colour { light: 0x5B6675, dark: 0xA5AFBD };
/// Lines behind the data.
pub const GRID: Colour = Colour { light: 0xE1E5EB, dark: 0x2D333D };
/// Every other phase's ground.
pub const BAND: Colour = Colour { light: 0xF3F6FA, dark: 0x1C2129 };
/// The best, and the winner.
pub const BEST: Colour = Colour { light: 0x0067B1, dark: 0x5CB3FF };
/// Trials of the search.
pub const TRIAL: Colour = Colour { light: 0x5E9CCB, dark: 0x3F7FB2 };
/// The baseline.
pub const BASELINE: Colour = Colour { light: 0x7A8494, dark: 0x8D97A6 };
/// Confirmation.
pub const CONFIRMED: Colour = Colour { light: 0x00795F, dark: 0x2CC79F };
/// Failures.
pub const FAILED: Colour = Colour { light: 0xC2500A, dark: 0xFF9350 };

/// The ground of CPUs that only workers use.
pub const WORKERS: Colour = Colour { light: 0x9AD3BC, dark: 0x1F6B55 };

/// Grounds for words, from fast to slow.
pub const HEAT: [Colour; 5] = [
    Colour { light: 0x7FB2DA, dark: 0x2C6CA4 },
    Colour { light: 0x9FC5E4, dark: 0x295681 },
    Colour { light: 0xBDD7EC, dark: 0x264563 },
    Colour { light: 0xD9E7F3, dark: 0x223448 },
    Colour { light: 0xEEF3F9, dark: 0x1E2530 },
];

/// Every colour.
pub fn all() -> impl Iterator<Item = Colour> {
    let single = [PAPER, INK, MUTED, GRID, BAND, BEST, TRIAL, BASELINE, CONFIRMED, FAILED, WORKERS];
    single.into_iter().chain(HEAT)
}

impl Colour {
    /// The light tone, for plotters.
    pub fn rgb(self) -> RGBColor {
        let [_, red, green, blue] = self.light.to_be_bytes();
        RGBColor(red, green, blue)
    }
}

/// Style-sheet rules that turn the light tones of plots inside `scope` into the dark ones where
/// the reader prefers that.
pub fn dark_css(scope: &str) -> String {
    let rule = |property: &str, colour: Colour| {
        let Colour { light, dark } = colour;
        format!("{scope} [{property}=\"#{light:06X}\"]{{{property}:#{dark:06X}}}\n")
    };
    let rules = all().flat_map(|colour| [rule("fill", colour), rule("stroke", colour)]);
    format!("@media (prefers-color-scheme:dark){{\n{}}}\n", rules.collect::<String>())
}
