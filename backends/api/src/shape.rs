//! Lengths of a tensor's axes.

use std::fmt;

use smallvec::SmallVec;

use crate::error::TensorError;

/// Most axes a tensor may have. ONNX operators use at most 8; the rest is room for a stack of
/// batch axes. A limit keeps shapes of thousands of axes from costing anything.
const RANK_MAX: usize = 16;

/// Lengths of the axes, outermost first. Invariant: their product fits in an `isize`, times the
/// eight bytes of the largest element, so that sizes computed from it cannot overflow.
#[derive(PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[usize; 4]>);

/// By hand, because the vector's own goes length by length, and tensors are cloned for every request.
impl Clone for Shape {
    #[inline]
    fn clone(&self) -> Shape {
        Shape(SmallVec::from_slice(&self.0))
    }
}

impl Shape {
    /// Checks rank and size. No axes at all is a scalar: one element.
    pub fn new(dims: &[usize]) -> Result<Shape, TensorError> {
        if dims.len() > RANK_MAX {
            return Err(TensorError::Rank { rank: dims.len(), rank_max: RANK_MAX });
        }
        // Zero lengths are left out: [0, 2^63] holds nothing, yet [2^63] beside it must not pass.
        let product = |it: usize, &dim: &usize| it.checked_mul(dim.max(1));
        let bytes = dims.iter().try_fold(8_usize, product);
        if bytes.is_none_or(|it| isize::try_from(it).is_err()) {
            return Err(TensorError::TooLarge { dims: dims.to_vec() });
        }
        Ok(Shape(SmallVec::from_slice(dims)))
    }

    /// As [`Shape::new`], from the signed lengths that the protocols carry.
    pub fn from_wire(dims: &[i64]) -> Result<Shape, TensorError> {
        let mut lengths: SmallVec<[usize; 4]> = SmallVec::with_capacity(dims.len().min(RANK_MAX));
        for &dim in dims.iter().take(RANK_MAX + 1) {
            let length = usize::try_from(dim);
            lengths.push(length.map_err(|_| TensorError::NegativeDim { dims: dims.to_vec() })?);
        }
        if dims.len() > RANK_MAX {
            return Err(TensorError::Rank { rank: dims.len(), rank_max: RANK_MAX });
        }
        Shape::new(&lengths)
    }

    /// Lengths, outermost first.
    #[inline]
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// How many elements.
    #[inline]
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// Length of the first axis; `None` for a scalar.
    pub fn rows(&self) -> Option<usize> {
        self.0.first().copied()
    }

    /// The same shape with another first axis. `None` for a scalar, or when it grows too large.
    pub fn with_rows(&self, rows: usize) -> Option<Shape> {
        let mut dims = self.0.clone();
        *dims.first_mut()? = rows;
        Shape::new(&dims).ok()
    }

    /// The lengths as the protocols carry them.
    pub fn to_wire(&self) -> Vec<i64> {
        let signed = |&dim: &usize| i64::try_from(dim).unwrap_or(i64::MAX); // all fit: see above
        self.0.iter().map(signed).collect()
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[")?;
        for (n, dim) in self.0.iter().enumerate() {
            write!(out, "{}{dim}", if n == 0 { "" } else { "," })?;
        }
        out.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dims: &[usize], expect: Option<usize>) {
        assert_eq!(Shape::new(dims).ok().map(|it| it.elements()), expect, "{dims:?}");
    }

    #[test]
    fn counts_elements() {
        check(&[], Some(1));
        check(&[3, 4], Some(12));
        check(&[3, 0, 4], Some(0));
    }

    #[test]
    fn refuses_what_overflows() {
        check(&[1 << 31, 1 << 31], None);
        check(&[4, (1 << 60) + 2], None); // wraps to 8 when multiplied unchecked
        check(&[0, usize::MAX], None);
        check(&[1; 17], None);
    }

    #[test]
    fn wire_lengths_are_checked() {
        assert!(matches!(Shape::from_wire(&[2, -1]), Err(TensorError::NegativeDim { .. })));
        assert!(matches!(Shape::from_wire(&[1; 10_000]), Err(TensorError::Rank { .. })));
        assert_eq!(Shape::from_wire(&[2, 3]).expect("fits").to_wire(), [2, 3]);
    }
}
