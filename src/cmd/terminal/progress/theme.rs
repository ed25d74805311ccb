//! Theme: the colours of the live view.

use console::Style;

/// How the parts of a view look.
#[derive(Clone, Debug)]
pub struct Theme {
    pub strong: Style,
    pub faint: Style,
    pub best: Style,
    pub good: Style,
    pub doubtful: Style,
    pub bad: Style,
}

impl Theme {
    /// With colours, or without as `NO_COLOR` asks.
    pub fn new(colours: bool) -> Self {
        let style = || Style::new().for_stderr().force_styling(colours);
        Self {
            strong: style().bold(),
            faint: style().dim(),
            best: style().cyan(),
            good: style().green(),
            doubtful: style().yellow(),
            bad: style().red(),
        }
    }
}
