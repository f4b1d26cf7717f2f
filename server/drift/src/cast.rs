//! Casts between kinds of numbers, each with what happens at the ends.

/// Without the fraction; 0 for what is negative or NaN, and at most the largest `u64`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
pub(crate) fn whole(value: f64) -> u64 {
    value as u64
}

/// As an index; what no memory could hold stays out of every range.
pub(crate) fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
