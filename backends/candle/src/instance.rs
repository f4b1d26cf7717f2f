//! One caller of a shared network, with threads of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use backend_api::{BackendError, Buffer, DType, Instance, Output, Shape, Tensor, check_run};
use candle_core::{Device, Storage, Tensor as CandleTensor};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::model::Shared;
use crate::{place, words};

/// Runs the network; candle has no scratch to keep.
pub(crate) struct CandleInstance {
    shared: Arc<Shared>,
    /// candle computes on as many threads as the machine has, unless it runs inside a pool. None for a GPU.
    pool: Option<ThreadPool>,
}

impl CandleInstance {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        threads: usize,
    ) -> Result<CandleInstance, BackendError> {
        let shared = Arc::clone(shared);
        if !shared.device.is_cpu() {
            return Ok(CandleInstance { shared, pool: None });
        }
        let named = |n| format!("candle/{n}");
        let pool = ThreadPoolBuilder::new().num_threads(threads.max(1)).thread_name(named).build();
        let pool = pool.map_err(|it| failed(format!("no threads: {it}")))?;
        Ok(CandleInstance { shared, pool: Some(pool) })
    }
}

impl Instance for CandleInstance {
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError> {
        let Shared { network, device, .. } = &*self.shared;
        check_run(network.signature(), inputs, outputs)?;
        if let Some(empty) = inputs.iter().find(|it| it.data().is_empty()) {
            let reason = format!("an input of shape {} has no elements", empty.shape());
            return Err(BackendError::Input { reason });
        }
        network.check(inputs)?;
        let compute = || {
            let _turn = self.shared.turn();
            let given = inputs.iter().map(|it| give(it, device));
            network.forward(&given.collect::<candle_core::Result<Vec<_>>>()?)
        };
        let run = || {
            let near = |it: CandleTensor| it.contiguous()?.to_device(&Device::Cpu);
            compute()?.into_iter().map(near).collect::<candle_core::Result<Vec<_>>>()
        };
        let results = catch_unwind(AssertUnwindSafe(|| match &self.pool {
            Some(pool) => pool.install(run),
            None => run(),
        }));
        let results = results.map_err(|_| failed("candle panicked; the message is in the log"))?;
        let results = results.map_err(|it| place::of_run(&it))?;
        for (result, output) in results.iter().zip(outputs) {
            take(result, output)?;
        }
        Ok(())
    }
}

/// The only copy to a GPU, and from the caller's memory on a processor.
fn give(tensor: &Tensor, device: &Device) -> candle_core::Result<CandleTensor> {
    let (aligned, dims) = (tensor.aligned(), tensor.shape().dims());
    if let Some(elements) = aligned.view::<f32>() {
        return CandleTensor::from_slice(elements, dims, device);
    }
    match aligned.view::<i64>() {
        Some(elements) => CandleTensor::from_slice(elements, dims, device),
        None => candle_core::bail!("{} is not carried by this engine", tensor.dtype()),
    }
}

/// Copies a result out that lies in the host's memory without gaps.
fn take(result: &CandleTensor, output: &mut Output) -> Result<(), BackendError> {
    let (storage, layout) = result.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { return Err(failed("the result is elsewhere")) };
    let elements = storage.as_slice::<f32>().map_err(|it| failed(words(&it)))?;
    let range = layout.contiguous_offsets().and_then(|(from, to)| elements.get(from..to));
    let data: &[u8] = bytemuck::cast_slice(range.ok_or_else(|| failed("the result has gaps"))?);
    let shape = Shape::new(result.dims()).map_err(|it| failed(it.to_string()))?;
    match output {
        Output::Prepared { dtype: DType::Fp32, shape: prepared, buffer } if *prepared == shape => {
            buffer.as_mut_slice().copy_from_slice(data);
            Ok(())
        }
        Output::Prepared { .. } | Output::Open(_) => {
            let mut buffer = Buffer::zeroed(data.len());
            buffer.as_mut_slice().copy_from_slice(data);
            let tensor = Tensor::new(DType::Fp32, shape, buffer.freeze());
            output.put(tensor.map_err(|it| failed(it.to_string()))?)
        }
    }
}

fn failed(reason: impl Into<String>) -> BackendError {
    BackendError::Run { reason: reason.into() }
}
