//! Tensors and texts as JSON.

use std::fmt::Write as _;

use backend_api::{DType, Tensor};
use half::{bf16, f16};

/// A text in quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for it in text.chars() {
        match it {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            it if it < ' ' => {
                // Writing to memory does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(it));
            }
            it => out.push(it),
        }
    }
    out.push('"');
    out
}

/// A tensor as requests and answers of the Open Inference Protocol hold it: name, type, shape, data.
/// Numbers are exact. JSON has no word for what is no number or beyond all: `None` then, and for bytes
/// that are no text.
pub fn tensor_json(name: &str, tensor: &Tensor) -> Option<String> {
    let dims: Vec<String> = tensor.shape().dims().iter().map(ToString::to_string).collect();
    let data = elements(tensor)?.join(",");
    let (name, dtype, shape) = (quoted(name), tensor.dtype().name(), dims.join(","));
    Some(format!(
        "{{\"name\":{name},\"datatype\":\"{dtype}\",\"shape\":[{shape}],\"data\":[{data}]}}"
    ))
}

fn elements(tensor: &Tensor) -> Option<Vec<String>> {
    macro_rules! numbers {
        ($type:ty) => {
            Some(each(tensor, |it| <$type>::from_le_bytes(it).to_string()))
        };
    }
    let float = |it: f64, text: String| if it.is_finite() { text } else { String::new() };
    let single = |it: f32| float(f64::from(it), it.to_string());
    let floats = |all: Vec<String>| (!all.iter().any(String::is_empty)).then_some(all);
    match tensor.dtype() {
        DType::Bool => Some(tensor.data().iter().map(|it| (*it != 0).to_string()).collect()),
        DType::Uint8 => numbers!(u8),
        DType::Uint16 => numbers!(u16),
        DType::Uint32 => numbers!(u32),
        DType::Uint64 => numbers!(u64),
        DType::Int8 => numbers!(i8),
        DType::Int16 => numbers!(i16),
        DType::Int32 => numbers!(i32),
        DType::Int64 => numbers!(i64),
        DType::Fp16 => floats(each(tensor, |it| single(f16::from_le_bytes(it).to_f32()))),
        DType::Bf16 => floats(each(tensor, |it| single(bf16::from_le_bytes(it).to_f32()))),
        DType::Fp32 => floats(each(tensor, |it| single(f32::from_le_bytes(it)))),
        DType::Fp64 => floats(each(tensor, |it| {
            let it = f64::from_le_bytes(it);
            float(it, it.to_string())
        })),
        DType::Bytes => {
            tensor.strings().map(|it| std::str::from_utf8(it).ok().map(quoted)).collect()
        }
    }
}

fn each<const N: usize>(tensor: &Tensor, text: impl Fn([u8; N]) -> String) -> Vec<String> {
    tensor.data().as_chunks::<N>().0.iter().map(|it| text(*it)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_written_exactly_or_not_at_all() {
        let floats = |it: &[f32]| Tensor::from_elements(&[it.len()], it).expect("fits");
        let json = |it: &Tensor| tensor_json("x\"\n", it);
        let expect = r#"{"name":"x\"\u000a","datatype":"FP32","shape":[2],"data":[0.1,-3]}"#;
        assert_eq!(json(&floats(&[0.1, -3.0])).as_deref(), Some(expect));
        assert_eq!(json(&floats(&[1.0, f32::NAN])), None);
        assert_eq!(json(&floats(&[f32::INFINITY])), None);
        let large = Tensor::from_elements(&[1], &[i64::MIN]).expect("fits");
        assert!(json(&large).is_some_and(|it| it.ends_with("[-9223372036854775808]}")));
        let texts = |it: &[u8]| json(&Tensor::from_strings(&[1], &[it]).expect("fits"));
        assert!(texts("é\t".as_bytes()).is_some_and(|it| it.ends_with("[\"é\\u0009\"]}")));
        assert_eq!(texts(b"\xff"), None);
    }
}
