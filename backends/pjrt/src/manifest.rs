//! What the programs do not say: names, which axis is rows, which program is for how many.
//!
//! `model.stablehlo.toml` lies beside `model.stablehlo`:
//!
//! ```toml
//! inputs = [{ name = "x", datatype = "FP32", shape = [-1, 4] }]
//! outputs = [{ name = "y", datatype = "FP32", shape = [-1, 4] }]
//! programs = { 1 = "model.stablehlo", 8 = "model.8.stablehlo" }
//! ```
//!
//! -1 is the axis of rows; a model without it has one program. `range = [0, 3]` on an input of whole
//! numbers refuses what is not in it: XLA answers with the nearest row of a table instead.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use backend_api::{Axis, BackendError, DType, GraphTensor, Signature, Tensor};
use serde::Deserialize;

/// The programs of a model. Each is compiled and kept: more would be a mistake.
const PROGRAMS_MAX: usize = 64;

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    inputs: Vec<RawTensor>,
    outputs: Vec<RawTensor>,
    #[serde(default)]
    programs: BTreeMap<String, PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    range: Option<[i64; 2]>,
}

/// As it is meant.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) signature: Signature,
    /// Rows (1 where there is no such axis) and file, ascending.
    pub(crate) programs: Vec<(usize, PathBuf)>,
    /// For each input the numbers that it may hold.
    pub(crate) ranges: Vec<Option<RangeInclusive<i64>>>,
}

impl Manifest {
    /// Reads what lies beside the artifact.
    pub(crate) fn read(artifact: &Path) -> Result<Manifest, BackendError> {
        let mut name = artifact.file_name().unwrap_or_default().to_owned();
        name.push(".toml");
        let path = artifact.with_file_name(&name);
        let shown = name.display();
        let text = fs::read_to_string(&path).map_err(|it| BackendError::Artifact {
            reason: format!("{shown}, which names inputs and outputs: {it}"),
        })?;
        let parsed = Manifest::parse(&text, artifact);
        parsed.map_err(|it| BackendError::Artifact { reason: format!("{shown}: {it}") })
    }

    fn parse(text: &str, artifact: &Path) -> Result<Manifest, String> {
        let raw: Raw = toml::from_str(text).map_err(|it| it.to_string().trim().to_owned())?;
        let side = |side: &[RawTensor]| side.iter().map(tensor).collect::<Result<Vec<_>, _>>();
        let signature = Signature::of_graph(side(&raw.inputs)?, side(&raw.outputs)?);
        let all = || raw.inputs.iter().chain(&raw.outputs);
        let batched = signature.is_batched();
        if !batched && all().any(|it| it.shape.contains(&-1)) {
            return Err("-1, the axis of rows, stands first in all tensors or in none".to_owned());
        }
        let mut programs = Vec::new();
        for (rows, file) in raw.programs {
            let count = rows.parse::<usize>().ok().filter(|&it| it > 0);
            let count = count.ok_or_else(|| format!("programs: {rows:?} is no number of rows"))?;
            if file.file_name() != Some(file.as_os_str()) {
                return Err(format!("programs: {} is not in the same folder", file.display()));
            }
            programs.push((count, artifact.with_file_name(file)));
        }
        if programs.is_empty() && !batched {
            programs.push((1, artifact.to_path_buf()));
        }
        programs.sort();
        if programs.is_empty() || programs.len() > PROGRAMS_MAX || (!batched && programs.len() > 1)
        {
            let most = if batched { PROGRAMS_MAX } else { 1 };
            return Err(format!("programs: there are {}, expected 1 to {most}", programs.len()));
        }
        let ranges = raw.inputs.iter().map(|it| it.range.map(|[low, high]| low..=high)).collect();
        Ok(Manifest { signature, programs, ranges })
    }

    /// Are the numbers of `tensor`, input number `n`, within range? It must be aligned.
    pub(crate) fn check(&self, n: usize, tensor: &Tensor) -> Result<(), BackendError> {
        let Some(range) = self.ranges.get(n).and_then(Option::as_ref) else { return Ok(()) };
        let outside = if let Some(numbers) = tensor.view::<i64>() {
            numbers.iter().copied().enumerate().find(|(_, it)| !range.contains(it))
        } else if let Some(numbers) = tensor.view::<i32>() {
            numbers.iter().map(|&it| it.into()).enumerate().find(|(_, it)| !range.contains(it))
        } else {
            None
        };
        let Some((at, number)) = outside else { return Ok(()) };
        let name = self.signature.inputs.get(n).map(|it| &*it.name).unwrap_or_default();
        let (low, high) = (range.start(), range.end());
        let reason =
            format!("input '{name}' holds {number} at element {at}, allowed are {low} to {high}");
        Err(BackendError::Input { reason })
    }
}

fn tensor(raw: &RawTensor) -> Result<GraphTensor, String> {
    let (name, datatype) = (&raw.name, &raw.datatype);
    let dtype = DType::parse(datatype).filter(|it| *it != DType::Bytes);
    let dtype = dtype.ok_or_else(|| format!("{name}: {datatype:?} is no type that XLA knows"))?;
    if raw.range.is_some() && ![DType::Int32, DType::Int64].contains(&dtype) {
        return Err(format!("{name}: range is for INT32 and INT64, this is {dtype}"));
    }
    let axis = |(n, &length): (usize, &i64)| match usize::try_from(length) {
        Ok(length) if length > 0 => Ok(Axis::Fixed(length)),
        Err(_) if length == -1 && n == 0 => Ok(Axis::Unknown),
        Ok(_) | Err(_) => Err(format!("{name}: {length} is no length; -1 may stand first")),
    };
    let axes = raw.shape.iter().enumerate().map(axis).collect::<Result<_, _>>()?;
    Ok(GraphTensor { name: name.clone(), dtype, axes })
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
