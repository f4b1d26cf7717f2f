//! Runs before a version serves, so that no caller pays for first allocations.
//!
//! What a model does may depend on what it is given, and zeros may be nothing that it knows. So
//! the runs are of its own example, or of the first request that was recorded, at every batch size;
//! of zeros where there is neither. Called by `load`; the runs are on the instances that serve.

use std::sync::Arc;

use backend_api::{BackendError, Dim, Instance, Output, Shape, Signature, Tensor, TensorSpec};
use server_proof::stretched;
use server_serving::{Batching, InferError, WarmUp, row_elements};

use crate::load::{AxisLengths, LoadJob, zeros};

/// A model may refuse what it is given, or lengths that we made up, for good reasons; that is no
/// reason not to serve it. One that runs with nothing that it says it takes is broken, and one whose
/// device fails cannot serve.
pub(crate) fn warm_up(
    job: &LoadJob,
    (signature, batching): (&Signature, &Batching),
    mut lengths: AxisLengths,
    example: Option<Vec<Tensor>>,
) -> WarmUp {
    let (model, version) = (job.model.clone(), job.version);
    for (axis, sizes) in &job.config.padding.axes {
        let length = lengths.named.entry(axis.clone()).or_insert(sizes.max());
        *length = sizes.up(*length).unwrap_or(sizes.max());
    }
    let mut inputs = Inputs { signature: signature.clone(), lengths, example };
    let mut rows = warm_up_rows(&job.config.warmup_rows, batching, &inputs);
    if let Err(reason) = inputs.settle_on(rows.iter().copied().max().unwrap_or(0)) {
        tracing::warn!(%model, %version, reason, "the example does not fit: warming up with zeros");
        rows = warm_up_rows(&job.config.warmup_rows, batching, &inputs);
    }
    Arc::new(move |instance| {
        let mut broken = None;
        let mut failed = 0;
        for &rows in &rows {
            let Err(error) = inputs.run(instance, rows) else { continue };
            tracing::info!(%model, %version, rows, %error, "a warm-up run failed");
            match error {
                BackendError::Run { reason } => {
                    failed += 1;
                    broken = Some(reason);
                }
                // No run will succeed, so what serves now must not give way to it.
                lost @ BackendError::DeviceLost { .. } => return Err(InferError::Backend(lost)),
                BackendError::Unavailable { .. }
                | BackendError::Artifact { .. }
                | BackendError::Unsupported { .. }
                | BackendError::Input { .. } => {}
            }
        }
        match broken {
            Some(reason) if failed == rows.len() && inputs.are_said() => {
                let reason = format!("every warm-up run failed, the last so: {reason}");
                Err(InferError::Backend(BackendError::Run { reason }))
            }
            Some(_) | None => Ok(()),
        }
    })
}

/// Row counts as they can come to run: no more elements than a batch may have, filled up.
fn warm_up_rows(wanted: &[usize], batching: &Batching, inputs: &Inputs) -> Vec<usize> {
    let row = inputs.shapes(1).map_or(1, |it| row_elements(&inputs.signature, it.iter()));
    let most = (batching.elements_max / row).clamp(1, batching.rows_max);
    let most = batching.sizes.as_ref().and_then(|it| it.down(most)).unwrap_or(most);
    let mut rows: Vec<usize> = wanted.iter().map(|it| batching.rows_run((*it).min(most))).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// What the runs are made of.
struct Inputs {
    signature: Signature,
    /// Of free axes, as far as anything is said of them.
    lengths: AxisLengths,
    /// What the model takes; `None`: zeros.
    example: Option<Vec<Tensor>>,
}

impl Inputs {
    /// Can the example be had at so many rows, which are the most? Only what is needed of it is held
    /// on to, and nothing if it cannot.
    fn settle_on(&mut self, rows: usize) -> Result<(), String> {
        let Some(example) = self.example.take().filter(|_| rows > 0) else { return Ok(()) };
        let own = example.first().and_then(|it| it.shape().rows());
        let is_longer = self.signature.is_batched() && own.is_some_and(|it| it > rows);
        self.example = Some(example);
        let cut = self.at(rows);
        match cut {
            Ok(cut) if is_longer => self.example = Some(cut),
            Ok(_) => {}
            Err(reason) => {
                self.example = None;
                return Err(reason);
            }
        }
        Ok(())
    }

    /// Is no length of any input made up?
    fn are_said(&self) -> bool {
        self.example.is_some() || self.lengths.settle(&self.signature)
    }

    /// Free axes are as long as is said, or else as in the example.
    fn shapes(&self, rows: usize) -> Result<Vec<Shape>, String> {
        let shape = |(place, spec): (usize, &TensorSpec)| {
            let Some(own) = self.example.as_ref().and_then(|it| it.get(place)) else {
                return self.lengths.shape(spec, rows);
            };
            let length = |(dim, own): (&Dim, &usize)| match dim {
                Dim::Fixed(length) => *length,
                Dim::Rows => rows,
                Dim::Free(name) => self.lengths.named.get(&**name).copied().unwrap_or(*own),
            };
            let lengths = spec.dims.iter().zip(own.shape().dims()).map(length);
            Shape::new(&lengths.collect::<Vec<_>>()).map_err(|it| it.to_string())
        };
        self.signature.inputs.iter().enumerate().map(shape).collect()
    }

    fn at(&self, rows: usize) -> Result<Vec<Tensor>, String> {
        let Some(example) = &self.example else {
            return zeros(&self.signature, (rows, &self.lengths));
        };
        example.iter().zip(self.shapes(rows)?).map(|(it, shape)| stretched(it, &shape)).collect()
    }

    fn run(&self, instance: &mut dyn Instance, rows: usize) -> Result<(), BackendError> {
        let inputs = self.at(rows).map_err(|reason| BackendError::Input { reason })?;
        let specs = self.signature.outputs.iter();
        let mut outputs: Vec<Output> = specs.map(|it| Output::prepare(it, rows)).collect();
        instance.run(&inputs, &mut outputs)
    }
}

#[cfg(test)]
#[path = "warmup_tests.rs"]
mod tests;
