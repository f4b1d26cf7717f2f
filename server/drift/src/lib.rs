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
mod large;
pub mod compare;
mod verdict;
mod hash;
mod moments;
mod quantiles;
mod distinct;
mod frequent;
pub mod profile;
mod bins;
mod numbers;
mod categories;
mod evidence;
mod counted;
mod numerical;
mod sketched;
pub mod kernel;
mod vectors;
mod quality;
mod threshold;
mod window;
mod pane;
mod plan;

pub use categories::{CategoryState, Lookup};
pub use column::{Category, Kind, Tally, Values};
pub use compare::{CompareError, Comparison, compare};
pub use distinct::Distinct;
pub use evidence::{Bin, Evidence, Within, of_categories_state};
pub use frequent::Frequent;
pub use moments::Moments;
pub use numbers::NumberState;
pub use numerical::of_numbers_state;
pub use pane::{FEATURE_BYTES_MAX, FeatureState, Pane, Reference, RowHashes};
pub use plan::{
    Between, EMBEDDINGS_MAX, LEARN_ROWS_MAX, MonitorPlan, Origin, RawMonitorPlan, Rule,
};
pub use profile::{Feature, Profile, ProfileError, Role, Shape, Source};
pub use quality::{Quality, QualityFault, QualityLimits};
pub use quantiles::Quantiles;
pub use sample::Sample;
pub use sketched::between;
pub use statistics::{Method, Statistics};
pub use test::Test;
pub use threshold::{Alarm, Auto, Fixed, Thresholds};
pub use vectors::{
    DRAWS_MAX, EMBEDDING_BYTES_MAX, Packed, VECTORS_MAX, VectorState, Vectors, vectors_max,
};
pub use verdict::{DRIFT_SHARE, DatasetVerdict};
pub use window::{Merge, Panes, STEPS_MAX, Windowing, Windows};
