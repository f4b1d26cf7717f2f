//! Which engines this process has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::Backend;
use backend_onnxruntime::OnnxRuntime;
use backend_tract::Tract;
use server_lifecycle::Engines;

/// Opens every engine that this machine has. A library that was named and cannot be opened is an
/// error; one that was only looked for is not: tract serves without it.
pub(crate) fn open(library: Option<&Path>) -> anyhow::Result<Engines> {
    let tract: Arc<dyn Backend> = Arc::new(Tract);
    let found = match library {
        Some(path) => return Ok(with_onnxruntime(OnnxRuntime::open(path)?, tract)),
        None => find(),
    };
    let reason = match found {
        Ok(path) => match OnnxRuntime::open(&path) {
            Ok(engine) => return Ok(with_onnxruntime(engine, tract)),
            Err(error) => error.to_string(),
        },
        Err(reason) => reason,
    };
    Ok(Engines::new(vec![tract], vec![(backend_onnxruntime::NAME, reason)]))
}

fn with_onnxruntime(engine: OnnxRuntime, tract: Arc<dyn Backend>) -> Engines {
    Engines::new(vec![Arc::new(engine), tract], Vec::new())
}

fn find() -> Result<PathBuf, String> {
    let binary = std::env::current_exe().map_err(|it| format!("own path unknown: {it}"))?;
    // The binary may be linked to from elsewhere; the library lies beside the real one.
    let binary = binary.canonicalize().unwrap_or(binary);
    backend_onnxruntime::find(&binary).map_err(|searched| {
        let folders: Vec<String> = searched.iter().map(|it| it.display().to_string()).collect();
        format!("no libonnxruntime.so in {}", folders.join(", "))
    })
}
