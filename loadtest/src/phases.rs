//! Tallies of the parts of the counted time: what became of the requests due in each of them.
//!
//! Kept by `station` beside those of the models.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use crate::tally::Tally;

pub(crate) struct Phases {
    begin: Instant,
    /// Ascending, from the begin.
    ends: Vec<Duration>,
    tallies: Vec<RefCell<Tally>>,
}

impl Phases {
    pub(crate) fn new(begin: Instant, ends: &[Duration]) -> Phases {
        let tallies = ends.iter().map(|_| RefCell::new(Tally::new())).collect();
        Phases { begin, ends: ends.to_vec(), tallies }
    }

    /// Writes to the tally of the phase that `intended` is in; to none before the begin.
    pub(crate) fn note(&self, intended: Instant, note: impl FnOnce(&mut Tally)) {
        if self.ends.is_empty() {
            return;
        }
        let Some(offset) = intended.checked_duration_since(self.begin) else { return };
        let phase = self.ends.partition_point(|&end| end <= offset);
        if let Some(tally) = self.tallies.get(phase) {
            note(&mut tally.borrow_mut());
        }
    }

    pub(crate) fn end(self) -> Vec<Tally> {
        self.tallies.into_iter().map(RefCell::into_inner).collect()
    }
}
