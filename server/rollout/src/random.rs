//! A small seeded generator for the tests.

use crate::counts::CLASSES;

/// splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
pub(crate) struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    /// From 0, without 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Events among `n` trials, by the gaps between them.
    pub(crate) fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if p <= 0.0 {
            return 0;
        }
        let (mut events, mut at) = (0, 0.0);
        loop {
            let gap = (1.0 - self.uniform()).ln() / (-p).ln_1p();
            at += gap.floor() + 1.0;
            if at > n as f64 {
                return events;
            }
            events += 1;
        }
    }

    /// Mean 0, variance 1: twelve uniform numbers.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
    /// By how much the shares of three classes move in a row: from the first to the second in so many
    /// rows, and in one of twenty from any to any other.
    pub(crate) fn moved(&mut self, drift: f64) -> [f64; CLASSES] {
        let chance = self.uniform();
        let moves = if chance < drift {
            Some((0, 1))
        } else if chance < drift + 0.05 {
            let third = self.uniform();
            let (a, b) = [(0, 1), (0, 2), (1, 2)]
                [usize::from(third > 1.0 / 3.0) + usize::from(third > 2.0 / 3.0)];
            Some(if self.uniform() < 0.5 { (a, b) } else { (b, a) })
        } else {
            None
        };
        let mut shares = [0.0; CLASSES];
        if let Some((from, to)) = moves {
            (shares[from], shares[to]) = (-1.0, 1.0);
        }
        shares
    }
}
