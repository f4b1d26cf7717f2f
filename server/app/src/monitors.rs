//! What watches the prediction log.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use server_base::{Findings, Series};
use server_feedback::{Disk, Sink};
use server_frontend::Monitors;
use server_monitor::MonitorSink;

/// Its series.
pub(crate) const SERIES: [&[Series]; 2] =
    [server_monitor::metrics::SERIES, server_monitor::fleet::metrics::SERIES];

/// With what it knew before. `None`: this build is without.
pub(crate) fn open(
    folder: &Path,
    findings: Arc<dyn Findings>,
) -> anyhow::Result<Option<Arc<Monitors>>> {
    let monitors = Monitors::open(Arc::new(Disk), folder, findings);
    Ok(Some(Arc::new(monitors.with_context(|| format!("monitors {}", folder.display()))?)))
}

/// Where they get rows from.
pub(crate) fn sink(monitors: &Arc<Monitors>) -> io::Result<Box<dyn Sink>> {
    Ok(Box::new(MonitorSink::new(Arc::clone(monitors))))
}

/// For who loads versions.
pub(crate) fn watching(monitors: &Arc<Monitors>) -> Arc<dyn server_lifecycle::Monitors> {
    Arc::<Monitors>::clone(monitors)
}
