//! Which engines this process has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backend_api::{Backend, BackendError, Library};
use backend_tract::Tract;
use server_lifecycle::Engines;

use crate::cli::Libraries;

/// Opens every engine that this machine has; those that few models need are opened when one does. A
/// library that was named and is not there is an error; one that was only looked for is not: tract
/// serves without it.
pub(crate) fn open(libraries: &Libraries) -> anyhow::Result<Engines> {
    let tract: Arc<dyn Backend> = Arc::new(Tract);
    let engines = match onnxruntime(libraries.onnxruntime_library.as_deref())? {
        Ok(engine) => Engines::new(vec![engine, tract], Vec::new()),
        Err(reason) => Engines::new(vec![tract], vec![("onnxruntime", reason)]),
    };
    let (name, engine) = openvino(libraries.openvino_dir.as_deref())?;
    let engines = engines.with_on_request(name, engine);
    let (format, engine) = litert(libraries.litert_library.as_deref())?;
    let engines = engines.with_format(format, engine);
    let (format, engine) = pjrt(libraries)?;
    let engines = engines.with_format(format, engine);
    let (format, engine) = candle();
    Ok(engines.with_format(format, engine))
}

/// Opens an engine's library, if that is still to be done, and asks it for its devices.
pub(crate) fn check(engine: &str, libraries: &Libraries) -> Result<Vec<String>, String> {
    #[cfg(feature = "onnxruntime")]
    if engine == backend_onnxruntime::NAME {
        // It is open already, or it would not be asked.
        return Ok(backend_onnxruntime::lacking_gpus().into_iter().collect());
    }
    #[cfg(feature = "openvino")]
    if engine == backend_openvino::NAME {
        use backend_openvino::{LIBRARY, OpenVino};
        let named = libraries.openvino_dir.as_deref().and_then(|it| LIBRARY.in_folder(it));
        let path = named.map_or_else(|| find(&LIBRARY), Ok)?;
        OpenVino::at(&path).open().map_err(words)?;
        return Ok(vec!["for models that name it: engine = \"openvino\"".to_owned()]);
    }
    #[cfg(feature = "litert")]
    if engine == backend_litert::NAME {
        use backend_litert::{LIBRARY, LiteRt};
        let path = libraries.litert_library.clone().map_or_else(|| find(&LIBRARY), Ok)?;
        LiteRt::at(&path).open().map_err(words)?;
        return Ok(vec![edgetpu_line()]);
    }
    #[cfg(feature = "pjrt")]
    if engine == backend_pjrt::NAME {
        let path = libraries.pjrt_plugin.clone().map_or_else(plugin, Ok)?;
        let options = pjrt_options(libraries).map_err(|it| it.to_string())?;
        let engine = backend_pjrt::Pjrt::at(&path, None).with_options(options);
        let mut lines = engine.describe().map_err(words)?;
        if !lines.iter().any(|it| it.starts_with("device tpu:")) {
            lines.push(NO_TPU.to_owned());
        }
        return Ok(lines);
    }
    #[cfg(feature = "candle")]
    if engine == backend_candle::NAME {
        return Ok(vec![backend_candle::Candle::describe()]);
    }
    Ok(Vec::new())
}

/// What a plugin that has no TPU leaves open.
#[cfg(feature = "pjrt")]
const NO_TPU: &str = "device tpu: this plugin has none; on a machine with TPUs --pjrt-plugin FILE with libtpu.so of PyPI's \
                      libtpu, or that file beside the server or in lib/pjrt";

/// Why an engine is not available, without its name.
#[cfg(any(feature = "openvino", feature = "litert", feature = "pjrt"))]
fn words(error: BackendError) -> String {
    if let BackendError::Unavailable { reason, .. } = error { reason } else { error.to_string() }
}

/// An engine, or why this machine has it not.
type Opened = Result<Arc<dyn Backend>, String>;

#[cfg(feature = "onnxruntime")]
fn onnxruntime(named: Option<&Path>) -> anyhow::Result<Opened> {
    use backend_onnxruntime::OnnxRuntime;
    if let Some(path) = named {
        return Ok(Ok(Arc::new(OnnxRuntime::open(path)?)));
    }
    Ok(find(&backend_onnxruntime::LIBRARY).and_then(|path| match OnnxRuntime::open(&path) {
        Ok(engine) => Ok(Arc::new(engine) as Arc<dyn Backend>),
        Err(error) => Err(error.to_string()),
    }))
}

#[cfg(not(feature = "onnxruntime"))]
fn onnxruntime(named: Option<&Path>) -> anyhow::Result<Opened> {
    anyhow::ensure!(
        named.is_none(),
        "onnxruntime_library: this server was built without ONNX Runtime"
    );
    Ok(Err(NOT_BUILT.to_owned()))
}

#[cfg(feature = "openvino")]
fn openvino(named: Option<&Path>) -> anyhow::Result<(&'static str, Opened)> {
    use backend_openvino::{LIBRARY, NAME, OpenVino};
    let found = match named {
        Some(folder) => Ok(LIBRARY.in_folder(folder).ok_or_else(|| {
            anyhow::anyhow!("openvino_dir: no libopenvino_c.so in {}", folder.display())
        })?),
        None => find(&LIBRARY),
    };
    Ok((NAME, found.map(|path| Arc::new(OpenVino::at(&path)) as Arc<dyn Backend>)))
}

#[cfg(not(feature = "openvino"))]
fn openvino(named: Option<&Path>) -> anyhow::Result<(&'static str, Opened)> {
    anyhow::ensure!(named.is_none(), "openvino_dir: this server was built without OpenVINO");
    Ok(("openvino", Err(NOT_BUILT.to_owned())))
}

/// Names of an engine and of the file that it alone reads.
type Format = (&'static str, &'static str);

#[cfg(feature = "litert")]
fn litert(named: Option<&Path>) -> anyhow::Result<(Format, Opened)> {
    use backend_litert::{ARTIFACT, EDGETPU, EDGETPU_OF_SYSTEM, LIBRARY, LiteRt, NAME};
    let found = named_file("litert_library", named)?.map_or_else(|| find(&LIBRARY), Ok);
    // What is put beside the server is meant to be used.
    let edgetpu = find(&EDGETPU).unwrap_or_else(|_| EDGETPU_OF_SYSTEM.into());
    let made = |path: PathBuf| Arc::new(LiteRt::at(&path).with_edgetpu(&edgetpu));
    Ok(((NAME, ARTIFACT), found.map(|path| made(path) as Arc<dyn Backend>)))
}

/// Whether there is a library for Edge TPUs. It is not opened: that would look for devices.
#[cfg(feature = "litert")]
fn edgetpu_line() -> String {
    use backend_litert::{EDGETPU, EDGETPU_OF_SYSTEM};
    match find(&EDGETPU) {
        Ok(path) => format!("device edgetpu: library {}", path.display()),
        Err(_) => format!(
            "device edgetpu: no library beside the server, so the system's {EDGETPU_OF_SYSTEM}, if there is one \
             (Debian's libedgetpu1-std, from Google's Coral repository)"
        ),
    }
}

#[cfg(not(feature = "litert"))]
fn litert(named: Option<&Path>) -> anyhow::Result<(Format, Opened)> {
    anyhow::ensure!(named.is_none(), "litert_library: this server was built without LiteRT");
    Ok((("litert", "model.tflite"), Err(NOT_BUILT.to_owned())))
}

#[cfg(feature = "pjrt")]
fn pjrt(libraries: &Libraries) -> anyhow::Result<(Format, Opened)> {
    use backend_pjrt::{ARTIFACT, NAME, Pjrt};
    let named = named_file("pjrt_plugin", libraries.pjrt_plugin.as_deref())?;
    let cache = libraries.pjrt_cache.as_deref();
    let options = pjrt_options(libraries)?;
    let found = named.map_or_else(plugin, Ok);
    let made = |path: PathBuf| Arc::new(Pjrt::at(&path, cache).with_options(options));
    Ok(((NAME, ARTIFACT), found.map(|path| made(path) as Arc<dyn Backend>)))
}

/// What the plugin is to be told.
#[cfg(feature = "pjrt")]
fn pjrt_options(libraries: &Libraries) -> anyhow::Result<Vec<backend_pjrt::ClientOption>> {
    let text = libraries.pjrt_options.as_deref().unwrap_or_default();
    let options = text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::parse);
    options.collect::<Result<_, String>>().map_err(|it| anyhow::anyhow!("pjrt_options: {it}"))
}

#[cfg(feature = "candle")]
fn candle() -> (Format, Opened) {
    use backend_candle::{ARTIFACT, Candle, NAME};
    ((NAME, ARTIFACT), Ok(Arc::new(Candle)))
}

#[cfg(not(feature = "candle"))]
fn candle() -> (Format, Opened) {
    (("candle", "model.safetensors"), Err(NOT_BUILT.to_owned()))
}

/// The PJRT plugin for this program, or where it was looked for.
#[cfg(feature = "pjrt")]
fn plugin() -> Result<PathBuf, String> {
    let names: Vec<&str> = backend_pjrt::LIBRARIES.iter().map(|it| it.stem).collect();
    let found = |it: PathBuf| backend_pjrt::find(&it);
    binary().and_then(|it| found(it).map_err(|it| nothing(&names.join(" or "), &it)))
}

#[cfg(not(feature = "pjrt"))]
fn pjrt(libraries: &Libraries) -> anyhow::Result<(Format, Opened)> {
    let Libraries { pjrt_plugin, pjrt_cache, pjrt_options, .. } = libraries;
    for (key, named) in [
        ("pjrt_plugin", pjrt_plugin.is_some()),
        ("pjrt_cache", pjrt_cache.is_some()),
        ("pjrt_options", pjrt_options.is_some()),
    ] {
        anyhow::ensure!(!named, "{key}: this server was built without PJRT");
    }
    Ok((("pjrt", "model.stablehlo"), Err(NOT_BUILT.to_owned())))
}

#[cfg(not(all(
    feature = "onnxruntime",
    feature = "openvino",
    feature = "litert",
    feature = "pjrt",
    feature = "candle"
)))]
const NOT_BUILT: &str = "this server was built without it";

/// A file that is opened later: whoever names one that is not there hears of it now.
#[cfg(any(feature = "litert", feature = "pjrt", feature = "nvml"))]
pub(crate) fn named_file(key: &str, named: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    if let Some(path) = named {
        anyhow::ensure!(path.is_file(), "{key}: there is no file {}", path.display());
    }
    Ok(named.map(Path::to_path_buf))
}

/// The library for this program, or where it was looked for.
fn find(library: &Library) -> Result<PathBuf, String> {
    binary().and_then(|it| library.find(&it).map_err(|it| nothing(library.stem, &it)))
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
