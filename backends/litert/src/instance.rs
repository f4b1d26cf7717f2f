//! One caller of a shared model, with scratch and threads of its own.

use std::sync::Arc;

use backend_api::{
    BackendError, Buffer, DType, Instance, Output, Shape, Tensor, TensorSpec, check_run,
};

use crate::ffi::Compiled;
use crate::model::Shared;

/// What the library may load beyond the end of an input: one vector.
const SLACK_BYTES: usize = 64;

/// Room for an output whose shape nobody knows, at first: it grows to what runs have needed.
const ROOM_BYTES: usize = 4096;

/// How often one run may be started again because an output had too little room. Each time at least
/// one of them gets what it needs, and few models have more than one.
const ATTEMPTS_MAX: usize = 8;

/// One side of one run: memory of ours, and what lies in it.
pub(crate) struct Place<'a> {
    pub(crate) dtype: DType,
    pub(crate) lengths: &'a [usize],
    pub(crate) memory: &'a mut Buffer,
}

/// Runs the model on copies of what comes in, and on prepared outputs themselves.
pub(crate) struct LiteInstance {
    shared: Arc<Shared>,
    compiled: Compiled,
    /// Memory of the inputs: aligned, with slack behind it.
    inputs: Vec<Buffer>,
    /// Shapes that the compiled model has been told.
    told: Vec<Option<Vec<usize>>>,
    /// Room for each output that is not prepared, in bytes.
    room: Vec<usize>,
}

impl LiteInstance {
    pub(crate) fn new(shared: Arc<Shared>) -> Result<LiteInstance, BackendError> {
        let compiled = shared.source.compile(shared.threads, shared.delegate.as_ref());
        let compiled = compiled.map_err(|reason| BackendError::Run { reason })?;
        let (inputs, outputs) = (shared.signature.inputs.len(), shared.signature.outputs.len());
        Ok(LiteInstance {
            shared,
            compiled,
            inputs: (0..inputs).map(|_| Buffer::zeroed(0)).collect(),
            told: vec![None; inputs],
            room: vec![ROOM_BYTES; outputs],
        })
    }

    /// Copies the inputs to where the library may read them, and tells it new shapes.
    fn take(&mut self, inputs: &[Tensor]) -> Result<(), BackendError> {
        for (n, (input, memory)) in inputs.iter().zip(&mut self.inputs).enumerate() {
            let (data, lengths) = (input.data(), input.shape().dims());
            if data.is_empty() {
                let reason = format!("an input of shape {} has no elements", input.shape());
                return Err(BackendError::Input { reason });
            }
            let needed = data.len() + SLACK_BYTES;
            if memory.as_slice().len() < needed {
                *memory = Buffer::zeroed(needed);
            }
            if let Some(to) = memory.as_mut_slice().get_mut(..data.len()) {
                to.copy_from_slice(data);
            }
            let Some(told) = self.told.get_mut(n) else { continue };
            if told.as_deref() != Some(lengths) {
                *told = None;
                let resized = self.compiled.resize(n, lengths);
                resized.map_err(|reason| BackendError::Input { reason })?;
                *told = Some(lengths.to_vec());
            }
        }
        Ok(())
    }

    /// One attempt. The memory of outputs that are not prepared is left in `own`.
    fn attempt(
        &mut self,
        inputs: &[Tensor],
        outputs: &mut [Output],
        own: &mut [Buffer],
    ) -> Result<(), String> {
        let given = inputs.iter().zip(&mut self.inputs);
        let mut given: Vec<Place<'_>> = given
            .map(|(it, memory)| Place { dtype: it.dtype(), lengths: it.shape().dims(), memory })
            .collect();
        let specs = &self.shared.signature.outputs;
        let counts: Vec<[usize; 1]> = own.iter().zip(specs).map(elements).collect();
        let taken = outputs.iter_mut().zip(own).zip(specs.iter().zip(&counts));
        let mut taken: Vec<Place<'_>> = taken
            .map(|((output, own), (spec, count))| match output {
                Output::Prepared { dtype, shape, buffer } => {
                    Place { dtype: *dtype, lengths: shape.dims(), memory: buffer }
                }
                Output::Open(_) => Place { dtype: spec.dtype, lengths: count, memory: own },
            })
            .collect();
        self.compiled.run(&mut given, &mut taken)
    }

    /// Grows the room of outputs that turn out larger; `false` if none did.
    fn grow(&mut self, outputs: &[Output]) -> bool {
        let Ok(shapes) = self.compiled.shapes(outputs.len(), false) else { return false };
        let specs = &self.shared.signature.outputs;
        let mut grown = false;
        for ((room, output), (lengths, spec)) in
            self.room.iter_mut().zip(outputs).zip(shapes.iter().zip(specs))
        {
            let needed = Shape::new(lengths).map_or(0, |it| it.elements() * size_of(spec.dtype));
            if matches!(output, Output::Open(_)) && needed > *room {
                (*room, grown) = (needed, true);
            }
        }
        grown
    }

    /// Holds what came out against what was prepared, and hands over what was not.
    fn give(&mut self, outputs: &mut [Output], own: Vec<Buffer>) -> Result<(), String> {
        let shapes = self.compiled.shapes(outputs.len(), false)?;
        for (((output, own), lengths), spec) in
            outputs.iter_mut().zip(own).zip(shapes).zip(&self.shared.signature.outputs)
        {
            match output {
                Output::Prepared { shape, .. } if shape.dims() == lengths => {}
                Output::Prepared { shape, .. } => {
                    let name = &spec.name;
                    return Err(format!(
                        "output '{name}' of {shape} was declared, the run gave {lengths:?}"
                    ));
                }
                Output::Open(place) => {
                    let shape = Shape::new(&lengths).map_err(|it| it.to_string())?;
                    let len = shape.elements() * size_of(spec.dtype);
                    let data = own.freeze();
                    if len > data.len() {
                        return Err(format!("output '{}' is larger than its room", spec.name));
                    }
                    let tensor = Tensor::new(spec.dtype, shape, data.slice(..len));
                    *place = Some(tensor.map_err(|it| it.to_string())?);
                }
            }
        }
        Ok(())
    }

    fn run_checked(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), String> {
        for attempt in 1.. {
            let room = self.room.iter().zip(outputs.iter());
            let mut own: Vec<Buffer> = room
                .map(|(&room, it)| match it {
                    Output::Open(_) => Buffer::zeroed(room),
                    Output::Prepared { .. } => Buffer::zeroed(0),
                })
                .collect();
            match self.attempt(inputs, outputs, &mut own) {
                Ok(()) => return self.give(outputs, own),
                Err(_) if attempt < ATTEMPTS_MAX && self.grow(outputs) => {}
                Err(reason) => return Err(reason),
            }
        }
        Ok(()) // not reached: the last attempt returns
    }
}

impl Instance for LiteInstance {
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError> {
        check_run(&self.shared.signature, inputs, outputs)?;
        self.take(inputs)?;
        self.run_checked(inputs, outputs).map_err(|reason| {
            // Shapes that do not go together stay in the library: told anew before the next run.
            self.told.fill(None);
            BackendError::Run { reason }
        })
    }
}

/// Bytes of an element; there are no strings here.
fn size_of(dtype: DType) -> usize {
    dtype.size().unwrap_or(1)
}

/// As many elements of the type as the memory holds.
fn elements((memory, spec): (&Buffer, &TensorSpec)) -> [usize; 1] {
    [memory.as_slice().len() / size_of(spec.dtype)]
}
