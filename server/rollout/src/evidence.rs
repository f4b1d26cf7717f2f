//! What counts prove: e-values, good at any time and however often one looks.
//!
//! All are natural logarithms: 0 says nothing, `ln(1/α)` is enough. Every function is total: counts
//! that contradict themselves, as torn reads of counters do, are cut to what is possible, and
//! where there is nothing to compare the answer is 0. Formulas and sources: the crate's page.

use std::f64::consts::FRAC_PI_2;

/// Rows from which a mean counts: before, its variance is too rough an estimate.
pub const BURN_IN: u64 = 100;

/// The spread of means that the mixture bets on, in variances of one value.
const MIXTURE: f64 = 0.01;

/// What is further from the peak than e^-40 of it adds nothing to an integral.
const DEPTH: f64 = 40.0;

/// Panels of an integral. Where it is widest each covers one standard deviation.
const PANELS: u32 = 26;

/// Gauss and Legendre's nodes and weights on (-1, 1), five points.
const NODES: [(f64, f64); 5] = [
    (-0.906_179_845_938_664, 0.236_926_885_056_189_1),
    (-0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
    (0.0, 0.568_888_888_888_888_9),
    (0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
    (0.906_179_845_938_664, 0.236_926_885_056_189_1),
];

/// Evidence that an event is likelier than `p0`, from `events` among `trials`.
///
/// The prior of a share `p` is uniform in the angle `asin √p`, and `E` is the mean of the
/// likelihood ratio over the angles above that of `p0`. That is the closed form of the crate's
/// page, but the integral keeps its digits where differences of logarithms of the beta function
/// lose theirs: at 10¹² trials, and where almost no mass lies above `p0`.
pub fn log_e_above(events: u64, trials: u64, p0: f64) -> f64 {
    // NaN is in no range.
    if trials == 0 || !(f64::MIN_POSITIVE..1.0).contains(&p0) {
        return 0.0;
    }
    let (k, n) = (events.min(trials) as f64, trials as f64);
    let misses = trials.saturating_sub(events) as f64;
    let null = p0.sqrt().atan2((1.0 - p0).sqrt());
    let best = k.sqrt().atan2(misses.sqrt());
    // The likelihood is concave in the angle, so it peaks at the best angle or else where the
    // alternative begins.
    let peak = if best > null {
        Peak { k, misses, p: k / n, q: misses / n }
    } else {
        Peak { k, misses, p: p0, q: 1.0 - p0 }
    };
    // It falls at least as fast as e^(-n t²), and where it begins with a slope as e^(-slope t).
    let reach = (DEPTH / n).sqrt();
    let slope = peak.slope().max(f64::MIN_POSITIVE);
    let angle = best.max(null);
    let low = -reach.min(angle - null);
    let high = reach.min(DEPTH / slope).min(FRAC_PI_2 - angle);
    let width = (high - low) / f64::from(PANELS);
    let middles = (0..PANELS).map(|it| low + (f64::from(it) + 0.5) * width);
    let points = middles.flat_map(|middle| NODES.map(|(at, it)| (middle + at * width / 2.0, it)));
    let area: f64 = points.map(|(t, weight)| weight * peak.log_ratio(t).exp()).sum();
    let height =
        if best > null { divergence(k, n * p0) + divergence(misses, n * (1.0 - p0)) } else { 0.0 };
    height + (area * width / 2.0).ln() - (FRAC_PI_2 - null).ln()
}

/// The highest point of a likelihood, and what it was counted from.
struct Peak {
    k: f64,
    misses: f64,
    p: f64,
    q: f64,
}

impl Peak {
    /// ln of the likelihood at an angle `t` away, over that here.
    fn log_ratio(&self, t: f64) -> f64 {
        let Peak { k, misses, p, q } = *self;
        // sin²(a+t) - sin²(a) = sin(t)·sin(2a+t), without a difference of near numbers.
        let moved = t.sin() * (2.0 * (p * q).sqrt() * t.cos() + (q - p) * t.sin());
        let up = if k > 0.0 { k * (moved / p).max(-1.0).ln_1p() } else { 0.0 };
        let down = if misses > 0.0 { misses * (-moved / q).max(-1.0).ln_1p() } else { 0.0 };
        up + down
    }

    /// How steeply the log-likelihood falls with the angle here.
    fn slope(&self) -> f64 {
        2.0 * (self.misses * self.p - self.k * self.q) / (self.p * self.q).sqrt()
    }
}

/// `x ln(x/m) + m - x`, for counts `x` where `m` are expected, exact where they are near.
///
/// # Source
/// Loader, "Fast and accurate computation of binomial probabilities", 2000 (`bd0`).
fn divergence(x: f64, m: f64) -> f64 {
    if x <= 0.0 {
        return m;
    }
    let apart = (x - m) / (x + m);
    if apart.abs() >= 0.1 {
        return x * (x / m).ln() + m - x;
    }
    // ln(x/m) = 2 atanh(apart), as a series; each term is at most a hundredth of the one before.
    let square = apart * apart;
    let mut term = 2.0 * x * apart;
    let mut sum = (x - m) * apart;
    for j in 1..10 {
        term *= square;
        sum += term / f64::from(2 * j + 1);
    }
    sum
}

/// Evidence that an event is less likely than `p0`.
pub fn log_e_below(events: u64, trials: u64, p0: f64) -> f64 {
    log_e_above(trials.saturating_sub(events), trials, 1.0 - p0)
}

/// Evidence that events at the candidate are more than `ratio` times as likely as at the stable
/// version, from the events of both, where the candidate has the share `share` of the requests.
pub fn log_e_more_often(canary: u64, stable: u64, share: f64, ratio: f64) -> f64 {
    let ours = share * ratio;
    // Counters that are full must not make the other side's events vanish.
    let whole = canary.checked_add(stable).map(|both| (canary, both));
    let (events, both) = whole.unwrap_or((canary / 2, canary / 2 + stable / 2));
    log_e_above(events, both, ours / (ours + 1.0 - share))
}

/// Evidence that events at the candidate are less than `ratio` times as likely as at the stable
/// version: the same test with the two exchanged.
pub fn log_e_less_often(canary: u64, stable: u64, share: f64, ratio: f64) -> f64 {
    log_e_more_often(stable, canary, 1.0 - share, 1.0 / ratio)
}

/// Evidence that a mean is elsewhere, from its distance to what is allowed, in values of the
/// number, and from how many values of which variance it was taken.
///
/// For a range of allowed means the distance is that to the nearest of them: the least evidence.
/// A distance of zero, from inside the range, counts as evidence for it. The e-value is one of
/// large numbers: it takes the variance for known.
pub fn log_e_mean(distance: f64, n: f64, variance: f64) -> f64 {
    let far = distance * distance;
    if n.is_nan() || n < 1.0 || !far.is_finite() || !variance.is_finite() {
        return 0.0;
    }
    // Values that are all alike have no variance; a shift of them is as certain as can be said.
    let variance = variance.max(far * 1e-12).max(f64::MIN_POSITIVE);
    let spread = n * MIXTURE;
    0.5 * (n * far / variance) * spread / (1.0 + spread) - 0.5 * spread.ln_1p()
}

/// The mean of e-values: evidence against what all of them speak against, whatever their
/// dependence. Of nothing it is 0.
pub fn log_mean(logs: &[f64]) -> f64 {
    let weight = -(logs.len().max(1) as f64).ln();
    log_sum(&logs.iter().map(|it| it + weight).collect::<Vec<f64>>())
}

/// ln of a sum of what is given as logarithms; 0, which is nothing, for none.
pub(crate) fn log_sum(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return 0.0;
    }
    most + logs.iter().map(|it| (it - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
