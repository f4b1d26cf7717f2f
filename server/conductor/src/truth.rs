//! Who knows how right versions are.

pub use server_truth::Truth;
