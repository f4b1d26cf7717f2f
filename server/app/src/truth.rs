//! What holds labels against predictions.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use server_base::{Findings, PredictionLog, Series};
use server_frontend::Truth;
pub(crate) use server_truth::Keep;

/// Its series.
pub(crate) const SERIES: [&[Series]; 1] = [server_truth::metrics::SERIES];

/// Starts it. `None`: this build is without.
pub(crate) fn start(
    folder: &Path,
    (bytes_max, keep): (usize, Keep),
    findings: Arc<dyn Findings>,
) -> anyhow::Result<Option<Arc<Truth>>> {
    let started = Truth::start(server_truth::Options {
        folder: folder.to_path_buf(),
        bytes_max,
        keep,
        findings,
        give_way: server_serving::give_way,
    });
    started.map(Some).with_context(|| format!("ground truth {}", folder.display()))
}

/// The log, with it looking on.
pub(crate) fn over(truth: &Arc<Truth>, log: Arc<dyn PredictionLog>) -> Arc<dyn PredictionLog> {
    server_truth::over(truth, log)
}

/// Ends it. True: nothing was cut off.
pub(crate) fn stop(truth: &Truth, by: Instant) -> bool {
    truth.stop(by)
}
