//! Scale: from values to places along an axis, with round ticks.

use crate::workload::metric::Direction;

/// An axis, linear in the numbers that stand at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// The values at its ends: where much of a metric is good, the costs of the best and the worst
    /// number shown.
    pub values: (f64, f64),
    /// The places of its ends, pixels; the larger number stands at the second.
    pub places: (f64, f64),
    /// What the numbers at it are of the values.
    pub goal: Direction,
}

impl Axis {
    /// An axis that shows values as they are.
    pub fn new(values: (f64, f64), places: (f64, f64)) -> Self {
        Self { values, places, goal: Direction::Min }
    }

    /// The numbers at its ends.
    fn numbers(&self) -> (f64, f64) {
        let (low, high) = self.values;
        match self.goal {
            Direction::Min => (low, high),
            Direction::Max => (self.goal.cost(high), self.goal.cost(low)),
        }
    }

    /// The place of a value; values beyond the ends stay at the ends.
    pub fn place(&self, value: f64) -> f64 {
        let (low, high) = self.numbers();
        let share = ((self.goal.cost(value) - low) / (high - low)).clamp(0.0, 1.0);
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// The values of at most about `most` round numbers, with as many digits as tell them apart.
    pub fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        let (low, high) = self.numbers();
        let rough = (high - low) / most.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|n| n * power).find(|&s| s >= rough);
        let step = step.unwrap_or(10.0 * power);
        // Long numbers would not fit beside an axis.
        let (unit, suffix) = match high.abs() {
            large if large >= 1e8 => (1e6, "M"),
            large if large >= 1e5 => (1e3, "k"),
            _ => (1.0, ""),
        };
        // 2.5 needs a digit more than its power of ten says, 25 does not.
        let finer = usize::from((step / power - 2.5).abs() < 1e-9 && step < 10.0 * unit);
        let places = (-(step / unit).log10().floor()).max(0.0) as usize + finer;
        let (first, last) =
            ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        let tick = |n: i64| {
            let number = n as f64 * step;
            (self.goal.cost(number), format!("{:.places$}{suffix}", number / unit))
        };
        (first..=last).map(tick).collect()
    }

    /// Ticks at `values`, whole numbers that ascend, but for those nearer than `room` pixels to the
    /// tick before.
    pub fn ticks_at(&self, values: &[f64], room: f64) -> Vec<(f64, String)> {
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for &value in values {
            let is_free = |last: &(f64, String)| self.place(value) - self.place(last.0) >= room;
            if ticks.last().is_none_or(is_free) {
                ticks.push((value, format!("{value:.0}")));
            }
        }
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(low: f64, high: f64, most: usize) -> Vec<String> {
        let scale = Axis::new((low, high), (0.0, 100.0));
        scale.ticks(most).into_iter().map(|(_, word)| word).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(words(0.0, 10.0, 5), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(words(2.31, 3.4, 5), ["2.50", "2.75", "3.00", "3.25"]);
        assert_eq!(words(0.93, 1.11, 4), ["0.95", "1.00", "1.05", "1.10"]);
        assert_eq!(words(0.0, 600_000.0, 3), ["0k", "200k", "400k", "600k"]);
        assert_eq!(words(0.0, 2.5e8, 2), ["0M", "200M"]);
        assert_eq!(words(102_000.0, 109_000.0, 3), ["102.5k", "105.0k", "107.5k"]);
    }

    #[test]
    fn ticks_at_counts_leave_each_other_room() {
        // A pixel a thread and a half: 2 is 1.5 pixels from 1, 16 is 12 from 8, 21 is 7.5 from 16.
        let scale = Axis::new((1.0, 33.0), (0.0, 48.0));
        let ticks = scale.ticks_at(&[1.0, 2.0, 8.0, 16.0, 21.0, 33.0], 10.0);
        let words: Vec<&str> = ticks.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(words, ["1", "8", "16", "33"]);
    }

    #[test]
    fn places_stay_inside() {
        let scale = Axis::new((0.0, 4.0), (10.0, 50.0));
        assert_eq!([-1.0, 1.0, 9.0].map(|v| scale.place(v)), [10.0, 20.0, 50.0]);
    }

    #[test]
    fn much_of_a_metric_stands_where_much_of_a_time_would() {
        let mut scale = Axis::new((1.0 / 20.0, 1.0 / 10.0), (0.0, 100.0));
        scale.goal = Direction::Max;
        let ticks = scale.ticks(2);
        let words: Vec<&str> = ticks.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(words, ["10", "15", "20"]);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        ticks.iter().zip([0.0, 50.0, 100.0]).for_each(|(tick, at)| near(scale.place(tick.0), at));
        near(scale.place(1.0), 0.0);
        // Nothing of it has no end of costs.
        scale.values.1 = f64::INFINITY;
        near(scale.place(1.0 / 10.0), 50.0);
        assert_eq!(scale.ticks(2)[0].1, "0");
    }
}
