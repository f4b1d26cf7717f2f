//! Which engines this process has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::Backend;
use backend_onnxruntime::OnnxRuntime;
use backend_tract::Tract;
use server_lifecycle::Engines;

use crate::cli::Libraries;

/// Opens every engine that this machine has, OpenVINO excepted, which is opened when a model asks
/// for it. A library that was named and is not there is an error; one that was only looked for is
/// not: tract serves without it.
pub(crate) fn open(libraries: &Libraries) -> anyhow::Result<Engines> {
    let tract: Arc<dyn Backend> = Arc::new(Tract);
    let engines = match onnxruntime(libraries.onnxruntime_library.as_deref())? {
        Ok(engine) => Engines::new(vec![engine, tract], Vec::new()),
        Err(reason) => Engines::new(vec![tract], vec![(backend_onnxruntime::NAME, reason)]),
    };
    let (name, engine) = openvino(libraries.openvino_dir.as_deref())?;
    Ok(engines.with_on_request(name, engine))
}

/// An engine, or why this machine has it not.
type Opened = Result<Arc<dyn Backend>, String>;

fn onnxruntime(named: Option<&Path>) -> anyhow::Result<Opened> {
    if let Some(path) = named {
        return Ok(Ok(Arc::new(OnnxRuntime::open(path)?)));
    }
    let found = binary().and_then(|it| {
        backend_onnxruntime::find(&it).map_err(|it| nothing("libonnxruntime.so", &it))
    });
    Ok(found.and_then(|path| match OnnxRuntime::open(&path) {
        Ok(engine) => Ok(Arc::new(engine) as Arc<dyn Backend>),
        Err(error) => Err(error.to_string()),
    }))
}

#[cfg(feature = "openvino")]
fn openvino(named: Option<&Path>) -> anyhow::Result<(&'static str, Opened)> {
    use backend_openvino::{NAME, OpenVino, find, in_folder};
    let found = match named {
        Some(folder) => Ok(in_folder(folder).ok_or_else(|| {
            anyhow::anyhow!("openvino_dir: no libopenvino_c.so in {}", folder.display())
        })?),
        None => binary().and_then(|it| find(&it).map_err(|it| nothing("libopenvino_c.so", &it))),
    };
    Ok((NAME, found.map(|path| Arc::new(OpenVino::at(&path)) as Arc<dyn Backend>)))
}

#[cfg(not(feature = "openvino"))]
fn openvino(named: Option<&Path>) -> anyhow::Result<(&'static str, Opened)> {
    anyhow::ensure!(named.is_none(), "openvino_dir: this server was built without OpenVINO");
    Ok(("openvino", Err("this server was built without it".to_owned())))
}

/// This program's file. It may be linked to from elsewhere; libraries lie beside the real one.
fn binary() -> Result<PathBuf, String> {
    let binary = std::env::current_exe().map_err(|it| format!("own path unknown: {it}"))?;
    Ok(binary.canonicalize().unwrap_or(binary))
}

fn nothing(file: &str, searched: &[PathBuf]) -> String {
    let folders: Vec<String> = searched.iter().map(|it| it.display().to_string()).collect();
    format!("no {file} in {}", folders.join(", "))
}
