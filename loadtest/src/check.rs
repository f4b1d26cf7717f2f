//! Are the answers right? Looks at a sample, off the clock of the request that it looks at.
//!
//! Called by `station` after an answer was timed. Against a recording when there is one, else
//! against the metadata and against the first answer to the same request.

use std::sync::{Arc, OnceLock};

use anyhow::{Result, bail, ensure};

use crate::case::Case;
use crate::signature::{Port, Signature};
use crate::tensor::{Scalar, Tensor};

/// Floats may differ by `absolute + relative * |expected|`; everything else must be equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tolerance {
    pub(crate) absolute: f64,
    pub(crate) relative: f64,
}

impl Tolerance {
    /// For the same request asked twice: batches of other sizes add in another order.
    pub(crate) const SAME: Tolerance = Tolerance { absolute: 1e-6, relative: 1e-4 };

    pub(crate) fn new(absolute: f64, relative: f64) -> Result<Tolerance> {
        for (name, value) in [("absolute", absolute), ("relative", relative)] {
            ensure!(
                value >= 0.0 && value.is_finite(),
                "{name} tolerance {value}, expected 0 or more"
            );
        }
        Ok(Tolerance { absolute, relative })
    }

    /// Two NaN are the same; infinities must be equal.
    fn holds(self, expected: Scalar<'_>, got: Scalar<'_>) -> bool {
        let (Some(expected_float), Some(got_float)) = (float(expected), float(got)) else {
            return expected == got;
        };
        if expected_float.is_nan() || got_float.is_nan() {
            return expected_float.is_nan() && got_float.is_nan();
        }
        if expected_float.is_infinite() {
            return expected_float == got_float;
        }
        let margin = self.absolute + self.relative * expected_float.abs();
        (got_float - expected_float).abs() <= margin
    }
}

fn float(scalar: Scalar<'_>) -> Option<f64> {
    match scalar {
        Scalar::Half(value) | Scalar::Single(value) => Some(value.into()),
        Scalar::Double(value) => Some(value),
        Scalar::Bool(_) | Scalar::Unsigned(_) | Scalar::Signed(_) | Scalar::Text(_) => None,
    }
}

/// What the answer to each case must look like. Shared by all threads.
#[derive(Debug)]
pub(crate) struct Expectations {
    signature: Signature,
    tolerance: Tolerance,
    cases: Vec<Expectation>,
}

#[derive(Debug)]
struct Expectation {
    rows: usize,
    requested: Vec<String>,
    recorded: Option<Vec<Tensor>>,
    first: OnceLock<Vec<Tensor>>,
}

impl Expectations {
    pub(crate) fn new(signature: Signature, tolerance: Tolerance, cases: &[Case]) -> Expectations {
        let expectation = |case: &Case| Expectation {
            rows: case.rows,
            requested: case.outputs.clone(),
            recorded: case.expected.clone(),
            first: OnceLock::new(),
        };
        Expectations { signature, tolerance, cases: cases.iter().map(expectation).collect() }
    }

    /// Fails with the first thing that is wrong in the answer to case `index`.
    pub(crate) fn check(&self, index: usize, answer: Vec<Tensor>) -> Result<()> {
        let case = &self.cases[index];
        if let Some(recorded) = &case.recorded {
            return compare(recorded, &answer, self.tolerance);
        }
        for port in &self.signature.outputs {
            if case.requested.is_empty() || case.requested.contains(&port.name) {
                fits(port, case.rows, named(&answer, &port.name)?)?;
            }
        }
        // Whoever comes first is the reference for the others; itself it was held to the metadata.
        match case.first.get() {
            Some(first) => compare(first, &answer, Tolerance::SAME),
            None => {
                let _ = case.first.set(answer);
                Ok(())
            }
        }
    }
}

/// One thread's decisions on which answers to look at, and what it found.
#[derive(Debug)]
pub(crate) struct Checker {
    expectations: Arc<Expectations>,
    /// Look at one answer in so many; 0: at none.
    every: u64,
    answers: u64,
    looked_at: Vec<bool>,
    pub(crate) findings: Findings,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) checked: u64,
    pub(crate) wrong: u64,
    /// The first wrong answer: which case, and what was wrong with it.
    pub(crate) first_wrong: Option<String>,
}

impl Checker {
    pub(crate) fn new(expectations: Arc<Expectations>, every: u64) -> Checker {
        let looked_at = vec![false; expectations.cases.len()];
        Checker { expectations, every, answers: 0, looked_at, findings: Findings::default() }
    }

    /// Is this answer one to look at? The first of each case always is.
    pub(crate) fn due(&mut self, index: usize) -> bool {
        if self.every == 0 {
            return false;
        }
        self.answers += 1;
        let first = !std::mem::replace(&mut self.looked_at[index], true);
        first || self.answers.is_multiple_of(self.every)
    }

    pub(crate) fn look(&mut self, index: usize, answer: Result<Vec<Tensor>>) {
        self.findings.checked += 1;
        if let Err(error) = answer.and_then(|answer| self.expectations.check(index, answer)) {
            self.findings.wrong += 1;
            self.findings.first_wrong.get_or_insert_with(|| format!("case {index}: {error:#}"));
        }
    }
}

fn named<'a>(answer: &'a [Tensor], name: &str) -> Result<&'a Tensor> {
    let Some(tensor) = answer.iter().find(|it| it.name == name) else {
        let names: Vec<&str> = answer.iter().map(|it| it.name.as_str()).collect();
        bail!("output {name:?} is missing, got {names:?}");
    };
    Ok(tensor)
}

/// Data type and shape as the metadata says; the bytes fit the shape by construction.
fn fits(port: &Port, rows: usize, tensor: &Tensor) -> Result<()> {
    let name = &port.name;
    let (expected, got) = (port.datatype.name(), tensor.datatype.name());
    ensure!(expected == got, "output {name:?} is {got}, the metadata says {expected}");
    let fits =
        |(&axis, &length): (&i64, &usize)| usize::try_from(axis).map_or(true, |it| it == length);
    let shape = &tensor.shape;
    ensure!(
        shape.len() == port.shape.len() && port.shape.iter().zip(shape).all(fits),
        "output {name:?} has shape {shape:?}, the metadata says {:?}",
        port.shape,
    );
    ensure!(
        !port.batched() || tensor.rows() == rows,
        "output {name:?} has {} rows, the request had {rows}",
        tensor.rows(),
    );
    Ok(())
}

/// Compares what was expected; outputs beyond that are no fault.
pub(crate) fn compare(expected: &[Tensor], answer: &[Tensor], tolerance: Tolerance) -> Result<()> {
    for wanted in expected {
        let (name, got) = (&wanted.name, named(answer, &wanted.name)?);
        if wanted == got {
            continue;
        }
        let kinds = (wanted.datatype.name(), got.datatype.name());
        ensure!(kinds.0 == kinds.1, "output {name:?} is {}, expected {}", kinds.1, kinds.0);
        ensure!(
            wanted.shape == got.shape,
            "output {name:?} has shape {:?}, expected {:?}",
            got.shape,
            wanted.shape,
        );
        for (index, (expected, got)) in wanted.scalars().zip(got.scalars()).enumerate() {
            if !tolerance.holds(expected, got) {
                let (expected, got) = (show(expected), show(got));
                bail!("output {name:?} element {index} is {got}, expected {expected}");
            }
        }
    }
    Ok(())
}

fn show(scalar: Scalar<'_>) -> String {
    match scalar {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Unsigned(value) => value.to_string(),
        Scalar::Signed(value) => value.to_string(),
        Scalar::Half(value) | Scalar::Single(value) => value.to_string(),
        Scalar::Double(value) => value.to_string(),
        Scalar::Text(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
    }
}
