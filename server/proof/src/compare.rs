//! Is the graph what its author declared?
//!
//! The rules, which CONFIGURATION.md states for operators:
//!
//! - Declared inputs and the graph's are the same, by name; declared outputs are among the graph's.
//! - Types and ranks are equal, and lengths where both sides give one: -1 says nothing.
//! - A tensor without a name is what some library inferred from data, mostly of the model before it
//!   became a graph: it may be any of the graph's outputs, floats may differ in width (MLflow
//!   converts them itself), and axes of length 1 at the end of outputs do not count.
//! - Columns are one input's last axis, or inputs of their own by name. Numbers are numbers.

use backend_api::{DType, Dim, Signature, TensorSpec};

use crate::declared::{Column, Declared, DeclaredTensor, Side};
use crate::refusal::{Refusal, Rule};

/// Differences that are named.
const NAMED_MAX: usize = 5;

/// Refuses a graph that is not as declared, with both sides of every difference.
pub fn compare(declared: &Declared, graph: &Signature) -> Result<(), Refusal> {
    let mut differences = inputs(&declared.inputs, &graph.inputs);
    differences.extend(outputs(&declared.outputs, &graph.outputs));
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(NAMED_MAX);
    differences.truncate(NAMED_MAX);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    let reason = format!(
        "the signature in MLmodel is not the graph's: {}{more}. Log the model with the signature it \
         has; proof.signature = false serves it all the same",
        differences.join("; ")
    );
    Err(Refusal::new(Rule::Signature, reason))
}

fn inputs(declared: &Side, graph: &[TensorSpec]) -> Vec<String> {
    match (declared, graph) {
        (Side::Anything, _) => Vec::new(),
        (Side::Tensors(tensors), _) => match tensors.as_slice() {
            [tensor] if tensor.name.is_none() => match graph {
                [spec] => differs("input", tensor, spec, fits_loosely(tensor, spec, false)),
                _ => vec![format!(
                    "MLmodel has one input, without a name, and the graph takes {}",
                    names(graph)
                )],
            },
            tensors => named_inputs(tensors, graph),
        },
        (Side::Columns(columns), [spec]) => one_table("input", columns, spec),
        (Side::Columns(columns), _) => column_inputs(columns, graph),
    }
}

fn named_inputs(tensors: &[DeclaredTensor], graph: &[TensorSpec]) -> Vec<String> {
    let mut differences = named("input", tensors, graph);
    let is_declared =
        |spec: &&TensorSpec| tensors.iter().any(|it| it.name.as_deref() == Some(&*spec.name));
    let missing = graph.iter().filter(|it| !is_declared(it));
    differences.extend(missing.map(|it| format!("the graph takes {it}, which MLmodel lacks")));
    differences
}

fn outputs(declared: &Side, graph: &[TensorSpec]) -> Vec<String> {
    match declared {
        Side::Anything => Vec::new(),
        Side::Tensors(tensors) => match tensors.as_slice() {
            [tensor] if tensor.name.is_none() => {
                if graph.iter().any(|it| fits_loosely(tensor, it, true)) {
                    return Vec::new();
                }
                vec![format!(
                    "MLmodel has the output {tensor}, and the graph gives {}",
                    specs(graph)
                )]
            }
            tensors => named("output", tensors, graph),
        },
        Side::Columns(columns) => column_outputs(columns, graph),
    }
}

/// Those with a name, each against the tensor of that name.
fn named(what: &str, tensors: &[DeclaredTensor], graph: &[TensorSpec]) -> Vec<String> {
    let mut differences = Vec::new();
    for tensor in tensors {
        let Some(name) = tensor.name.as_deref() else { continue };
        match graph.iter().find(|it| *it.name == *name) {
            Some(spec) => differences.extend(differs(what, tensor, spec, fits(tensor, spec))),
            None => differences.push(format!(
                "MLmodel has the {what} '{name}', and the graph has {}",
                names(graph)
            )),
        }
    }
    differences
}

fn differs(what: &str, tensor: &DeclaredTensor, spec: &TensorSpec, fits: bool) -> Vec<String> {
    if fits {
        return Vec::new();
    }
    vec![format!("{what} '{}' is {tensor} in MLmodel, and the graph has {spec}", spec.name)]
}

fn fits(tensor: &DeclaredTensor, spec: &TensorSpec) -> bool {
    tensor.dtype == Some(spec.dtype) && lengths_fit(&tensor.dims, &spec.dims)
}

fn fits_loosely(tensor: &DeclaredTensor, spec: &TensorSpec, is_output: bool) -> bool {
    let both_floats = tensor.dtype.is_some_and(is_float) && is_float(spec.dtype);
    if tensor.dtype != Some(spec.dtype) && !both_floats {
        return false;
    }
    let (mut dims, mut lengths) = (tensor.dims.as_slice(), spec.dims.as_slice());
    if !is_output || lengths_fit(dims, lengths) {
        return lengths_fit(dims, lengths);
    }
    while let Some((1, rest)) = dims.split_last().filter(|_| dims.len() > 1) {
        dims = rest;
    }
    while let Some((Dim::Fixed(1), rest)) = lengths.split_last().filter(|_| lengths.len() > 1) {
        lengths = rest;
    }
    lengths_fit(dims, lengths)
}

fn lengths_fit(declared: &[i64], graph: &[Dim]) -> bool {
    let fits = |(declared, dim): (&i64, &Dim)| match dim {
        Dim::Fixed(length) => *declared < 0 || i64::try_from(*length) == Ok(*declared),
        Dim::Rows | Dim::Free(_) => true,
    };
    declared.len() == graph.len() && declared.iter().zip(graph).all(fits)
}

/// All columns are the last axis of one tensor.
fn one_table(what: &str, columns: &[Column], spec: &TensorSpec) -> Vec<String> {
    // A column of arrays may be a tensor of any rank.
    if columns.iter().any(|it| it.written == "array") {
        return Vec::new();
    }
    let wrong = columns.iter().find(|it| !holds(it, spec.dtype));
    if let Some(column) = wrong {
        return vec![column_text(what, column, spec)];
    }
    let fits = match spec.dims.as_slice() {
        [_] => columns.len() == 1,
        [_, Dim::Fixed(length)] => columns.len() == *length,
        [_, Dim::Free(_) | Dim::Rows] => true,
        _ => false,
    };
    if fits {
        return Vec::new();
    }
    vec![format!("MLmodel has {} columns as {what}, and the graph has {spec}", columns.len())]
}

/// Each column is an input.
fn column_inputs(columns: &[Column], graph: &[TensorSpec]) -> Vec<String> {
    let mut differences = Vec::new();
    for spec in graph {
        match columns.iter().find(|it| it.name.as_deref() == Some(&*spec.name)) {
            Some(column) => differences
                .extend((!is_column(column, spec)).then(|| column_text("input", column, spec))),
            None => differences.push(format!("the graph takes {spec}, which MLmodel lacks")),
        }
    }
    let is_there = |it: &&Column| graph.iter().any(|spec| it.name.as_deref() == Some(&*spec.name));
    let strangers = columns.iter().filter(|it| !is_there(it));
    differences.extend(strangers.map(|it| {
        let name = it.name.as_deref().unwrap_or_default();
        format!("MLmodel has the column '{name}', and the graph takes {}", names(graph))
    }));
    differences
}

/// Each column is an output, or all of them are one's last axis.
fn column_outputs(columns: &[Column], graph: &[TensorSpec]) -> Vec<String> {
    let of = |it: &Column| graph.iter().find(|spec| it.name.as_deref() == Some(&*spec.name));
    if columns.iter().all(|it| of(it).is_some()) {
        let pairs = columns.iter().filter_map(|it| Some((it, of(it)?)));
        let wrong = pairs.filter(|(column, spec)| !holds(column, spec.dtype));
        return wrong.map(|(column, spec)| column_text("output", column, spec)).collect();
    }
    if graph.iter().any(|it| one_table("output", columns, it).is_empty()) {
        return Vec::new();
    }
    match graph {
        [spec] => one_table("output", columns, spec),
        _ => vec![format!(
            "MLmodel has {} columns as output, and the graph gives {}",
            columns.len(),
            specs(graph)
        )],
    }
}

/// Can the tensor be that column, one element a row?
fn is_column(column: &Column, spec: &TensorSpec) -> bool {
    let one = match spec.dims.as_slice() {
        [] | [_] | [_, Dim::Fixed(1) | Dim::Free(_) | Dim::Rows] => true,
        [_, Dim::Fixed(_)] | [_, _, _, ..] => column.written == "array",
    };
    one && holds(column, spec.dtype)
}

/// May a column's values stand in a tensor of that type? A table has one type for all its numbers.
fn holds(column: &Column, dtype: DType) -> bool {
    match column.written.as_str() {
        "float" | "double" => is_float(dtype),
        "boolean" | "integer" | "long" => dtype != DType::Bytes,
        "string" | "binary" => dtype == DType::Bytes,
        "array" => true,
        _ => false,
    }
}

fn is_float(dtype: DType) -> bool {
    [DType::Fp16, DType::Bf16, DType::Fp32, DType::Fp64].contains(&dtype)
}

fn column_text(what: &str, column: &Column, spec: &TensorSpec) -> String {
    let name = column.name.as_deref().unwrap_or("without a name");
    format!("{what} column '{name}' is {} in MLmodel, and the graph has {spec}", column.written)
}

fn names(graph: &[TensorSpec]) -> String {
    graph.iter().map(|it| &*it.name).collect::<Vec<_>>().join(", ")
}

fn specs(graph: &[TensorSpec]) -> String {
    graph.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
