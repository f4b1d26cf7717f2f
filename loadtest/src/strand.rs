//! One thread's requests to one model: whose turn it is, and what happened to them.
//!
//! Owned by `station`, one per model; nothing in it is shared or locked.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::check::{Checker, Findings};
use crate::client::{Prepared, Reply};
use crate::supply::Supply;
use crate::tally::Tally;

pub(crate) struct Strand {
    supplies: Arc<Vec<Supply>>,
    model: usize,
    turn: Cell<usize>,
    pub(crate) tally: RefCell<Tally>,
    checker: RefCell<Checker>,
}

impl Strand {
    /// The strands of one thread, one per model.
    pub(crate) fn all(supplies: &Arc<Vec<Supply>>, check_every: u64) -> Vec<Strand> {
        let strand = |(model, supply): (usize, &Supply)| Strand {
            supplies: Arc::clone(supplies),
            model,
            turn: Cell::new(0),
            tally: RefCell::new(Tally::new()),
            checker: RefCell::new(Checker::new(Arc::clone(&supply.expectations), check_every)),
        };
        supplies.iter().enumerate().map(strand).collect()
    }

    /// The request whose turn it is, and its number.
    pub(crate) fn next(&self) -> (usize, &Prepared) {
        let requests = &self.supplies[self.model].requests;
        let index = self.turn.get();
        self.turn.set((index + 1) % requests.len());
        (index, &requests[index])
    }

    /// Looks at the answer to request `index`, if it is one to look at.
    pub(crate) fn look(&self, index: usize, reply: &Reply) {
        let checker = &mut *self.checker.borrow_mut();
        if checker.due(index) {
            let Supply { target, signature, .. } = &self.supplies[self.model];
            checker.look(index, target.decode(signature, reply));
        }
    }

    pub(crate) fn end(self) -> (Tally, Findings) {
        (self.tally.into_inner(), self.checker.into_inner().findings)
    }
}
