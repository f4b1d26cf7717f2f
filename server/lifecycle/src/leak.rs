//! Does padding change a model's answers?
//!
//! A model that is to be padded must not look at what it is padded with: it has a mask, or works
//! on each element by itself. Otherwise answers would depend on what lengths are configured,
//! silently. So made-up requests are run at load, at their own length and padded.

use backend_api::{Instance, Signature, Tensor};
use server_serving::{Padding, Sizes};

use crate::asked::{run, run_padded};
use crate::load::AxisLengths;
use crate::padding::PaddingConfig;
use crate::probe::{Verdict, difference, made_up};

/// Lengths that are tried: each costs two runs.
const TRIALS: usize = 2;

/// Runs requests of a few lengths as they are and padded.
pub(crate) fn leak(
    instance: &mut dyn Instance,
    signature: &Signature,
    (config, padding): (&PaddingConfig, &Padding),
    lengths: &AxisLengths,
) -> Verdict {
    let mut unknown = None;
    for trial in 0..TRIALS {
        let mut lengths = lengths.clone();
        for (axis, sizes) in &config.axes {
            lengths.named.insert(axis.clone(), length(sizes, trial));
        }
        match try_length(instance, signature, padding, &lengths) {
            Verdict::Independent => {}
            Verdict::Unknown(reason) => unknown = unknown.or(Some(reason)),
            mixed @ Verdict::Mixed(_) => return mixed,
        }
    }
    unknown.map_or(Verdict::Independent, Verdict::Unknown)
}

/// Half way to a size, for as many as there are; a length that is never padded, if all are 1 apart.
fn length(sizes: &Sizes, trial: usize) -> usize {
    let below = [0].into_iter().chain(sizes.all().iter().copied());
    let gaps = below.zip(sizes.all()).filter(|(below, size)| *size - below > 1);
    let half = |(below, size): (usize, &usize)| below + (size - below) / 2;
    let halves: Vec<usize> = gaps.map(half).collect();
    halves.get(trial).or(halves.last()).copied().unwrap_or(sizes.max())
}

fn try_length(
    instance: &mut dyn Instance,
    signature: &Signature,
    padding: &Padding,
    lengths: &AxisLengths,
) -> Verdict {
    let made = signature.inputs.iter().map(|it| made_up(it, &[1], lengths));
    let inputs: Vec<Tensor> = match made.collect() {
        Ok(inputs) => inputs,
        Err(reason) => return Verdict::Unknown(reason),
    };
    let padded = match padding.padded("", &inputs) {
        Ok(Some(padded)) => padded,
        Ok(None) => return Verdict::Independent,
        Err(reason) => return Verdict::Unknown(reason.to_string()),
    };
    let alone = match run(instance, signature, &inputs) {
        Ok(alone) => alone,
        Err(reason) => return Verdict::Unknown(reason),
    };
    // Alone it runs; if padded it does not, it cannot be padded.
    match run_padded(instance, signature, padding, (&inputs, &padded)) {
        Ok(answers) => compare(signature, &alone, &answers),
        Err(reason) => Verdict::Mixed(reason),
    }
}

fn compare(signature: &Signature, alone: &[Tensor], padded: &[Tensor]) -> Verdict {
    for ((alone, padded), spec) in alone.iter().zip(padded).zip(&signature.outputs) {
        let (name, shapes) = (&spec.name, (alone.shape(), padded.shape()));
        if shapes.0 != shapes.1 {
            return Verdict::Mixed(format!(
                "output '{name}' has shape {} for a request alone and {} when it was padded",
                shapes.0, shapes.1
            ));
        }
        if let Some(difference) = difference(alone, padded) {
            return Verdict::Mixed(format!("output '{name}' of a padded request {difference}"));
        }
    }
    Verdict::Independent
}

#[cfg(test)]
#[path = "leak_tests.rs"]
mod tests;
