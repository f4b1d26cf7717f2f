//! In place of `label_log` in a build without labels or without Parquet files.

use std::time::Instant;

use crate::prediction_log::LogSettings;

/// Nothing.
pub(crate) struct LabelLog;

/// There is nothing to deliver.
// It can fail where there is.
#[expect(clippy::unnecessary_wraps, reason = "as above")]
pub(crate) fn start(_settings: &LogSettings, _log: &str) -> anyhow::Result<LabelLog> {
    Ok(LabelLog)
}

impl LabelLog {
    /// Nor to end.
    pub(crate) fn stop(self, _by: Instant) -> bool {
        true
    }
}
