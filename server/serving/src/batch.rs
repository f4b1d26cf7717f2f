//! A batch on its way through the model.

use std::time::Instant;

use backend_api::{BackendError, Instance, Output, Signature, Tensor};
use server_base::Timing;

use crate::pack::{Part, pack, unpack};
use crate::pending::Pending;
use crate::plan::Plan;

/// What a batch came to: for each request its outputs, and one timing for all.
pub(crate) struct BatchAnswer {
    /// By request, then by output.
    pub(crate) outputs: Vec<Vec<Tensor>>,
    /// Without the time in the queue, which differs from request to request.
    pub(crate) timing: Timing,
    pub(crate) size: BatchSize,
}

/// What ran, padding included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSize {
    pub(crate) rows: usize,
    /// Elements of all rows: see `extent.rs`.
    pub(crate) units: usize,
    /// How many of them are padding.
    pub(crate) padding: usize,
}

impl BatchSize {
    fn of(requests: &[Pending], plan: &Plan) -> BatchSize {
        let given: usize = requests.iter().map(|it| it.extent.rows).sum();
        let rows = plan.batching.rows_run(given);
        let sum =
            |of: fn(&Pending) -> usize| requests.iter().map(of).fold(0, usize::saturating_add);
        let (own, padded) = (sum(|it| it.extent.own), sum(|it| it.extent.units));
        // Rows of one batch are of one size.
        let units = padded.checked_div(given).unwrap_or(1).saturating_mul(rows);
        BatchSize { rows, units, padding: units.saturating_sub(own) }
    }
}

/// Packs, runs, unpacks. The requests keep their inputs, so that they can be tried again.
pub(crate) fn run(
    instance: &mut dyn Instance,
    (signature, plan): (&Signature, &Plan),
    requests: &[Pending],
) -> Result<BatchAnswer, BackendError> {
    let started = Instant::now();
    let rows: Vec<usize> = requests.iter().map(|it| it.extent.rows).collect();
    let (given, size) = (rows.iter().sum(), BatchSize::of(requests, plan));
    let surplus = size.rows.saturating_sub(given);
    let parts = |place: usize| requests.iter().filter_map(move |it| part(it, place));
    let input = |it| pack(parts(it), surplus, plan.padding.fill(it));
    let inputs = (0..signature.inputs.len()).map(input).collect::<Result<Vec<Tensor>, _>>()?;
    let mut outputs: Vec<Output> =
        signature.outputs.iter().map(|it| Output::prepare(it, size.rows)).collect();
    let packed = Instant::now();
    instance.run(&inputs, &mut outputs)?;
    let ran = Instant::now();
    let split = Split { signature, plan, counts: &rows, surplus };
    let answers = split.answers(outputs, requests)?;
    let timing = Timing {
        compute_input: packed - started,
        compute_infer: ran - packed,
        compute_output: ran.elapsed(),
        batch_rows: given,
        ..Timing::default()
    };
    Ok(BatchAnswer { outputs: answers, timing, size })
}

/// What a request brings to an input.
fn part(request: &Pending, place: usize) -> Option<Part<'_>> {
    let tensor = request.inputs.get(place)?;
    let padded = request.extent.padded.as_ref().and_then(|it| it.shape(place));
    Some(Part { tensor, shape: padded.unwrap_or(tensor.shape()) })
}

/// How outputs are parted.
struct Split<'a> {
    signature: &'a Signature,
    plan: &'a Plan,
    counts: &'a [usize],
    surplus: usize,
}

impl Split<'_> {
    /// Each request's outputs, as long as its inputs were.
    fn answers(
        &self,
        outputs: Vec<Output>,
        requests: &[Pending],
    ) -> Result<Vec<Vec<Tensor>>, BackendError> {
        let mut answers: Vec<Vec<Tensor>> =
            requests.iter().map(|_| Vec::with_capacity(outputs.len())).collect();
        for (place, (output, spec)) in outputs.into_iter().zip(&self.signature.outputs).enumerate()
        {
            let parts = unpack(&spec.name, output.into_tensor()?, (self.counts, self.surplus))?;
            for ((part, request), answer) in parts.into_iter().zip(requests).zip(&mut answers) {
                answer.push(match &request.extent.padded {
                    None => part,
                    Some(padded) => self.plan.padding.crop((place, spec), part, padded)?,
                });
            }
        }
        Ok(answers)
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
