//! Integers that have more digits than a 64-bit float holds, such as ids: brought to where floats are exact.
//! As they are, 2^60 and the next fifty are one and the same number.

use std::collections::{BTreeSet, HashMap};

use crate::column::{Kind, Values};

/// Both columns with values that can be told apart.
pub(crate) struct Brought {
    pub(crate) reference: Values,
    pub(crate) current: Values,
    /// How many different integers both have together.
    pub(crate) distinct: usize,
    /// What became of them.
    pub(crate) note: String,
}

/// None: neither column has such, or one of them has other values too.
pub(crate) fn brought(reference: &Values, current: &Values, kind: Kind) -> Option<Brought> {
    if ![reference, current].iter().any(|it| matches!(it, Values::Large(_))) {
        return None;
    }
    let (left, right) = (reference.integers()?, current.integers()?);
    let all: BTreeSet<i64> = left.iter().chain(&right).copied().collect();
    let (first, last) = (*all.first()?, *all.last()?);
    let distinct = all.len();
    if kind == Kind::Categorical {
        // Which is which is all that counts.
        let places: HashMap<i64, usize> = all.into_iter().zip(0..).collect();
        let place = |it: i64| places.get(&it).copied().unwrap_or_default() as f64;
        let note = "integers beyond 2^53, each a category of its own".to_owned();
        let [reference, current] = [left, right].map(|it| numbers(it, place));
        return Some(Brought { reference, current, distinct, note });
    }
    // The statistics are of differences: where zero lies is the same to all of them.
    let from = |it: i64| (i128::from(it) - i128::from(first)) as f64;
    let range = i128::from(last) - i128::from(first);
    let note = if range <= 1 << 53 {
        format!("integers beyond 2^53: the statistics are of what they are above {first}, exactly")
    } else {
        format!(
            "integers beyond 2^53, from {first} to {last}: the statistics are of 64-bit floats, which \
             round them to 53 bits"
        )
    };
    let [reference, current] = [left, right].map(|it| numbers(it, from));
    Some(Brought { reference, current, distinct, note })
}

fn numbers(values: Vec<i64>, number: impl Fn(i64) -> f64) -> Values {
    Values::Numbers { values: values.into_iter().map(number).collect(), whole: true }
}
