//! Tensors that are remembered of a request.
//!
//! To take hold of a tensor and to let go of it are atomic operations on memory that other requests have a part
//! of, which take longer than copying a short one. So short ones are copied, into memory that is used again, and
//! of the others there are handles.

use backend_api::{DType, Shape, Tensor};
use smallvec::SmallVec;

/// Bytes that are copied of all tensors together: they are in a cache, so this is as quick as two handles.
const COPIED_BYTES_MAX: usize = 512;

/// Axes of a tensor that is copied.
const RANK_MAX: usize = 4;

/// See the module. They stand in the order in which they were kept.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    places: SmallVec<[Place; 2]>,
    values: Vec<u8>,
    held: Vec<Tensor>,
}

/// Of a copy: type, axes, and where its values lie. Of one that is held, without a type: its place among those.
#[derive(Clone, Copy, Debug)]
struct Place {
    elements: usize,
    dims: [usize; RANK_MAX],
    at: u32,
    len: u32,
    rank: u8,
    dtype: Option<DType>,
}

impl Kept {
    /// Keeps one more.
    #[inline]
    pub fn push(&mut self, tensor: &Tensor) {
        let data = tensor.data();
        // By hand, as a loop over so few takes longer.
        let (rank, elements, dims) = match *tensor.shape().dims() {
            [] => (0, 1, [0; RANK_MAX]),
            [a] => (1, a, [a, 0, 0, 0]),
            [a, b] => (2, a * b, [a, b, 0, 0]),
            [a, b, c] => (3, a * b * c, [a, b, c, 0]),
            [a, b, c, d] => (4, a * b * c * d, [a, b, c, d]),
            [..] => return self.hold(tensor),
        };
        let at = self.values.len();
        if at + data.len() > COPIED_BYTES_MAX {
            return self.hold(tensor);
        }
        self.values.extend_from_slice(data);
        #[expect(clippy::cast_possible_truncation, reason = "few hundred at the most")]
        let (at, len) = (at as u32, data.len() as u32);
        self.places.push(Place { elements, dims, at, len, rank, dtype: Some(tensor.dtype()) });
    }

    #[cold]
    fn hold(&mut self, tensor: &Tensor) {
        let at = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        self.held.push(tensor.clone());
        let (elements, dims) = (tensor.shape().elements(), [0; RANK_MAX]);
        self.places.push(Place { elements, dims, at, len: 0, rank: 0, dtype: None });
    }

    /// Lets go of all; their room stays.
    #[inline]
    pub fn clear(&mut self) {
        self.places.clear();
        self.values.clear();
        self.held.clear();
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// For how many there is room; their values have little in any case.
    pub fn capacity(&self) -> usize {
        self.places.capacity()
    }

    /// That one.
    #[inline]
    pub fn get(&self, place: usize) -> Option<KeptTensor<'_>> {
        let Place { elements, dims, at, len, rank, dtype } = self.places.get(place)?;
        let (elements, at, len) = (*elements, *at as usize, *len as usize);
        let Some(dtype) = *dtype else {
            let tensor = self.held.get(at)?;
            let (dtype, dims, data) = (tensor.dtype(), tensor.shape().dims(), tensor.data());
            return Some(KeptTensor { dtype, dims, elements, data, held: Some(tensor) });
        };
        let (dims, data) = (dims.get(..usize::from(*rank))?, self.values.get(at..at + len)?);
        Some(KeptTensor { dtype, dims, elements, data, held: None })
    }
}

impl<'a> Extend<&'a Tensor> for Kept {
    fn extend<T: IntoIterator<Item = &'a Tensor>>(&mut self, tensors: T) {
        tensors.into_iter().for_each(|it| self.push(it));
    }
}

impl FromIterator<Tensor> for Kept {
    fn from_iter<T: IntoIterator<Item = Tensor>>(tensors: T) -> Kept {
        let mut kept = Kept::default();
        tensors.into_iter().for_each(|it| kept.push(&it));
        kept
    }
}

impl<const N: usize> From<[Tensor; N]> for Kept {
    fn from(tensors: [Tensor; N]) -> Kept {
        tensors.into_iter().collect()
    }
}

/// One of those that are kept.
#[derive(Clone, Copy, Debug)]
pub struct KeptTensor<'a> {
    /// Type of the elements.
    pub dtype: DType,
    /// Lengths of the axes.
    pub dims: &'a [usize],
    /// How many elements.
    pub elements: usize,
    /// The elements, as a tensor has them.
    pub data: &'a [u8],
    /// The tensor itself, if it was not copied.
    pub held: Option<&'a Tensor>,
}

impl KeptTensor<'_> {
    /// As a tensor that may stay: with memory of its own if it is a copy, else a handle.
    pub fn tensor(&self) -> Option<Tensor> {
        if let Some(tensor) = self.held {
            return Some(tensor.clone());
        }
        let data = self.data.to_vec().into();
        Tensor::new(self.dtype, Shape::new(self.dims).ok()?, data).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(dims: &[usize], of: u8) -> Tensor {
        let elements: Vec<u8> = (0..dims.iter().product::<usize>()).map(|_| of).collect();
        Tensor::from_elements(dims, &elements).expect("fits")
    }

    #[track_caller]
    fn check(kept: &Kept, tensors: &[Tensor], held: &[bool]) {
        assert_eq!(kept.len(), tensors.len());
        for (place, (tensor, held)) in tensors.iter().zip(held).enumerate() {
            let it = kept.get(place).expect("kept");
            assert_eq!((it.dtype, it.dims), (tensor.dtype(), tensor.shape().dims()), "{place}");
            assert_eq!((it.data, it.elements), (&tensor.data()[..], tensor.shape().elements()));
            assert_eq!(it.held.is_some(), *held, "{place}");
            assert_eq!(it.tensor().as_ref(), Some(tensor));
            let shares = |a: &Tensor| a.data().as_ptr() == tensor.data().as_ptr();
            assert_eq!(
                it.tensor().is_some_and(|it| shares(&it)),
                *held && !tensor.data().is_empty()
            );
        }
        assert!(kept.get(tensors.len()).is_none());
    }

    #[test]
    fn what_is_short_is_copied_and_the_rest_held() {
        let tensors = [
            bytes(&[3, 4], 1),
            bytes(&[COPIED_BYTES_MAX - 11], 2),
            Tensor::from_strings(&[2], &["ab", ""]).expect("fits"),
            bytes(&[1, 1, 1, 1, 2], 3),
            bytes(&[], 4),
            bytes(&[1, 0], 5),
            bytes(&[COPIED_BYTES_MAX - 12 - 10 - 1], 6),
            bytes(&[1], 7),
        ];
        let kept: Kept = tensors.iter().cloned().collect();
        check(&kept, &tensors, &[false, true, false, true, false, false, false, true]);
    }

    #[test]
    fn one_that_was_emptied_is_filled_anew() {
        let mut kept = Kept::from([bytes(&[9], 1), bytes(&[COPIED_BYTES_MAX], 2)]);
        let tensors = [bytes(&[COPIED_BYTES_MAX], 3), bytes(&[2], 4)];
        kept.clear();
        assert!(kept.is_empty() && kept.get(0).is_none());
        kept.extend(&tensors);
        check(&kept, &tensors, &[false, true]);
        check(&kept.clone(), &tensors, &[false, true]);
    }
}
