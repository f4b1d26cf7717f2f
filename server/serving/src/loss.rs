//! A version whose device has failed.
//!
//! Every instance of a version computes on its one device, so what one of them sees holds for all: no more
//! runs, and what waits is refused with an error that invites to come again. The lifecycle is told once;
//! it takes the version out of the table and loads it anew.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use backend_api::BackendError;

use crate::error::InferError;
use crate::servable::Servable;

/// Takes the reason to whoever loads versions; false if there was no room for it. Called by an instance
/// at work, so it must not block.
pub type OnLoss = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// See the module. Empty while all is well.
#[derive(Default)]
pub(crate) struct Loss {
    reason: OnceLock<String>,
    on_loss: OnceLock<OnLoss>,
    is_told: AtomicBool,
}

impl Loss {
    /// The device has failed. The first reason stays.
    fn happen(&self, reason: &str) {
        let reason = self.reason.get_or_init(|| reason.to_owned());
        self.tell(reason);
    }

    /// Until it is heard: a full inbox is tried again with the next batch.
    fn tell(&self, reason: &str) {
        if let Some(on_loss) = self.on_loss.get()
            && !self.is_told.swap(true, Ordering::AcqRel)
            && !on_loss(reason)
        {
            self.is_told.store(false, Ordering::Release);
        }
    }
}

impl Servable {
    /// Who is told that the version's device has failed. Said once, before it is published.
    pub fn on_loss(&self, on_loss: OnLoss) {
        let _ = self.ledger().loss.on_loss.set(on_loss);
    }

    /// An engine says that the device has failed. While nobody listens, as during a load, that is an
    /// error like others.
    pub(crate) fn lose(&self, reason: String) -> InferError {
        let loss = &self.ledger().loss;
        if loss.on_loss.get().is_none() {
            return InferError::Backend(BackendError::DeviceLost { reason });
        }
        loss.happen(&reason);
        self.lost()
    }

    /// Does nothing unless the device has failed before.
    pub(crate) fn check_device(&self) -> Result<(), InferError> {
        let loss = &self.ledger().loss;
        let Some(reason) = loss.reason.get() else { return Ok(()) };
        loss.tell(reason);
        Err(self.lost())
    }

    fn lost(&self) -> InferError {
        InferError::DeviceLost { model: self.model().to_string() }
    }
}
