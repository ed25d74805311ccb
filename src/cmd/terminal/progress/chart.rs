//! Chart: trials and the best so far against time, in a few lines of braille.

use console::Style;

/// Dots of a cell, as Unicode numbers them, by row and column.
const DOTS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// A grid of cells of two by four dots.
pub struct Chart {
    cells: Vec<Vec<BrailleCell>>,
    values: (f64, f64),
    end: f64,
}

#[derive(Clone, Copy, Default)]
struct BrailleCell {
    dots: u32,
    best: bool,
    failed: bool,
}

impl Chart {
    /// An empty chart of this size in cells, over times from 0 to `end` and these values.
    pub fn new(width: usize, height: usize, end: f64, values: (f64, f64)) -> Self {
        Self { cells: vec![vec![BrailleCell::default(); width]; height], values, end }
    }

    /// A trial with this score.
    pub fn point(&mut self, time: f64, score: f64) {
        let (x, y) = (self.across(time), self.down(score));
        self.cell(x, y).dots |= DOTS[y % 4][x % 2];
    }

    /// A trial that failed: a cross in the first line.
    pub fn failure(&mut self, time: f64) {
        let x = self.across(time);
        self.cell(x, 0).failed = true;
    }

    /// The best so far, from one change to the next, and level until `now`.
    pub fn best(&mut self, changes: &[(f64, f64)], now: f64) {
        let ends = changes.iter().skip(1).map(|change| change.0).chain([now]);
        let mut last = None;
        for (&(from, score), to) in changes.iter().zip(ends) {
            let (left, right, y) = (self.across(from), self.across(to), self.down(score));
            for y in last.unwrap_or(y).min(y)..=last.unwrap_or(y).max(y) {
                self.ink(left, y);
            }
            for x in left..=right {
                self.ink(x, y);
            }
            last = Some(y);
        }
    }

    fn ink(&mut self, x: usize, y: usize) {
        let cell = self.cell(x, y);
        cell.dots |= DOTS[y % 4][x % 2];
        cell.best = true;
    }

    fn cell(&mut self, x: usize, y: usize) -> &mut BrailleCell {
        &mut self.cells[y / 4][x / 2]
    }

    fn across(&self, time: f64) -> usize {
        let most = 2 * self.cells[0].len() - 1;
        share(time / self.end, most)
    }

    fn down(&self, score: f64) -> usize {
        let (low, high) = self.values;
        share((high - score) / (high - low), 4 * self.cells.len() - 1)
    }

    /// Its lines, the best in `best`, the rest in `rest`, failures in `failed`.
    pub fn lines(&self, best: &Style, rest: &Style, failed: &Style) -> Vec<String> {
        let draw = |cell: &BrailleCell| {
            let dots = char::from_u32(0x2800 + cell.dots).unwrap_or(' ');
            match cell {
                BrailleCell { failed: true, .. } => failed.apply_to('\u{d7}').to_string(),
                BrailleCell { dots: 0, .. } => " ".to_owned(),
                BrailleCell { best: true, .. } => best.apply_to(dots).to_string(),
                _ => rest.apply_to(dots).to_string(),
            }
        };
        self.cells.iter().map(|row| row.iter().map(draw).collect()).collect()
    }
}

fn share(share: f64, most: usize) -> usize {
    (share.clamp(0.0, 1.0) * most as f64).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_by_hand() {
        let plain = Style::new().force_styling(false);
        let mut chart = Chart::new(2, 1, 3.0, (0.0, 3.0));
        // Four dots across and down: the first at the top left, the last at the bottom right.
        chart.best(&[(0.0, 3.0), (2.0, 0.0)], 3.0);
        assert_eq!(chart.lines(&plain, &plain, &plain), ["\u{2809}\u{28c7}"]);
        chart.failure(0.0);
        chart.point(3.0, 3.0);
        assert_eq!(chart.lines(&plain, &plain, &plain), ["\u{d7}\u{28cf}"]);
    }
}
