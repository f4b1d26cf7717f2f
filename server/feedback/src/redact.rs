//! Keyed hashes: HMAC-SHA-256 (RFC 2104) in hexadecimal. The same value under the same key is the
//! same text, so that rows can be joined; without the key it cannot be guessed from a list of values.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

const BLOCK: usize = 64;

/// A key, ready for use.
#[derive(Clone)]
pub struct Key {
    inner: Sha256,
    outer: Sha256,
}

impl Key {
    /// From a secret of any length.
    pub fn new(secret: &[u8]) -> Key {
        let mut block = [0; BLOCK];
        let digest = Sha256::digest(secret);
        let secret = if secret.len() > BLOCK { digest.as_slice() } else { secret };
        block.iter_mut().zip(secret).for_each(|(to, from)| *to = *from);
        let pad = |with: u8| Sha256::new().chain_update(block.map(|it| it ^ with));
        Key { inner: pad(0x36), outer: pad(0x5c) }
    }

    /// The text that stands for a value.
    pub(crate) fn hash(&self, value: &[u8]) -> String {
        let inner = self.inner.clone().chain_update(value).finalize();
        hex(&self.outer.clone().chain_update(inner).finalize())
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to memory does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, cases 2 and 6.
    #[test]
    fn hashes_are_those_of_the_standard() {
        let short = Key::new(b"Jefe").hash(b"what do ya want for nothing?");
        assert_eq!(short, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let long =
            Key::new(&[0xaa; 131]).hash(b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(long, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
        assert_eq!(digest(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
