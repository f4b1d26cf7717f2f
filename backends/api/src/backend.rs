//! The three nouns that every engine implements.

use std::fmt;
use std::path::Path;

use crate::error::BackendError;
use crate::output::Output;
use crate::signature::Signature;
use crate::tensor::Tensor;

/// Where an instance computes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// The host's processor cores.
    Cpu,
}

impl fmt::Display for Device {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => out.write_str("cpu"),
        }
    }
}

/// In how many bits an engine computes what the model declares as FP32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// As declared.
    #[default]
    F32,
    /// Factors rounded to BF16, where the engine can: faster, with other answers.
    Bf16,
}

/// How a model is to be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// How many instances will run at a time; more may be made, but will wait for one another.
    pub instances: usize,
    /// In how many bits it computes.
    pub precision: Precision,
    /// Threads that one run may use inside an operator, the calling one included.
    /// Instances of one model share the others.
    pub intra_op_threads: usize,
    /// Threads that run operators side by side; 1 runs them one after the other.
    pub inter_op_threads: usize,
    /// Do idle threads burn their core to wake faster?
    pub spinning: bool,
}

impl Default for Options {
    /// One thread per instance, no spinning: several instances then share the cores in peace.
    fn default() -> Options {
        Options {
            instances: 1,
            precision: Precision::F32,
            intra_op_threads: 1,
            inter_op_threads: 1,
            spinning: false,
        }
    }
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

    /// Called on the thread that will run, and drop, the instance.
    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError>;
}

/// Scratch for one run at a time. Made, used and dropped on one thread, so not `Send`.
pub trait Instance {
    /// Runs the model once.
    ///
    /// `inputs` stand in the signature's order, with its types and axes; their memory may start
    /// at any address. `outputs` stand in the signature's order too; every prepared one is
    /// written completely, every open one is filled. After an error the outputs are garbage and
    /// the instance is good for the next run.
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError>;
}
