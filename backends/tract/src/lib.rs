//! ONNX models through tract, written in Rust: always compiled in, needs nothing on the machine.
//!
//! Serves where ONNX Runtime's library is absent, and in tests. Slower than it on large models
//! and without some operators; what it lacks it refuses at load. It copies inputs and outputs.

mod instance;
mod model;
mod signature;

use std::path::Path;

use backend_api::{Backend, BackendError, DType, Device, Model, Options};

/// Name of the engine in configuration, logs and errors.
pub const NAME: &str = "tract";

/// The data types it carries: all but BF16, and BYTES, which it would force to be UTF-8.
pub const DTYPES: [DType; 12] = [
    DType::Bool,
    DType::Uint8,
    DType::Uint16,
    DType::Uint32,
    DType::Uint64,
    DType::Int8,
    DType::Int16,
    DType::Int32,
    DType::Int64,
    DType::Fp16,
    DType::Fp32,
    DType::Fp64,
];

/// tract. Holds nothing: every model stands for itself.
pub struct Tract;

impl Backend for Tract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        "0.23.9".to_owned()
    }

    fn platform(&self) -> &'static str {
        "tract_onnx"
    }

    fn artifact(&self) -> &'static str {
        "model.onnx"
    }

    fn devices(&self) -> Vec<Device> {
        vec![Device::Cpu]
    }

    /// tract computes on the calling thread alone, so most options ask for nothing it could do.
    fn load(&self, artifact: &Path, options: &Options) -> Result<Box<dyn Model>, BackendError> {
        options.on_processor(NAME)?;
        Ok(Box::new(model::TractModel::load(artifact)?))
    }
}
