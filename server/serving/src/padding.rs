//! Pads inputs along named axes to one of a few lengths, and crops the outputs back.
//!
//! Requests of different lengths then share a batch, and the engine sees few different shapes.
//! The lengths are settled at the door; the bytes are laid out when the batch is packed, so that
//! a request that waits holds what it brought and nothing more.

use std::sync::Arc;

use backend_api::{BackendError, Dim, Shape, Signature, Tensor, TensorSpec};
use smallvec::SmallVec;

use crate::block::crop;
use crate::error::InferError;
use crate::pack::{Part, pack};
use crate::sizes::Sizes;

/// Which axes of a version are padded, and with what. The default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Padding {
    axes: Vec<Axis>,
    /// By input: the bytes of the element that it is padded with; none of them are zeros.
    fills: Vec<Vec<u8>>,
}

/// An axis that is padded.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Axis {
    name: Arc<str>,
    sizes: Sizes,
    /// Where it stands: input, and place among its axes.
    inputs: Vec<(usize, usize)>,
    /// The same of outputs.
    outputs: Vec<(usize, usize)>,
}

/// What one request is padded to.
#[derive(Debug)]
pub struct Padded {
    /// By axis of the padding: the request's own length, and that in the batch.
    lengths: SmallVec<[(usize, usize); 2]>,
    /// By input: the shape in the batch, before rows are joined.
    shapes: SmallVec<[Shape; 2]>,
}

impl Padded {
    /// The shape that an input takes.
    pub(crate) fn shape(&self, input: usize) -> Option<&Shape> {
        self.shapes.get(input)
    }

    /// The shapes that the inputs take.
    pub(crate) fn shapes(&self) -> &[Shape] {
        &self.shapes
    }
}

impl Padding {
    /// Pads the free axes of these names. `fills` are one for each input: the bytes of an element
    /// of its type, or none for zeros.
    pub fn new(
        signature: &Signature,
        sizes: impl IntoIterator<Item = (Arc<str>, Sizes)>,
        fills: Vec<Vec<u8>>,
    ) -> Padding {
        let axis = |(name, sizes): (Arc<str>, Sizes)| Axis {
            inputs: places(&signature.inputs, &name),
            outputs: places(&signature.outputs, &name),
            name,
            sizes,
        };
        Padding { axes: sizes.into_iter().map(axis).collect(), fills }
    }

    /// What it pads an input with.
    pub(crate) fn fill(&self, input: usize) -> &[u8] {
        self.fills.get(input).map_or(&[], Vec::as_slice)
    }

    /// What checked `inputs` are to be padded to; `None` if nothing is ever padded.
    pub fn padded(
        &self,
        model: &str,
        inputs: &[Tensor],
    ) -> Result<Option<Box<Padded>>, InferError> {
        if self.axes.is_empty() {
            return Ok(None);
        }
        let mut dims: SmallVec<[SmallVec<[usize; 4]>; 2]> =
            inputs.iter().map(|it| SmallVec::from_slice(it.shape().dims())).collect();
        let mut lengths = SmallVec::with_capacity(self.axes.len());
        for axis in &self.axes {
            let length = |&(input, dim): &(usize, usize)| dims.get(input)?.get(dim).copied();
            // Everywhere the same: that was checked.
            let own = axis.inputs.first().and_then(length).unwrap_or(0);
            let size = axis.sizes.up(own).filter(|_| own > 0);
            let size = size.ok_or_else(|| InferError::Invalid(length_text(model, axis, own)))?;
            for &(input, dim) in &axis.inputs {
                if let Some(place) = dims.get_mut(input).and_then(|it| it.get_mut(dim)) {
                    *place = size;
                }
            }
            lengths.push((own, size));
        }
        let shape = |(dims, input): (&SmallVec<[usize; 4]>, &Tensor)| {
            Shape::new(dims).map_err(|it| {
                let own = input.shape();
                InferError::Invalid(format!("an input of shape {own} cannot be padded: {it}"))
            })
        };
        let shapes = dims.iter().zip(inputs).map(shape).collect::<Result<_, _>>()?;
        Ok(Some(Box::new(Padded { lengths, shapes })))
    }

    /// One request's inputs as they would stand in a batch of their own.
    pub fn pad(&self, inputs: &[Tensor], padded: &Padded) -> Result<Vec<Tensor>, BackendError> {
        let part = |(place, (tensor, shape)): (usize, (&Tensor, &Shape))| {
            pack(std::iter::once(Part { tensor, shape }), 0, self.fill(place))
        };
        inputs.iter().zip(padded.shapes()).enumerate().map(part).collect()
    }

    /// A request's share of an output, at the request's own lengths.
    pub fn crop(
        &self,
        (place, spec): (usize, &TensorSpec),
        output: Tensor,
        padded: &Padded,
    ) -> Result<Tensor, BackendError> {
        let mut dims: SmallVec<[usize; 4]> = SmallVec::from_slice(output.shape().dims());
        for (axis, &(own, size)) in self.axes.iter().zip(&padded.lengths) {
            for &(_, dim) in axis.outputs.iter().filter(|(output, _)| *output == place) {
                match dims.get_mut(dim) {
                    Some(length) if *length == size => *length = own,
                    Some(_) | None => return Err(strayed((spec, &output), axis, (own, size))),
                }
            }
        }
        let broken = |it: backend_api::TensorError| BackendError::Run { reason: it.to_string() };
        crop(output, Shape::new(&dims).map_err(broken)?).map_err(broken)
    }
}

fn places(specs: &[TensorSpec], axis: &str) -> Vec<(usize, usize)> {
    let named = |dim: &Dim| matches!(dim, Dim::Free(name) if **name == *axis);
    let of = |(n, spec): (usize, &TensorSpec)| {
        let found = spec.dims.iter().enumerate().filter(|(_, dim)| named(dim));
        found.map(|(place, _)| (n, place)).collect::<Vec<_>>()
    };
    specs.iter().enumerate().flat_map(of).collect()
}

fn length_text(model: &str, axis: &Axis, own: usize) -> String {
    let (name, max) = (&axis.name, axis.sizes.max());
    format!("the axis '{name}' of model '{model}' must be from 1 to {max} long, got {own}")
}

/// An output of the axis's name that is not as long as the axis.
fn strayed(
    (spec, output): (&TensorSpec, &Tensor),
    axis: &Axis,
    (own, size): (usize, usize),
) -> BackendError {
    let (name, shape, axis) = (&spec.name, output.shape(), &axis.name);
    BackendError::Run {
        reason: format!(
            "output '{name}' came out as {shape}, though its axis '{axis}' was padded from {own} \
             to {size}: the model cannot be padded along it"
        ),
    }
}

#[cfg(test)]
#[path = "padding_tests.rs"]
mod tests;
