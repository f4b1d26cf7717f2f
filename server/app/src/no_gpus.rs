//! In place of `gpus` in a build without NVML.

use std::path::Path;

use server_base::Series;

use crate::inspect::Gpus;

/// Nothing is shown.
pub(crate) const SERIES: &[Series] = &[];

const REASON: &str = "this server was built without NVML, which `--features nvml` adds";

pub(crate) fn see(library: Option<&Path>) -> anyhow::Result<Gpus> {
    anyhow::ensure!(library.is_none(), "nvml_library: {REASON}");
    Ok(Gpus { reason: Some(REASON.to_owned()), ..Gpus::default() })
}

/// Nothing is watched.
pub(crate) enum Watch {}

impl Watch {
    pub(crate) fn places(&self) -> server_lifecycle::Gpus {
        match *self {}
    }
}

pub(crate) fn watch(library: Option<&Path>) -> anyhow::Result<Option<Watch>> {
    anyhow::ensure!(library.is_none(), "nvml_library: {REASON}");
    Ok(None)
}
