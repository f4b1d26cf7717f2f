//! Hears the signatures that a registry keeps beside a manifest, one after the other, and says what they make.

use crate::cosign::{Vouched, Voucher};
use crate::digest::Digest;
use crate::error::RegistryError;
use crate::signature::{PublicKey, Vouching};

/// Judges signatures of a manifest as they are found, and keeps none but the first good one. That one is enough,
/// whatever else there is; without it, what was not answered leaves the question open.
#[derive(Debug)]
pub struct Judge<'a> {
    of: Digest,
    keys: &'a [PublicKey],
    good: Option<Vouched>,
    /// Those that are not good, and why the first is not.
    bad: (usize, Option<String>),
    /// The first that was not answered.
    silence: Option<RegistryError>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(of: Digest, keys: &'a [PublicKey]) -> Judge<'a> {
        Judge { of, keys, good: None, bad: (0, None), silence: None }
    }

    /// The manifest whose signatures are wanted.
    pub fn of(&self) -> Digest {
        self.of
    }

    /// Has a good one been heard? Then nobody need look for more.
    pub fn is_settled(&self) -> bool {
        self.good.is_some()
    }

    /// One that was found.
    pub fn hears(&mut self, voucher: Voucher) {
        if self.is_settled() {
            return;
        }
        match voucher.verify(self.of, self.keys) {
            Ok(()) => self.good = Some(Vouched { of: self.of, voucher }),
            Err(why) => self.is_bad(why),
        }
    }

    /// One, or a place where there may be some, that could not be read.
    pub fn misses(&mut self, error: RegistryError) {
        match error.is_silence() {
            true => drop(self.silence.get_or_insert(error)),
            false => self.is_bad(error.to_string()),
        }
    }

    fn is_bad(&mut self, why: String) {
        self.bad.0 += 1;
        self.bad.1.get_or_insert(why);
    }

    /// What became of them. What a registry says wrongly is as good as nothing; that it says nothing is an error.
    pub(crate) fn verdict(self) -> Result<Vouching, RegistryError> {
        match (self.good, self.silence, self.bad) {
            (Some(good), _, _) => Ok(Vouching::Good(good)),
            (None, Some(silence), _) => Err(silence),
            (None, None, (_, None)) => Ok(Vouching::None),
            (None, None, (1, Some(why))) => Ok(Vouching::Bad(why)),
            (None, None, (count, Some(why))) => {
                Ok(Vouching::Bad(format!("{why} (the first of {count}, none is good)")))
            }
        }
    }
}
