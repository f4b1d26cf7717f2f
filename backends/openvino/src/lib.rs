//! ONNX models through OpenVINO, an engine that a model has to ask for by name.
//!
//! Nothing is linked, and nothing is opened before the first model asks: a server whose models do
//! not want OpenVINO pays nothing for it. `ffi.rs` is the only file with unsafe code; it calls the
//! library's C interface on the caller's memory, both sides. What OpenVINO would answer wrongly
//! without a word (64-bit numbers, indexes out of range) is refused: `graph.rs`, `backend_api::onnx`.

mod library;
mod graph;
mod signature;
mod model;
mod instance;
mod ffi;
mod functions;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use backend_api::{Backend, BackendError, DType, Device, Model, Options};

use crate::ffi::Core;

pub use library::LIBRARY;

/// Name of the engine in configuration, logs and errors.
pub const NAME: &str = "openvino";

/// The data types it carries whole. INT64 is served too, within 32 bits: that is how OpenVINO
/// computes it. The other wide types are refused rather than narrowed, and so is BYTES, whose
/// strings the C interface ends at the first zero.
pub const DTYPES: [DType; 9] = [
    DType::Bool,
    DType::Uint8,
    DType::Uint16,
    DType::Int8,
    DType::Int16,
    DType::Int32,
    DType::Fp16,
    DType::Bf16,
    DType::Fp32,
];

/// OpenVINO. One value per process: its device plugins are not shared between two.
pub struct OpenVino {
    library: PathBuf,
    /// Filled by the first model; a library that cannot be opened stays so.
    core: OnceLock<Result<Core, String>>,
}

impl OpenVino {
    /// The library at `path`, which is opened when it is first needed.
    pub fn at(path: &Path) -> OpenVino {
        OpenVino { library: path.to_path_buf(), core: OnceLock::new() }
    }

    /// Opens the library, if it is not open: for who wants to know whether it can be.
    pub fn open(&self) -> Result<(), BackendError> {
        self.core().map(|_| ())
    }

    fn core(&self) -> Result<&Core, BackendError> {
        let core = self.core.get_or_init(|| Core::open(&self.library));
        let unavailable =
            |it: &String| BackendError::Unavailable { engine: NAME, reason: it.clone() };
        core.as_ref().map_err(unavailable)
    }
}

impl Backend for OpenVino {
    fn name(&self) -> &'static str {
        NAME
    }

    /// From the file's name: asking the library would open it.
    fn version(&self) -> String {
        library::version(&self.library)
    }

    fn platform(&self) -> &'static str {
        "openvino_onnx"
    }

    fn artifact(&self) -> &'static str {
        "model.onnx"
    }

    fn devices(&self) -> Vec<Device> {
        vec![Device::Cpu]
    }

    fn load(&self, artifact: &Path, options: &Options) -> Result<Box<dyn Model>, BackendError> {
        options.on_processor(NAME)?;
        Ok(Box::new(model::OpenVinoModel::load(self.core()?, artifact, options)?))
    }
}
