//! Predictions that wait for their labels, and labels that wait for their predictions.
//!
//! Bounded in bytes: of either kind, what would be forgotten first anyway goes first.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use server_base::Version;
use smallvec::SmallVec;

use crate::form::Guess;
use crate::row_labels::RowLabels;

/// What an entry takes beside its guesses and labels: itself, its place in the map and in the order.
const ENTRY_BYTES: usize = 320;

/// Labels without a prediction take no more than one byte in so many, once all are taken. Each waits for minutes
/// and predictions wait for a day, so of those that will find one there are few; and where the log has a sample
/// of the rows, labels of all others wait in vain, at the cost of predictions that will be asked for.
const EARLY_PART: usize = 4;

/// A row of a request. Ids are kept as 128 bits of two keyed hashes: nobody outside can make two fall
/// together, and by chance it does not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key([u64; 2]);

/// What one version said of it.
#[derive(Clone, Debug)]
pub(crate) struct Prediction {
    pub(crate) version: Version,
    /// Tells the same version apart before and after a change of its configuration.
    pub(crate) epoch: u64,
    pub(crate) time_us: i64,
    /// Where its window begins.
    pub(crate) window_us: i64,
    pub(crate) guess: Guess,
}

/// A row of which something is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// One, but for copies that another version was given.
    pub(crate) predictions: SmallVec<[Prediction; 1]>,
    pub(crate) labels: RowLabels,
    /// When it is forgotten, and which of those.
    place: (i64, u64),
    /// Is that its place among those without a prediction?
    is_early: bool,
    bytes: usize,
}

/// See the module.
pub(crate) struct Entries {
    map: HashMap<Key, Entry>,
    /// Those with a prediction, by their places, and those without.
    order: BTreeMap<(i64, u64), Key>,
    early: BTreeMap<(i64, u64), Key>,
    hashers: [RandomState; 2],
    next: u64,
    bytes: usize,
    /// Of these: what those without a prediction take.
    early_bytes: usize,
    bytes_max: usize,
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forgotten {
    /// Labels whose prediction never came.
    pub(crate) labels: u64,
    /// Predictions whose label never came.
    pub(crate) predictions: u64,
}

impl Forgotten {
    fn add(&mut self, entry: &Entry) {
        match (entry.labels.is_empty(), entry.predictions.is_empty()) {
            (false, true) => self.labels += 1,
            (true, false) => self.predictions += 1,
            (false, false) | (true, true) => {}
        }
    }
}

impl Entries {
    pub(crate) fn new(bytes_max: usize) -> Entries {
        Entries {
            map: HashMap::new(),
            order: BTreeMap::new(),
            early: BTreeMap::new(),
            hashers: [RandomState::new(), RandomState::new()],
            next: 0,
            bytes: 0,
            early_bytes: 0,
            bytes_max,
        }
    }

    pub(crate) fn key(&self, model: &str, id: &str, row: u32) -> Key {
        Key(self.hashers.each_ref().map(|it| it.hash_one((model, id, row))))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Entry> {
        self.map.get(&key)
    }

    /// Changes an entry, a new one if there is none, and keeps it until then at the least.
    pub(crate) fn change<R>(
        &mut self,
        key: Key,
        until_us: i64,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> R {
        let entry = self.map.entry(key).or_default();
        let result = change(entry);
        let (was_early, before) = (entry.is_early, entry.bytes);
        let (is_new, is_early) = (before == 0, entry.predictions.is_empty());
        if is_new || is_early != was_early || until_us > entry.place.0 {
            let until_us = if is_new { until_us } else { until_us.max(entry.place.0) };
            let order = if was_early { &mut self.early } else { &mut self.order };
            order.remove(&entry.place);
            self.next += 1;
            (entry.place, entry.is_early) = ((until_us, self.next), is_early);
            let order = if is_early { &mut self.early } else { &mut self.order };
            order.insert(entry.place, key);
        }
        let guesses = entry.predictions.iter().map(weight).sum::<usize>();
        let now = ENTRY_BYTES + guesses + entry.labels.bytes();
        entry.bytes = now;
        self.bytes = self.bytes + now - before;
        self.early_bytes -= if was_early { before } else { 0 };
        self.early_bytes += if is_early { now } else { 0 };
        result
    }

    /// Forgets what is due.
    pub(crate) fn expire(&mut self, now_us: i64) -> Forgotten {
        let mut forgotten = Forgotten::default();
        while let Some(key) = due(&mut self.order, now_us).or_else(|| due(&mut self.early, now_us))
        {
            self.forget(key, &mut forgotten);
        }
        forgotten
    }

    /// Forgets what there is no room for: first labels that have waited for as long as they may. Whoever reads again
    /// what was recorded long ago brings many of them.
    pub(crate) fn shrink(&mut self, now_us: i64) -> Forgotten {
        let mut forgotten = Forgotten::default();
        while self.bytes > self.bytes_max {
            let is_due = self.early.first_key_value().is_some_and(|it| it.0.0 <= now_us);
            let is_crowded = self.early_bytes > self.bytes_max / EARLY_PART;
            let is_early = self.order.is_empty() || is_due || is_crowded;
            let order = if is_early { &mut self.early } else { &mut self.order };
            let Some((_, key)) = order.pop_first() else { break };
            self.forget(key, &mut forgotten);
        }
        forgotten
    }

    fn forget(&mut self, key: Key, forgotten: &mut Forgotten) {
        if let Some(entry) = self.map.remove(&key) {
            self.bytes -= entry.bytes;
            self.early_bytes -= if entry.is_early { entry.bytes } else { 0 };
            forgotten.add(&entry);
        }
    }
}

/// The first, if it is due.
fn due(order: &mut BTreeMap<(i64, u64), Key>, now_us: i64) -> Option<Key> {
    let first = order.first_entry().filter(|it| it.key().0 <= now_us)?;
    Some(first.remove())
}

fn weight(prediction: &Prediction) -> usize {
    let outside = match &prediction.guess {
        Guess::Scores(scores) if scores.spilled() => 4 * scores.len(),
        Guess::Class(name) => name.len(),
        Guess::Scores(_) | Guess::Value(_) => 0,
    };
    size_of::<Prediction>() + outside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Given;
    use crate::row_labels::Dated;

    fn put(entries: &mut Entries, id: &str, until_us: i64) {
        let key = entries.key("m", id, 0);
        let label = Dated { us: 0, value: Given::Bool(true) };
        entries.change(key, until_us, |it| it.labels.replace(label));
    }

    fn answer(entries: &mut Entries, id: &str, until_us: i64) {
        let key = entries.key("m", id, 0);
        let (version, guess) = (Version(1), Guess::Value(1.0));
        let answer = Prediction { version, epoch: 1, time_us: 0, window_us: 0, guess };
        entries.change(key, until_us, |it| it.predictions.push(answer));
    }

    #[test]
    fn what_is_due_goes_and_nothing_else() {
        let mut entries = Entries::new(1 << 20);
        put(&mut entries, "b", 20);
        put(&mut entries, "a", 10);
        put(&mut entries, "c", 30);
        put(&mut entries, "a", 25);
        assert_eq!(entries.expire(9), Forgotten::default());
        assert_eq!(entries.expire(20).labels, 1, "b: a was put off");
        assert!(entries.get(entries.key("m", "a", 0)).is_some());
        assert_eq!(entries.expire(30).labels, 2);
        assert_eq!((entries.bytes(), entries.early_bytes, entries.early.len()), (0, 0, 0));
    }

    #[test]
    fn there_is_never_more_than_the_budget() {
        let mut entries = Entries::new(10 * ENTRY_BYTES);
        let mut forgotten = 0;
        for n in 0..100 {
            put(&mut entries, &n.to_string(), n);
            forgotten += entries.shrink(-1).labels;
            assert!(entries.bytes() <= 10 * ENTRY_BYTES, "{n}");
        }
        assert_eq!(forgotten, 90);
        assert!(entries.get(entries.key("m", "99", 0)).is_some(), "the first to go are the oldest");
    }

    #[test]
    fn labels_without_a_prediction_have_a_part_and_no_more() {
        let mut entries = Entries::new(40 * ENTRY_BYTES);
        // Bytes are counted by kind, and each goes by its own order.
        let sums = |entries: &Entries| {
            let of = |it: &Entry| if it.is_early { it.bytes } else { 0 };
            let early: usize = entries.map.values().map(of).sum();
            let all: usize = entries.map.values().map(|it| it.bytes).sum();
            assert_eq!((entries.bytes, entries.early_bytes), (all, early));
            assert_eq!(entries.early.len(), entries.map.values().filter(|it| it.is_early).count());
            assert_eq!(entries.order.len() + entries.early.len(), entries.map.len());
        };
        let mut forgotten = 0;
        for n in 0..100 {
            answer(&mut entries, &format!("answer {n}"), 1_000 + n);
            forgotten += entries.shrink(-1).predictions;
            sums(&entries);
        }
        let left = 100 - forgotten;
        put(&mut entries, "label", 1);
        assert_eq!(entries.shrink(-1).labels, 0, "predictions make room");
        answer(&mut entries, "label", 2_000);
        assert_eq!((entries.shrink(-1).labels, entries.early_bytes), (0, 0), "it is joined");
        let mut forgotten = Forgotten::default();
        for n in 0..100 {
            put(&mut entries, &format!("label {n}"), n);
            let now = entries.shrink(-1);
            forgotten.labels += now.labels;
            forgotten.predictions += now.predictions;
            sums(&entries);
        }
        assert_eq!(forgotten.labels, 90, "a quarter of all");
        assert!(forgotten.predictions * 3 < left, "{forgotten:?} of {left}");
        assert!(entries.get(entries.key("m", "label 99", 0)).is_some());
        let few = Forgotten { labels: 2, predictions: 0 };
        answer(&mut entries, "one more", 3_000);
        assert_eq!(entries.shrink(95), few, "the first of those that are due");
        sums(&entries);
        assert_eq!(entries.expire(98).labels, 7);
        sums(&entries);
    }
}
