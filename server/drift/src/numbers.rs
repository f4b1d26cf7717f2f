//! What a window saw of a numerical feature, in bounded room, mergeable.

use serde::{Deserialize, Serialize};

use crate::distinct::Distinct;
use crate::hash;
use crate::moments::Moments;
use crate::profile::Numbers;
use crate::quantiles::Quantiles;

/// Values that a window keeps as they are; statistics are exact until there are more.
const RAW_MAX: usize = 2048;

/// Windows of more steps keep none.
const RAW_STEPS_MAX: usize = 8;

/// Values that are looked at in one go.
const CHUNK: usize = 256;

/// Edges in a table of fixed size, so that a search has no branch that could be guessed wrongly.
struct Edges([f64; EDGES]);

/// A power of two, above all edges that a profile may have.
const EDGES: usize = 128;

impl Edges {
    fn new(edges: &[f64]) -> Edges {
        let mut table = [f64::INFINITY; EDGES];
        table.iter_mut().zip(edges).for_each(|(it, edge)| *it = *edge);
        Edges(table)
    }

    /// How many edges are at most the value, which is finite.
    fn bin(&self, value: f64) -> usize {
        let (mut at, mut step) = (0, EDGES / 2);
        while step > 0 {
            at += step * usize::from(self.0[(at + step - 1) % EDGES] <= value);
            step /= 2;
        }
        at
    }
}

/// Counters against the bins of a profile, a sketch beside them, and the raw values of a small
/// window. Every part but the moments, which round, merges the same either way round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberState {
    /// Rows in which the feature is missing.
    pub missing: u64,
    /// Rows with NaN.
    pub nan: u64,
    /// Rows with an infinity.
    pub infinite: u64,
    /// Values below the reference's smallest.
    pub below: u64,
    /// Values above its largest.
    pub above: u64,
    /// Values in each bin of the profile.
    pub counts: Vec<u64>,
    /// Mean and spread.
    pub moments: Moments,
    /// The smallest and the largest, if there is a value.
    pub range: Option<(f64, f64)>,
    /// The distribution without regard to bins.
    pub quantiles: Quantiles,
    /// How many different values.
    pub distinct: Distinct,
    raw: Vec<f64>,
    raw_complete: bool,
    /// Is the distribution kept by bins alone?
    #[serde(default)]
    lean: bool,
}

impl NumberState {
    /// Nothing seen yet.
    pub fn new(profile: &Numbers) -> NumberState {
        NumberState {
            missing: 0,
            nan: 0,
            infinite: 0,
            below: 0,
            above: 0,
            counts: vec![0; profile.counts.len()],
            moments: Moments::default(),
            range: None,
            quantiles: Quantiles::default(),
            distinct: Distinct::default(),
            raw: Vec::new(),
            raw_complete: true,
            lean: false,
        }
    }

    /// Nothing seen yet, and nothing kept beside what a verdict against the profile needs: no
    /// quantiles, and no count of different values.
    pub fn lean(profile: &Numbers) -> NumberState {
        let full = NumberState::new(profile);
        NumberState { distinct: Distinct::nothing(), lean: true, ..full }
    }

    /// Values that can be used.
    pub fn rows(&self) -> u64 {
        self.moments.n
    }

    /// Adds values, of which NaN is one that is no number. `profile` must be that of `new`.
    pub fn extend(&mut self, profile: &Numbers, values: &[f64]) {
        let mut finite = [0.0; CHUNK];
        for chunk in values.chunks(CHUNK) {
            // All of them are looked at, which takes less than to stop at the first.
            if chunk.iter().fold(true, |all, it| all & it.is_finite()) {
                self.add(profile, chunk);
                continue;
            }
            let mut used = 0;
            for &value in chunk {
                if value.is_finite() {
                    finite[used] = value;
                    used += 1;
                } else if value.is_nan() {
                    self.nan += 1;
                } else {
                    self.infinite += 1;
                }
            }
            self.add(profile, &finite[..used]);
        }
    }

    fn add(&mut self, profile: &Numbers, values: &[f64]) {
        let Some(&first) = values.first() else { return };
        let (mut low, mut high) = self.range.unwrap_or((first, first));
        let edges = Edges::new(&profile.edges);
        for &value in values {
            if let Some(count) = self.counts.get_mut(edges.bin(value)) {
                *count += 1;
            }
        }
        for &value in values {
            self.below += u64::from(value < profile.min);
            self.above += u64::from(value > profile.max);
            // Not by `min` and `max`, which also ask who is NaN: nobody is.
            low = if value < low { value } else { low };
            high = if value > high { value } else { high };
        }
        self.range = Some((low, high));
        self.moments.merge(&Moments::of(values));
        if !self.lean {
            values.iter().for_each(|&it| self.distinct.add(hash::of_number(it)));
            self.quantiles.extend(values);
        }
        self.keep(values);
    }

    fn keep(&mut self, values: &[f64]) {
        if !self.raw_complete {
            return;
        }
        if self.raw.len() + values.len() > RAW_MAX {
            self.raw = Vec::new();
            self.raw_complete = false;
        } else {
            self.raw.extend_from_slice(values);
        }
    }

    /// Adds what another saw against the same profile.
    pub fn merge(&mut self, other: &NumberState) {
        self.missing += other.missing;
        self.nan += other.nan;
        self.infinite += other.infinite;
        self.below += other.below;
        self.above += other.above;
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *ours += theirs;
        }
        self.moments.merge(&other.moments);
        self.range = match (self.range, other.range) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (one, None) | (None, one) => one,
        };
        self.quantiles.merge(&other.quantiles);
        self.distinct.merge(&other.distinct);
        if other.raw_complete {
            self.keep(&other.raw);
            // So that it does not matter whose came first.
            self.raw.sort_unstable_by(f64::total_cmp);
        } else {
            self.raw = Vec::new();
            self.raw_complete = false;
        }
    }

    /// Sees nothing more, as one of `steps` parts of a window: keeps what a verdict needs. Values
    /// stay as they are only in windows of few, short steps, so that all steps of a window have
    /// room together.
    pub(crate) fn seal(&mut self, steps: usize) {
        if steps <= 1 {
            return;
        }
        self.quantiles = Quantiles::default();
        self.distinct = Distinct::nothing();
        if steps > RAW_STEPS_MAX || self.raw.len() * steps > RAW_MAX / 2 {
            self.raw = Vec::new();
            self.raw_complete = false;
        }
        self.raw.shrink_to_fit();
    }

    /// All values as they came, while there are few.
    pub fn raw(&self) -> Option<&[f64]> {
        self.raw_complete.then_some(&self.raw)
    }

    /// Bytes of everything.
    pub fn bytes(&self) -> usize {
        size_of::<NumberState>()
            + self.counts.capacity() * size_of::<u64>()
            + self.raw.capacity() * size_of::<f64>()
            + self.quantiles.bytes()
            + self.distinct.bytes()
    }
}
