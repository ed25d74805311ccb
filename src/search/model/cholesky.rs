//! Cholesky: the few lines of linear algebra that a Gaussian process of some hundred points
//! needs.
//!
//! Matrices are square, row by row in one slice. A linear-algebra crate would bring minutes of
//! build time for matrices that fit the second-level cache; what costs time here is
//! [`Factor::halve`] over many candidates at once, whose inner loop runs along them.

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

    /// ln |A|.
    pub fn log_determinant(&self) -> f64 {
        2.0 * (0..self.n).map(|i| self.row(i)[i].ln()).sum::<f64>()
    }

    /// A⁻¹ b.
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
            for (j, scale) in self.row(i)[..i].iter().enumerate() {
                add_scaled(row, -scale, &above[j * columns..(j + 1) * columns]);
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
