//! A loaded graph: one session, shared by all instances.

use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;

use backend_api::{
    BackendError, Device, Instance, Model, Optimization, Options, Precision, Signature, TensorSpec,
};
use ort::environment::Environment;
use ort::ep::CPU;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::instance::OnnxInstance;
use crate::{NAME, signature};

/// What the instances share. The session's weights exist once, whatever the number of instances:
/// on the CPU, `Run` may be called from several threads at a time.
pub(crate) struct Shared {
    pub(crate) session: Session,
    pub(crate) signature: Signature,
    pub(crate) input_names: Vec<CString>,
    pub(crate) output_names: Vec<CString>,
}

/// A model in memory.
pub(crate) struct OnnxModel {
    shared: Arc<Shared>,
}

impl OnnxModel {
    pub(crate) fn load(
        environment: &Environment,
        artifact: &Path,
        options: &Options,
    ) -> Result<OnnxModel, BackendError> {
        let unreadable = |reason: String| BackendError::Artifact { reason };
        // The library's own message for a missing file speaks of protobuf.
        let size = artifact
            .metadata()
            .map_err(|it| unreadable(format!("{}: {it}", artifact.display())))?
            .len();
        if size == 0 {
            return Err(unreadable(format!("{}: the file is empty", artifact.display())));
        }
        refuse_unknown(options)?;
        let mut builder = builder(environment, options).map_err(|it| unreadable(it.to_string()))?;
        let session =
            builder.commit_from_file(artifact).map_err(|it| unreadable(it.to_string()))?;
        let signature = signature::read(&session)?;
        let names = |side: &[TensorSpec]| {
            let name = |it: &TensorSpec| CString::new(&*it.name);
            side.iter().map(name).collect::<Result<Vec<_>, _>>().map_err(|_| {
                BackendError::Unsupported {
                    engine: NAME,
                    reason: "a tensor's name holds a zero byte".to_owned(),
                }
            })
        };
        let (input_names, output_names) = (names(&signature.inputs)?, names(&signature.outputs)?);
        let shared = Shared { session, signature, input_names, output_names };
        Ok(OnnxModel { shared: Arc::new(shared) })
    }
}

impl Model for OnnxModel {
    fn signature(&self) -> &Signature {
        &self.shared.signature
    }

    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError> {
        match device {
            Device::Cpu => Ok(Box::new(OnnxInstance::new(Arc::clone(&self.shared))?)),
        }
    }
}

/// BF16 products are to be had on one architecture only.
const KNOWS_BF16: bool = cfg!(all(target_arch = "aarch64", target_os = "linux"));

fn refuse_unknown(options: &Options) -> Result<(), BackendError> {
    match options.precision {
        Precision::Bf16 if !KNOWS_BF16 => Err(BackendError::Unsupported {
            engine: NAME,
            reason: "precision bf16 is for aarch64 on Linux; engine openvino has it here"
                .to_owned(),
        }),
        Precision::Bf16 | Precision::F32 => Ok(()),
    }
}

fn builder(environment: &Environment, options: &Options) -> Result<SessionBuilder, ort::Error> {
    let session = &options.session;
    let level = match session.optimization {
        Optimization::Off => GraphOptimizationLevel::Disable,
        Optimization::Basic => GraphOptimizationLevel::Level1,
        Optimization::Extended => GraphOptimizationLevel::Level2,
        Optimization::All => GraphOptimizationLevel::All,
    };
    let flag = |it: bool| if it { "1" } else { "0" };
    let mut builder = Session::builder(environment)?
        .with_optimization_level(level)?
        .with_intra_threads(options.intra_op_threads)?
        .with_inter_threads(options.inter_op_threads)?
        .with_parallel_execution(options.inter_op_threads > 1)?
        .with_intra_op_spinning(options.spinning)?
        .with_inter_op_spinning(options.spinning)?
        .with_memory_pattern(session.memory_pattern)?
        .with_execution_providers([CPU::default().with_arena_allocator(session.arena).build()])?;
    // Each is without effect on processors that it is not for.
    for (key, value) in [
        ("session.disable_prepacking", !session.prepacking),
        ("session.x64quantprecision", session.quantized_precision),
        ("mlas.enable_gemm_fastmath_arm64_bfloat16", options.precision == Precision::Bf16),
    ] {
        builder = builder.with_config_entry(key, flag(value))?;
    }
    Ok(builder)
}
