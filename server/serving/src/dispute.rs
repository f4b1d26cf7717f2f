//! The rows of a request and of its copy, kept back until it is known whether the answers disagree.
//!
//! Made by [`crate::infer`] for a copied request that the log's sample has left out, where the log wants
//! disagreements. Three parties come to it in any order and none waits for another: the trip, the copy's
//! reply and the thread that compares. There is one for each pair at most, and it goes with the pair, or when that has
//! to wait behind others to be compared: there are few, because each holds its request's share of the budget.

use std::sync::{Arc, Mutex, PoisonError};

use server_base::Reason;

use crate::admission::Permit;
use crate::draft::Draft;

/// See the module.
pub(crate) struct Dispute {
    known: Mutex<Known>,
    /// How likely it was that the request is copied, by the share that the door goes by. Copies that were
    /// left out for lack of room are not known of there, so under load it is less.
    probability: f32,
    /// The tensors that are kept are part of the request's budget.
    _permit: Option<Arc<Permit>>,
}

#[derive(Default)]
struct Known {
    served: Row,
    copy: Row,
    disagree: bool,
}

/// One of the two rows.
#[derive(Default)]
enum Row {
    #[default]
    Coming,
    Kept(Draft),
    /// It is in the log anyhow, or its version has none.
    Settled,
}

/// Whose row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Served,
    Copy,
}

impl Dispute {
    pub(crate) fn new(probability: f32, permit: Option<Arc<Permit>>) -> Arc<Dispute> {
        Arc::new(Dispute { known: Mutex::default(), probability, _permit: permit })
    }

    /// A row that nothing else puts into the log.
    pub(crate) fn keep(&self, side: Side, draft: Draft) {
        self.learn(|it| *it.row(side) = Row::Kept(draft));
    }

    /// Nothing is to be done for that row.
    pub(crate) fn settle(&self, side: Side) {
        self.learn(|it| *it.row(side) = Row::Settled);
    }

    /// The answers are not the same. Where they are, nobody says so: the rows go with the last who has them.
    pub(crate) fn disagree(&self) {
        self.learn(|it| it.disagree = true);
    }

    fn learn(&self, what: impl FnOnce(&mut Known)) {
        let rows = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            what(&mut known);
            known.due()
        };
        for draft in rows.into_iter().flatten() {
            draft.offer_as(Reason::Disagreement, self.probability);
        }
    }
}

impl Known {
    fn row(&mut self, side: Side) -> &mut Row {
        match side {
            Side::Served => &mut self.served,
            Side::Copy => &mut self.copy,
        }
    }

    /// Both, once it is known of both: one alone could not be compared with anything.
    fn due(&mut self) -> [Option<Draft>; 2] {
        let is_coming = |it: &Row| matches!(it, Row::Coming);
        if !self.disagree || is_coming(&self.served) || is_coming(&self.copy) {
            return [None, None];
        }
        [&mut self.served, &mut self.copy].map(|it| match std::mem::replace(it, Row::Settled) {
            Row::Kept(draft) => Some(draft),
            Row::Coming | Row::Settled => None,
        })
    }
}
