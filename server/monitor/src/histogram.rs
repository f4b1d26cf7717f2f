//! Shares of reference and window side by side, to be looked at.

use serde::Serialize;
use server_drift::{FeatureState, Shape};

/// Bins of equal width between the outermost two.
const BINS: usize = 20;

/// Categories that are shown by name.
const NAMES_MAX: usize = 11;

/// Bars in pairs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Histogram {
    /// What each pair is of.
    pub(crate) names: Vec<String>,
    /// Share of the reference.
    pub(crate) reference: Vec<f64>,
    /// Share of the window.
    pub(crate) current: Vec<f64>,
}

impl Histogram {
    pub(crate) fn of(shape: &Shape, state: &FeatureState) -> Histogram {
        match (shape, state) {
            (Shape::Numerical(profile), FeatureState::Numbers(state)) => {
                numbers(&profile.edges, &profile.counts, &state.counts)
            }
            (Shape::Categorical(profile), FeatureState::Categories(state)) => {
                let named = profile.counts.iter().zip(&state.counts);
                let mut names = Vec::new();
                let (mut left, mut right) = (Vec::new(), Vec::new());
                for ((category, reference), current) in named.clone().take(NAMES_MAX) {
                    names.push(category.to_string());
                    left.push(*reference);
                    right.push(*current);
                }
                let rest = named.skip(NAMES_MAX);
                let (a, b) = rest.fold((0, 0), |sum, it| (sum.0 + it.0.1, sum.1 + it.1));
                let (a, b) = (a + profile.others, b + state.others);
                if a + b > 0 {
                    names.push("(any other)".to_owned());
                    left.push(a);
                    right.push(b);
                }
                Histogram { names, reference: shares(&left), current: shares(&right) }
            }
            _ => Histogram::default(),
        }
    }
}

/// The profile's bins are equally full, which people cannot read: their rows are spread evenly over
/// bins of equal width.
fn numbers(edges: &[f64], reference: &[u64], current: &[u64]) -> Histogram {
    let (Some(&low), Some(&high)) = (edges.first(), edges.last()) else {
        return Histogram {
            names: vec!["all".to_owned()],
            reference: shares(reference),
            current: shares(current),
        };
    };
    let width = (high - low) / BINS as f64;
    if edges.len() < 3 || !width.is_finite() || width <= 0.0 {
        let mut names = vec![format!("< {low}")];
        names.extend(edges.iter().map(|it| format!("≥ {it}")));
        return Histogram { names, reference: shares(reference), current: shares(current) };
    }
    let mut names = vec![format!("< {low:.4}")];
    names.extend((0..BINS).map(|it| format!("{:.4}", low + width * (it as f64 + 0.5))));
    names.push(format!("≥ {high:.4}"));
    let spread = |counts: &[u64]| {
        let shares = shares(counts);
        let inner = shares.get(1..shares.len().saturating_sub(1)).unwrap_or_default();
        let mut bars = vec![shares.first().copied().unwrap_or(0.0)];
        bars.extend((0..BINS).map(|bar| {
            let (from, to) = (low + width * bar as f64, low + width * (bar + 1) as f64);
            let overlap = |pair: &[f64]| match pair {
                [a, b] => ((b.min(to) - a.max(from)) / (b - a)).max(0.0),
                _ => 0.0,
            };
            edges.windows(2).zip(inner).map(|(pair, share)| overlap(pair) * share).sum::<f64>()
        }));
        bars.push(shares.last().copied().unwrap_or(0.0));
        bars
    };
    Histogram { names, reference: spread(reference), current: spread(current) }
}

#[expect(clippy::cast_precision_loss, reason = "shares")]
fn shares(counts: &[u64]) -> Vec<f64> {
    let all = counts.iter().sum::<u64>().max(1) as f64;
    counts.iter().map(|&it| it as f64 / all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_of_equal_width_and_lose_no_row() {
        let edges: Vec<f64> = (1..128).map(|it| f64::from(it * it)).collect();
        let histogram = numbers(&edges, &[10; 128], &[0; 128]);
        assert_eq!(histogram.names.len(), BINS + 2);
        let sum: f64 = histogram.reference.iter().sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        assert_eq!(histogram.current.iter().sum::<f64>(), 0.0);
        assert!(histogram.reference[1] > histogram.reference[20], "denser below");
        let few = numbers(&[1.0], &[3, 1], &[0, 2]);
        assert_eq!((few.names.len(), few.current), (2, vec![0.0, 1.0]));
    }
}
