//! The three nouns that every engine implements.

use std::fmt;
use std::path::Path;

use crate::error::BackendError;
use crate::options::Options;
use crate::output::Output;
use crate::signature::Signature;
use crate::tensor::Tensor;

/// Where an instance computes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// The host's processor cores.
    Cpu,
    /// An NVIDIA GPU, by its number.
    Cuda(u32),
    /// One of several devices that a PJRT plugin makes of the host's processor.
    CpuPart(u32),
    /// A TPU of Google's, by its number.
    Tpu(u32),
    /// An Edge TPU of Google's; which one, its library knows.
    EdgeTpu,
}

impl fmt::Display for Device {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => out.write_str("cpu"),
            Device::Cuda(number) => write!(out, "cuda:{number}"),
            Device::CpuPart(number) => write!(out, "cpu:{number}"),
            Device::Tpu(number) => write!(out, "tpu:{number}"),
            Device::EdgeTpu => out.write_str("edgetpu"),
        }
    }
}

/// No instance where the model is not.
pub fn elsewhere(engine: &'static str, device: &Device) -> BackendError {
    BackendError::Unsupported { engine, reason: format!("the model is not on {device}") }
}

/// One engine. One value per process.
pub trait Backend: Send + Sync {
    /// The engine's name: `onnxruntime`, `tract`. Also what a model's configuration says.
    fn name(&self) -> &'static str;

    /// Version of the engine, for logs and metadata.
    fn version(&self) -> String;

    /// What clients are told a model is: `onnxruntime_onnx`.
    fn platform(&self) -> &'static str;

    /// Name of the file in a version's folder that this engine reads: `model.onnx`.
    fn artifact(&self) -> &'static str;

    /// Where it can run.
    fn devices(&self) -> Vec<Device>;

    /// Reads and checks the artifact. Slow and blocking; called on a loader thread.
    fn load(&self, artifact: &Path, options: &Options) -> Result<Box<dyn Model>, BackendError>;
}

/// Weights in memory: immutable, shared by all instances, alive as long as one of them.
pub trait Model: Send + Sync {
    /// What it takes and gives.
    fn signature(&self) -> &Signature;

    /// Where its instances compute, settled when it was loaded: the first of them on the first device,
    /// and so on, behind the last one from the first again. There is at least one.
    fn devices(&self) -> Vec<Device>;

    /// Which part of the engine computes, where it has several: `cpu`, `cuda`, `tensorrt`.
    fn provider(&self) -> Option<&'static str> {
        None
    }

    /// Scratch for one more run at a time.
    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError>;
}

/// Scratch for one run at a time. It may be handed from thread to thread between runs.
pub trait Instance: Send {
    /// Runs the model once.
    ///
    /// `inputs` stand in the signature's order, with its types and axes; their memory may start
    /// at any address. `outputs` stand in the signature's order too; every prepared one is
    /// written completely, every open one is filled. After an error the outputs are garbage and
    /// the instance is good for the next run.
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError>;
}
