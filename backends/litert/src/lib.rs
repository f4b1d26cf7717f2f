//! TensorFlow Lite models through LiteRT, whose library is opened by the first of them.
//!
//! Nothing is linked: a server without such models pays nothing for it, a machine without the
//! library says where it was looked for. `ffi.rs` is the only file with unsafe code; it calls the
//! library's C interface on memory of ours, both sides. Tensors travel as the file has them:
//! a quantised model takes and gives whole numbers, and the signature says what they stand for.

mod delegate;
mod model;
mod signature;
mod whole;
mod operators;
mod instance;
mod ffi;
mod functions;
mod library;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use backend_api::{Backend, BackendError, DType, Device, DeviceWish, Library, Model, Options};

use crate::delegate::Delegate;
pub use crate::delegate::{EDGETPU, EDGETPU_OF_SYSTEM};
use crate::ffi::Environment;

/// Name of the engine in configuration, logs and errors.
pub const NAME: &str = "litert";

/// The file with the C interface, as `make litert` calls it: with its version.
pub const LIBRARY: Library = Library { stem: "libLiteRt.so", home: "litert" };

/// The file in a version's folder that it reads.
pub const ARTIFACT: &str = "model.tflite";

/// The data types that the suite holds it to. What a model of another numeric type can do depends
/// on its operators, few of which know it; BYTES the library's own interface does not carry.
pub const DTYPES: [DType; 7] =
    [DType::Bool, DType::Uint8, DType::Int8, DType::Int16, DType::Int32, DType::Int64, DType::Fp32];

/// LiteRT. One value per process.
pub struct LiteRt {
    library: PathBuf,
    /// Filled by the first model; a library that cannot be opened stays so.
    environment: OnceLock<Result<Arc<Environment>, String>>,
    /// The same for models with a delegate: filled by the first of them.
    delegating: OnceLock<Result<Arc<Environment>, String>>,
    /// The library for Edge TPUs.
    edgetpu: PathBuf,
}

impl LiteRt {
    /// The library at `path`, which is opened when it is first needed.
    pub fn at(path: &Path) -> LiteRt {
        LiteRt {
            library: path.to_path_buf(),
            environment: OnceLock::new(),
            delegating: OnceLock::new(),
            edgetpu: EDGETPU_OF_SYSTEM.into(),
        }
    }

    /// The same, with the library for Edge TPUs at `path`.
    #[must_use]
    pub fn with_edgetpu(self, path: &Path) -> LiteRt {
        LiteRt { edgetpu: path.to_path_buf(), ..self }
    }

    /// Opens the library, if it is not open: for who wants to know whether it can be.
    pub fn open(&self) -> Result<(), BackendError> {
        self.environment().map(|_| ())
    }

    fn environment(&self) -> Result<&Arc<Environment>, BackendError> {
        let environment =
            self.environment.get_or_init(|| Environment::open(&self.library).map(Arc::new));
        environment.as_ref().map_err(unavailable)
    }

    fn delegating(&self) -> Result<&Arc<Environment>, BackendError> {
        let plain = self.environment()?;
        let delegating = self.delegating.get_or_init(|| plain.delegating().map(Arc::new));
        delegating.as_ref().map_err(unavailable)
    }
}

#[expect(clippy::ptr_arg, reason = "as it is kept")]
fn unavailable(reason: &String) -> BackendError {
    BackendError::Unavailable { engine: NAME, reason: reason.clone() }
}

impl Backend for LiteRt {
    fn name(&self) -> &'static str {
        NAME
    }

    /// From the file's name: the library does not know it.
    fn version(&self) -> String {
        let version = LIBRARY.version(&self.library);
        if version.is_empty() { "2.1".to_owned() } else { version }
    }

    fn platform(&self) -> &'static str {
        "tensorflow_lite"
    }

    fn artifact(&self) -> &'static str {
        ARTIFACT
    }

    fn devices(&self) -> Vec<Device> {
        vec![Device::Cpu]
    }

    fn load(&self, artifact: &Path, options: &Options) -> Result<Box<dyn Model>, BackendError> {
        if options.device != DeviceWish::On(Device::EdgeTpu) {
            options.on_processor(NAME)?;
        }
        let refused = |reason| BackendError::Unsupported { engine: NAME, reason };
        let delegate = Delegate::wanted(options, &self.edgetpu).map_err(refused)?;
        let environment = if delegate.is_some() { self.delegating()? } else { self.environment()? };
        Ok(Box::new(model::LiteModel::load(environment, artifact, (options, delegate))?))
    }
}
