//! How far two answers to one request lie apart.

use backend_api::{DType, Tensor};

/// Elements of an answer that are looked at, of its first outputs first: a picture's worth. What is
/// compared is a sample anyhow.
const ELEMENTS_MAX: usize = 1 << 16;

/// What was seen of one pair of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Difference {
    /// Another class, label or text for some row; or another type or shape altogether.
    pub(crate) flipped: bool,
    /// The second holds what is no number.
    pub(crate) nonfinite: bool,
    /// Mean of second minus first over all numbers; `None` if there are none.
    pub(crate) mean: Option<f64>,
    /// The largest of them.
    pub(crate) max: f64,
}

/// Compares the outputs of two versions, in the order of their signatures.
pub(crate) fn compare(first: &[Tensor], second: &[Tensor]) -> Difference {
    let mut seen = Difference { flipped: first.len() != second.len(), ..Difference::default() };
    let (mut sum, mut numbers, mut left) = (0.0, 0_usize, ELEMENTS_MAX);
    for (a, b) in first.iter().zip(second) {
        if (a.dtype(), a.shape()) != (b.dtype(), b.shape()) {
            seen.flipped = true;
            continue;
        }
        let (Some(a_numbers), Some(b_numbers)) = (floats(a, left), floats(b, left)) else {
            // Labels, identifiers, texts: the same or not.
            seen.flipped |= a.data() != b.data();
            continue;
        };
        left = left.saturating_sub(a_numbers.len());
        let width = a.shape().dims().get(1..).map_or(1, |it| it.iter().product()).max(1);
        let rows = a_numbers.chunks(width).zip(b_numbers.chunks(width));
        // A row of one number has no largest.
        seen.flipped |= width > 1 && rows.into_iter().any(|(a, b)| largest(a) != largest(b));
        seen.nonfinite |= b_numbers.iter().any(|it| !it.is_finite());
        for (a, b) in
            a_numbers.iter().zip(&b_numbers).filter(|(a, b)| a.is_finite() && b.is_finite())
        {
            sum += b - a;
            numbers += 1;
            seen.max = seen.max.max((b - a).abs());
        }
    }
    seen.mean = (numbers > 0).then(|| sum / numbers as f64);
    seen
}

/// Does any output hold what is no number?
pub(crate) fn is_nonfinite(outputs: &[Tensor]) -> bool {
    let mut left = ELEMENTS_MAX;
    outputs.iter().any(|it| {
        let Some(numbers) = floats(it, left) else { return false };
        left = left.saturating_sub(numbers.len());
        numbers.iter().any(|it| !it.is_finite())
    })
}

/// The first `most` elements of a tensor of floating-point numbers.
pub(crate) fn floats(tensor: &Tensor, most: usize) -> Option<Vec<f64>> {
    let tensor = tensor.aligned();
    let halves = || tensor.data().as_chunks::<2>().0.iter().take(most);
    match tensor.dtype() {
        DType::Fp32 => {
            Some(tensor.view::<f32>()?.iter().take(most).map(|it| f64::from(*it)).collect())
        }
        DType::Fp64 => Some(tensor.view::<f64>()?.iter().take(most).copied().collect()),
        DType::Fp16 => Some(halves().map(|it| half::f16::from_le_bytes(*it).to_f64()).collect()),
        DType::Bf16 => Some(halves().map(|it| half::bf16::from_le_bytes(*it).to_f64()).collect()),
        DType::Bool
        | DType::Uint8
        | DType::Uint16
        | DType::Uint32
        | DType::Uint64
        | DType::Int8
        | DType::Int16
        | DType::Int32
        | DType::Int64
        | DType::Bytes => None,
    }
}

/// Where the largest number stands; the first of several.
fn largest(row: &[f64]) -> usize {
    let mut place = 0;
    for (n, it) in row.iter().enumerate() {
        if row.get(place).is_some_and(|best| it > best) {
            place = n;
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(dims: &[usize], elements: &[f32]) -> Tensor {
        Tensor::from_elements(dims, elements).expect("elements")
    }

    #[track_caller]
    fn check(first: &[Tensor], second: &[Tensor], expect: Difference) {
        assert_eq!(compare(first, second), expect);
    }

    #[test]
    fn the_same_is_no_difference() {
        let it = [numbers(&[1, 3], &[0.1, 0.7, 0.2])];
        check(&it, &it, Difference { mean: Some(0.0), ..Difference::default() });
        let label = [Tensor::from_elements(&[1], &[3_i64]).expect("a label")];
        check(&label, &label, Difference::default());
    }

    #[test]
    fn classes_and_labels_flip() {
        let (a, b) =
            (numbers(&[2, 2], &[0.0, 1.0, 1.0, 0.0]), numbers(&[2, 2], &[0.0, 1.0, 0.0, 1.0]));
        let expect = Difference { flipped: true, mean: Some(0.0), max: 1.0, nonfinite: false };
        check(&[a], &[b], expect);
        let label = |it: i64| [Tensor::from_elements(&[1], &[it]).expect("a label")];
        check(&label(1), &label(2), Difference { flipped: true, ..Difference::default() });
        let text = |it: &str| [Tensor::from_strings(&[1], &[it]).expect("a text")];
        check(&text("a"), &text("b"), Difference { flipped: true, ..Difference::default() });
    }

    #[test]
    fn a_shift_is_measured_with_its_sign() {
        let (a, b) = (numbers(&[2, 1], &[1.0, 2.0]), numbers(&[2, 1], &[0.5, 1.5]));
        check(&[a], &[b], Difference { mean: Some(-0.5), max: 0.5, ..Difference::default() });
    }

    #[test]
    fn what_is_no_number_is_seen_and_not_averaged() {
        let (a, b) = (numbers(&[2], &[1.0, 2.0]), numbers(&[2], &[f32::NAN, 3.0]));
        check(
            &[a],
            std::slice::from_ref(&b),
            Difference { nonfinite: true, mean: Some(1.0), max: 1.0, flipped: false },
        );
        assert!(is_nonfinite(&[b]));
        assert!(!is_nonfinite(&[numbers(&[1], &[1.0])]));
    }

    #[test]
    fn another_shape_is_another_answer() {
        let (a, b) = (numbers(&[1, 2], &[1.0, 2.0]), numbers(&[1, 3], &[1.0, 2.0, 3.0]));
        check(
            std::slice::from_ref(&a),
            &[b],
            Difference { flipped: true, ..Difference::default() },
        );
        check(&[a], &[], Difference { flipped: true, ..Difference::default() });
    }
}
