//! The most frequent of any number of words, in bounded room: Misra–Gries.
//!
//! With `K` places a count is too low by at most (values / (K + 1)), never too high.
//!
//! # Source
//! Misra and Gries, "Finding repeated elements", 1982; the merge: Agarwal and others, "Mergeable
//! summaries", 2012.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Places.
const K: usize = 64;

/// A longer word is kept, and counted, by its beginning.
const WORD_BYTES_MAX: usize = 128;

/// Counters of words; the merge of two is the same either way round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frequent {
    n: u64,
    counts: BTreeMap<Box<str>, u64>,
}

impl Frequent {
    /// Adds a word.
    pub fn add(&mut self, word: &str) {
        self.n += 1;
        let word = beginning(word);
        if let Some(count) = self.counts.get_mut(word) {
            *count += 1;
            return;
        }
        self.counts.insert(word.into(), 1);
        self.shrink();
    }

    /// Adds the words of another.
    pub fn merge(&mut self, other: &Frequent) {
        self.n = self.n.saturating_add(other.n);
        for (word, count) in &other.counts {
            *self.counts.entry(word.clone()).or_default() += count;
        }
        self.shrink();
    }

    /// Forgets all but the most frequent.
    pub(crate) fn keep(&mut self, places: usize) {
        if let Some((_, least)) = self.top().get(places) {
            let least = *least;
            self.counts.retain(|_, count| *count > least);
        }
    }

    /// How many words were added.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Words and the least that they were added, the most frequent first.
    pub fn top(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = self.counts.iter().map(|it| (&**it.0, *it.1)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all
    }

    /// Bytes of words and counts, without what the tree needs for itself.
    pub fn bytes(&self) -> usize {
        self.counts.keys().map(|it| it.len() + size_of::<(Box<str>, u64)>()).sum()
    }

    /// Takes the largest count that has no place from all.
    fn shrink(&mut self) {
        if self.counts.len() <= K {
            return;
        }
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let excess = counts[K];
        self.counts.retain(|_, count| {
            *count = count.saturating_sub(excess);
            *count > 0
        });
    }
}

fn beginning(word: &str) -> &str {
    if word.len() <= WORD_BYTES_MAX {
        return word;
    }
    let end = (0..=WORD_BYTES_MAX).rev().find(|&it| word.is_char_boundary(it)).unwrap_or(0);
    &word[..end]
}
