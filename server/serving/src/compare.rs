//! How far two answers to one request lie apart.

use backend_api::{DType, Tensor};

/// Elements of an answer that are looked at, of its first outputs first: a picture's worth. What is
/// compared is a sample anyhow.
const ELEMENTS_MAX: usize = 1 << 16;

/// Classes that shares are counted of; of more, every sixteenth goes together.
pub(crate) const CLASSES: usize = 16;

/// What was seen of one pair of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Difference {
    /// Another class, label or text for some row; or another type or shape altogether.
    pub(crate) flipped: bool,
    /// The second holds what is no number, and the first does not.
    pub(crate) nonfinite: bool,
    /// Mean of second minus first over all numbers; `None` if there are none.
    pub(crate) mean: Option<f64>,
    /// The largest of them.
    pub(crate) max: f64,
    /// By how much the share of the rows of each class is larger in the second, of the first output that
    /// has classes; `None` if none has.
    pub(crate) shares: Option<[f64; CLASSES]>,
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
            seen.shares = seen.shares.or_else(|| moved(labels(a)?, labels(b)?));
            continue;
        };
        left = left.saturating_sub(a_numbers.len());
        let width = a.shape().dims().get(1..).map_or(1, |it| it.iter().product()).max(1);
        let rows = a_numbers.chunks(width).zip(b_numbers.chunks(width));
        if width > 1 && seen.shares.is_none() {
            let classes = |it: &[f64]| it.chunks(width).map(largest).collect::<Vec<usize>>();
            seen.shares = moved(classes(&a_numbers), classes(&b_numbers));
        }
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
    // What the first answers so too is nothing that the second does worse.
    seen.nonfinite = seen.nonfinite && !is_nonfinite(first);
    seen
}

/// By how much the share of each class has become larger.
fn moved(first: Vec<usize>, second: Vec<usize>) -> Option<[f64; CLASSES]> {
    let rows = first.len().min(second.len());
    let mut shares = [0.0; CLASSES];
    for (a, b) in first.into_iter().zip(second) {
        shares[a % CLASSES] -= 1.0 / rows as f64;
        shares[b % CLASSES] += 1.0 / rows as f64;
    }
    (rows > 0).then_some(shares)
}

/// The labels of an output that has one a row: numbers as they are, texts by a hash.
fn labels(tensor: &Tensor) -> Option<Vec<usize>> {
    let elements = tensor.shape().elements();
    if elements == 0 || tensor.shape().dims().first() != Some(&elements) {
        return None;
    }
    let Some(size) = tensor.dtype().size() else {
        // FNV-1a.
        let hash = |text: &[u8]| {
            let step = |it: u32, byte: &u8| (it ^ u32::from(*byte)).wrapping_mul(16_777_619);
            text.iter().fold(2_166_136_261, step) as usize
        };
        return Some(tensor.strings().take(ELEMENTS_MAX).map(hash).collect());
    };
    // The lowest byte decides, as there are few classes.
    let numbers = tensor.data().chunks_exact(size.max(1)).take(ELEMENTS_MAX);
    Some(numbers.map(|it| usize::from(it.first().copied().unwrap_or(0))).collect())
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

/// Is every number of every input one? They are looked at to the last, since one is enough to excuse an answer.
pub(crate) fn is_finite(inputs: &[Tensor]) -> bool {
    inputs.iter().all(|it| {
        let tensor = it.aligned();
        let halves = || tensor.data().as_chunks::<2>().0.iter();
        match tensor.dtype() {
            DType::Fp32 => {
                tensor.view().is_none_or(|it: &[f32]| it.iter().all(|it| it.is_finite()))
            }
            DType::Fp64 => {
                tensor.view().is_none_or(|it: &[f64]| it.iter().all(|it| it.is_finite()))
            }
            DType::Fp16 => halves().all(|it| half::f16::from_le_bytes(*it).is_finite()),
            DType::Bf16 => halves().all(|it| half::bf16::from_le_bytes(*it).is_finite()),
            DType::Bool
            | DType::Uint8
            | DType::Uint16
            | DType::Uint32
            | DType::Uint64
            | DType::Int8
            | DType::Int16
            | DType::Int32
            | DType::Int64
            | DType::Bytes => true,
        }
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
#[path = "compare_tests.rs"]
mod tests;
