//! One caller of a shared model.

use std::ops::Range;
use std::sync::Arc;

use backend_api::{BackendError, Buffer, Device, Instance, Output, Tensor, TensorSpec, check_run};

use crate::ffi::Loaded;
use crate::model::Shared;

/// Runs programs on the caller's own memory where a batch fits one exactly.
pub(crate) struct PjrtInstance {
    shared: Arc<Shared>,
    /// The device, by its place.
    place: usize,
}

impl PjrtInstance {
    pub(crate) fn new(shared: Arc<Shared>, place: usize) -> PjrtInstance {
        PjrtInstance { shared, place }
    }
}

impl Instance for PjrtInstance {
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError> {
        let Shared { manifest, programs, .. } = &*self.shared;
        check_run(&manifest.signature, inputs, outputs)?;
        let inputs: Vec<Tensor> = inputs.iter().map(Tensor::aligned).collect();
        for (n, input) in inputs.iter().enumerate() {
            manifest.check(n, input)?;
        }
        let batched = manifest.signature.is_batched();
        let rows = inputs.first().and_then(|it| it.shape().rows()).filter(|_| batched);
        let specs = &manifest.signature.outputs;
        for (output, spec) in outputs.iter_mut().zip(specs) {
            make_room(output, spec, rows.unwrap_or(1))?;
        }
        let ran = run_all((programs, self.place), (&inputs, rows), outputs);
        ran.map_err(|it| failed(self.shared.device(self.place), it))
    }
}

/// What a run's error is: XLA passes on the words of NVIDIA's driver, and some are the end of the GPU.
fn failed(device: Option<&Device>, reason: String) -> BackendError {
    if matches!(device, Some(Device::Cuda(_))) && backend_cuda::names_lasting(&reason) {
        return BackendError::DeviceLost { reason };
    }
    BackendError::Run { reason }
}

/// Outputs that nobody prepared are prepared here: every shape is known.
fn make_room(output: &mut Output, spec: &TensorSpec, rows: usize) -> Result<(), BackendError> {
    let run = |reason| BackendError::Run { reason };
    let shape = spec.shape_at(rows).ok_or_else(|| run(format!("{spec} is too large")))?;
    match output {
        Output::Prepared { shape: prepared, .. } if *prepared != shape => {
            Err(run(format!("the model gives {shape}, prepared was {prepared}")))
        }
        Output::Prepared { .. } => Ok(()),
        Output::Open(_) => {
            *output = Output::prepare(spec, rows);
            Ok(())
        }
    }
}

/// All rows, in pieces of at most as many as the largest program takes.
fn run_all(
    (programs, place): (&[(usize, Loaded)], usize),
    (inputs, rows): (&[Tensor], Option<usize>),
    outputs: &mut [Output],
) -> Result<(), String> {
    let (largest, last) = programs.last().ok_or("there is no program")?;
    let Some(rows) = rows else {
        return last.run(place, inputs, &mut parts(outputs, 0..1, 1));
    };
    let mut first = 0;
    while first < rows {
        let left = rows - first;
        let fitting = programs.iter().find(|(it, _)| *it >= left);
        let (size, program) = fitting.map_or((*largest, last), |(size, it)| (*size, it));
        let taken = left.min(size);
        if taken == size {
            let pieces = inputs.iter().map(|it| piece(it, (first, taken), size));
            let pieces = pieces.collect::<Result<Vec<_>, _>>()?;
            program.run(place, &pieces, &mut parts(outputs, first..first + taken, rows))?;
        } else {
            padded((program, place), inputs, (first, taken, size), (outputs, rows))?;
        }
        first += taken;
    }
    Ok(())
}

/// The bytes of some rows of every output.
fn parts(outputs: &mut [Output], rows: Range<usize>, of: usize) -> Vec<&mut [u8]> {
    let mut parts = Vec::with_capacity(outputs.len());
    for output in outputs {
        let memory = match output {
            Output::Prepared { buffer, .. } => buffer.as_mut_slice(),
            Output::Open(_) => &mut [], // prepared above
        };
        let row = memory.len() / of.max(1);
        let end = rows.end.saturating_mul(row).min(memory.len());
        parts.push(memory.get_mut(rows.start * row..end).unwrap_or_default());
    }
    parts
}

/// Some rows of an input, in place if they are aligned, filled up with the last of them.
fn piece(input: &Tensor, (first, taken): (usize, usize), size: usize) -> Result<Tensor, String> {
    let rows = input.shape().rows().unwrap_or(1).max(1);
    let row = input.data().len() / rows;
    let data = input.data().slice(first * row..(first + taken) * row);
    let shape = input.shape().with_rows(size).ok_or("the batch is too large")?;
    let data = if taken == size {
        data
    } else {
        let mut buffer = Buffer::zeroed(size * row);
        let memory = buffer.as_mut_slice();
        for (n, to) in memory.chunks_exact_mut(row.max(1)).enumerate() {
            let from = n.min(taken.saturating_sub(1)) * row;
            to.copy_from_slice(data.get(from..from + row).unwrap_or_default());
        }
        buffer.freeze()
    };
    Ok(Tensor::new(input.dtype(), shape, data).map_err(|it| it.to_string())?.aligned())
}

/// A program of more rows than there are: what is too much of its outputs is left out.
fn padded(
    (program, place): (&Loaded, usize),
    inputs: &[Tensor],
    (first, taken, size): (usize, usize, usize),
    (outputs, rows): (&mut [Output], usize),
) -> Result<(), String> {
    let pieces = inputs.iter().map(|it| piece(it, (first, taken), size));
    let pieces = pieces.collect::<Result<Vec<_>, _>>()?;
    let mut to = parts(outputs, first..first + taken, rows);
    let mut room: Vec<Vec<u8>> = to.iter().map(|it| vec![0; it.len() / taken * size]).collect();
    let mut whole: Vec<&mut [u8]> = room.iter_mut().map(Vec::as_mut_slice).collect();
    program.run(place, &pieces, &mut whole)?;
    for (to, from) in to.iter_mut().zip(&room) {
        let len = to.len();
        to.copy_from_slice(from.get(..len).unwrap_or_default());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(device: &Device, reason: &str, is_lost: bool) {
        let error = failed(Some(device), reason.to_owned());
        assert_eq!(matches!(error, BackendError::DeviceLost { .. }), is_lost, "{error}");
    }

    #[test]
    fn a_gpu_that_does_no_more_is_more_than_a_run_that_fails() {
        let (gpu, tpu) = (Device::Cuda(0), Device::Tpu(0));
        let lost =
            "INTERNAL: Failed to synchronize: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access";
        check(&gpu, lost, true);
        check(&tpu, lost, false);
        check(&gpu, "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes", false);
        check(&gpu, "INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory", false);
    }
}
