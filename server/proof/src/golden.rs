//! Recorded requests and their answers: `golden.jsonl`.
//!
//! A line is `{"request": .., "response": ..}`, each as the Open Inference Protocol writes it over
//! HTTP. What the file holds is compared; outputs, ids and names that it leaves out are not.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use backend_api::{DType, Signature, Tensor};
use serde::Deserialize;
use serde_json::Value;

use crate::Ask;
use crate::agree::{Tolerance, agree};
use crate::refusal::{Refusal, Rule};
use crate::tensors::{in_order, shaped};

/// Requests of a file. Each is a run before the version is ready.
const LINES_MAX: usize = 1_000;

/// Bytes of a line: one large request with its answer.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Differences that are named.
const NAMED_MAX: usize = 3;

/// A file with recorded requests, and what counts as another answer.
#[derive(Clone, Debug)]
pub struct Golden {
    /// Where it is.
    pub path: PathBuf,
    /// How far floats may be off.
    pub tolerance: Tolerance,
    /// Elements that may be off by more.
    pub mismatches_max: usize,
}

/// What the comparison came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Requests that were answered.
    pub requests: usize,
    /// Elements that were compared.
    pub elements: usize,
    /// Elements that were off by more than the tolerance.
    pub mismatches: usize,
    /// Largest distance of two finite numbers.
    pub difference_max: f64,
    /// The first that were off, in words.
    pub first: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { requests, elements, mismatches, difference_max, .. } = self;
        write!(
            out,
            "{requests} requests, {elements} elements, {mismatches} off, largest difference \
             {difference_max:.3e}"
        )
    }
}

#[derive(Deserialize)]
struct Line {
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    inputs: Vec<Named>,
}

#[derive(Deserialize)]
struct Response {
    outputs: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    data: Value,
}

impl Named {
    fn tensor(&self) -> Result<Tensor, String> {
        let name = &self.name;
        let dtype = DType::parse(&self.datatype)
            .ok_or_else(|| format!("'{name}': {:?} is no datatype", self.datatype))?;
        shaped(dtype, &self.shape, &self.data).map_err(|it| format!("'{name}': {it}"))
    }
}

impl Golden {
    /// In a version's folder, or else in the model's, for all its versions; `None` if the file is
    /// in neither.
    pub fn find(
        name: &str,
        version: &Path,
        tolerance: Tolerance,
        mismatches_max: usize,
    ) -> Option<Golden> {
        let places = [Some(version), version.parent()];
        let path = places.into_iter().flatten().map(|it| it.join(name)).find(|it| is_there(it))?;
        Some(Golden { path, tolerance, mismatches_max })
    }

    /// Asks the model every request; refuses it if more is off than may be. Gives the inputs of the
    /// first request, too: they are what a run can be measured with.
    pub fn check(
        &self,
        signature: &Signature,
        ask: &mut Ask<'_>,
    ) -> Result<(Report, Vec<Tensor>), Refusal> {
        let (mut report, mut first) = (Report::default(), Vec::new());
        self.each(|number, line| {
            let inputs = line.inputs(signature)?;
            let answers = ask(&inputs).map_err(|it| format!("the run failed: {it}"))?;
            report.requests += 1;
            self.compare(number, &line, (signature, &answers), &mut report)?;
            if first.is_empty() {
                first = inputs;
            }
            Ok(())
        })?;
        if report.requests == 0 {
            return Err(self.refused("it holds no requests"));
        }
        if report.mismatches > self.mismatches_max {
            let reason = format!(
                "answers are not as recorded, {report}, and mismatches_max is {}: {}",
                self.mismatches_max,
                report.first.join("; ")
            );
            return Err(self.refused(&reason));
        }
        Ok((report, first))
    }

    fn compare(
        &self,
        number: usize,
        line: &Line,
        (signature, answers): (&Signature, &[Tensor]),
        report: &mut Report,
    ) -> Result<(), String> {
        for output in &line.response.outputs {
            let (name, expected) = (&output.name, output.tensor()?);
            let place = signature.outputs.iter().position(|it| *it.name == **name);
            let got = place.and_then(|it| answers.get(it));
            let got = got.ok_or_else(|| format!("the model gives no output '{name}'"))?;
            let (types, shapes) =
                ((expected.dtype(), got.dtype()), (expected.shape(), got.shape()));
            if types.0 != types.1 || shapes.0 != shapes.1 {
                return Err(format!(
                    "output '{name}' was {} {}, and is {} {}",
                    types.0, shapes.0, types.1, shapes.1
                ));
            }
            let found = agree(&expected, got, self.tolerance, NAMED_MAX);
            report.elements += found.elements;
            report.mismatches += found.off;
            report.difference_max = report.difference_max.max(found.difference_max);
            let left = NAMED_MAX.saturating_sub(report.first.len());
            report.first.extend(found.first.into_iter().take(left).map(|it| {
                let (place, expected, got) = (it.place, it.expected, it.got);
                format!("line {number}, output '{name}'[{place}]: expected {expected}, got {got}")
            }));
        }
        Ok(())
    }

    /// Goes through the lines; an error becomes a refusal that names the line.
    fn each(&self, mut what: impl FnMut(usize, Line) -> Result<(), String>) -> Result<(), Refusal> {
        let file = File::open(&self.path).map_err(|it| self.unreadable(&it))?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = (&mut reader).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line);
            if read.map_err(|it| self.unreadable(&it))? == 0 {
                return Ok(());
            }
            let at = |what: &str| self.refused(&format!("line {number}: {what}"));
            if line.len() as u64 > LINE_BYTES_MAX {
                return Err(at(&format!("more than {LINE_BYTES_MAX} bytes")));
            }
            if number > LINES_MAX {
                return Err(at(&format!("more than {LINES_MAX} lines")));
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            let parsed = serde_json::from_slice(&line).map_err(|it| at(&it.to_string()))?;
            what(number, parsed).map_err(|it| at(&it))?;
        }
        Ok(())
    }

    fn refused(&self, what: &str) -> Refusal {
        Refusal::new(Rule::Golden, format!("{}: {what}", self.name()))
    }

    fn unreadable(&self, error: &io::Error) -> Refusal {
        Refusal::of_disk(Rule::Golden, &self.name(), error)
    }

    /// Without the folder: clients see the reason.
    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn is_there(path: &Path) -> bool {
    // What cannot be looked at is there, so that its reason is said.
    !fs::metadata(path).is_err_and(|it| it.kind() == io::ErrorKind::NotFound)
}

impl Line {
    fn inputs(&self, signature: &Signature) -> Result<Vec<Tensor>, String> {
        let named = self.request.inputs.iter();
        let named = named.map(|it| Ok((it.name.clone(), it.tensor()?)));
        in_order(signature, named.collect::<Result<_, String>>()?)
    }
}

#[cfg(test)]
#[path = "golden_tests.rs"]
mod tests;
