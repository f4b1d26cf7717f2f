//! What is written can be read back, and nothing that can be read breaks anything.

use backend_api::{DType, Shape, Tensor};
use bytes::Bytes;
use proptest::prelude::*;
use server_base::{InferResponse, NamedTensor, Timing, Version};

use super::request::{InferBody, tensors};
use super::response;
use crate::memory::{Memory, Targets};

/// A tensor of any type. Truth values are 0 and 1, strings are text, so that JSON can hold them.
fn tensor() -> impl Strategy<Value = Tensor> {
    let bytes = prop::collection::vec(any::<u8>(), 64);
    let strings = prop::collection::vec(".{0,4}", 8);
    (prop::sample::select(DType::ALL.to_vec()), 0_usize..=8, bytes, strings).prop_map(
        |(dtype, count, bytes, strings)| {
            let Some(size) = dtype.size() else {
                return Tensor::from_strings(&[count], &strings[..count]).expect("short");
            };
            let bits = if dtype == DType::Bool { 1 } else { 0xff };
            let data: Vec<u8> = bytes[..count * size].iter().map(|it| it & bits).collect();
            let shape = Shape::new(&[count]).expect("small");
            Tensor::new(dtype, shape, data.into()).expect("exact")
        },
    )
}

fn written(tensor: &Tensor) -> Vec<u8> {
    let response = InferResponse {
        model: "m",
        version: Version(1),
        outputs: [NamedTensor { name: "x".into(), tensor: tensor.clone() }].into_iter().collect(),
        timing: Timing::default(),
    };
    response::encode(response, None, (|_| false, &Targets::default()), Vec::new())
        .expect("text")
        .json
}

/// Not-a-number has many bit patterns and one name.
fn canonical(tensor: &Tensor) -> Vec<u8> {
    let nan = |bytes: &[u8]| match (tensor.dtype(), bytes) {
        (DType::Fp32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]).is_nan(),
        (DType::Fp64, bytes) => bytes.try_into().is_ok_and(|it| f64::from_le_bytes(it).is_nan()),
        (DType::Fp16, &[a, b]) => half::f16::from_le_bytes([a, b]).is_nan(),
        (DType::Bf16, &[a, b]) => half::bf16::from_le_bytes([a, b]).is_nan(),
        (_, _) => false,
    };
    let size = tensor.dtype().size().unwrap_or(1);
    tensor
        .data()
        .chunks(size)
        .flat_map(|it| if nan(it) { vec![0xff; size] } else { it.to_vec() })
        .collect()
}

proptest! {
    #[test]
    fn json_loses_nothing(tensor in tensor()) {
        let text = String::from_utf8(written(&tensor)).expect("UTF-8");
        let request = text.replace("\"outputs\":", "\"inputs\":");
        let body = InferBody::parse(request.as_bytes()).expect("what we write we read");
        let back = tensors(body.inputs, Bytes::new(), &mut Memory::off()).expect("fits");
        prop_assert_eq!(canonical(&back[0].tensor), canonical(&tensor), "{}", text);
        prop_assert_eq!(back[0].tensor.shape(), tensor.shape());
    }

    /// A good request with a stretch of it replaced: an error or a request, never a panic.
    #[test]
    fn damaged_requests_are_only_errors(
        at in 0_usize..90,
        length in 0_usize..20,
        noise in prop::collection::vec(any::<u8>(), 0..20),
        binary in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let good = br#"{"id":"a","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[[1.5,-2e3]]}],"outputs":[]}"#;
        let mut bad = good.to_vec();
        let end = (at + length).min(bad.len());
        bad.splice(at..end.max(at), noise);
        if let Ok(body) = InferBody::parse(&bad) {
            let _ = tensors(body.inputs, binary.into(), &mut Memory::off());
        }
    }
}
