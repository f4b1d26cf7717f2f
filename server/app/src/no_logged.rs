//! In place of `logged` in a build without Parquet files: nothing is there to be asked again.

use std::sync::Arc;

use server_lifecycle::Requests;

use crate::prediction_log::LogSettings;

/// None.
pub(crate) fn requests(_settings: Option<&LogSettings>) -> Option<Arc<dyn Requests>> {
    None
}
