//! CUDA graphs: what a model must be like, and the quiet in which they are recorded.
//!
//! ONNX Runtime records the work of a run and has the GPU repeat it as a whole. What is recorded are addresses:
//! so each size of batch has memory of its own that stays where it is, and a number for its recording
//! (`gpu_graph_id`). Recordings are kept by session and thread. While one is made, nothing in the process may ask
//! the driver for memory (`cudaStreamCaptureModeGlobal`).

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::thread::{self, ThreadId};

use backend_api::{BackendError, DType, Device, Dim, Signature, TensorSpec};
use ort::session::RunOptions;

use crate::value::run_error;

/// The run option that says which recording is meant.
const GRAPH_ID: &str = "gpu_graph_id";

/// Read by runs, and by what they ask memory for: milliseconds. Written while a recording is made.
static RUNS: RwLock<()> = RwLock::new(());

/// Read while a session is made or given up: seconds. Written with the other, and before it.
static SESSIONS: RwLock<()> = RwLock::new(());

/// Nothing is recorded while this is held; nothing to hold for the processor.
pub(crate) fn during_run(device: &Device) -> Option<RwLockReadGuard<'static, ()>> {
    read(&RUNS, device)
}

/// The same, for as long as a session takes. Not to be asked for while the other is held.
pub(crate) fn during_session(device: &Device) -> Option<RwLockReadGuard<'static, ()>> {
    read(&SESSIONS, device)
}

fn read(lock: &'static RwLock<()>, device: &Device) -> Option<RwLockReadGuard<'static, ()>> {
    // Whoever panicked has left nothing behind in it.
    let hold = || lock.read().unwrap_or_else(PoisonError::into_inner);
    matches!(device, Device::Cuda(_)).then(hold)
}

/// Nothing else uses a GPU while this is held.
pub(crate) struct Alone {
    _runs: RwLockWriteGuard<'static, ()>,
    _sessions: RwLockWriteGuard<'static, ()>,
}

impl Alone {
    /// Waits for the runs that are under way. `None` while a session is made or given up: nobody is to wait for
    /// that, and the next run will ask again. Not to be called while either lock is held.
    pub(crate) fn get() -> Option<Alone> {
        let sessions = match SESSIONS.try_write() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let runs = RUNS.write().unwrap_or_else(PoisonError::into_inner);
        Some(Alone { _runs: runs, _sessions: sessions })
    }
}

/// A run of a session that records, without recording or repeating anything.
pub(crate) fn without() -> Result<RunOptions, BackendError> {
    options(-1)
}

fn options(number: i32) -> Result<RunOptions, BackendError> {
    let failed = |it: ort::Error| run_error(&it.to_string());
    let mut options = RunOptions::new().map_err(failed)?;
    options.set(GRAPH_ID, number.to_string()).map_err(failed)?;
    Ok(options)
}

/// One recording: the work of a run on the same memory.
pub(crate) struct Graph {
    pub(crate) options: RunOptions,
    /// Who has it: the thread of the instance, and before that the one that loaded the model.
    threads: Vec<ThreadId>,
}

impl Graph {
    pub(crate) fn new(number: i32) -> Result<Graph, BackendError> {
        Ok(Graph { options: options(number)?, threads: Vec::new() })
    }

    pub(crate) fn is_recorded(&self) -> bool {
        self.threads.contains(&thread::current().id())
    }

    pub(crate) fn recorded(&mut self) {
        self.threads.push(thread::current().id());
    }
}

/// Why no run of the model can be recorded, if so. `far` says of the inputs and outputs, in this order, whether
/// they lie on the GPU.
pub(crate) fn refusal(signature: &Signature, far: &[bool]) -> Option<String> {
    let sides = [("input", &signature.inputs), ("output", &signature.outputs)];
    let all = sides.into_iter().flat_map(|(side, specs)| specs.iter().map(move |it| (side, it)));
    all.zip(far).find_map(|((side, spec), &far)| {
        let why = flaw(spec, far)?;
        Some(format!("cuda_graph: {side} {spec} {why}"))
    })
}

fn flaw(spec: &TensorSpec, far: bool) -> Option<String> {
    if spec.dtype == DType::Bytes {
        return Some("holds strings, expected numbers".to_owned());
    }
    let free = spec.dims.iter().position(|it| matches!(it, Dim::Free(_)));
    if let Some(axis) = free {
        let fixed = "expected fixed lengths in all axes but the rows";
        return Some(format!("varies in axis {axis}, {fixed}"));
    }
    (!far).then(|| "is used on the processor, expected on the GPU".to_owned())
}

/// Held by tests that record, or look at the locks, which are the process's.
#[cfg(test)]
pub(crate) static TESTED: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[cfg(test)]
mod tests {
    use super::*;

    use backend_api::{Axis, GraphTensor};

    #[track_caller]
    fn check(dtype: DType, axes: &[Axis], far: bool, expect: Option<&str>) {
        let rows = [Axis::Named("n".to_owned())].into_iter();
        let axes: Vec<Axis> = rows.chain(axes.iter().cloned()).collect();
        let tensor = |name: &str| GraphTensor { name: name.to_owned(), dtype, axes: axes.clone() };
        let signature = Signature::of_graph(vec![tensor("x")], vec![tensor("y")]);
        let says = refusal(&signature, &[true, far]);
        let (says, expect) = (says.unwrap_or_default(), expect.unwrap_or_default());
        assert!(says.contains(expect) && says.is_empty() == expect.is_empty(), "{says:?}");
    }

    #[test]
    fn only_what_never_moves_can_be_recorded() {
        check(DType::Fp32, &[Axis::Fixed(4)], true, None);
        check(DType::Fp32, &[Axis::Fixed(4)], false, Some("output y FP32 [rows,4] is used on the"));
        let named = [Axis::Fixed(4), Axis::Named("s".to_owned())];
        check(DType::Fp32, &named, true, Some("input x FP32 [rows,4,s] varies in axis 2"));
        check(DType::Bytes, &[Axis::Fixed(4)], true, Some("input x BYTES [rows,4] holds strings"));
    }

    #[test]
    fn a_recording_is_alone() {
        let _tested = TESTED.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(during_run(&Device::Cpu).is_none() && during_session(&Device::Cpu).is_none());
        let session = during_session(&Device::Cuda(0));
        assert!(session.is_some() && Alone::get().is_none(), "nobody waits for a load");
        drop(session);
        let alone = Alone::get().expect("nothing else uses a GPU");
        assert!(RUNS.try_read().is_err() && SESSIONS.try_read().is_err());
        drop(alone);
        assert!(during_run(&Device::Cuda(0)).is_some());
    }
}
