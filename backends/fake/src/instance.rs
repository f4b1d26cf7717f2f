//! Follows a script, one run at a time.

use std::sync::Arc;
use std::thread;

use backend_api::{BackendError, Instance, Output, Signature, Tensor};

use crate::Shared;
use crate::script::{Rule, Script, Trigger};

pub(crate) struct FakeInstance {
    script: Arc<Script>,
    signature: Signature,
    shared: Arc<Shared>,
}

impl FakeInstance {
    pub(crate) fn new(
        script: Arc<Script>,
        signature: Signature,
        shared: Arc<Shared>,
    ) -> FakeInstance {
        FakeInstance { script, signature, shared }
    }

    fn check(&self, inputs: &[Tensor]) -> Result<(), BackendError> {
        let wanted = &self.signature.inputs;
        let same = |(spec, tensor): (&backend_api::TensorSpec, &Tensor)| {
            spec.dtype == tensor.dtype() && spec.accepts(tensor.shape())
        };
        if wanted.len() != inputs.len() || !wanted.iter().zip(inputs).all(same) {
            return Err(BackendError::Input {
                reason: "the inputs are not the script's".to_owned(),
            });
        }
        let batched = wanted.iter().zip(inputs).filter(|(spec, _)| spec.has_rows());
        let mut rows = batched.filter_map(|(_, it)| it.shape().rows());
        let first = rows.next();
        if rows.any(|it| Some(it) != first) {
            return Err(BackendError::Input { reason: "the inputs differ in rows".to_owned() });
        }
        Ok(())
    }

    fn trigger(&self, inputs: &[Tensor]) -> Result<(), BackendError> {
        let numbers: Vec<f64> = inputs.iter().flat_map(numbers).collect();
        for (value, action) in &self.script.triggers {
            if !numbers.contains(value) {
                continue;
            }
            let reason = format!("the script fails on {value}");
            match action {
                Trigger::Fail => return Err(BackendError::Run { reason }),
                Trigger::Lose => return Err(BackendError::DeviceLost { reason }),
                Trigger::Refuse => return Err(BackendError::Input { reason }),
                Trigger::Panic => panic!("the script panics on {value}"),
                Trigger::Hang => self.shared.hangs.wait(),
            }
        }
        Ok(())
    }
}

impl Instance for FakeInstance {
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Output]) -> Result<(), BackendError> {
        self.check(inputs)?;
        let rows = inputs.first().and_then(|it| it.shape().rows()).unwrap_or(1);
        self.shared.ran(rows);
        self.shared.was_given(|| inputs.iter().flat_map(numbers).collect());
        thread::sleep(
            self.script.run_delay
                + self.script.row_delay.saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX)),
        );
        self.trigger(inputs)?;
        for ((_, rule), output) in self.script.outputs.iter().zip(outputs) {
            output.put(apply(rule, inputs, output)?)?;
        }
        Ok(())
    }
}

fn apply(rule: &Rule, inputs: &[Tensor], output: &Output) -> Result<Tensor, BackendError> {
    let input = |place: &usize| {
        inputs.get(*place).map(Tensor::aligned).ok_or_else(|| failed("no such input"))
    };
    let floats = |place: &usize| {
        input(place).map(|it| it.view::<f32>().map(<[f32]>::to_vec).unwrap_or_default())
    };
    let like = |place: &usize, elements: Vec<f32>| {
        Tensor::from_elements(input(place)?.shape().dims(), &elements)
            .map_err(|it| failed(&it.to_string()))
    };
    match rule {
        Rule::Copy(x) => input(x),
        Rule::Double(x) => like(x, floats(x)?.iter().map(|it| it * 2.0).collect()),
        Rule::Sum(a, b) => like(a, floats(a)?.iter().zip(floats(b)?).map(|(a, b)| a + b).collect()),
        Rule::Difference(a, b) => {
            like(a, floats(a)?.iter().zip(floats(b)?).map(|(a, b)| a - b).collect())
        }
        Rule::Share(x) => {
            let elements = floats(x)?;
            let total: f32 = elements.iter().sum();
            like(x, elements.iter().map(|it| it / total).collect())
        }
        Rule::Pick(place, table) => {
            let index = input(place)?;
            let pick = |it: &i64| usize::try_from(*it).ok().and_then(|it| table.get(it)).copied();
            let places = index.view::<i64>().unwrap_or_default();
            let picked: Option<Vec<f32>> = places.iter().map(pick).collect();
            like(
                place,
                picked.ok_or_else(|| BackendError::Input {
                    reason: "index out of range".to_owned(),
                })?,
            )
        }
        Rule::Positive(x) => {
            let places = floats(x)?.into_iter().enumerate().filter(|(_, it)| *it != 0.0);
            let places: Vec<i64> = places.filter_map(|(n, _)| i64::try_from(n).ok()).collect();
            Tensor::from_elements(&[1, places.len()], &places).map_err(|it| failed(&it.to_string()))
        }
        Rule::Constant(value) => {
            let Output::Prepared { shape, .. } = output else {
                return Err(failed("a constant needs a known shape"));
            };
            let elements = vec![*value; shape.elements()];
            Tensor::from_elements(shape.dims(), &elements).map_err(|it| failed(&it.to_string()))
        }
    }
}

/// The elements as numbers, for types that scripts can name values of.
fn numbers(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.aligned();
    if let Some(floats) = tensor.view::<f32>() {
        floats.iter().copied().map(f64::from).collect()
    } else if let Some(integers) = tensor.view::<i64>() {
        integers.iter().map(|&it| it as f64).collect()
    } else {
        tensor.view::<f64>().unwrap_or_default().to_vec()
    }
}

fn failed(reason: &str) -> BackendError {
    BackendError::Run { reason: reason.to_owned() }
}
