//! What sketches say: a window against the ranks that a profile has kept of a reference of any length, and
//! two windows against each other where no profile has fixed bins.

use crate::cast::whole;
use crate::distance::SPREAD_MIN;
use crate::evidence::Within;
use crate::kolmogorov::kolmogorov_above;
use crate::profile::Numbers;
use crate::quantiles::Quantiles;
use crate::sample::Sample;
use crate::smirnov::{KolmogorovSmirnov, of_distance};
use crate::statistics::{Statistics, present};

/// All values of a window against those of the reference's sample, each of which stands for as many as any
/// other: a rank is off by half of that, and by a row where it was rounded. `apart`: what the distribution
/// functions are apart for sure, by counts of bins.
///
/// The distance of the distribution functions, its p-value, which takes what the distance may be off by for
/// part of it, and the Wasserstein distance in standard deviations of the reference.
pub(crate) fn from_ranks(
    profile: &Numbers,
    raw: &[f64],
    apart: f64,
) -> (KolmogorovSmirnov, f64, Within) {
    let rows: u64 = profile.counts.iter().sum();
    let error = 0.5 / profile.sample.len() as f64 + 1.0 / rows as f64;
    let reference = Sample::new(profile.sample.iter().copied());
    let current = Sample::new(raw.iter().copied());
    let (k, m) = (reference.len() as f64, current.len() as f64);
    let (mut largest, mut area, mut height, mut before) = (0.0_f64, 0.0, 0.0, 0.0);
    reference.walk(&current, |value, i, j| {
        area += height * (value - before);
        (height, before) = ((i as f64 / k - j as f64 / m).abs(), value);
        largest = largest.max(height);
    });
    let spread = profile.deviation.max(SPREAD_MIN);
    let p = of_distance(rows, current.len() as u64, apart.max(largest - error).max(0.0));
    let within =
        Within { ks_statistic: error, wasserstein: error * (profile.max - profile.min) / spread };
    (KolmogorovSmirnov { statistic: largest.max(apart), p }, area / spread, within)
}

/// Distance of the distribution functions, its p-value and the Wasserstein distance, in units of
/// `deviation` (that of the first), each as good as the sketches: the distribution functions are
/// off by 1.65 % of the rows of each in 99 of 100 cases. Histogram statistics are not taken from
/// sketches: the noise of the ranks would pass for a difference.
///
/// The p-value takes that error for part of the distance, so it is never too small because of it.
pub fn between(reference: &Quantiles, current: &Quantiles, deviation: f64) -> Statistics {
    let mut points: Vec<f64> = reference.weighed().iter().map(|it| it.0).collect();
    points.extend(current.weighed().iter().map(|it| it.0));
    points.sort_unstable_by(f64::total_cmp);
    if reference.n() == 0 || current.n() == 0 {
        return Statistics::default();
    }
    let (left, right) = (reference.shares_up_to(&points), current.shares_up_to(&points));
    let apart = || left.iter().zip(&right).map(|(a, b)| (a - b).abs());
    let largest = apart().fold(0.0, f64::max);
    let widths = points.windows(2).map(|it| it[1] - it[0]);
    let area: f64 = apart().zip(widths).map(|(height, width)| height * width).sum();
    let (n, m) = (reference.n() as f64, current.n() as f64);
    let size = whole((n * m / (n + m)).round_ties_even()).max(1);
    let error = reference.rank_error() + current.rank_error();
    Statistics {
        ks: present(kolmogorov_above(size, (largest - error).max(0.0))),
        ks_statistic: present(largest),
        wasserstein: present(area / deviation.max(SPREAD_MIN)),
        ..Statistics::default()
    }
}
