//! What the columns say together.

use serde::Serialize;

/// From which share of drifted columns on the data as a whole counts as drifted.
pub const DRIFT_SHARE: f64 = 0.5;

/// The verdict over all columns that have one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DatasetVerdict {
    /// Columns that were judged.
    pub columns: usize,
    /// Those that drifted.
    pub drifted: usize,
    /// Their share; 0 if none was judged.
    pub share: f64,
    /// From which share on the data drifted.
    pub threshold: f64,
    /// Whether it did.
    pub drift: bool,
}

impl DatasetVerdict {
    /// Of the columns' own verdicts.
    pub fn of(columns: impl IntoIterator<Item = bool>, threshold: f64) -> DatasetVerdict {
        let (mut judged, mut drifted) = (0, 0);
        for drift in columns {
            judged += 1;
            drifted += usize::from(drift);
        }
        let share = if judged == 0 { 0.0 } else { drifted as f64 / judged as f64 };
        let drift = judged > 0 && share >= threshold;
        DatasetVerdict { columns: judged, drifted, share, threshold, drift }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_columns_are_enough() {
        let drift = |columns: &[bool]| DatasetVerdict::of(columns.iter().copied(), 0.5).drift;
        assert!(drift(&[true, false]));
        assert!(!drift(&[true, false, false]));
        assert!(!drift(&[]));
    }
}
