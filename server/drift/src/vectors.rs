//! Embeddings: what vectors of the reference looked like, and what a window saw of them, both in
//! bounded room.
//!
//! Means are of all rows. For everything else vectors are kept by lot: each gets a number by hashing,
//! and those with the smallest numbers stay. Of two states that is the sample of all rows of both,
//! whatever the sizes, so windows merge exactly.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::evidence::Evidence;
use crate::hash::mixed;
use crate::kernel::{Judge, cosine, discrepancy, euclidean};
use crate::statistics::{Method, Statistics, present};

/// Vectors that are kept of the reference, and of a window.
pub const VECTORS_MAX: usize = 256;

/// With fewer nothing but the grossest drift is found.
const VECTORS_MIN: usize = 32;

/// What an embedding may take with all steps of its window, and its reference once more.
pub const EMBEDDING_BYTES_MAX: usize = 4 << 20;

/// Partings of a permutation test at most; where smaller p-values are needed, another test is taken.
pub const DRAWS_MAX: u64 = 20_000;

/// Partings at least, for whoever does not say how small a p-value is needed.
const DRAWS_MIN: u64 = 999;

/// Vectors of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vectors {
    /// Numbers in each.
    pub length: usize,
    /// Of all rows.
    pub mean: Vec<f64>,
    /// Some of them by lot, one after the other; all if there are few.
    pub sample: Packed,
}

/// What was seen of vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VectorState {
    /// Rows in which the vector is missing.
    pub missing: u64,
    /// Rows of which only a digest is kept.
    pub digests: u64,
    /// Rows with NaN, an infinity, or another length.
    pub broken: u64,
    rows: u64,
    sum: Vec<f64>,
    lots: Vec<u64>,
    kept: Packed,
    kept_max: usize,
}

/// Numbers that are written as base64 of their little-endian bytes: a megabyte, not ten.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packed(pub Vec<f32>);

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|it| it.to_le_bytes()).collect();
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Packed, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(serde::de::Error::custom("expected base64 of numbers of four bytes each"));
        }
        Ok(Packed(numbers.iter().map(|it| f32::from_le_bytes(*it)).collect()))
    }
}

/// How many vectors of that length have room in a window of so many steps. None: too few to be watched.
pub fn vectors_max(length: usize, steps: usize) -> Option<usize> {
    // Its steps, the open one, and the window that they are put together to.
    let states = steps.saturating_add(2);
    let sums = length.checked_mul(8)?.checked_mul(states)?;
    let each = length.checked_mul(4)?.checked_add(8)?.checked_mul(states)?;
    let most = EMBEDDING_BYTES_MAX.checked_sub(sums)? / each;
    (length > 1 && most >= VECTORS_MIN).then_some(most.min(VECTORS_MAX))
}

impl Vectors {
    /// Of what was seen. None: there is nothing.
    pub fn of(state: &VectorState) -> Option<Vectors> {
        let mean = state.mean()?;
        Some(Vectors { length: state.sum.len(), mean, sample: state.kept.clone() })
    }

    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let numbers = &self.sample.0;
        if vectors_max(self.length, 1).is_none() {
            return Some("vectors have from 2 to some ten thousand numbers");
        }
        if self.mean.len() != self.length || self.mean.iter().any(|it| !it.is_finite()) {
            return Some("the mean must have as many numbers as each vector");
        }
        let vectors = numbers.len() / self.length;
        let fits = numbers.len() == vectors * self.length && (2..=VECTORS_MAX).contains(&vectors);
        let fits = fits && numbers.iter().all(|it| it.is_finite());
        (!fits).then_some("the sample must have from 2 to 256 whole vectors")
    }

    /// What a window shows, as far as p-values down to `finest` need it.
    pub fn evidence(&self, rows: u64, state: &VectorState, finest: f64) -> Evidence {
        let needed = if finest > 0.0 { (1.0 / finest).ceil() } else { f64::INFINITY };
        let draws = crate::cast::whole(needed).max(DRAWS_MIN);
        let (judge, test) = if draws <= DRAWS_MAX {
            (Judge::Permutation(draws, mixed(state.rows)), "mmd")
        } else {
            (Judge::Witness, "mmd_witness")
        };
        let reference: Vec<&[f32]> = self.sample.0.chunks_exact(self.length.max(1)).collect();
        let current = state.vectors();
        let found = discrepancy(&reference, &current, judge);
        let mean = state.mean().unwrap_or_default();
        let apart = |by: fn(&[f64], &[f64]) -> f64| {
            if mean.is_empty() { f64::NAN } else { by(&self.mean, &mean) }
        };
        let mmd_squared = found.map_or(f64::NAN, |it| it.mmd_squared);
        let all = current.len() as u64 == state.rows && reference.len() as u64 == rows;
        Evidence {
            statistics: Statistics {
                mmd_squared: present(mmd_squared),
                mean_euclidean: present(apart(euclidean)),
                mean_cosine: present(apart(cosine)),
                ..Statistics::default()
            },
            method: if all { Method::Exact } else { Method::Sample },
            within: None,
            default: None,
            test,
            p: found.map_or(f64::NAN, |it| it.p),
            // Of two worlds that have nothing in common it is 2, for a kernel that is at most 1.
            effect: (mmd_squared.max(0.0) / 2.0).sqrt(),
            reference_rows: rows,
            rows: state.rows,
            top_bins: Vec::new(),
        }
    }
}

impl VectorState {
    /// Nothing seen yet, of vectors of that length, with room for so many.
    pub fn new(length: usize, kept_max: usize) -> VectorState {
        VectorState {
            missing: 0,
            digests: 0,
            broken: 0,
            rows: 0,
            sum: vec![0.0; length],
            lots: Vec::new(),
            kept: Packed::default(),
            kept_max,
        }
    }

    /// Values that can be used.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Those that are kept.
    pub fn vectors(&self) -> Vec<&[f32]> {
        self.kept.0.chunks_exact(self.sum.len().max(1)).collect()
    }

    /// Of all rows.
    fn mean(&self) -> Option<Vec<f64>> {
        let rows = self.rows as f64;
        (self.rows > 0).then(|| self.sum.iter().map(|it| it / rows).collect())
    }

    /// Adds a vector. `lot`: something that no other row has.
    pub fn add(&mut self, vector: &[f32], lot: u64) {
        if vector.len() != self.sum.len() || vector.iter().any(|it| !it.is_finite()) {
            self.broken += 1;
            return;
        }
        self.rows += 1;
        self.sum.iter_mut().zip(vector).for_each(|(sum, it)| *sum += f64::from(*it));
        self.keep(vector, mixed(lot));
    }

    /// Keeps it if its lot is among the smallest.
    fn keep(&mut self, vector: &[f32], lot: u64) {
        if self.lots.len() < self.kept_max {
            self.lots.push(lot);
            self.kept.0.extend_from_slice(vector);
            return;
        }
        let largest = self.lots.iter().enumerate().max_by_key(|it| *it.1);
        let Some((at, _)) = largest.filter(|it| *it.1 > lot) else { return };
        self.lots[at] = lot;
        let from = at * vector.len();
        if let Some(place) = self.kept.0.get_mut(from..from + vector.len()) {
            place.copy_from_slice(vector);
        }
    }

    /// Adds what another saw of vectors of the same length.
    pub fn merge(&mut self, other: &VectorState) {
        self.missing += other.missing;
        self.digests += other.digests;
        self.broken += other.broken;
        self.rows += other.rows;
        self.sum.iter_mut().zip(&other.sum).for_each(|(sum, it)| *sum += it);
        for (vector, &lot) in other.vectors().into_iter().zip(&other.lots) {
            self.keep(vector, lot);
        }
    }

    /// Bytes of everything.
    pub fn bytes(&self) -> usize {
        size_of::<VectorState>()
            + self.sum.capacity() * size_of::<f64>()
            + self.lots.capacity() * size_of::<u64>()
            + self.kept.0.capacity() * size_of::<f32>()
    }
}
