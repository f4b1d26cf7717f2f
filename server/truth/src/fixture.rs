//! Versions and tensors for the tests.

use backend_api::{DType, Dim, Shape, Signature, Tensor, TensorSpec};
use bytes::Bytes;
use server_base::{LogConfig, ModelName, Subject, TruthConfig, Version};

use crate::form::Form;

pub(crate) fn model() -> ModelName {
    ModelName::new("wine").expect("a name")
}

pub(crate) fn subject(version: u64, outputs: &[(&str, DType, &[Dim])]) -> Subject {
    let spec = |(name, dtype, dims): &(&str, DType, &[Dim])| TensorSpec {
        name: (*name).into(),
        dtype: *dtype,
        dims: dims.to_vec(),
        quantization: None,
    };
    Subject {
        model: model(),
        version: Version(version),
        digest: None,
        signature: Signature { inputs: Vec::new(), outputs: outputs.iter().map(spec).collect() },
        config: LogConfig::default(),
        truth: None,
        backend: None,
        source: None,
    }
}

/// Probabilities of so many classes.
pub(crate) fn of_classes(version: u64, classes: usize, config: &TruthConfig) -> Form {
    let dims = [Dim::Rows, Dim::Fixed(classes)];
    Form::new(&subject(version, &[("p", DType::Fp32, &dims)]), config).expect("a form")
}

/// One number.
pub(crate) fn of_values(version: u64, config: &TruthConfig) -> Form {
    Form::new(&subject(version, &[("y", DType::Fp64, &[Dim::Rows])]), config).expect("a form")
}

pub(crate) fn floats(dims: &[usize], values: &[f32]) -> Tensor {
    let data: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
    Tensor::new(DType::Fp32, Shape::new(dims).expect("a shape"), Bytes::from(data))
        .expect("a tensor")
}
