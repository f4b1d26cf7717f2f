//! Tails of the normal, binomial and gamma distributions, accurate where they are small.

use std::f64::consts::{PI, SQRT_2};

/// Terms of a series or fraction; both need about √a of them where they are slowest.
const TERMS_MAX: usize = 1_000_000;

/// Probability that a standard normal number lies further than `z` from 0.
pub fn normal_two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() / SQRT_2)
}

/// Probability that a chi-square number with `freedom` degrees is above `statistic`. NaN without
/// a degree of freedom.
pub fn chi_square_above(statistic: f64, freedom: f64) -> f64 {
    if freedom.is_nan() || freedom <= 0.0 || statistic.is_nan() {
        return f64::NAN;
    }
    gamma_above(freedom / 2.0, statistic / 2.0)
}

/// The regularised upper incomplete gamma function Q(a, x), for positive `a`.
///
/// # Source
/// Series and continued fraction: Abramowitz and Stegun, 6.5.29 and 6.5.31; the latter evaluated
/// by Lentz, "Generating Bessel functions in Mie scattering calculations", 1976.
pub fn gamma_above(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    if x == f64::INFINITY {
        return 0.0;
    }
    let front = poisson(a, x);
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0, 1.0);
        for n in 1..TERMS_MAX {
            term *= x / (a + n as f64);
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        return 1.0 - front * sum;
    }
    let mut b = x + 1.0 - a;
    let mut c = f64::INFINITY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for n in 1..TERMS_MAX {
        let n = n as f64;
        let numerator = n * (a - n);
        b += 2.0;
        d = 1.0 / nonzero(numerator * d + b);
        c = nonzero(b + numerator / c);
        let step = d * c;
        fraction *= step;
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    front * a * fraction
}

fn nonzero(it: f64) -> f64 {
    if it.abs() < 1e-300 { 1e-300 } else { it }
}

/// Probability of `k` successes among `n` trials that succeed with `p` each; `q = 1 − p`, given
/// apart so that it is exact where it is small.
///
/// # Source
/// Loader, "Fast and accurate computation of binomial probabilities", 2000.
pub fn binomial(k: f64, n: f64, p: f64, q: f64) -> f64 {
    if k == 0.0 {
        return (n * (-p).ln_1p()).exp();
    }
    if k == n {
        return (n * (-q).ln_1p()).exp();
    }
    if p <= 0.0 || q <= 0.0 {
        return 0.0;
    }
    let rest = n - k;
    let log = stirling_error(n)
        - stirling_error(k)
        - stirling_error(rest)
        - deviance(k, n * p)
        - deviance(rest, n * q);
    (n / (2.0 * PI * k * rest)).sqrt() * log.exp()
}

/// `xᵃ e⁻ˣ / Γ(a + 1)`, for positive `a`. Source: as [`binomial`].
fn poisson(a: f64, x: f64) -> f64 {
    (-stirling_error(a) - deviance(a, x)).exp() / (2.0 * PI * a).sqrt()
}

/// What Stirling's formula lacks: `ln Γ(n + 1) − (n + ½) ln n + n − ½ ln 2π`.
pub(crate) fn stirling_error(n: f64) -> f64 {
    if n <= 15.0 {
        return libm::lgamma(n + 1.0) - (n + 0.5) * n.ln() + n - 0.5 * (2.0 * PI).ln();
    }
    let square = n * n;
    let tail = 1.0 / 1260.0 - (1.0 / 1680.0 - (1.0 / 1188.0) / square) / square;
    (1.0 / 12.0 - (1.0 / 360.0 - tail / square) / square) / n
}

/// `x ln(x/m) + m − x`, by a series where the two are close.
fn deviance(x: f64, m: f64) -> f64 {
    let apart = x - m;
    if apart.abs() >= 0.1 * (x + m) {
        return x * (x / m).ln() + m - x;
    }
    let v = apart / (x + m);
    let mut sum = apart * v;
    let mut power = 2.0 * x * v;
    for n in 1..1000 {
        power *= v * v;
        let next = sum + power / f64::from(2 * n + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}
