//! safetensors models through candle, written in Rust: weights in a file, the network in here.
//!
//! A `config.json` beside the weights says which of the known networks they belong to and how large it
//! is; files of the Hugging Face hub bring their own. There is no graph to read, so what is not known
//! is refused by name. Everything is computed in FP32: on the processor or, in a build with the feature `cuda`,
//! on an NVIDIA GPU (`place.rs`).

mod config;
mod place;
#[cfg_attr(not(feature = "cuda"), path = "no_cuda.rs")]
mod cuda;
mod weights;
mod layers;
mod network;
mod sequential;
mod bert;
mod resnet;
mod model;
mod instance;

use std::path::Path;

use backend_api::{Backend, BackendError, DType, Device, Model, Options};

/// Name of the engine in configuration, logs and errors.
pub const NAME: &str = "candle";

/// The file in a version's folder that it reads.
pub const ARTIFACT: &str = "model.safetensors";

/// What passes through it unchanged. INT64 it takes as places in a table, and gives none.
pub const DTYPES: [DType; 1] = [DType::Fp32];

/// candle. Holds nothing: every model stands for itself.
pub struct Candle;

impl Candle {
    /// What there is to say of GPUs: are they known to this build, and what do they lack?
    pub fn describe() -> String {
        cuda::describe()
    }
}

impl Backend for Candle {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        "0.11.1".to_owned()
    }

    fn platform(&self) -> &'static str {
        "candle_safetensors"
    }

    fn artifact(&self) -> &'static str {
        ARTIFACT
    }

    /// Those that it was built for.
    fn devices(&self) -> Vec<Device> {
        let gpu = cuda::IS_BUILT.then_some(Device::Cuda(0));
        [Device::Cpu].into_iter().chain(gpu).collect()
    }

    fn load(&self, artifact: &Path, options: &Options) -> Result<Box<dyn Model>, BackendError> {
        Ok(Box::new(model::CandleModel::load(artifact, options)?))
    }
}

/// The file is sound, and asks for something that is not here.
fn unsupported(reason: impl Into<String>) -> BackendError {
    BackendError::Unsupported { engine: NAME, reason: reason.into() }
}

/// The file is not sound.
fn unreadable(reason: impl Into<String>) -> BackendError {
    BackendError::Artifact { reason: reason.into() }
}

/// What candle says, without the backtrace that its errors may carry.
fn words(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
