//! The example that a model brings: MLflow's `serving_input_example.json` or `input_example.json`.
//!
//! An array, arrays by name, or a table (`columns` and `data`), alone or as a request to a scoring
//! server (`inputs`, `dataframe_split`).

use std::fs;
use std::io;
use std::path::Path;

use backend_api::{Signature, Tensor, TensorSpec};
use serde_json::Value;

use crate::Ask;
use crate::agree::first_not_finite;
use crate::card::Card;
use crate::refusal::{Refusal, Rule};
use crate::tensors::{in_order, nested};

/// Largest example that is read.
const BYTES_MAX: u64 = 16 << 20;

/// The example as the model's inputs; `None` if it has none.
pub fn example(
    card: &Card,
    folder: &Path,
    signature: &Signature,
) -> Result<Option<Vec<Tensor>>, Refusal> {
    for name in &card.examples {
        let refused = |what: String| {
            let reason = format!(
                "the example in {name} is no input of the model: {what}; proof.example = false \
                 serves it all the same"
            );
            Refusal::new(Rule::Example, reason)
        };
        match read(&folder.join(name)) {
            Ok(text) => {
                let value = serde_json::from_slice(&text).map_err(|it| refused(it.to_string()))?;
                return inputs(&value, signature).map(Some).map_err(refused);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Refusal::of_disk(Rule::Example, name, &error)),
        }
    }
    Ok(None)
}

/// Asks the model its own example: it must run, and give nothing but finite numbers.
pub fn check_example(
    signature: &Signature,
    inputs: &[Tensor],
    ask: &mut Ask<'_>,
) -> Result<(), Refusal> {
    let refused = |what: String| {
        let reason =
            format!("the model's own example {what}; proof.example = false serves it all the same");
        Refusal::new(Rule::Example, reason)
    };
    let answers = ask(inputs).map_err(|it| refused(format!("does not run: {it}")))?;
    for (answer, spec) in answers.iter().zip(&signature.outputs) {
        if let Some((place, value)) = first_not_finite(answer) {
            return Err(refused(format!("gives {value} in output '{}'[{place}]", spec.name)));
        }
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > BYTES_MAX {
        let text = format!("more than {BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    fs::read(path)
}

fn inputs(value: &Value, signature: &Signature) -> Result<Vec<Tensor>, String> {
    let whole = ["inputs", "instances", "dataframe_split"].iter().find_map(|it| value.get(*it));
    let value = whole.unwrap_or(value);
    let table = value.get("columns").and_then(Value::as_array);
    if let Some((columns, data)) = table.zip(value.get("data")) {
        return of_table(columns, data, signature);
    }
    match (value, signature.inputs.as_slice()) {
        (Value::Object(named), specs) => {
            let tensor = |(name, data): (&String, &Value)| {
                let spec = specs.iter().find(|it| *it.name == **name);
                let spec = spec.ok_or_else(|| format!("there is no input '{name}'"))?;
                Ok((name.clone(), one(spec, data)?))
            };
            in_order(signature, named.iter().map(tensor).collect::<Result<_, String>>()?)
        }
        (Value::Array(_), [spec]) => {
            in_order(signature, vec![(spec.name.to_string(), one(spec, value)?)])
        }
        (_, specs) => Err(format!("it is for one input, and the model has {}", specs.len())),
    }
}

fn one(spec: &TensorSpec, data: &Value) -> Result<Tensor, String> {
    nested(spec.dtype, data).map_err(|it| format!("input '{}': {it}", spec.name))
}

/// The columns of a table: one input's last axis, or inputs of their own.
fn of_table(columns: &[Value], data: &Value, signature: &Signature) -> Result<Vec<Tensor>, String> {
    if let [spec] = signature.inputs.as_slice() {
        let data = if spec.dims.len() == 1 { column(data, 0)? } else { data.clone() };
        return in_order(signature, vec![(spec.name.to_string(), one(spec, &data)?)]);
    }
    let mut named = Vec::new();
    for spec in &signature.inputs {
        let place = columns.iter().position(|it| it.as_str() == Some(&*spec.name));
        let place = place.ok_or_else(|| format!("there is no column '{}'", spec.name))?;
        let mut data = column(data, place)?;
        if spec.dims.len() == 2 {
            let rows = data.as_array().into_iter().flatten();
            data = rows.map(|it| Value::Array(vec![it.clone()])).collect();
        }
        named.push((spec.name.to_string(), one(spec, &data)?));
    }
    in_order(signature, named)
}

fn column(data: &Value, place: usize) -> Result<Value, String> {
    let rows = data.as_array().ok_or("expected a list of rows")?;
    let cell = |row: &Value| row.get(place).cloned().ok_or("a row is too short");
    Ok(rows.iter().map(cell).collect::<Result<_, _>>()?)
}

#[cfg(test)]
#[path = "example_tests.rs"]
mod tests;
