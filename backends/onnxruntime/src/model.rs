//! A loaded graph: one session, shared by all instances.

use std::ffi::CString;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backend_api::onnx::Ranges;
use backend_api::{
    BackendError, DType, Device, Instance, Model, Optimization, Options, Precision, Signature,
    Tensor, TensorSpec, elsewhere, first,
};
use ort::environment::Environment;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{RunOptions, Session};

use crate::binding::QuietSession;
use crate::bound::Bound;
use crate::graphs::{Graph, during_session, without};
use crate::instance::OnnxInstance;
use crate::{NAME, provider, ranges, signature};

/// What the instances share. The session's weights exist once, whatever the number of instances:
/// `Run` may be called from several threads at a time.
pub(crate) struct Shared {
    pub(crate) session: QuietSession,
    pub(crate) device: Device,
    /// The first of the session's providers.
    provider: &'static str,
    /// Held by a run on a GPU, where runs take turns unless told otherwise.
    turn: Option<Mutex<()>>,
    /// Are runs to use memory that was bound before?
    pub(crate) is_bound: bool,
    pub(crate) graphs: Option<Graphs>,
    pub(crate) signature: Signature,
    /// What is held against the inputs of each run, where the library does not.
    pub(crate) ranges: Option<Ranges>,
    pub(crate) input_names: Vec<CString>,
    pub(crate) output_names: Vec<CString>,
}

/// What a session is told that records runs as CUDA graphs.
pub(crate) struct Graphs {
    /// Batches that are recorded, by their rows.
    rows: Vec<usize>,
    /// The number of the next recording: one for each memory that it is made on.
    next: AtomicI32,
    /// For all other runs.
    without: RunOptions,
}

impl Graphs {
    pub(crate) fn of(rows: &[usize]) -> Result<Graphs, BackendError> {
        // 0 is the library's own.
        Ok(Graphs { rows: rows.to_vec(), next: AtomicI32::new(1), without: without()? })
    }
}

impl Shared {
    /// One run at a time, where that is so.
    pub(crate) fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        // A run that panicked has left nothing behind in it.
        self.turn.as_ref().map(|it| it.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a run is told that is not recorded.
    pub(crate) fn without_graph(&self) -> Option<&RunOptions> {
        self.graphs.as_ref().map(|it| &it.without)
    }

    /// A recording for these inputs, if there is to be one.
    pub(crate) fn graph(&self, inputs: &[Tensor]) -> Result<Option<Graph>, BackendError> {
        let Some(graphs) = &self.graphs else { return Ok(None) };
        let mut pairs = inputs.iter().zip(&self.signature.inputs);
        if !pairs.clone().all(|(tensor, spec)| spec.accepts(tensor.shape())) {
            return Ok(None); // to be refused
        }
        let batched = pairs.find(|(_, spec)| spec.has_rows());
        let rows = batched.and_then(|(tensor, _)| tensor.shape().rows());
        if rows.is_some_and(|it| !graphs.rows.contains(&it)) {
            return Ok(None);
        }
        Graph::new(graphs.next.fetch_add(1, Ordering::Relaxed)).map(Some)
    }
}

/// A model in memory.
pub(crate) struct OnnxModel {
    pub(crate) shared: Arc<Shared>,
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
        let gpu = &options.session.gpu;
        let takes_turns = matches!(device, Device::Cuda(_)) && !gpu.concurrent_runs;
        let graphs = gpu.cuda_graphs.as_deref().map(Graphs::of);
        let shared = Arc::new(Shared {
            ranges: ranges::on(&device, artifact, &signature)?,
            is_bound: is_bound(options, (&device, &signature)),
            session: QuietSession::new(session, device.clone()),
            provider: provider::name(&device, gpu),
            device,
            turn: takes_turns.then(Mutex::default),
            graphs: graphs.transpose()?,
            signature,
            input_names,
            output_names,
        });
        if shared.graphs.is_some() {
            drop(Bound::new(&shared)?); // refused before anything is recorded
        }
        Ok(OnnxModel { shared })
    }
}

impl Model for OnnxModel {
    fn signature(&self) -> &Signature {
        &self.shared.signature
    }

    fn devices(&self) -> Vec<Device> {
        vec![self.shared.device.clone()]
    }

    fn provider(&self) -> Option<&'static str> {
        Some(self.shared.provider)
    }

    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError> {
        if *device != self.shared.device {
            return Err(elsewhere(NAME, device));
        }
        Ok(Box::new(OnnxInstance::new(Arc::clone(&self.shared))?))
    }
}

/// Does the model want bound memory, and can it have it?
fn is_bound(options: &Options, (device, signature): (&Device, &Signature)) -> bool {
    let wanted = options.session.io_binding.unwrap_or(*device != Device::Cpu);
    let mut specs = signature.inputs.iter().chain(&signature.outputs);
    match specs.find(|it| it.dtype == DType::Bytes) {
        Some(strings) if wanted => {
            tracing::info!(
                "io_binding: {strings} holds strings, so runs bring memory of their own"
            );
            false
        }
        Some(_) | None => wanted,
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
    let candidates = provider::candidates(options)?;
    // What the library has no code for is refused, wherever else there is room.
    for device in &candidates {
        provider::providers(device, options)?;
    }
    first(&candidates, |device| {
        let providers = provider::providers(device, options)?;
        let unreadable = |it: ort::Error| BackendError::Artifact { reason: it.to_string() };
        let plain = builder(environment, options).map_err(unreadable)?;
        let mut placed = plain.with_execution_providers(providers).map_err(|it| match device {
            Device::Cuda(_) => provider::lacking(device, &it.to_string()),
            Device::Cpu | Device::CpuPart(_) | Device::Tpu(_) | Device::EdgeTpu => {
                BackendError::Artifact { reason: it.to_string() }
            }
        })?;
        let _unrecorded = during_session(device);
        // Only here does ONNX Runtime turn to the GPU.
        let session = placed.commit_from_file(artifact);
        let session = session.map_err(|it| provider::of_load(device, it.to_string()))?;
        Ok((session, device.clone()))
    })
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
