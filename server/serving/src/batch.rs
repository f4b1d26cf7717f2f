//! A batch on its way through the model.

use std::time::Instant;

use backend_api::{BackendError, Instance, Output, Signature, Tensor};
use server_base::Timing;

use crate::pack::{pack, unpack};
use crate::pending::Pending;

/// What a batch came to: for each request its outputs, and one timing for all.
pub(crate) struct BatchAnswer {
    /// By request, then by output.
    pub(crate) outputs: Vec<Vec<Tensor>>,
    /// Without the time in the queue, which differs from request to request.
    pub(crate) timing: Timing,
}

/// Packs, runs, unpacks. The requests keep their inputs, so that they can be tried again.
pub(crate) fn run(
    instance: &mut dyn Instance,
    signature: &Signature,
    requests: &[Pending],
) -> Result<BatchAnswer, BackendError> {
    let started = Instant::now();
    let rows: Vec<usize> = requests.iter().map(|it| it.extent.rows).collect();
    let batch_rows = rows.iter().sum();
    let part = |place: usize| requests.iter().filter_map(move |it| it.inputs.get(place));
    let inputs =
        (0..signature.inputs.len()).map(|it| pack(part(it))).collect::<Result<Vec<Tensor>, _>>()?;
    let mut outputs: Vec<Output> =
        signature.outputs.iter().map(|it| Output::prepare(it, batch_rows)).collect();
    let packed = Instant::now();
    instance.run(&inputs, &mut outputs)?;
    let ran = Instant::now();
    let answers = split(signature, outputs, &rows)?;
    let timing = Timing {
        compute_input: packed - started,
        compute_infer: ran - packed,
        compute_output: ran.elapsed(),
        batch_rows,
        ..Timing::default()
    };
    Ok(BatchAnswer { outputs: answers, timing })
}

fn split(
    signature: &Signature,
    outputs: Vec<Output>,
    rows: &[usize],
) -> Result<Vec<Vec<Tensor>>, BackendError> {
    let mut answers: Vec<Vec<Tensor>> =
        rows.iter().map(|_| Vec::with_capacity(outputs.len())).collect();
    for (output, spec) in outputs.into_iter().zip(&signature.outputs) {
        let parts = unpack(&spec.name, output.into_tensor()?, rows)?;
        for (part, answer) in parts.into_iter().zip(&mut answers) {
            answer.push(part);
        }
    }
    Ok(answers)
}
