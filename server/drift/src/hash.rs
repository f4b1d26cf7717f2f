//! Hashes of values: well mixed, the same in every process, so that states from several can be
//! merged. Not secret: nothing that grows is looked up by them.

use std::hash::{BuildHasherDefault, Hasher};

/// Stands for a value that is missing.
pub(crate) const MISSING: u64 = 0x5851_f42d_4c95_7f2d;

/// The finisher of splitmix64.
pub(crate) fn mixed(mut it: u64) -> u64 {
    it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}

/// Of a number; −0 is 0.
pub(crate) fn of_number(value: f64) -> u64 {
    mixed((value + 0.0).to_bits() ^ 0x9e37_79b9_7f4a_7c15)
}

/// Of text: FNV-1a, mixed.
pub(crate) fn of_word(word: &str) -> u64 {
    let mut hasher = Fnv::default();
    hasher.write(word.as_bytes());
    hasher.finish()
}

/// FNV-1a over bytes, mixed at the end.
pub(crate) struct Fnv(u64);

/// For maps whose keys the reference fixed.
pub(crate) type BuildFnv = BuildHasherDefault<Fnv>;

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        mixed(self.0)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
