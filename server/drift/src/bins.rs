//! The bins of a profile's numbers: about equally full in the reference, and a value that is frequent has
//! one of its own. Where there are few different values each of them has, and so has what lies between two:
//! then nothing is lost by counting.

use crate::cast::{index, whole};
use crate::profile::Numbers;
use crate::sample::Sample;

/// Bins of a number, at most.
pub(crate) const BINS: usize = 128;

/// Values of the reference that are kept as they are.
const SAMPLE_MAX: usize = 1000;

/// So many different values have a bin each: with those between them, below and above they are 127.
pub(crate) const VALUES_MAX: usize = 63;

impl Numbers {
    /// Of values, at least one.
    pub fn of(sample: &Sample, is_whole: bool) -> Numbers {
        let values = sample.values();
        let (min, max) = sample.range().unwrap_or_default();
        let distinct = sample.distinct();
        let edges = if distinct <= VALUES_MAX {
            around(sample.runs().map(|it| it.0))
        } else {
            spread(values)
        };
        let below: Vec<usize> = edges.iter().map(|&it| sample.below(it)).collect();
        let starts = std::iter::once(0).chain(below.iter().copied());
        let ends = below.iter().copied().chain([values.len()]);
        let counts = starts.zip(ends).map(|(from, to)| (to - from) as u64).collect();
        let kept = values.len().min(SAMPLE_MAX);
        let rank = |it: usize| {
            let share = (it as f64 + 0.5) / kept as f64;
            index(whole(share * values.len() as f64)).min(values.len() - 1)
        };
        Numbers {
            whole: is_whole,
            min,
            max,
            mean: sample.mean(),
            deviation: sample.deviation(),
            distinct: distinct as u64,
            edges,
            counts,
            sample: (0..kept).map(|it| values[rank(it)]).collect(),
        }
    }

    /// For values that come in single precision: the reference rounded likewise, so that a value
    /// that lies on an edge falls on the same side as its rounded self.
    pub fn narrowed(&self) -> Numbers {
        let starts: Vec<f64> = (0..self.edges.len())
            .map(|at| match self.alone(at) {
                // The end of a bin of one value goes where that value goes.
                Some(value) => narrow(value).next_up(),
                None => narrow(self.edges[at]),
            })
            .collect();
        let mut edges = starts.clone();
        edges.sort_unstable_by(f64::total_cmp);
        edges.dedup();
        let mut counts = vec![0; edges.len() + 1];
        counts[0] = self.counts.first().copied().unwrap_or(0);
        for (start, count) in starts.iter().zip(self.counts.iter().skip(1)) {
            counts[edges.partition_point(|it| it <= start)] += count;
        }
        Numbers {
            min: narrow(self.min),
            max: narrow(self.max),
            edges,
            counts,
            sample: self.sample.iter().map(|&it| narrow(it)).collect(),
            ..self.clone()
        }
    }

    /// With a bin for each value, if they are few and the profile still tells how often each occurs: one that
    /// was made before values had bins of their own says so by its edges, or has all its values.
    pub fn resolved(&self) -> Numbers {
        let rows: u64 = self.counts.iter().sum();
        let by_edges = self.edges.len() as u64 + 1 == self.distinct;
        if self.values().is_some() || index(self.distinct) > VALUES_MAX {
            self.clone()
        } else if self.sample.len() as u64 == rows {
            let resolved = Numbers::of(&Sample::new(self.sample.iter().copied()), self.whole);
            Numbers { edges: resolved.edges, counts: resolved.counts, ..self.clone() }
        } else if by_edges && self.min < self.edges.first().copied().unwrap_or(f64::INFINITY) {
            let values = || std::iter::once(self.min).chain(self.edges.iter().copied());
            let edges = around(values());
            let mut counts = vec![0; edges.len() + 1];
            for (value, count) in values().zip(&self.counts) {
                counts[edges.partition_point(|&it| it <= value)] += count;
            }
            Numbers { edges, counts, ..self.clone() }
        } else {
            self.clone()
        }
    }

    /// Which bin a finite number falls into.
    pub fn bin(&self, value: f64) -> usize {
        self.edges.partition_point(|&it| it <= value)
    }

    /// Every value of the reference with its bin, ascending, if each has one of its own.
    pub fn values(&self) -> Option<Vec<(f64, usize)>> {
        let full = self.counts.iter().enumerate().filter(|it| *it.1 > 0);
        full.map(|(bin, _)| Some((self.alone(bin)?, bin))).collect()
    }

    /// The only value that the bin has room for.
    pub(crate) fn alone(&self, bin: usize) -> Option<f64> {
        let start = *self.edges.get(bin.checked_sub(1)?)?;
        (*self.edges.get(bin)? == start.next_up()).then_some(start)
    }
}

/// Before and behind each of the values, which ascend.
fn around(values: impl Iterator<Item = f64>) -> Vec<f64> {
    // JSON has no infinity.
    let edges = values.flat_map(|it| [it, it.next_up()]).filter(|it| it.is_finite());
    let mut edges: Vec<f64> = edges.collect();
    // One ends where its neighbour begins, if no number lies between them.
    edges.dedup();
    edges
}

/// Right after each 128th of the values; one that fills several bins has one of its own.
fn spread(values: &[f64]) -> Vec<f64> {
    let at = |it: usize| values[(it * values.len() / BINS).min(values.len() - 1)];
    let starts: Vec<f64> = (1..BINS).map(at).collect();
    let mut edges = Vec::with_capacity(BINS - 1);
    for same in starts.chunk_by(|a, b| a == b) {
        if same.len() > 1 {
            edges.extend(around(same.iter().copied().take(1)));
        } else if same[0] > values[0] {
            edges.push(same[0]);
        }
    }
    edges.dedup();
    edges
}

/// To the nearest number of single precision.
pub(crate) fn narrow(value: f64) -> f64 {
    let (least, most) = (f64::from(f32::MIN), f64::from(f32::MAX));
    #[expect(clippy::cast_possible_truncation, reason = "what is too large was cut off")]
    let value = value.clamp(least, most) as f32;
    f64::from(value)
}
