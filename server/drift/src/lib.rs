//! Whether data still looks as it did: the statistics of drift, without clock, thread or file.
//!
//! The modules stand in the order of a comparison: a column, its values in order, the bins, the
//! distances and tests, and the verdict.

#![forbid(unsafe_code)]

mod cast;
pub mod random;
pub mod column;
pub mod sample;
pub mod binning;
pub mod distance;
pub mod special;
pub mod kolmogorov;
pub mod smirnov;
pub mod proportion;
pub mod test;
pub mod statistics;
pub mod compare;
mod verdict;

pub use column::{Category, Kind, Tally, Values};
pub use compare::{CompareError, Comparison, compare};
pub use sample::Sample;
pub use statistics::{Method, Statistics};
pub use test::Test;
pub use verdict::{DRIFT_SHARE, DatasetVerdict};
