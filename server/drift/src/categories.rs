//! What a window saw of a categorical feature, in bounded room, mergeable.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::column::Category;
use crate::distinct::Distinct;
use crate::frequent::Frequent;
use crate::hash::{self, BuildFnv};
use crate::profile::Categories;

/// New categories that all steps of a window name together, and one at least.
const TOP_OF_WINDOW: usize = 64;
const TOP_OF_STEP: usize = 4;

/// Finds the place of a category of the reference. Made once of a profile.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    words: HashMap<Box<str>, usize, BuildFnv>,
    numbers: HashMap<u64, usize, BuildFnv>,
    flags: [Option<usize>; 2],
}

/// Counters of the reference's categories, and of all others what is most frequent. Merges the
/// same either way round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryState {
    /// Rows in which the feature is missing.
    pub missing: u64,
    /// Rows of each category of the profile.
    pub counts: Vec<u64>,
    /// Rows with any other category.
    pub others: u64,
    /// Which those are.
    pub new: Frequent,
    /// How many different categories.
    pub distinct: Distinct,
}

impl Lookup {
    /// Of the profile's categories.
    pub fn new(profile: &Categories) -> Lookup {
        let mut lookup = Lookup::default();
        for (at, (category, _)) in profile.counts.iter().enumerate() {
            match category {
                Category::Word(it) => {
                    lookup.words.insert(it.clone(), at);
                }
                Category::Number(it) => {
                    lookup.numbers.insert(hash::of_number(it.get()), at);
                }
                Category::Flag(it) => lookup.flags[usize::from(*it)] = Some(at),
            }
        }
        lookup
    }
}

impl CategoryState {
    /// Nothing seen yet.
    pub fn new(profile: &Categories) -> CategoryState {
        CategoryState {
            missing: 0,
            counts: vec![0; profile.counts.len()],
            others: 0,
            new: Frequent::default(),
            distinct: Distinct::default(),
        }
    }

    /// Values that can be used.
    pub fn rows(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.others
    }

    /// Adds a word.
    pub fn add_word(&mut self, lookup: &Lookup, word: &str) {
        let place = lookup.words.get(word).copied();
        self.add(place, hash::of_word(word), || word.into());
    }

    /// Adds a number; one that is not finite is missing.
    pub fn add_number(&mut self, lookup: &Lookup, value: f64) {
        if !value.is_finite() {
            self.missing += 1;
            return;
        }
        let hash = hash::of_number(value);
        self.add(lookup.numbers.get(&hash).copied(), hash, || value.to_string().into());
    }

    /// Adds true or false.
    pub fn add_flag(&mut self, lookup: &Lookup, flag: bool) {
        let hash = hash::mixed(u64::from(flag) + 1);
        self.add(lookup.flags[usize::from(flag)], hash, || flag.to_string().into());
    }

    fn add(&mut self, place: Option<usize>, hash: u64, name: impl FnOnce() -> Box<str>) {
        self.distinct.add(hash);
        match place.and_then(|it| self.counts.get_mut(it)) {
            Some(count) => *count += 1,
            None => {
                self.others += 1;
                self.new.add(&name());
            }
        }
    }

    /// Adds what another saw against the same profile.
    pub fn merge(&mut self, other: &CategoryState) {
        self.missing += other.missing;
        self.others += other.others;
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *ours += theirs;
        }
        self.new.merge(&other.new);
        self.distinct.merge(&other.distinct);
    }

    /// Sees nothing more, as one of `steps` parts of a window: keeps what a verdict needs.
    pub(crate) fn seal(&mut self, steps: usize) {
        if steps > 1 {
            self.distinct = Distinct::nothing();
            self.new.keep((TOP_OF_WINDOW / steps).max(TOP_OF_STEP));
        }
    }

    /// Bytes of everything.
    pub fn bytes(&self) -> usize {
        size_of::<CategoryState>()
            + self.counts.capacity() * size_of::<u64>()
            + self.new.bytes()
            + self.distinct.bytes()
    }
}
