//! Are the outputs shaped as the model declares?
//!
//! Files are careless about it: exporters write the lengths of one example where others are
//! possible. Memory prepared by such a shape would make every run fail. So outputs are let open at
//! load, and lengths that turn out otherwise are served as free.

use std::iter;

use backend_api::{Dim, Instance, Output, Signature, Tensor};

use crate::load::{AxisLengths, zeros};

/// The signature, with lengths of outputs only where runs bear them out. Runs that fail prove
/// nothing.
pub(crate) fn borne_out(
    instance: &mut dyn Instance,
    signature: Signature,
    lengths: &AxisLengths,
) -> Signature {
    let mut found = signature;
    let is_free = |it: &Dim| matches!(it, Dim::Free(_));
    let varies = found.inputs.iter().any(|it| it.dims.iter().any(is_free));
    let longer = varies.then(|| lengths.clone().longer());
    for lengths in iter::once(lengths.clone()).chain(longer) {
        let Ok(inputs) = zeros(&found, (1, &lengths)) else { continue };
        let mut outputs: Vec<Output> = found.outputs.iter().map(|_| Output::Open(None)).collect();
        if instance.run(&inputs, &mut outputs).is_err() {
            continue;
        }
        for (spec, output) in found.outputs.iter_mut().zip(outputs) {
            if let Ok(tensor) = output.into_tensor() {
                loosen(&mut spec.dims, &tensor);
            }
        }
    }
    // Without its rows in every output the model cannot be batched.
    if found.is_batched() { found } else { found.unbatched() }
}

/// Frees what differs from the run's output, which came of one row.
fn loosen(dims: &mut Vec<Dim>, tensor: &Tensor) {
    let lengths = tensor.shape().dims();
    if dims.len() != lengths.len() {
        *dims = vec![Dim::Free("".into()); lengths.len()];
    }
    for (dim, &length) in dims.iter_mut().zip(lengths) {
        let as_declared = match dim {
            Dim::Fixed(declared) => *declared == length,
            Dim::Rows => length == 1,
            Dim::Free(_) => true,
        };
        if !as_declared {
            *dim = Dim::Free("".into());
        }
    }
}

#[cfg(test)]
#[path = "shapes_tests.rs"]
mod tests;
