//! ONNX models through ONNX Runtime, whose library is opened at run time.
//!
//! Nothing here is linked: a machine without the library gets an error that says where it was
//! looked for, and `backend-tract` takes over. This is the only crate that knows `ort`, and
//! `value.rs` and `binding.rs` the only files with unsafe code but `interface.rs`, which looks at the library before
//! `ort` does: the library is called on the caller's memory, both sides, or on memory bound before, which the
//! safe wrapper does not offer.

mod interface;
mod library;
mod model;
mod provider;
mod ranges;
mod signature;
mod instance;
mod lost;
mod value;
mod bound;
mod binding;
mod graphs;

use std::path::Path;

use backend_api::{Backend, BackendError, Device, Model, Options};
use ort::environment::Environment;

pub use library::LIBRARY;
pub use provider::lacking_gpus;

/// Name of the engine in configuration, logs and errors.
pub const NAME: &str = "onnxruntime";

/// ONNX Runtime. One value per process, because the library keeps one environment per process.
pub struct OnnxRuntime {
    environment: Environment,
    version: String,
}

impl OnnxRuntime {
    /// Opens the library at `path`. Sends no telemetry.
    pub fn open(path: &Path) -> Result<OnnxRuntime, BackendError> {
        let unavailable = |reason: String| BackendError::Unavailable {
            engine: NAME,
            reason: reason.trim().into(),
        };
        let absolute = path
            .canonicalize()
            .map_err(|it| unavailable(format!("library {}: {it}", path.display())))?;
        interface::check(&absolute).map_err(unavailable)?;
        let builder = ort::init_from(&absolute).map_err(|it| unavailable(it.to_string()))?;
        let environment = builder
            .with_name("salver")
            .with_telemetry(false)
            .with_logger(library::logger())
            .build()
            .map_err(|it| unavailable(it.to_string()))?;
        Ok(OnnxRuntime { environment, version: library::version(&absolute) })
    }
}

impl Backend for OnnxRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn platform(&self) -> &'static str {
        "onnxruntime_onnx"
    }

    fn artifact(&self) -> &'static str {
        "model.onnx"
    }

    fn devices(&self) -> Vec<Device> {
        provider::devices()
    }

    fn load(&self, artifact: &Path, options: &Options) -> Result<Box<dyn Model>, BackendError> {
        Ok(Box::new(model::OnnxModel::load(&self.environment, artifact, options)?))
    }
}
