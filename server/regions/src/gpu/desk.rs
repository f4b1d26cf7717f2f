//! A thread that calls the driver, for those who must not wait for a call that may not come back.
//!
//! It does one errand after the other. A driver that hangs thus keeps one thread and one errand, and whoever has
//! sent another gets its ticket's worth back: nothing of an errand is kept for a caller that has gone.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Errands that wait at a time, withdrawn ones included: as many as there may be regions, of which clients use one
/// or two for each of their connections.
pub(super) const WAITING_MAX: usize = 1_024;

type Errand = Box<dyn FnOnce() + Send>;

/// Empty: done, or withdrawn.
type Slot = Arc<Mutex<Option<Errand>>>;

/// See the module. Its thread ends with it, when all errands are done.
pub(super) struct Desk {
    slots: SyncSender<Slot>,
}

/// For an errand: if it has not begun when this is dropped, it is withdrawn.
#[must_use]
pub struct Ticket(Slot);

impl Drop for Ticket {
    fn drop(&mut self) {
        drop(take(&self.0));
    }
}

impl Desk {
    /// With a thread of that name, which does `first` before each errand and when it ends.
    pub(super) fn start(name: &str, first: impl Fn() + Send + 'static) -> io::Result<Desk> {
        let (slots, queue) = sync_channel::<Slot>(WAITING_MAX);
        let work = move || {
            for slot in queue {
                first();
                take(&slot).into_iter().for_each(|errand| errand());
            }
            first();
        };
        thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Desk { slots })
    }

    /// Has it done after those that came before. `None`: too many wait.
    pub(super) fn ask(&self, errand: impl FnOnce() + Send + 'static) -> Option<Ticket> {
        let ticket = Ticket(Arc::new(Mutex::new(Some(Box::new(errand)))));
        self.slots.try_send(Arc::clone(&ticket.0)).ok()?;
        Some(ticket)
    }
}

fn take(slot: &Slot) -> Option<Errand> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}
