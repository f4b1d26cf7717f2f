//! Copies between row-major arrays that differ in the lengths of their axes.
//!
//! Pure; called where tensors are padded and cropped.

use backend_api::{Buffer, Shape, Tensor, TensorError};

/// Copies what two arrays have in common: the elements with places in both. `items` of them make
/// an element.
pub(crate) fn copy_common<E: Copy>(
    (from, from_dims): (&[E], &[usize]),
    (to, to_dims): (&mut [E], &[usize]),
    items: usize,
) {
    let (Some((from_length, from_rest)), Some((to_length, to_rest))) =
        (from_dims.split_first(), to_dims.split_first())
    else {
        return copy_start(from, to, items);
    };
    let step = |rest: &[usize]| rest.iter().product::<usize>() * items;
    let (from_step, to_step) = (step(from_rest), step(to_rest));
    if from_rest == to_rest {
        return copy_start(from, to, from_length.min(to_length) * from_step);
    }
    if from_step == 0 || to_step == 0 {
        return; // no elements, and no chunks of no length
    }
    for (from, to) in from.chunks_exact(from_step).zip(to.chunks_exact_mut(to_step)) {
        copy_common((from, from_rest), (to, to_rest), items);
    }
}

fn copy_start<E: Copy>(from: &[E], to: &mut [E], len: usize) {
    if let (Some(from), Some(to)) = (from.get(..len), to.get_mut(..len)) {
        to.copy_from_slice(from);
    }
}

/// The elements of `tensor` that have a place in `shape`, of the same rank and nowhere longer.
/// Shares the memory where they lie in one piece at its start.
pub(crate) fn crop(tensor: Tensor, shape: Shape) -> Result<Tensor, TensorError> {
    let (dtype, dims) = (tensor.dtype(), tensor.shape().dims());
    if *tensor.shape() == shape {
        return Ok(tensor);
    }
    let Some(size) = dtype.size() else {
        let from: Vec<&[u8]> = tensor.strings().collect();
        let mut to: Vec<&[u8]> = vec![&[]; shape.elements()];
        copy_common((&from, dims), (&mut to, shape.dims()), 1);
        return Tensor::from_strings(shape.dims(), &to);
    };
    let len = shape.elements() * size;
    if lies_at_the_start(dims, shape.dims()) {
        return Tensor::new(dtype, shape, tensor.data().slice(..len));
    }
    let mut buffer = Buffer::zeroed(len);
    copy_common((tensor.data(), dims), (buffer.as_mut_slice(), shape.dims()), size);
    Tensor::new(dtype, shape, buffer.freeze())
}

/// Only the first axis that is longer than 1 is cropped.
fn lies_at_the_start(whole: &[usize], part: &[usize]) -> bool {
    let differs = |(a, b): (&usize, &usize)| a != b;
    let Some(first) = whole.iter().zip(part).position(differs) else { return true };
    let outer = whole.iter().take(first).all(|it| *it == 1);
    outer && whole.get(first + 1..) == part.get(first + 1..)
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
