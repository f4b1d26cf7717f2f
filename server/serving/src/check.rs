//! Holds a request against a signature.
//!
//! Called once per request, before it may wait. What comes out stands in the signature's order and
//! fits it, so that nothing behind this line checks again.

use std::borrow::Cow;

use backend_api::{Dim, Shape, Signature, TensorSpec, UNBATCHED_ROWS};
use server_base::NamedTensor;
use smallvec::SmallVec;

use crate::error::InferError;

/// Names, types, axes and rows of the inputs. Puts them into the signature's order, and tells how
/// many rows they have.
pub(crate) fn inputs(
    model: &str,
    signature: &Signature,
    rows_max: usize,
    given: &mut [NamedTensor<'_>],
) -> Result<usize, InferError> {
    if given.len() != signature.inputs.len() {
        return Err(InferError::Invalid(count_text(model, signature, given)));
    }
    for (place, spec) in signature.inputs.iter().enumerate() {
        // Those before this place have the names of those before this one: no name stands twice,
        // or one is missing in the end.
        let found = given.iter().skip(place).position(|it| *it.name == *spec.name);
        let Some(found) = found else {
            return Err(InferError::Invalid(name_text(model, signature, given)));
        };
        given.swap(place, place + found);
        if let Some(given) = given.get(place) {
            check_one(model, spec, given)?;
        }
    }
    let rows = rows(model, signature, rows_max, given)?;
    axes(model, signature, given)?;
    Ok(rows)
}

/// Places of the wanted outputs in the signature; none of them if none are named.
pub(crate) fn outputs(
    model: &str,
    signature: &Signature,
    wanted: &[Cow<'_, str>],
) -> Result<SmallVec<[usize; 4]>, InferError> {
    let mut places = SmallVec::new();
    for name in wanted {
        let Some(place) = signature.outputs.iter().position(|it| *it.name == **name) else {
            let text = format!(
                "unexpected inference output '{name}' for model '{model}'. It gives {}",
                names(&signature.outputs)
            );
            return Err(InferError::Invalid(text));
        };
        if places.contains(&place) {
            return Err(InferError::Invalid(format!("output '{name}' already exists in request")));
        }
        places.push(place);
    }
    Ok(places)
}

fn check_one(model: &str, spec: &TensorSpec, given: &NamedTensor<'_>) -> Result<(), InferError> {
    let (name, tensor) = (&spec.name, &given.tensor);
    if tensor.dtype() != spec.dtype {
        return Err(InferError::Invalid(format!(
            "inference input '{name}' data-type is '{}', but model '{model}' expects '{}'",
            tensor.dtype(),
            spec.dtype
        )));
    }
    if !spec.accepts(tensor.shape()) {
        return Err(InferError::Invalid(format!(
            "unexpected shape for input '{name}' for model '{model}'. Expected {}, got {}",
            wire_text(spec),
            tensor.shape()
        )));
    }
    Ok(())
}

/// How many rows the request has: of a batched model the same in every input, at least one and at
/// most a batch; of any other model one, because it takes one place in the batch.
fn rows(
    model: &str,
    signature: &Signature,
    rows_max: usize,
    inputs: &[NamedTensor<'_>],
) -> Result<usize, InferError> {
    if !signature.is_batched() {
        return Ok(1);
    }
    let mut lengths = inputs.iter().filter_map(|it| it.tensor.shape().rows());
    let rows = lengths.next().unwrap_or(0);
    if lengths.any(|it| it != rows) {
        let shapes: Vec<&Shape> = inputs.iter().map(|it| it.tensor.shape()).collect();
        let text = format!("the inputs of model '{model}' differ in their first axis: {shapes:?}");
        return Err(InferError::Invalid(text));
    }
    if rows == 0 {
        let text = format!("the inputs of model '{model}' have no rows, at least 1 is needed");
        return Err(InferError::Invalid(text));
    }
    if rows > rows_max {
        let text = format!(
            "inference request batch-size must be <= {rows_max} for '{model}', got {rows} rows"
        );
        return Err(InferError::Invalid(text));
    }
    Ok(rows)
}

/// Axes of one name are of one length, wherever they stand.
fn axes(model: &str, signature: &Signature, inputs: &[NamedTensor<'_>]) -> Result<(), InferError> {
    let mut known: SmallVec<[(&str, &str, usize); 8]> = SmallVec::new();
    for (spec, input) in signature.inputs.iter().zip(inputs) {
        for (dim, &length) in spec.dims.iter().zip(input.tensor.shape().dims()) {
            let Dim::Free(axis) = dim else { continue };
            if axis.is_empty() || **axis == *UNBATCHED_ROWS {
                continue; // not named by the model
            }
            match known.iter().find(|(name, ..)| *name == &**axis) {
                None => known.push((axis, &spec.name, length)),
                Some((.., known)) if *known == length => {}
                Some((_, first, known)) => {
                    let text = format!(
                        "the inputs '{first}' and '{}' of model '{model}' differ in the axis \
                         '{axis}', which they share: {known} and {length}",
                        spec.name
                    );
                    return Err(InferError::Invalid(text));
                }
            }
        }
    }
    Ok(())
}

fn count_text(model: &str, signature: &Signature, given: &[NamedTensor<'_>]) -> String {
    let missing =
        signature.inputs.iter().filter(|spec| given.iter().all(|it| *it.name != *spec.name));
    let missing: Vec<&str> = missing.map(|it| &*it.name).collect();
    let mut text = format!(
        "expected {} inputs but got {} inputs for model '{model}'. Got input(s) {}",
        signature.inputs.len(),
        given.len(),
        list(given.iter().map(|it| &*it.name)),
    );
    if !missing.is_empty() {
        let missing = list(missing.into_iter());
        text.push_str(&format!(
            ", but missing required input(s) {missing}. Please provide all required input(s)."
        ));
    }
    text
}

fn name_text(model: &str, signature: &Signature, given: &[NamedTensor<'_>]) -> String {
    let stranger =
        given.iter().find(|it| signature.inputs.iter().all(|spec| *spec.name != *it.name));
    match stranger {
        Some(it) => format!(
            "unexpected inference input '{}' for model '{model}'. It takes {}",
            it.name,
            names(&signature.inputs)
        ),
        // Every name is known and one is missing, so one stands twice.
        None => {
            let twice = |it: &&NamedTensor<'_>| {
                given.iter().filter(|other| other.name == it.name).count() > 1
            };
            let name = given.iter().find(twice).map_or("", |it| &*it.name);
            format!("input '{name}' already exists in request")
        }
    }
}

fn names(specs: &[TensorSpec]) -> String {
    list(specs.iter().map(|it| &*it.name))
}

/// Names as the field's clients know the list: `['a','b']`. Long lists are cut.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN_MAX: usize = 32;
    let mut shown: Vec<String> = names.take(SHOWN_MAX + 1).map(|it| format!("'{it}'")).collect();
    if shown.len() > SHOWN_MAX {
        shown[SHOWN_MAX] = "...".to_owned();
    }
    format!("[{}]", shown.join(","))
}

fn wire_text(spec: &TensorSpec) -> String {
    let lengths: Vec<String> = spec.to_wire().iter().map(ToString::to_string).collect();
    format!("[{}]", lengths.join(","))
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
