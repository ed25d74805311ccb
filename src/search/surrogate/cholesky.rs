//! Cholesky: the few lines of linear algebra that a Gaussian process of some hundred points
//! needs.
//!
//! Matrices are square, row by row in one slice. A linear-algebra crate would bring minutes of
//! build time for matrices that fit the second-level cache; what costs time here is
//! `Factor::halve` over many candidates at once, whose inner loop runs along them.

/// The lower triangle L of A = L Lᵀ.
#[derive(Debug)]
pub(crate) struct Factor {
    n: usize,
    lower: Vec<f64>,
}

impl Factor {
    /// Factors the symmetric matrix `a` of `n` rows, of which only the lower triangle is read;
    /// `None` where it is not positive definite.
    pub fn new(n: usize, mut a: Vec<f64>) -> Option<Self> {
        for i in 0..n {
            let (above, row) = a.split_at_mut(i * n);
            for j in 0..i {
                let other = &above[j * n..j * n + j];
                row[j] = (row[j] - dot(&row[..j], other)) / above[j * n + j];
            }
            let pivot = row[i] - dot(&row[..i], &row[..i]);
            if pivot.is_nan() || pivot <= 0.0 {
                return None;
            }
            row[i] = pivot.sqrt();
            row[i + 1..n].fill(0.0);
        }
        Some(Self { n, lower: a })
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.lower[i * self.n..(i + 1) * self.n]
    }

    /// The logarithm of the determinant of A.
    pub fn log_determinant(&self) -> f64 {
        2.0 * (0..self.n).map(|i| self.row(i)[i].ln()).sum::<f64>()
    }

    /// Solves A x = b.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        for i in 0..self.n {
            x[i] = (x[i] - dot(&self.row(i)[..i], &x[..i])) / self.row(i)[i];
        }
        for i in (0..self.n).rev() {
            x[i] /= self.row(i)[i];
            let (head, tail) = x.split_at_mut(i);
            add_scaled(head, -tail[0], &self.row(i)[..i]);
        }
        x
    }

    /// L⁻¹ B, in place, for the matrix B of n rows and `columns` columns.
    pub fn halve(&self, b: &mut [f64], columns: usize) {
        for i in 0..self.n {
            let (above, below) = b.split_at_mut(i * columns);
            let row = &mut below[..columns];
            let (fours, rest) = self.row(i)[..i].as_chunks();
            let (above, last) = above.split_at(4 * fours.len() * columns);
            for (scales, rows) in fours.iter().zip(above.chunks_exact(4 * columns)) {
                subtract_four(row, scales, rows);
            }
            for (scale, other) in rest.iter().zip(last.chunks_exact(columns)) {
                add_scaled(row, -scale, other);
            }
            let pivot = 1.0 / self.row(i)[i];
            row.iter_mut().for_each(|x| *x *= pivot);
        }
    }

    /// A⁻¹; its lower triangle is right.
    pub fn inverse(&self) -> Vec<f64> {
        let n = self.n;
        // L⁻¹, row by row: only the triangle is worked on.
        let mut half = vec![0.0; n * n];
        for i in 0..n {
            let (above, below) = half.split_at_mut(i * n);
            for (j, scale) in self.row(i)[..i].iter().enumerate() {
                add_scaled(&mut below[..=j], -scale, &above[j * n..j * n + j + 1]);
            }
            below[i] = 1.0;
            let pivot = 1.0 / self.row(i)[i];
            below[..=i].iter_mut().for_each(|x| *x *= pivot);
        }
        let mut inverse = vec![0.0; n * n];
        for row in half.chunks(n) {
            for i in 0..n {
                if row[i] != 0.0 {
                    add_scaled(&mut inverse[i * n..i * n + i + 1], row[i], &row[..=i]);
                }
            }
        }
        inverse
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Four sums, so that the compiler may use vectors without changing what is added to what.
    let mut sums = [0.0; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a4.zip(b4) {
        for lane in 0..4 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

fn add_scaled(to: &mut [f64], scale: f64, from: &[f64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += scale * from;
    }
}

/// Four rows at once, one after another for each column: a sum is read and written once for them.
fn subtract_four(from: &mut [f64], scales: &[f64; 4], rows: &[f64]) {
    let columns = from.len();
    let (ab, cd) = rows.split_at(2 * columns);
    let ((a, b), (c, d)) = (ab.split_at(columns), cd.split_at(columns));
    let [by_a, by_b, by_c, by_d] = scales;
    for ((((from, a), b), c), d) in from.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *from = *from - by_a * a - by_b * b - by_c * c - by_d * d;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L of `n` rows, made up, and A = L Lᵀ.
    fn made(n: usize) -> (Vec<f64>, Vec<f64>) {
        let cell = |i: usize, j: usize| match j.cmp(&i) {
            std::cmp::Ordering::Less => ((3 * i + 5 * j) % 7) as f64 / 4.0 - 0.75,
            std::cmp::Ordering::Equal => 2.0 + i as f64 / 2.0,
            std::cmp::Ordering::Greater => 0.0,
        };
        let cells = || (0..n * n).map(move |place| (place / n, place % n));
        let product = |(i, j): (usize, usize)| (0..n).map(|k| cell(i, k) * cell(j, k)).sum();
        (cells().map(|(i, j)| cell(i, j)).collect(), cells().map(product).collect())
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-12, "{found:?} {expected:?}");
    }

    #[test]
    fn what_was_multiplied_is_factored_halved_and_solved() {
        for n in 1..=10 {
            let (lower, a) = made(n);
            let factor = Factor::new(n, a.clone()).unwrap();
            assert_close(&factor.lower, &lower);
            // L⁻¹ A = Lᵀ, of which three columns and all.
            let transposed: Vec<f64> = (0..n * n).map(|at| lower[at % n * n + at / n]).collect();
            let first = |matrix: &[f64], columns: usize| -> Vec<f64> {
                matrix.chunks(n).flat_map(|row| row[..columns].to_vec()).collect()
            };
            for columns in [n.min(3), n] {
                let mut half = first(&a, columns);
                factor.halve(&mut half, columns);
                assert_close(&half, &first(&transposed, columns));
            }
            let x: Vec<f64> = (0..n).map(|i| i as f64 - 1.5).collect();
            let b: Vec<f64> = a.chunks(n).map(|row| dot(row, &x)).collect();
            assert_close(&factor.solve(&b), &x);
            let diagonal: f64 = (0..n).map(|i| lower[i * n + i]).product();
            assert_close(&[factor.log_determinant()], &[2.0 * diagonal.ln()]);
        }
    }

    #[test]
    fn the_inverse_times_the_matrix_is_one() {
        let n = 9;
        let (_, a) = made(n);
        let lower = Factor::new(n, a.clone()).unwrap().inverse();
        let inverse = |i: usize, j: usize| lower[i.max(j) * n + i.min(j)];
        for i in 0..n {
            let product = |j: usize| (0..n).map(|k| inverse(i, k) * a[k * n + j]).sum();
            let row: Vec<f64> = (0..n).map(product).collect();
            let one: Vec<f64> = (0..n).map(|j| f64::from(u8::from(i == j))).collect();
            assert_close(&row, &one);
        }
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        assert!(Factor::new(2, vec![1.0, 0.0, 2.0, 1.0]).is_none());
        assert!(Factor::new(1, vec![f64::NAN]).is_none());
    }
}
