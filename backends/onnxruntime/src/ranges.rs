//! Which whole numbers inputs may hold where the library does not look.
//!
//! Its code for NVIDIA GPUs gathers zeros from beyond the end of a table, where the processor's gives an error.

use std::path::Path;

use backend_api::onnx::{Graph, Ranges};
use backend_api::{BackendError, DType, Device, Signature, Tensor};

/// What is to be held against each run there, if anything is.
pub(crate) fn on(
    device: &Device,
    artifact: &Path,
    signature: &Signature,
) -> Result<Option<Ranges>, BackendError> {
    let Device::Cuda(_) = device else { return Ok(None) };
    let inputs: Vec<(&str, DType)> =
        signature.inputs.iter().map(|it| (&*it.name, it.dtype)).collect();
    Ok(Some(Ranges::of_graph(&Graph::read(artifact)?, &inputs, false)))
}

/// Are the numbers of all inputs within range?
pub(crate) fn check(
    ranges: &Ranges,
    signature: &Signature,
    inputs: &[Tensor],
) -> Result<(), BackendError> {
    let mut pairs = inputs.iter().zip(&signature.inputs).enumerate();
    pairs.try_for_each(|(n, (input, spec))| ranges.check(n, &spec.name, input))
}

#[cfg(test)]
mod tests {
    use super::*;

    use backend_api::{Axis, GraphTensor};

    #[test]
    fn an_index_beyond_the_table_is_refused_on_a_gpu() {
        let pick = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/fixtures/pick.onnx");
        let axes = vec![Axis::Named("N".to_owned()), Axis::Fixed(1)];
        let tensor =
            |name: &str, dtype| GraphTensor { name: name.to_owned(), dtype, axes: axes.clone() };
        let (index, value) = (tensor("index", DType::Int64), tensor("value", DType::Fp32));
        let signature = Signature::of_graph(vec![index], vec![value]);
        let ranges = on(&Device::Cuda(0), &pick, &signature).expect("reads").expect("on a GPU");
        let asked = |index: i64| {
            let index = Tensor::from_elements(&[1, 1], &[index]).expect("one");
            check(&ranges, &signature, &[index])
        };
        for good in [-4, 0, 3] {
            asked(good).expect("in the table");
        }
        for bad in [-5, 4, i64::MAX] {
            let error = asked(bad).expect_err("refused");
            assert!(matches!(error, BackendError::Input { .. }), "{error:?}");
            let says = format!("input 'index' holds {bad} at element 0, allowed are -4 to 3");
            assert!(error.to_string().contains(&says), "{error}");
        }
        assert!(on(&Device::Cpu, &pick, &signature).expect("reads").is_none(), "it looks itself");
    }
}
