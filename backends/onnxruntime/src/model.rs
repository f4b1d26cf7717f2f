//! A loaded graph: one session, shared by all instances.

use std::ffi::CString;
use std::path::Path;
use std::sync::{Arc, Mutex};

use backend_api::{
    BackendError, Device, DeviceWish, Instance, Model, Optimization, Options, Precision, Signature,
    TensorSpec, elsewhere,
};
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::instance::OnnxInstance;
use crate::{NAME, provider, signature};

/// What the instances share. The session's weights exist once, whatever the number of instances:
/// on the CPU, `Run` may be called from several threads at a time.
pub(crate) struct Shared {
    pub(crate) session: Session,
    pub(crate) device: Device,
    /// Held by a run on a GPU: there a session is for one at a time.
    pub(crate) turn: Mutex<()>,
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
        let (session, device) = open(environment, artifact, options)?;
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
        let turn = Mutex::new(());
        let shared = Shared { session, device, turn, signature, input_names, output_names };
        Ok(OnnxModel { shared: Arc::new(shared) })
    }
}

impl Model for OnnxModel {
    fn signature(&self) -> &Signature {
        &self.shared.signature
    }

    fn device(&self) -> Device {
        self.shared.device.clone()
    }

    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError> {
        if *device != self.shared.device {
            return Err(elsewhere(NAME, device));
        }
        Ok(Box::new(OnnxInstance::new(Arc::clone(&self.shared))?))
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

/// A session on the first device that will have it. One that was asked for is the only one.
fn open(
    environment: &Environment,
    artifact: &Path,
    options: &Options,
) -> Result<(Session, Device), BackendError> {
    let unreadable = |it: ort::Error| BackendError::Artifact { reason: it.to_string() };
    for device in provider::candidates(options)? {
        let providers = provider::providers(&device, options)?;
        let plain = builder(environment, options).map_err(unreadable)?;
        let placed = plain.with_execution_providers(providers);
        let mut placed = match placed {
            Ok(placed) => placed,
            Err(error) if device == Device::Cpu => {
                return Err(BackendError::Artifact { reason: error.to_string() });
            }
            Err(error) => {
                let error = provider::lacking(&device, &error.to_string());
                if options.device != DeviceWish::Auto {
                    return Err(error);
                }
                tracing::warn!(%error, "device auto: the next is tried, the processor last");
                continue;
            }
        };
        let session = placed.commit_from_file(artifact).map_err(unreadable)?;
        return Ok((session, device));
    }
    Err(provider::lacking(&Device::Cpu, "no device would have the model")) // not reached: it is last
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
        .with_memory_pattern(session.memory_pattern)?;
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
