//! Law: one stage's seconds over its threads.
//!
//! Gunther's universal scalability law, t(n) = t₁ (1 + σ (n - 1) + κ n (n - 1)) / n, is linear in
//! 1/n, 1 and n: work that threads share, work that they don't (Amdahl), and what each thread more
//! costs the others (coherence, barriers). Where memory bandwidth is the limit, the shared work
//! stops shrinking at some number of threads: the ceiling.

/// Seconds over threads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    /// Seconds of work that threads share, on one.
    pub shared_s: f64,
    /// Seconds that more threads don't shorten.
    pub serial_s: f64,
    /// Seconds that each thread adds for all.
    pub each_s: f64,
    /// Threads above which the shared work gains nothing: memory is as busy as it can be.
    pub ceiling: Option<f64>,
}

/// Time at some number of threads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Threads.
    pub threads: f64,
    /// Seconds per clip, measured.
    pub seconds: f64,
}

/// Fewer different numbers of threads say nothing about a law.
const LEAST: usize = 3;
/// A term more has to make the error on unseen points smaller by this factor.
const WORTH: f64 = 0.9;

impl Law {
    /// The relative error of laws at each of the points, when they are fitted to the others (root
    /// mean square); `None` for fewer than three points.
    pub fn error(points: &[Point]) -> Option<f64> {
        left_out(points, Self::fit)
    }

    /// Seconds on this number of threads.
    pub fn seconds(&self, threads: f64) -> f64 {
        let [shared, serial, each] = terms(threads, self.ceiling);
        self.shared_s * shared + self.serial_s * serial + self.each_s * each
    }

    /// The law that `points` (different numbers of threads) follow: of its forms the one that
    /// predicts points left out best, the simpler ones first. `None` for fewer than two points.
    pub fn fit(points: &[Point]) -> Option<Self> {
        if points.len() < 2 {
            return None;
        }
        let mut threads: Vec<f64> = points.iter().map(|point| point.threads).collect();
        threads.sort_by(f64::total_cmp);
        let inner = if threads.len() > LEAST { &threads[1..threads.len() - 1] } else { &[] };
        let ceilings: Vec<f64> = inner.to_vec();
        let mut forms: Vec<(usize, Option<f64>)> = vec![(1, None)];
        forms.extend((2..=3).filter(|&count| count < points.len()).map(|count| (count, None)));
        forms.extend(ceilings.into_iter().flat_map(|c| [(1, Some(c)), (2, Some(c))]));
        let mut best: Option<(f64, Self)> = None;
        for (count, ceiling) in forms {
            let Some(law) = least_squares(points, count, ceiling) else { continue };
            let error = left_out(points, |some| least_squares(some, count, ceiling));
            let error = error.unwrap_or(f64::INFINITY);
            if best.is_none_or(|(least, _)| error < WORTH * least) {
                best = Some((error, law));
            }
        }
        best.map(|(_, law)| law)
    }
}

/// The root mean square of relative errors at points that `fit` did not see.
fn left_out(points: &[Point], fit: impl Fn(&[Point]) -> Option<Law>) -> Option<f64> {
    if points.len() < LEAST {
        return None;
    }
    let mut sum = 0.0;
    for (i, point) in points.iter().enumerate() {
        let others: Vec<Point> = [&points[..i], &points[i + 1..]].concat();
        let seconds = fit(&others)?.seconds(point.threads);
        sum += (seconds.max(f64::MIN_POSITIVE) / point.seconds).ln().powi(2);
    }
    Some((sum / points.len() as f64).sqrt())
}

fn terms(threads: f64, ceiling: Option<f64>) -> [f64; 3] {
    [1.0 / threads.min(ceiling.unwrap_or(f64::INFINITY)), 1.0, threads]
}

/// The first `count` terms with the least squares of relative errors, none below zero.
fn least_squares(points: &[Point], count: usize, ceiling: Option<f64>) -> Option<Law> {
    let rows: Vec<[f64; 3]> = points
        .iter()
        .map(|point| terms(point.threads, ceiling).map(|term| term / point.seconds))
        .collect();
    // With three terms at most, every choice of terms that are not zero can be tried.
    let choices = (1..1_u32 << count).map(|choice| solve(&rows, choice));
    let allowed = choices.flatten().filter(|x| x.iter().all(|x| *x >= 0.0));
    let left = |x: &[f64; 3]| rows.iter().map(|row| (product(row, x) - 1.0).powi(2)).sum::<f64>();
    let [shared_s, serial_s, each_s] = allowed.min_by(|a, b| left(a).total_cmp(&left(b)))?;
    Some(Law { shared_s, serial_s, each_s, ceiling })
}

fn product(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The coefficients of the terms in `choice` that bring every row nearest to 1, by the normal
/// equations; `None` where the rows can't tell them apart.
fn solve(rows: &[[f64; 3]], choice: u32) -> Option<[f64; 3]> {
    let chosen: Vec<usize> = (0..3).filter(|term| choice >> term & 1 == 1).collect();
    let n = chosen.len();
    let mut matrix = vec![vec![0.0; n + 1]; n];
    for row in rows {
        for (a, line) in matrix.iter_mut().enumerate() {
            (0..n).for_each(|b| line[b] += row[chosen[a]] * row[chosen[b]]);
            line[n] += row[chosen[a]];
        }
    }
    for i in 0..n {
        let pivot = matrix[i][i];
        if pivot.abs() <= 1e-12 * rows.iter().map(|row| row[chosen[i]].powi(2)).sum::<f64>() {
            return None;
        }
        for j in (0..n).filter(|&j| j != i) {
            let factor = matrix[j][i] / pivot;
            (i..=n).for_each(|k| matrix[j][k] -= factor * matrix[i][k]);
        }
    }
    let mut found = [0.0; 3];
    chosen.iter().enumerate().for_each(|(i, &term)| found[term] = matrix[i][n] / matrix[i][i]);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(threads: &[u32], seconds: impl Fn(f64) -> f64) -> Vec<Point> {
        let point = |&n: &u32| Point { threads: f64::from(n), seconds: seconds(f64::from(n)) };
        threads.iter().map(point).collect()
    }

    fn fit(points: &[Point]) -> (Law, f64) {
        (Law::fit(points).unwrap(), Law::error(points).unwrap())
    }

    #[test]
    fn amdahls_law_is_found_and_predicts_what_was_not_measured() {
        let (law, error) = fit(&points(&[1, 2, 4, 8, 16], |n| 8.0 / n + 0.5));
        assert!((law.shared_s - 8.0).abs() < 1e-6 && (law.serial_s - 0.5).abs() < 1e-6, "{law:?}");
        assert!(error < 1e-6, "{error}");
        assert!((law.seconds(64.0) - 0.625).abs() < 1e-6);
    }

    #[test]
    fn a_thread_too_many_makes_it_slower_again() {
        let usl = |n: f64| 10.0 / n + 0.2 + 0.05 * n;
        let (law, _) = fit(&points(&[1, 2, 4, 8, 16, 32], usl));
        assert!((law.each_s - 0.05).abs() < 1e-6, "{law:?}");
        assert!(law.seconds(32.0) > law.seconds(14.0));
    }

    #[test]
    fn bandwidth_is_a_ceiling_and_no_serial_part() {
        let bound = |n: f64| 6.0 / n.min(8.0);
        let (law, error) = fit(&points(&[1, 2, 4, 8, 16, 32], bound));
        assert_eq!(law.ceiling, Some(8.0));
        assert!((law.seconds(64.0) - 0.75).abs() < 1e-9 && error < 0.2, "{law:?} {error}");
    }

    #[test]
    fn times_that_follow_no_law_have_a_large_error() {
        let odd = [3.0, 0.4, 2.0, 0.3, 5.0, 0.2];
        let threads = [1, 2, 4, 8, 16, 32];
        let seconds = |n: f64| odd[threads.iter().position(|&m| f64::from(m) == n).unwrap()];
        let (_, error) = fit(&points(&threads, seconds));
        assert!(error > 0.5, "{error}");
        assert_eq!(Law::error(&points(&[1, 2], |n| n)), None);
        assert_eq!(Law::fit(&[]), None);
    }
}
