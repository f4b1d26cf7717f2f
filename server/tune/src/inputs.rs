//! Requests to ask with: drawn at random from the model's signature, the same ones in every run.

use std::collections::{BTreeMap, BTreeSet};

use backend_api::{Dim, Signature, UNBATCHED_ROWS};
use server_base::{InferRequest, VersionChoice};
use server_lifecycle::made_up_inputs;

use crate::plan::Plan;

/// Different requests, so that no cache learns a single one.
const REQUESTS_MAX: usize = 64;

/// Memory of all of them: fewer if they are large.
const BYTES_MAX: usize = 64 << 20;

/// Draws requests for a model with this signature, or says everything that is missing.
pub(crate) fn draw(
    plan: &Plan,
    signature: &Signature,
) -> Result<Vec<InferRequest<'static>>, Vec<String>> {
    let axes = lengths(plan, signature)?;
    let batched = signature.is_batched();
    let request = |number: usize| {
        let rows = if batched { plan.rows } else { 1 };
        let first = (number * rows) as u64;
        let seeds: Vec<u64> = (first..first + rows as u64).collect();
        let inputs = made_up_inputs(signature, &seeds, &axes).map_err(|it| vec![it])?;
        Ok(InferRequest {
            model: plan.single.model().as_str().to_owned().into(),
            version: VersionChoice::Exact(plan.version),
            inputs,
            outputs: Default::default(),
            // Stated: callers that are cut off when a point is over must not pass for impatient.
            timeout: Some(plan.timeout),
        })
    };
    let first: InferRequest<'_> = request(0)?;
    let bytes: usize = first.inputs.iter().map(|it| it.tensor.data().len()).sum();
    let count = (BYTES_MAX / bytes.max(1)).clamp(1, REQUESTS_MAX);
    (0..count).map(request).collect()
}

/// The length of every free axis of the inputs.
fn lengths(plan: &Plan, signature: &Signature) -> Result<BTreeMap<String, usize>, Vec<String>> {
    let mut free: BTreeSet<&str> = BTreeSet::new();
    for dim in signature.inputs.iter().flat_map(|it| &it.dims) {
        if let Dim::Free(name) = dim {
            free.insert(name);
        }
    }
    let mut lengths = plan.axes.clone();
    let shown = |name: &str| if name.is_empty() { "?".to_owned() } else { name.to_owned() };
    let mut faults = Vec::new();
    // A model that is served one request at a time may take several rows in it.
    if free.remove(UNBATCHED_ROWS) {
        lengths.entry(UNBATCHED_ROWS.to_owned()).or_insert(plan.rows);
    } else if plan.rows > 1 && !signature.is_batched() {
        faults.push(format!("--rows: {} rows, and the model takes one", plan.rows));
    }
    let names = free.iter().map(|it| shown(it)).collect::<Vec<_>>().join(", ");
    let inputs = signature.inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    for axis in free.iter().filter(|it| !lengths.contains_key(**it)) {
        let axis = shown(axis);
        faults.push(format!(
            "--axis: the length of {axis} is not known: say --axis {axis}=LENGTH, or axes in \
             [warmup]; the inputs are {inputs}"
        ));
    }
    for axis in plan.axes_asked.iter().filter(|it| !free.contains(it.as_str())) {
        let axis = shown(axis);
        let known = if names.is_empty() { "none".to_owned() } else { names.clone() };
        faults.push(format!("--axis: the inputs have no free axis {axis}; free are: {known}"));
    }
    if faults.is_empty() { Ok(lengths) } else { Err(faults) }
}
