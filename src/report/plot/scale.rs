//! Scale: from values to places along an axis, with round ticks.

/// A linear axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The values at its ends.
    pub values: (f64, f64),
    /// The places of its ends, pixels.
    pub places: (f64, f64),
}

impl Scale {
    /// The place of a value; values beyond the ends stay at the ends.
    pub fn place(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// At most about `most` round values, with as many digits as tell them apart.
    pub fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        let (low, high) = self.values;
        let rough = (high - low) / most.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|n| n * power).find(|&s| s >= rough);
        let step = step.unwrap_or(10.0 * power);
        // 2.5 needs a digit more than its power of ten says.
        let finer = usize::from((step / power - 2.5).abs() < 1e-9);
        let places = (-step.log10().floor()).max(0.0) as usize + finer;
        let (first, last) =
            ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        let tick = |n: i64| (n as f64 * step, format!("{:.places$}", n as f64 * step));
        (first..=last).map(tick).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(low: f64, high: f64, most: usize) -> Vec<String> {
        let scale = Scale { values: (low, high), places: (0.0, 100.0) };
        scale.ticks(most).into_iter().map(|(_, word)| word).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(words(0.0, 10.0, 5), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(words(2.31, 3.4, 5), ["2.50", "2.75", "3.00", "3.25"]);
        assert_eq!(words(0.93, 1.11, 4), ["0.95", "1.00", "1.05", "1.10"]);
    }

    #[test]
    fn places_stay_inside() {
        let scale = Scale { values: (0.0, 4.0), places: (10.0, 50.0) };
        assert_eq!([-1.0, 1.0, 9.0].map(|v| scale.place(v)), [10.0, 20.0, 50.0]);
    }
}
