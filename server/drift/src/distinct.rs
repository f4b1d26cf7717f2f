//! How many different values there were: HyperLogLog with 2,048 registers, 2.3 % off (one standard
//! error). Merging takes the larger register, so it is exactly associative, commutative and
//! idempotent.
//!
//! # Source
//! Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog: the analysis of a near-optimal cardinality
//! estimation algorithm", 2007, with its own correction for few values.

use serde::{Deserialize, Serialize};

const BITS: u32 = 11;
const REGISTERS: usize = 1 << BITS;

/// The registers; all zero without values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distinct {
    registers: Vec<u8>,
}

impl Default for Distinct {
    fn default() -> Distinct {
        Distinct { registers: vec![0; REGISTERS] }
    }
}

impl Distinct {
    /// Without registers: counts nothing, also of what is merged into it.
    pub(crate) fn nothing() -> Distinct {
        Distinct { registers: Vec::new() }
    }

    /// Adds a value by its hash.
    pub(crate) fn add(&mut self, hash: u64) {
        let at = crate::cast::index(hash >> (64 - BITS));
        // At most 54, and the bit that ends the count is always there.
        let rank = ((hash << BITS) | (1 << (BITS - 1))).leading_zeros() + 1;
        if let Some(register) = self.registers.get_mut(at) {
            *register = (*register).max(u8::try_from(rank).unwrap_or(u8::MAX));
        }
    }

    /// Adds the values of another.
    pub fn merge(&mut self, other: &Distinct) {
        for (ours, theirs) in self.registers.iter_mut().zip(&other.registers) {
            *ours = (*ours).max(*theirs);
        }
    }

    /// How many different values there were, about.
    pub fn estimate(&self) -> f64 {
        if self.registers.is_empty() {
            return 0.0;
        }
        let m = REGISTERS as f64;
        let sum: f64 = self.registers.iter().map(|&it| 0.5_f64.powi(i32::from(it))).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let empty = self.registers.iter().filter(|&&it| it == 0).count();
        if raw <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { raw }
    }

    /// Bytes of the registers.
    pub fn bytes(&self) -> usize {
        self.registers.capacity()
    }
}
