//! Do rows depend on their neighbours?
//!
//! A model whose first axis varies looks batched, but may mix its rows: a recurrent one with time
//! first, one that normalises over the batch. Joining strangers' requests there would change
//! their answers, silently. So two different rows are run alone and together at load, and unless
//! the answers agree the model is served one request at a time.

use backend_api::{DType, Instance, Output, Signature, Tensor, TensorSpec};
use half::{bf16, f16};

use crate::load::AxisLengths;

/// Agreement that is good enough for joined rows: far above what rounding does, and what
/// quantisation by the batch's range does; far below what mixing does.
const TOLERANCE: f64 = 0.02;

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Rows stand alone.
    Independent,
    /// They do not; the text says what differed.
    Mixed(String),
    /// The made-up inputs were refused, so nothing is known.
    Unknown(String),
}

/// Runs two made-up rows apart and together.
pub(crate) fn probe(
    instance: &mut dyn Instance,
    signature: &Signature,
    lengths: &AxisLengths,
) -> Verdict {
    let mut run = |rows: &[u64]| -> Result<Vec<Tensor>, String> {
        let inputs = signature
            .inputs
            .iter()
            .map(|it| made_up(it, rows, lengths))
            .collect::<Result<Vec<_>, _>>()?;
        let mut outputs: Vec<Output> =
            signature.outputs.iter().map(|it| Output::prepare(it, rows.len())).collect();
        instance.run(&inputs, &mut outputs).map_err(|it| it.to_string())?;
        outputs.into_iter().map(|it| it.into_tensor().map_err(|it| it.to_string())).collect()
    };
    let (first, second) = match (run(&[1]), run(&[2])) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(reason), _) | (_, Err(reason)) => return Verdict::Unknown(reason),
    };
    // Alone it runs; if together it does not, it cannot be joined.
    let together = match run(&[1, 2]) {
        Ok(together) => together,
        Err(reason) => return Verdict::Mixed(reason),
    };
    for (((first, second), joined), spec) in
        first.iter().zip(&second).zip(&together).zip(&signature.outputs)
    {
        if let Err(what) = agree(first, second, joined) {
            return Verdict::Mixed(format!("output '{}' {what}", spec.name));
        }
    }
    Verdict::Independent
}

fn agree(first: &Tensor, second: &Tensor, joined: &Tensor) -> Result<(), String> {
    let shape = joined.shape();
    let Some(parts) = joined.split_rows(&[1, 1]) else {
        return Err(format!("has shape {shape} for two rows"));
    };
    for (alone, part) in [first, second].into_iter().zip(&parts) {
        if alone.shape() != part.shape() {
            return Err(format!(
                "has shape {} alone and {} in a batch",
                alone.shape(),
                part.shape()
            ));
        }
        if difference(alone, part).is_some() {
            return Err("differs between a row alone and the same row in a batch".to_owned());
        }
    }
    Ok(())
}

/// How two answers of one shape differ, if they do by more than the tolerance, measured by the
/// largest number there is. Not-a-number equals itself.
pub(crate) fn difference(alone: &Tensor, other: &Tensor) -> Option<String> {
    let (Some(alone), Some(other)) = (numbers(alone), numbers(other)) else {
        return (alone.data() != other.data()).then(|| "has other elements".to_owned());
    };
    let scale = alone
        .iter()
        .filter(|it| it.is_finite())
        .fold(f64::MIN_POSITIVE, |max, it| max.max(it.abs()));
    let apart = |(a, b): (&f64, &f64)| match (a - b).abs() / scale {
        _ if a == b || (a.is_nan() && b.is_nan()) => 0.0,
        apart if apart.is_nan() => f64::INFINITY,
        apart => apart,
    };
    let most = alone.iter().zip(&other).map(apart).fold(0.0, f64::max);
    (most > TOLERANCE).then(|| format!("differs by {:.1} % of the largest element", most * 100.0))
}

/// The elements of a type that rounds; `None` for the others, which must agree exactly.
fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    let tensor = tensor.aligned();
    let halves = || tensor.data().as_chunks::<2>().0.iter();
    if tensor.dtype() == DType::Fp16 {
        Some(halves().map(|&it| f16::from_le_bytes(it).to_f64()).collect())
    } else if tensor.dtype() == DType::Bf16 {
        Some(halves().map(|&it| bf16::from_le_bytes(it).to_f64()).collect())
    } else if let Some(floats) = tensor.view::<f32>() {
        Some(floats.iter().copied().map(f64::from).collect())
    } else {
        tensor.view::<f64>().map(<[f64]>::to_vec)
    }
}

/// Rows of small numbers between 0 and 1 (0 or 1 for whole ones), made from a seed each.
pub(crate) fn made_up(
    spec: &TensorSpec,
    seeds: &[u64],
    lengths: &AxisLengths,
) -> Result<Tensor, String> {
    let row = lengths.shape(spec, 1)?;
    let shape = lengths.shape(spec, seeds.len())?;
    let mut data = Vec::new();
    for &seed in seeds {
        let mut state = seed;
        for _ in 0..row.elements() {
            // splitmix64 (Steele, Lea, Flood 2014)
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            push(&mut data, spec.dtype, mixed ^ (mixed >> 27));
        }
    }
    Tensor::new(spec.dtype, shape, data.into()).map_err(|it| it.to_string())
}

fn push(data: &mut Vec<u8>, dtype: DType, random: u64) {
    let fraction = (random >> 40) as f32 / (1_u64 << 24) as f32;
    let bit = u8::from(random >> 63 == 1);
    match dtype {
        DType::Fp32 => data.extend(fraction.to_le_bytes()),
        DType::Fp64 => data.extend(f64::from(fraction).to_le_bytes()),
        DType::Fp16 => data.extend(f16::from_f32(fraction).to_le_bytes()),
        DType::Bf16 => data.extend(bf16::from_f32(fraction).to_le_bytes()),
        // A string of one letter.
        DType::Bytes => data.extend([1, 0, 0, 0, b'a' + bit]),
        DType::Bool | DType::Uint8 | DType::Int8 => data.push(bit),
        DType::Uint16 | DType::Int16 => data.extend(u16::from(bit).to_le_bytes()),
        DType::Uint32 | DType::Int32 => data.extend(u32::from(bit).to_le_bytes()),
        DType::Uint64 | DType::Int64 => data.extend(u64::from(bit).to_le_bytes()),
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
