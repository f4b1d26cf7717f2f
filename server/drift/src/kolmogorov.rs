//! The law of Kolmogorov's statistic: how far a sample of n strays from its own distribution.
//!
//! Which formula is accurate where is from Simard and L'Ecuyer, "Computing the two-sided
//! Kolmogorov–Smirnov distribution", 2011; SciPy's `kstwo` chooses the same way.

use std::f64::consts::PI;

use crate::cast::{index, whole};
use crate::special::{binomial, stirling_error};

/// Probability that the largest distance between the distribution function of `n` values and
/// that of their law is `d` or more.
pub fn kolmogorov_above(n: u64, d: f64) -> f64 {
    if d.is_nan() {
        return f64::NAN;
    }
    let size = n as f64;
    let t = size * d;
    if t <= 0.5 {
        return 1.0;
    }
    if d >= 1.0 {
        return 0.0;
    }
    if t <= 1.0 {
        return 1.0 - first_step(size, t);
    }
    // Both sides cannot stray that far at once, or hardly ever.
    let square = t * d;
    let small = if n <= 140 { square > 4.0 } else { square >= 2.2 };
    if d >= 0.5 || small {
        return (2.0 * one_sided_above(n, d)).min(1.0);
    }
    let exact = n <= 140 || (n <= 100_000 && size * d.powf(1.5) <= 1.4);
    let below = if exact { durbin(n, d) } else { pelz_good(size, d) };
    (1.0 - below).clamp(0.0, 1.0)
}

/// `n! (2d − 1/n)ⁿ`, the distribution function for `d ≤ 1/n`. `t = n d`.
fn first_step(n: f64, t: f64) -> f64 {
    let log_factorial = 0.5 * (2.0 * PI * n).ln() - n + stirling_error(n);
    (log_factorial + n * (2.0 * t - 1.0).ln()).exp()
}

/// Probability that the sample's distribution function rises `d` or more above its law.
///
/// # Source
/// Birnbaum and Tingey, "One-sided confidence contours for probability distribution functions",
/// 1951. All terms are positive, so nothing cancels.
fn one_sided_above(n: u64, d: f64) -> f64 {
    let size = n as f64;
    let mut sum = 0.0;
    for k in 0..=n {
        let k = k as f64;
        let (p, q) = (d + k / size, (size - k) / size - d);
        if q < 0.0 {
            break;
        }
        sum += binomial(k, size, p, q) / p;
    }
    d * sum
}

/// The distribution function, by the matrix of Durbin.
///
/// # Source
/// Marsaglia, Tsang, Wang, "Evaluating Kolmogorov's distribution", 2003.
fn durbin(n: u64, d: f64) -> f64 {
    let size = n as f64;
    let k = (size * d).ceil();
    let h = k - size * d;
    // n d is at most 24, or 1.4 ∛n for n up to 100 000.
    let k = index(whole(k));
    let matrix = Matrix::durbin(2 * k - 1, h);
    let (power, mut exponent) = matrix.power(n);
    let mut value = power.at(k - 1, k - 1);
    for i in 1..=n {
        value *= i as f64 / size;
        if value < 1e-140 {
            value *= 1e140;
            exponent -= 140;
        }
    }
    value * 10_f64.powi(exponent)
}

/// A square matrix, row by row.
struct Matrix {
    side: usize,
    cells: Vec<f64>,
}

impl Matrix {
    fn durbin(side: usize, h: f64) -> Matrix {
        let mut factorial = vec![1.0; side + 1];
        for at in 1..=side {
            factorial[at] = factorial[at - 1] * at as f64;
        }
        let mut cells = vec![0.0; side * side];
        for i in 0..side {
            for j in 0..=(i + 1).min(side - 1) {
                cells[i * side + j] = 1.0 / factorial[i + 1 - j];
            }
        }
        let mut power = 1.0;
        for i in 0..side {
            power *= h;
            cells[i * side] -= power / factorial[i + 1];
            let last = (side - 1) * side + side - 1 - i;
            // The corner belongs to both the column and the row, and is set below.
            if i + 1 < side {
                cells[last] -= power / factorial[i + 1];
            }
        }
        let power_of = |it: f64| it.powf(side as f64);
        let corner = 1.0 - 2.0 * power_of(h) + power_of((2.0 * h - 1.0).max(0.0));
        cells[(side - 1) * side] = corner / factorial[side];
        Matrix { side, cells }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.cells[row * self.side + column]
    }

    fn times(&self, other: &Matrix) -> Matrix {
        let side = self.side;
        let mut cells = vec![0.0; side * side];
        for i in 0..side {
            for k in 0..side {
                let factor = self.at(i, k);
                for j in 0..side {
                    cells[i * side + j] += factor * other.at(k, j);
                }
            }
        }
        Matrix { side, cells }
    }

    /// The `n`th power, as a matrix times a power of ten.
    fn power(self, mut n: u64) -> (Matrix, i32) {
        let side = self.side;
        let identity = (0..side * side).map(|it| f64::from(u8::from(it % (side + 1) == 0)));
        let mut result = (Matrix { side, cells: identity.collect() }, 0);
        let mut square = (self, 0);
        while n > 0 {
            if n % 2 == 1 {
                result = (result.0.times(&square.0), result.1 + square.1);
                scale(&mut result);
            }
            square = (square.0.times(&square.0), 2 * square.1);
            scale(&mut square);
            n /= 2;
        }
        result
    }
}

fn scale(value: &mut (Matrix, i32)) {
    let middle = value.0.side / 2;
    if value.0.at(middle, middle) > 1e140 {
        value.0.cells.iter_mut().for_each(|it| *it *= 1e-140);
        value.1 += 140;
    }
}

/// The distribution function for large n: the limit and three corrections.
///
/// # Source
/// Pelz and Good, "Approximating the lower tail-areas of the Kolmogorov–Smirnov one-sample
/// statistic", 1976. With z = d √n and the sums over theta functions as written there.
fn pelz_good(n: f64, d: f64) -> f64 {
    let z = n.sqrt() * d;
    let (z2, z4, z6) = (z.powi(2), z.powi(4), z.powi(6));
    let (pi2, pi4, pi6) = (PI.powi(2), PI.powi(4), PI.powi(6));
    let slow = -pi2 / (8.0 * z2);
    if slow < -708.0 {
        return 0.0;
    }
    let root = (2.0 * PI).sqrt();
    let mut sums = [0.0_f64; 4];
    let mut extra = [0.0_f64; 2];
    // Terms fall as e^(−k²π²/2z²): beyond 16z/π of them nothing is left.
    for k in 1..=whole((16.0 * z / PI).ceil()) {
        let odd = (2 * k - 1) as f64;
        let (m2, m4, m6) = (odd.powi(2), odd.powi(4), odd.powi(6));
        let weight = (slow * m2).exp();
        sums[0] += weight;
        sums[1] += weight * (pi2 / 4.0 * m2 - z2);
        sums[2] += weight
            * (6.0 * z6
                + 2.0 * z4
                + (2.0 * z4 - 5.0 * z2) * pi2 / 4.0 * m2
                + pi4 * (1.0 - 2.0 * z2) / 16.0 * m4);
        sums[3] += weight
            * (-30.0 * z6 - 90.0 * z.powi(8)
                + pi2 * (135.0 * z4 - 96.0 * z6) / 4.0 * m2
                + pi4 * (212.0 * z4 - 60.0 * z2) / 16.0 * m4
                + pi6 * (5.0 - 30.0 * z2) / 64.0 * m6);
        let k2 = (k as f64).powi(2);
        let weight = (-pi2 * k2 / (2.0 * z2)).exp() * k2;
        extra[0] += weight;
        extra[1] += weight * (3.0 * z2 - pi2 * k2);
    }
    let first = root / z * sums[0];
    let second = root / (6.0 * z4) * sums[1] / n.sqrt();
    let third = root * (sums[2] / (72.0 * z.powi(7)) - pi2 / (36.0 * z.powi(3)) * extra[0]) / n;
    let fourth =
        root * (sums[3] / (6480.0 * z.powi(10)) + pi2 / (216.0 * z6) * extra[1]) / n.powf(1.5);
    first + second + third + fourth
}
