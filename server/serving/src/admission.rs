//! Who may come in: a budget of requests and of bytes for the whole server.
//!
//! The frontend takes a [`Permit`] before it reads a body and grows it while the body arrives, so
//! memory is refused before it is allocated. Dropping the permit, anywhere, gives all of it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use server_base::limits;

use crate::error::InferError;

/// The budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Requests in the house at a time.
    pub requests_max: usize,
    /// Bytes of their bodies and answers.
    pub bytes_max: usize,
}

impl Default for AdmissionLimits {
    fn default() -> AdmissionLimits {
        AdmissionLimits {
            requests_max: limits::IN_FLIGHT_REQUESTS,
            bytes_max: limits::IN_FLIGHT_BYTES,
        }
    }
}

/// The door. Clones share the budget.
#[derive(Clone)]
pub struct Admission {
    limits: AdmissionLimits,
    used: Arc<Used>,
}

#[derive(Default)]
struct Used {
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

impl Admission {
    /// An empty house.
    pub fn new(limits: AdmissionLimits) -> Admission {
        Admission { limits, used: Arc::default() }
    }

    /// Lets one request in, as yet without bytes.
    pub fn enter(&self) -> Result<Permit, InferError> {
        let requests_max = self.limits.requests_max;
        if !take(&self.used.requests, 1, requests_max) {
            return Err(InferError::Full { what: "requests", limit: requests_max });
        }
        let bytes = AtomicUsize::new(0);
        Ok(Permit { used: Arc::clone(&self.used), bytes_max: self.limits.bytes_max, bytes })
    }

    /// Requests and bytes in the house now.
    pub fn in_flight(&self) -> (usize, usize) {
        (self.used.requests.load(Ordering::Relaxed), self.used.bytes.load(Ordering::Relaxed))
    }
}

/// One request's share of the budget.
pub struct Permit {
    used: Arc<Used>,
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl Permit {
    /// Bytes that it has.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes `more` bytes on top of those it has; all or nothing.
    pub fn grow(&self, more: usize) -> Result<(), InferError> {
        if !take(&self.used.bytes, more, self.bytes_max) {
            return Err(InferError::Full { what: "bytes", limit: self.bytes_max });
        }
        self.bytes.fetch_add(more, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.used.bytes.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
        self.used.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds `more` to `used` unless that would pass `max`. Relaxed, because the count guards no other
/// memory.
fn take(used: &AtomicUsize, more: usize, max: usize) -> bool {
    let add = |now: usize| now.checked_add(more).filter(|&sum| sum <= max);
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_never_passed_and_always_given_back() {
        let door = Admission::new(AdmissionLimits { requests_max: 2, bytes_max: 10 });
        let first = door.enter().expect("room");
        let second = door.enter().expect("room");
        assert!(matches!(door.enter(), Err(InferError::Full { what: "requests", limit: 2 })));
        first.grow(6).expect("room");
        assert!(matches!(second.grow(5), Err(InferError::Full { what: "bytes", limit: 10 })));
        second.grow(4).expect("all or nothing: the refused five took no room");
        assert!(second.grow(usize::MAX).is_err(), "does not wrap around");
        assert_eq!(door.in_flight(), (2, 10));
        drop((first, second));
        assert_eq!(door.in_flight(), (0, 0));
    }
}
