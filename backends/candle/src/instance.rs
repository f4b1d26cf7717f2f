//! One caller of a shared network, with threads of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use backend_api::{BackendError, Buffer, DType, Instance, Output, Shape, Tensor, check_run};
use candle_core::{Device, Storage, Tensor as CandleTensor};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::network::Network;
use crate::words;

/// Runs the network; candle has no scratch to keep.
pub(crate) struct CandleInstance {
    network: Arc<dyn Network>,
    /// candle computes on as many threads as the machine has, unless it runs inside a pool.
    pool: ThreadPool,
}

impl CandleInstance {
    pub(crate) fn new(
        network: &Arc<dyn Network>,
        threads: usize,
    ) -> Result<CandleInstance, BackendError> {
        let named = |n| format!("candle/{n}");
        let pool = ThreadPoolBuilder::new().num_threads(threads.max(1)).thread_name(named).build();
        let pool = pool.map_err(|it| failed(format!("no threads: {it}")))?;
        Ok(CandleInstance { network: Arc::clone(network), pool })
    }
}

impl Instance for CandleInstance {
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError> {
        check_run(self.network.signature(), inputs, outputs)?;
        if let Some(empty) = inputs.iter().find(|it| it.data().is_empty()) {
            let reason = format!("an input of shape {} has no elements", empty.shape());
            return Err(BackendError::Input { reason });
        }
        self.network.check(inputs)?;
        let network = &self.network;
        let run = || {
            let given = inputs.iter().map(give).collect::<candle_core::Result<Vec<_>>>();
            given.and_then(|it| network.forward(&it))
        };
        let results = catch_unwind(AssertUnwindSafe(|| self.pool.install(run)));
        let results = results.map_err(|_| failed("candle panicked; the message is in the log"))?;
        let results = results.map_err(|it| failed(words(&it)))?;
        for (result, output) in results.iter().zip(outputs) {
            take(result, output)?;
        }
        Ok(())
    }
}

fn give(tensor: &Tensor) -> candle_core::Result<CandleTensor> {
    let (aligned, dims) = (tensor.aligned(), tensor.shape().dims());
    if let Some(elements) = aligned.view::<f32>() {
        return CandleTensor::from_slice(elements, dims, &Device::Cpu);
    }
    match aligned.view::<i64>() {
        Some(elements) => CandleTensor::from_slice(elements, dims, &Device::Cpu),
        None => candle_core::bail!("{} is not carried by this engine", tensor.dtype()),
    }
}

/// Copies a result out, once.
fn take(result: &CandleTensor, output: &mut Output) -> Result<(), BackendError> {
    let flat = result.contiguous().map_err(|it| failed(words(&it)))?;
    let (storage, layout) = flat.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { return Err(failed("the result is elsewhere")) };
    let elements = storage.as_slice::<f32>().map_err(|it| failed(words(&it)))?;
    let range = layout.contiguous_offsets().and_then(|(from, to)| elements.get(from..to));
    let data: &[u8] = bytemuck::cast_slice(range.ok_or_else(|| failed("the result has gaps"))?);
    let shape = Shape::new(flat.dims()).map_err(|it| failed(it.to_string()))?;
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
