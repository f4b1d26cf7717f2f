//! In place of `monitors` in a build without them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use server_base::{Findings, Series};
use server_feedback::Sink;
use server_frontend::Monitors;

/// None.
pub(crate) const SERIES: [&[Series]; 0] = [];

/// There are none.
pub(crate) fn open(
    _folder: &Path,
    _findings: Arc<dyn Findings>,
) -> anyhow::Result<Option<Arc<Monitors>>> {
    Ok(None)
}

/// Where they get rows from.
pub(crate) fn sink(monitors: &Arc<Monitors>) -> io::Result<Box<dyn Sink>> {
    match **monitors {}
}

/// For who loads versions.
pub(crate) fn watching(monitors: &Arc<Monitors>) -> Arc<dyn server_lifecycle::Monitors> {
    match **monitors {}
}
