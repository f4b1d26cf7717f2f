//! An instance's runs on memory that is bound to the session before them.
//!
//! For each shape that comes, memory is made and bound once, where the session reads and writes it; a run copies in,
//! computes and copies out, and asks nobody for memory. On a GPU the copies go through memory that is pinned,
//! on a stream of the instance's own and outside its turn, so that they overlap what another instance computes.

use std::ffi::CString;
use std::sync::{Arc, OnceLock};

use backend_api::{BackendError, DType, Device, Output, Shape, Tensor};
use backend_cuda::{CudaError, Driver, Stream};

use crate::binding::{Binding, Block, Place, download, upload};
use crate::graphs::{self, Alone, Graph};
use crate::model::Shared;
use crate::provider;
use crate::value::{Memory, run_error};

/// Shapes that an instance keeps memory for, recorded ones aside: batches of some sizes, or a few
/// lengths. The one that was not used for the longest time gives way.
const SETS_MAX: usize = 16;

/// Most that they take together: two batches of 32 images of 1024 by 1024 in FP32 are more, and the copy
/// that is spared is no part of what such a run takes.
const BYTES_MAX: usize = 256 << 20;

/// The memory of one instance.
pub(crate) struct Bound {
    sets: Vec<Set>,
    inputs: Vec<Arc<Place>>,
    outputs: Vec<Arc<Place>>,
    carrier: Option<Carrier>,
    host: Memory,
    /// Counts runs.
    clock: u64,
    shared: Arc<Shared>,
}

/// Memory for one shape of every input and output.
struct Set {
    binding: Binding,
    inputs: Vec<Block>,
    /// `None`: the run brings it.
    outputs: Vec<Option<Block>>,
    /// Of the inputs, then of the outputs that are known.
    shapes: Vec<(DType, Shape)>,
    graph: Option<Graph>,
    used: u64,
}

/// What brings tensors to a GPU and back.
struct Carrier {
    stream: Stream,
    pinned: Arc<Place>,
    stage: Option<Block>,
}

impl Bound {
    /// Fails with the reason why runs cannot be bound here.
    pub(crate) fn new(shared: &Arc<Shared>) -> Result<Bound, BackendError> {
        let (inputs, outputs) = (Place::of_inputs(shared)?, Place::of_outputs(shared)?);
        let far: Vec<bool> = inputs.iter().chain(&outputs).map(|it| !it.is_host()).collect();
        if shared.graphs.is_some()
            && let Some(reason) = graphs::refusal(&shared.signature, &far)
        {
            return Err(BackendError::Unsupported { engine: crate::NAME, reason });
        }
        let carrier = if let Device::Cuda(number) = shared.device
            && far.contains(&true)
        {
            Some(Carrier::new(shared, number)?)
        } else {
            None
        };
        Bound::of(shared, (inputs, outputs), carrier)
    }

    fn of(
        shared: &Arc<Shared>,
        (inputs, outputs): (Vec<Arc<Place>>, Vec<Arc<Place>>),
        carrier: Option<Carrier>,
    ) -> Result<Bound, BackendError> {
        let (host, shared) = (Memory::host()?, Arc::clone(shared));
        Ok(Bound { sets: Vec::new(), inputs, outputs, carrier, host, clock: 0, shared })
    }

    /// Runs the model once; `false` if this run has to go without: nothing has been done then.
    pub(crate) fn run(
        &mut self,
        inputs: &[Tensor],
        outputs: &mut [Output],
    ) -> Result<bool, BackendError> {
        let Some(at) = self.place(inputs, outputs)? else { return Ok(false) };
        let ran = self.run_set(at, inputs, outputs);
        // What failed is not kept for more of it. A recording is: there are no more of them than sizes.
        if ran.is_err() && self.sets.get(at).is_some_and(|it| it.graph.is_none()) {
            self.sets.swap_remove(at);
        }
        ran.map(|()| true)
    }

    fn run_set(
        &mut self,
        at: usize,
        inputs: &[Tensor],
        outputs: &mut [Output],
    ) -> Result<(), BackendError> {
        let (shared, carrier) = (&self.shared, &mut self.carrier);
        let set = self.sets.get_mut(at).ok_or_else(|| run_error("no memory was bound"))?;
        let record = set.graph.as_ref().is_some_and(|it| !it.is_recorded());
        let alone = if record { Alone::get() } else { None };
        let _beside = if alone.is_none() { graphs::during_run(&shared.device) } else { None };
        set.fill(inputs, carrier.as_mut())?;
        let turn = shared.turn();
        let with_graph = set.graph.as_ref().filter(|_| !record || alone.is_some());
        let options = with_graph.map(|it| &it.options).or(shared.without_graph());
        let ran = set.binding.run(options);
        drop(turn);
        ran.map_err(|it| match (provider::of_device(&shared.device, it), &alone) {
            // In which state the session's stream was left, nobody knows.
            (BackendError::Run { reason }, Some(_)) => BackendError::DeviceLost {
                reason: format!("while a CUDA graph was recorded: {reason}"),
            },
            (other, _) => other,
        })?;
        if let (Some(graph), Some(_)) = (&mut set.graph, alone) {
            graph.recorded();
        }
        set.empty(outputs, carrier.as_mut())?;
        set.bring(outputs, (&shared.output_names, &self.host))
    }

    /// Where the set for these tensors is. `None` if there is no room for it.
    fn place(
        &mut self,
        inputs: &[Tensor],
        outputs: &[Output],
    ) -> Result<Option<usize>, BackendError> {
        self.clock += 1;
        if let Some(at) = self.sets.iter().position(|it| it.fits(inputs, outputs)) {
            if let Some(set) = self.sets.get_mut(at) {
                set.used = self.clock;
            }
            return Ok(Some(at));
        }
        let wanted = bytes(&shapes(inputs, outputs));
        if inputs.iter().any(|it| it.dtype() == DType::Bytes) || !self.make_room(wanted) {
            return Ok(None);
        }
        let _beside = graphs::during_run(&self.shared.device);
        let set = self.set(inputs, outputs)?;
        self.sets.push(set);
        Ok(Some(self.sets.len() - 1))
    }

    fn make_room(&mut self, wanted: usize) -> bool {
        loop {
            let taken: usize = self.sets.iter().map(|it| bytes(&it.shapes)).sum();
            let passing = self.sets.iter().enumerate().filter(|(_, it)| it.graph.is_none());
            if wanted <= BYTES_MAX.saturating_sub(taken) && passing.clone().count() < SETS_MAX {
                return true;
            }
            let oldest = passing.min_by_key(|(_, it)| it.used).map(|(at, _)| at);
            let Some(oldest) = oldest.filter(|_| wanted <= BYTES_MAX) else { return false };
            self.sets.swap_remove(oldest);
        }
    }

    fn set(&self, inputs: &[Tensor], outputs: &[Output]) -> Result<Set, BackendError> {
        let shared = &self.shared;
        let mut binding = Binding::new(shared)?;
        let mut near = Vec::with_capacity(inputs.len());
        for ((input, place), name) in inputs.iter().zip(&self.inputs).zip(&shared.input_names) {
            let block = Block::new(place, input.dtype(), input.shape())?;
            binding.input(name, &block)?;
            near.push(block);
        }
        let mut far = Vec::with_capacity(outputs.len());
        for ((output, place), name) in outputs.iter().zip(&self.outputs).zip(&shared.output_names) {
            far.push(match output {
                Output::Prepared { dtype, shape, .. } => {
                    let block = Block::new(place, *dtype, shape)?;
                    binding.output(name, &block)?;
                    Some(block)
                }
                Output::Open(_) => {
                    binding.open(name, &self.host)?;
                    None
                }
            });
        }
        let graph = if far.iter().all(Option::is_some) { shared.graph(inputs)? } else { None };
        let shapes = shapes(inputs, outputs);
        Ok(Set { binding, inputs: near, outputs: far, shapes, graph, used: self.clock })
    }
}

impl Set {
    fn fits(&self, inputs: &[Tensor], outputs: &[Output]) -> bool {
        let opens = outputs.iter().map(|it| matches!(it, Output::Open(_)));
        self.outputs.iter().map(Option::is_none).eq(opens)
            && keys(inputs, outputs).eq(self.shapes.iter().map(|(dtype, shape)| (*dtype, shape)))
    }

    /// Copies the inputs to where they are read.
    fn fill(
        &mut self,
        inputs: &[Tensor],
        carrier: Option<&mut Carrier>,
    ) -> Result<(), BackendError> {
        for (block, tensor) in self.inputs.iter_mut().zip(inputs) {
            if let Some(bytes) = block.bytes() {
                copy(bytes, tensor.data())?;
            }
        }
        let Some(carrier) = carrier else { return Ok(()) };
        let strides = self.inputs.iter().map(Block::stride);
        let stage = carrier.stage(strides.clone().sum())?;
        let mut rest = &mut *stage;
        for ((block, stride), tensor) in self.inputs.iter().zip(strides).zip(inputs) {
            let (here, after) = rest.split_at_mut(stride);
            rest = after;
            if !block.is_host() {
                copy(here.split_at_mut(block.len()).0, tensor.data())?;
            }
        }
        carrier.there(&mut self.inputs)
    }

    /// Copies the outputs whose shapes were known to where they are wanted.
    fn empty(
        &mut self,
        outputs: &mut [Output],
        carrier: Option<&mut Carrier>,
    ) -> Result<(), BackendError> {
        let blocks = self.outputs.iter_mut().zip(&mut *outputs);
        for (block, output) in blocks.filter_map(|(block, it)| Some((block.as_mut()?, it))) {
            if let (Some(bytes), Output::Prepared { buffer, .. }) = (block.bytes(), output) {
                copy(buffer.as_mut_slice(), bytes)?;
            }
        }
        let Some(carrier) = carrier else { return Ok(()) };
        let mut rest = carrier.back(&mut self.outputs)?;
        for (block, output) in self.outputs.iter().zip(outputs) {
            if let (Some(block), Output::Prepared { buffer, .. }) = (block, output)
                && !block.is_host()
            {
                let (here, after) = rest.split_at(block.stride());
                rest = after;
                copy(buffer.as_mut_slice(), here.split_at(block.len()).0)?;
            }
        }
        Ok(())
    }

    /// Takes the outputs that the run has found memory for, and makes ready for the next.
    fn bring(
        &mut self,
        outputs: &mut [Output],
        (names, host): (&[CString], &Memory),
    ) -> Result<(), BackendError> {
        if self.outputs.iter().all(Option::is_some) {
            return Ok(());
        }
        let values = self.binding.outputs(host)?;
        for ((value, output), name) in values.into_iter().zip(outputs).zip(names) {
            if let Output::Open(place) = output {
                *place = Some(value.to_tensor()?);
                self.binding.open(name, host)?;
            }
        }
        Ok(())
    }
}

impl Carrier {
    fn new(shared: &Arc<Shared>, number: u32) -> Result<Carrier, BackendError> {
        static DRIVER: OnceLock<Result<Arc<Driver>, CudaError>> = OnceLock::new();
        let driver = DRIVER.get_or_init(|| Driver::open(None)).clone();
        let stream = driver.and_then(|it| it.stream(number)).map_err(|it| {
            BackendError::Unavailable { engine: crate::NAME, reason: format!("{it}; {}", it.fix()) }
        })?;
        Ok(Carrier { stream, pinned: Place::pinned(shared, number)?, stage: None })
    }

    /// So many pinned bytes or more. They grow by powers of two, so that they soon stay as they are.
    fn stage(&mut self, len: usize) -> Result<&mut [u8], BackendError> {
        if self.stage.as_ref().is_none_or(|it| it.len() < len) {
            let shape = Shape::new(&[len.next_power_of_two()]);
            let shape = shape.map_err(|it| run_error(&it.to_string()))?;
            self.stage = None; // let go of the old one first
            self.stage = Some(Block::new(&self.pinned, DType::Uint8, &shape)?);
        }
        let stage = self.stage.as_mut().and_then(Block::bytes);
        stage.ok_or_else(|| run_error("pinned memory that the processor cannot reach"))
    }

    fn there(&mut self, blocks: &mut [Block]) -> Result<(), BackendError> {
        let stage = self.stage.as_mut().and_then(Block::bytes).unwrap_or_default();
        upload(&mut self.stream, blocks, stage).map_err(lost)
    }

    fn back(&mut self, blocks: &mut [Option<Block>]) -> Result<&[u8], BackendError> {
        let len = blocks.iter().flatten().map(Block::stride).sum();
        self.stage(len)?;
        let stage = self.stage.as_mut().and_then(Block::bytes).unwrap_or_default();
        download(&mut self.stream, blocks.iter_mut().flatten(), stage).map_err(lost)?;
        Ok(stage)
    }
}

/// A copy to or from a GPU that fails is no fault of the request's: bytes are bytes.
fn lost(error: CudaError) -> BackendError {
    BackendError::DeviceLost { reason: error.to_string() }
}

fn copy(to: &mut [u8], from: &[u8]) -> Result<(), BackendError> {
    if to.len() != from.len() {
        let (to, from) = (to.len(), from.len());
        return Err(run_error(&format!("{from} bytes for a place of {to}")));
    }
    to.copy_from_slice(from);
    Ok(())
}

fn keys<'a>(
    inputs: &'a [Tensor],
    outputs: &'a [Output],
) -> impl Iterator<Item = (DType, &'a Shape)> {
    let known = outputs.iter().filter_map(|it| match it {
        Output::Prepared { dtype, shape, .. } => Some((*dtype, shape)),
        Output::Open(_) => None,
    });
    inputs.iter().map(|it| (it.dtype(), it.shape())).chain(known)
}

fn shapes(inputs: &[Tensor], outputs: &[Output]) -> Vec<(DType, Shape)> {
    keys(inputs, outputs).map(|(dtype, shape)| (dtype, shape.clone())).collect()
}

fn bytes(shapes: &[(DType, Shape)]) -> usize {
    shapes.iter().map(|(dtype, shape)| shape.elements() * dtype.size().unwrap_or(0)).sum()
}

#[cfg(test)]
#[path = "bound_tests.rs"]
mod tests;
