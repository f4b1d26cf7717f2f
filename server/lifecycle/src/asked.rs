//! Asks an instance as the server would: padded as configured, outputs cut to what was sent.
//!
//! For runs at load, which go by no lane.

use backend_api::{Instance, Output, Signature, Tensor};
use server_serving::{Padded, Padding};

/// Runs inputs that fit the signature as they are.
pub(crate) fn run(
    instance: &mut dyn Instance,
    signature: &Signature,
    inputs: &[Tensor],
) -> Result<Vec<Tensor>, String> {
    let rows = inputs.first().filter(|_| signature.is_batched()).and_then(|it| it.shape().rows());
    let rows = rows.unwrap_or(1);
    let mut outputs: Vec<Output> =
        signature.outputs.iter().map(|it| Output::prepare(it, rows)).collect();
    instance.run(inputs, &mut outputs).map_err(|it| it.to_string())?;
    outputs.into_iter().map(|it| it.into_tensor().map_err(|it| it.to_string())).collect()
}

/// Runs them padded, and cuts the outputs.
pub(crate) fn run_padded(
    instance: &mut dyn Instance,
    signature: &Signature,
    padding: &Padding,
    (inputs, padded): (&[Tensor], &Padded),
) -> Result<Vec<Tensor>, String> {
    let inputs = padding.pad(inputs, padded).map_err(|it| it.to_string())?;
    let outputs = run(instance, signature, &inputs)?;
    let crop = |(place, output)| {
        let spec = signature.outputs.get(place).ok_or("more outputs than declared")?;
        padding.crop((place, spec), output, padded).map_err(|it| it.to_string())
    };
    outputs.into_iter().enumerate().map(crop).collect()
}

/// Runs them as a request with these inputs would be run.
pub(crate) fn ask(
    instance: &mut dyn Instance,
    signature: &Signature,
    padding: &Padding,
    inputs: &[Tensor],
) -> Result<Vec<Tensor>, String> {
    match padding.padded("", inputs).map_err(|it| it.to_string())? {
        Some(padded) => run_padded(instance, signature, padding, (inputs, &padded)),
        None => run(instance, signature, inputs),
    }
}
