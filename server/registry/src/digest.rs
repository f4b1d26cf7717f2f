//! SHA-256, by which everything in the cache is named.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::str::FromStr;

use ring::digest::{Context, SHA256};

use crate::error::{RegistryError, local};

/// A SHA-256. Written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of bytes in memory.
    pub fn of(bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Of a file, and its length. Reads a piece at a time.
    pub(crate) fn of_file(path: &Path) -> Result<(Digest, u64), RegistryError> {
        let mut file = File::open(path).map_err(local("open", path))?;
        let mut hasher = Hasher::new();
        let bytes = hasher.read(&mut file).map_err(local("read", path))?;
        Ok((hasher.finish(), bytes))
    }

    /// The digits alone: the name of a file in the cache.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The bytes themselves.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Digest {
    type Err = RegistryError;

    /// With or without `sha256:`; lower case, so that one digest has one name.
    fn from_str(text: &str) -> Result<Digest, RegistryError> {
        let wrong = || {
            let expected = "expected sha256: and 64 lower case hexadecimal digits";
            RegistryError::Invalid(format!("{text:?} is no digest: {expected}"))
        };
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.len() != 64 || !hex.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong());
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Digest(digest))
    }
}

/// Hashes what passes.
#[derive(Clone)]
pub(crate) struct Hasher(Context);

impl Hasher {
    pub(crate) fn new() -> Hasher {
        Hasher(Context::new(&SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Hashes a reader to its end and says how long it was.
    pub(crate) fn read(&mut self, reader: &mut impl io::Read) -> io::Result<u64> {
        let mut buffer = vec![0; 256 << 10];
        let mut bytes = 0;
        loop {
            let read = match reader.by_ref().read(&mut buffer) {
                Ok(0) => return Ok(bytes),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.update(&buffer[..read]);
            bytes += read as u64;
        }
    }

    /// Of what has passed until now.
    pub(crate) fn so_far(&self) -> Digest {
        self.clone().finish()
    }

    pub(crate) fn finish(self) -> Digest {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.finish().as_ref());
        Digest(digest)
    }
}
