//! Who vouched for a model that was pulled: written beside it, and gone with it.
//!
//! The signature is judged again each time by whoever uses the model. That it is the model of that manifest is
//! the cache's word: archives are unpacked, and what is left of them has other digests.

use std::fs::File;
use std::io::{self, Read as _};

use super::{Cache, replace};
use crate::cosign::Vouched;
use crate::digest::Digest;
use crate::error::{RegistryError, local};

/// A bundle, in base64, and what is around it.
const BYTES_MAX: u64 = 512 << 10;

impl Cache {
    /// Writes down who vouched for a model that is there.
    pub(crate) fn vouch(&self, tree: Digest, vouched: &Vouched) -> Result<(), RegistryError> {
        replace(&self.tree(tree).join("vouched"), vouched.text().as_bytes())
    }

    /// Who vouched for it, if anyone did. What cannot be read is nothing.
    pub(crate) fn vouched(&self, tree: Digest) -> Result<Option<Vouched>, RegistryError> {
        let path = self.tree(tree).join("vouched");
        let mut text = Vec::new();
        match File::open(&path).and_then(|it| it.take(BYTES_MAX).read_to_end(&mut text)) {
            Ok(_) => Ok(Vouched::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(local("read", &path)(error)),
        }
    }
}
