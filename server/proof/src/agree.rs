//! Is an answer the one that was expected?

use std::ops::Range;

use backend_api::{DType, Tensor};
use half::{bf16, f16};

/// Elements that are shown of a row, and characters of a text.
const SHOWN_MAX: usize = 6;
const WORD_MAX: usize = 24;

/// How far a float may be off: by `absolute + relative · |expected|`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Whatever its size.
    pub absolute: f64,
    /// By its size.
    pub relative: f64,
}

impl Default for Tolerance {
    /// FP32 rounds at 1e-7, and sums of other orders or other processors lose two or three digits.
    fn default() -> Tolerance {
        Tolerance { absolute: 1e-5, relative: 1e-3 }
    }
}

/// An element that is off.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Off {
    pub(crate) place: usize,
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// What a comparison of two tensors came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) elements: usize,
    pub(crate) off: usize,
    /// Largest distance of two finite numbers.
    pub(crate) difference_max: f64,
    /// The first of those that are off.
    pub(crate) first: Vec<Off>,
}

/// Compares element by element; at most `named_max` of those that are off are named. Floats may be
/// off by the tolerance, NaN is NaN; everything else is equal or not. Types and shapes are equal.
pub(crate) fn agree(
    expected: &Tensor,
    got: &Tensor,
    tolerance: Tolerance,
    named_max: usize,
) -> Comparison {
    let mut found = Comparison::default();
    match (values(expected), values(got)) {
        (Values::Floats(expected), Values::Floats(got)) => {
            for (place, (a, b)) in expected.iter().zip(&got).enumerate() {
                let apart = (a - b).abs();
                let same = a == b || (a.is_nan() && b.is_nan());
                if apart.is_finite() {
                    found.difference_max = found.difference_max.max(apart);
                }
                let allowed = tolerance.absolute + tolerance.relative * a.abs();
                // Infinity allows itself everything, and is as far off as can be.
                let is_near = apart.is_finite() && apart <= allowed;
                let is_off = !same && !is_near;
                found.note(is_off, place, (a, b), named_max);
            }
        }
        (Values::Words(expected), Values::Words(got)) => {
            for (place, (a, b)) in expected.iter().zip(&got).enumerate() {
                found.note(a != b, place, (&format!("{a:?}"), &format!("{b:?}")), named_max);
            }
        }
        (Values::Whole(expected), Values::Whole(got)) => {
            for (place, (a, b)) in expected.iter().zip(&got).enumerate() {
                let apart = (a - b).unsigned_abs() as f64;
                found.difference_max = found.difference_max.max(apart);
                found.note(a != b, place, (a, b), named_max);
            }
        }
        // Of one type, both are of one kind.
        _ => found.note(true, 0, (&expected.dtype(), &got.dtype()), named_max),
    }
    found
}

impl Comparison {
    fn note(
        &mut self,
        is_off: bool,
        place: usize,
        (expected, got): (&impl ToString, &impl ToString),
        named_max: usize,
    ) {
        self.elements += 1;
        if !is_off {
            return;
        }
        self.off += 1;
        if self.first.len() < named_max {
            let (expected, got) = (expected.to_string(), got.to_string());
            self.first.push(Off { place, expected, got });
        }
    }
}

/// Does it hold a number that is none, or is infinite?
pub(crate) fn first_not_finite(tensor: &Tensor) -> Option<(usize, f64)> {
    let Values::Floats(floats) = values(tensor) else { return None };
    floats.into_iter().enumerate().find(|(_, it)| !it.is_finite())
}

/// Elements of a tensor, as they are compared.
pub(crate) enum Values {
    Floats(Vec<f64>),
    Whole(Vec<i128>),
    Words(Vec<String>),
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Values::Floats(it) => it.len(),
            Values::Whole(it) => it.len(),
            Values::Words(it) => it.len(),
        }
    }

    /// Some of them in a line of bounded length.
    pub(crate) fn shown(&self, at: Range<usize>) -> String {
        fn line<T>(all: Option<&[T]>, word: impl Fn(&T) -> String) -> String {
            let all = all.unwrap_or_default();
            let mut words: Vec<String> = all.iter().take(SHOWN_MAX).map(word).collect();
            words.extend((all.len() > SHOWN_MAX).then(|| "..".to_owned()));
            words.join(", ")
        }
        let word = |it: &String| format!("{:?}", it.chars().take(WORD_MAX).collect::<String>());
        match self {
            Values::Floats(it) => line(it.get(at), |it| short(*it).to_string()),
            Values::Whole(it) => line(it.get(at), ToString::to_string),
            Values::Words(it) => line(it.get(at), word),
        }
    }
}

/// With six digits, which is what people compare.
fn short(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}

pub(crate) fn values(tensor: &Tensor) -> Values {
    fn whole<T: backend_api::Element + Into<i128>>(tensor: &Tensor) -> Values {
        let list = tensor.view::<T>().unwrap_or_default();
        Values::Whole(list.iter().map(|&it| it.into()).collect())
    }
    let tensor = &tensor.aligned();
    let halves = || tensor.data().as_chunks::<2>().0.iter();
    match tensor.dtype() {
        DType::Bool => Values::Whole(tensor.data().iter().map(|&it| it.into()).collect()),
        DType::Uint8 => whole::<u8>(tensor),
        DType::Uint16 => whole::<u16>(tensor),
        DType::Uint32 => whole::<u32>(tensor),
        DType::Uint64 => whole::<u64>(tensor),
        DType::Int8 => whole::<i8>(tensor),
        DType::Int16 => whole::<i16>(tensor),
        DType::Int32 => whole::<i32>(tensor),
        DType::Int64 => whole::<i64>(tensor),
        DType::Fp16 => {
            Values::Floats(halves().map(|&it| f16::from_le_bytes(it).to_f64()).collect())
        }
        DType::Bf16 => {
            Values::Floats(halves().map(|&it| bf16::from_le_bytes(it).to_f64()).collect())
        }
        DType::Fp32 => {
            let floats = tensor.view::<f32>().unwrap_or_default();
            Values::Floats(floats.iter().copied().map(f64::from).collect())
        }
        DType::Fp64 => Values::Floats(tensor.view::<f64>().unwrap_or_default().to_vec()),
        DType::Bytes => {
            Values::Words(tensor.strings().map(|it| String::from_utf8_lossy(it).into()).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: &Tensor, got: &Tensor, expect: (usize, usize, f64)) {
        let found = agree(expected, got, Tolerance { absolute: 0.5, relative: 0.1 }, 1);
        assert_eq!((found.elements, found.off, found.difference_max), expect);
        assert_eq!(found.first.len(), expect.1.min(1));
    }

    fn floats(elements: &[f32]) -> Tensor {
        Tensor::from_elements(&[elements.len()], elements).expect("floats")
    }

    #[test]
    fn floats_may_be_off_by_the_tolerance() {
        check(&floats(&[1.0, 10.0]), &floats(&[1.5, 11.5]), (2, 0, 1.5));
        check(&floats(&[1.0, 10.0]), &floats(&[1.75, 11.75]), (2, 2, 1.75));
        check(&floats(&[f32::NAN]), &floats(&[f32::NAN]), (1, 0, 0.0));
        check(&floats(&[1.0]), &floats(&[f32::NAN]), (1, 1, 0.0));
        check(&floats(&[f32::INFINITY]), &floats(&[f32::INFINITY]), (1, 0, 0.0));
        check(&floats(&[f32::INFINITY]), &floats(&[f32::NEG_INFINITY]), (1, 1, 0.0));
        check(&floats(&[1.0]), &floats(&[f32::INFINITY]), (1, 1, 0.0));
    }

    #[test]
    fn everything_else_is_exact() {
        let whole = |it: &[i64]| Tensor::from_elements(&[it.len()], it).expect("numbers");
        check(&whole(&[100, 7]), &whole(&[101, 7]), (2, 1, 1.0));
        let words = |it: &[&str]| Tensor::from_strings(&[it.len()], it).expect("words");
        check(&words(&["a", "b"]), &words(&["a", "c"]), (2, 1, 0.0));
    }

    #[test]
    fn elements_are_shown_in_a_line() {
        let all = values(&floats(&[0.1, 1_234_567.0, f32::NAN, f32::NEG_INFINITY, 1e-9, 2.0, 3.0]));
        assert_eq!(all.shown(0..3), "0.1, 1234570, NaN");
        assert_eq!(all.shown(0..7), "0.1, 1234570, NaN, -inf, 0.000000001, 2, ..");
        let words = values(&Tensor::from_strings(&[1], &["x".repeat(99)]).expect("a word"));
        assert_eq!(words.shown(0..1).len(), WORD_MAX + 2);
    }

    #[test]
    fn what_is_no_number_is_found() {
        assert_eq!(first_not_finite(&floats(&[1.0, 2.0])), None);
        let found = first_not_finite(&floats(&[1.0, f32::INFINITY]));
        assert_eq!(found, Some((1, f64::INFINITY)));
    }
}
