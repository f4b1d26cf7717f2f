//! Shares of reference and window side by side, to be looked at.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use server_drift::{Feature, FeatureState, Shape};

/// Bins of equal width between the outermost two.
const BINS: usize = 20;

/// Categories that are shown by name.
const NAMES_MAX: usize = 11;

/// What a window's bars are made of, which is done when somebody looks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    feature: Arc<Feature>,
    /// Of the window, in the order of the feature's, and of categories that it does not name.
    counts: Vec<u64>,
    others: u64,
}

impl Histogram {
    pub(crate) fn of(feature: &Arc<Feature>, state: &FeatureState) -> Histogram {
        let (counts, others) = match state {
            FeatureState::Numbers(it) => (it.counts.clone(), 0),
            FeatureState::Categories(it) => (it.counts.clone(), it.others),
            FeatureState::Vectors(_) => (Vec::new(), 0),
        };
        Histogram { feature: Arc::clone(feature), counts, others }
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Bars::of(self).serialize(to)
    }
}

/// Bars in pairs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Bars {
    /// What each pair is of.
    names: Vec<String>,
    /// Share of the reference.
    reference: Vec<f64>,
    /// Share of the window.
    current: Vec<f64>,
}

impl Bars {
    fn of(histogram: &Histogram) -> Bars {
        let Histogram { feature, counts, others } = histogram;
        match &feature.shape {
            Shape::Numerical(profile) => match profile.values() {
                Some(values) if values.len() <= NAMES_MAX => few(&values, &profile.counts, counts),
                Some(_) | None => numbers(&profile.edges, &profile.counts, counts),
            },
            Shape::Categorical(profile) => {
                let named = profile.counts.iter().zip(counts);
                let mut names = Vec::new();
                let (mut left, mut right) = (Vec::new(), Vec::new());
                for ((category, reference), current) in named.clone().take(NAMES_MAX) {
                    names.push(category.to_string());
                    left.push(*reference);
                    right.push(*current);
                }
                let rest = named.skip(NAMES_MAX);
                let (a, b) = rest.fold((0, 0), |sum, it| (sum.0 + it.0.1, sum.1 + it.1));
                let (a, b) = (a + profile.others, b + others);
                if a + b > 0 {
                    names.push("(any other)".to_owned());
                    left.push(a);
                    right.push(b);
                }
                Bars { names, reference: shares(&left), current: shares(&right) }
            }
            Shape::Vectors(_) => Bars::default(),
        }
    }
}

/// Few values, each with its bin, and what is none of them.
fn few(values: &[(f64, usize)], reference: &[u64], current: &[u64]) -> Bars {
    let count = |counts: &[u64], bin: usize| counts.get(bin).copied().unwrap_or(0);
    let mut names: Vec<String> = values.iter().map(|it| it.0.to_string()).collect();
    let side =
        |counts: &[u64]| -> Vec<u64> { values.iter().map(|it| count(counts, it.1)).collect() };
    let (mut left, mut right) = (side(reference), side(current));
    let others = current.iter().sum::<u64>() - right.iter().sum::<u64>();
    if others > 0 {
        names.push("(any other)".to_owned());
        left.push(0);
        right.push(others);
    }
    Bars { names, reference: shares(&left), current: shares(&right) }
}

/// The profile's bins are equally full, which people cannot read: their rows are spread evenly over
/// bins of equal width.
fn numbers(edges: &[f64], reference: &[u64], current: &[u64]) -> Bars {
    let (Some(&low), Some(&high)) = (edges.first(), edges.last()) else {
        return Bars {
            names: vec!["all".to_owned()],
            reference: shares(reference),
            current: shares(current),
        };
    };
    let width = (high - low) / BINS as f64;
    if edges.len() < 3 || !width.is_finite() || width <= 0.0 {
        let mut names = vec![format!("< {low}")];
        names.extend(edges.iter().map(|it| format!("≥ {it}")));
        return Bars { names, reference: shares(reference), current: shares(current) };
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
    Bars { names, reference: spread(reference), current: spread(current) }
}

#[expect(clippy::cast_precision_loss, reason = "shares")]
fn shares(counts: &[u64]) -> Vec<f64> {
    let all = counts.iter().sum::<u64>().max(1) as f64;
    counts.iter().map(|&it| it as f64 / all).collect()
}

#[cfg(test)]
mod tests {
    use server_drift::{Reference, Role, Values};

    use super::*;

    #[test]
    fn few_values_are_shown_each() {
        let values = (0..1_000).map(|it| f64::from(it % 2)).collect();
        let values = Values::Numbers { values, whole: false };
        let feature = Feature::of("x", Role::Input, &values, None).expect("values");
        let reference = Reference::new(feature.expect("numbers"), 1);
        for (seen, names, current) in [
            (vec![1.0, 1.0, 0.0, 1.0], vec!["0", "1"], vec![0.25, 0.75]),
            (vec![1.0, 0.5], vec!["0", "1", "(any other)"], vec![0.0, 0.5, 0.5]),
        ] {
            let mut state = reference.state();
            reference.numbers(&mut state, &seen);
            let bars = Bars::of(&Histogram::of(reference.feature(), &state));
            assert_eq!(
                (bars.names.iter().map(String::as_str).collect(), bars.current),
                (names, current)
            );
        }
    }

    #[test]
    fn it_is_shown_as_bars() {
        let values = (0..1_000).map(f64::from).collect();
        let values = Values::Numbers { values, whole: false };
        let feature = Feature::of("x", Role::Input, &values, None).expect("values");
        let reference = Reference::new(feature.expect("numbers"), 1);
        let mut state = reference.state();
        reference.numbers(&mut state, &[1.0, 2.0, 998.0]);
        let histogram = Histogram::of(reference.feature(), &state);
        let shown = serde_json::to_value(&histogram).expect("bars");
        let sum = |side: &str| -> f64 {
            let bars = shown[side].as_array().expect("numbers");
            assert_eq!(bars.len(), shown["names"].as_array().expect("names").len());
            bars.iter().filter_map(serde_json::Value::as_f64).sum()
        };
        assert!((sum("reference") - 1.0).abs() < 1e-9 && (sum("current") - 1.0).abs() < 1e-9);
    }

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
