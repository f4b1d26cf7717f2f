//! Predictions that wait for their labels, and labels that wait for their predictions.
//!
//! Bounded in bytes: what would be forgotten first anyway goes first.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use server_base::Version;
use smallvec::SmallVec;

use crate::form::Guess;
use crate::label::Given;

/// What an entry takes beside its guesses: itself, its place in the map and in the order.
const ENTRY_BYTES: usize = 320;

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
    pub(crate) label: Option<Given>,
    /// When that was recorded.
    pub(crate) label_us: i64,
    /// When it is forgotten, and which of those.
    place: (i64, u64),
    bytes: usize,
}

/// See the module.
pub(crate) struct Entries {
    map: HashMap<Key, Entry>,
    order: BTreeMap<(i64, u64), Key>,
    hashers: [RandomState; 2],
    next: u64,
    bytes: usize,
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
        match (&entry.label, entry.predictions.is_empty()) {
            (Some(_), true) => self.labels += 1,
            (None, false) => self.predictions += 1,
            (Some(_), false) | (None, true) => {}
        }
    }
}

impl Entries {
    pub(crate) fn new(bytes_max: usize) -> Entries {
        Entries {
            map: HashMap::new(),
            order: BTreeMap::new(),
            hashers: [RandomState::new(), RandomState::new()],
            next: 0,
            bytes: 0,
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
        let is_new = entry.bytes == 0;
        if is_new || until_us > entry.place.0 {
            self.order.remove(&entry.place);
            self.next += 1;
            entry.place = (until_us, self.next);
            self.order.insert(entry.place, key);
        }
        let now = ENTRY_BYTES + entry.predictions.iter().map(weight).sum::<usize>();
        self.bytes = self.bytes + now - entry.bytes;
        entry.bytes = now;
        result
    }

    /// Forgets what is due.
    pub(crate) fn expire(&mut self, now_us: i64) -> Forgotten {
        let mut forgotten = Forgotten::default();
        while let Some(first) = self.order.first_entry()
            && first.key().0 <= now_us
        {
            let key = first.remove();
            self.forget(key, &mut forgotten);
        }
        forgotten
    }

    /// Forgets what there is no room for.
    pub(crate) fn shrink(&mut self) -> Forgotten {
        let mut forgotten = Forgotten::default();
        while self.bytes > self.bytes_max
            && let Some((_, key)) = self.order.pop_first()
        {
            self.forget(key, &mut forgotten);
        }
        forgotten
    }

    fn forget(&mut self, key: Key, forgotten: &mut Forgotten) {
        if let Some(entry) = self.map.remove(&key) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            forgotten.add(&entry);
        }
    }
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

    fn put(entries: &mut Entries, id: &str, until_us: i64) {
        let key = entries.key("m", id, 0);
        entries.change(key, until_us, |it| it.label = Some(Given::Bool(true)));
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
        assert_eq!((entries.bytes(), entries.order.len()), (0, 0));
    }

    #[test]
    fn there_is_never_more_than_the_budget() {
        let mut entries = Entries::new(10 * ENTRY_BYTES);
        let mut forgotten = 0;
        for n in 0..100 {
            put(&mut entries, &n.to_string(), n);
            forgotten += entries.shrink().labels;
            assert!(entries.bytes() <= 10 * ENTRY_BYTES, "{n}");
        }
        assert_eq!(forgotten, 90);
        assert!(entries.get(entries.key("m", "99", 0)).is_some(), "the first to go are the oldest");
    }
}
