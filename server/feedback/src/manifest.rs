//! What a message says of its row's columns, so that whoever takes it can tell what JSON does not: which types
//! they have and which tensors they are of. Small, since every row has it: a tensor's columns are one
//! entry, and names are there only if somebody gave them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use backend_api::DType;
use serde::{Deserialize, Serialize};

use crate::schema::{
    DTYPE, HASHED, SHAPE, TENSOR, TRUNCATED, VALUE_BYTES_MAX, fixed, scalar, truncated, whole,
};

/// More columns than a message has room for. A number, which it also may be, is not to be trusted.
const COLUMNS_MAX: usize = 100_000;

#[derive(Serialize, Deserialize)]
struct Manifest {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_value_bytes: Option<usize>,
    tensors: Vec<Entry>,
    /// Does each row name what of it was cut? Older servers did not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    marks: bool,
}

/// A tensor: `in` or `out`, its name, type and shape, whether its values are hashes, and its columns.
#[derive(Serialize, Deserialize)]
struct Entry(String, String, String, String, bool, Named);

/// How its columns are called.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Named {
    /// As the tensor, and if there are several with their number; 0: the tensor is one value.
    Plain(usize),
    /// Each as somebody wished.
    Given(Vec<String>),
}

/// Of the columns that a log has.
pub(crate) fn manifest(schema: &Schema) -> String {
    let about = |it: &Field, key: &str| it.metadata().get(key).cloned();
    let mut tensors: Vec<(Entry, Vec<String>)> = Vec::new();
    for field in schema.fields() {
        let Some(name) = about(field, TENSOR) else { continue };
        let Some((side, column)) = field.name().split_once('.') else { continue };
        let is_whole = matches!(field.data_type(), DataType::Struct(_));
        match tensors.last_mut() {
            Some((last, columns)) if last.0 == side && last.1 == name => {
                columns.push(column.to_owned());
            }
            Some(_) | None => {
                let (kind, shape) = (about(field, DTYPE), about(field, SHAPE));
                let (kind, shape) = (kind.unwrap_or_default(), shape.unwrap_or_default());
                let is_hashed = about(field, HASHED).is_some();
                let side = side.to_owned();
                let entry = Entry(side, name, kind, shape, is_hashed, Named::Plain(0));
                let own = (!is_whole).then(|| column.to_owned());
                tensors.push((entry, own.into_iter().collect()));
            }
        }
    }
    let named = |(mut entry, columns): (Entry, Vec<String>)| {
        let plain = columns == plain(&entry.1, columns.len());
        entry.5 = if plain { Named::Plain(columns.len()) } else { Named::Given(columns) };
        entry
    };
    let tensors = tensors.into_iter().map(named).collect();
    let max_value_bytes = schema.metadata().get(VALUE_BYTES_MAX).and_then(|it| it.parse().ok());
    let marks = schema.field_with_name(TRUNCATED).is_ok();
    // Writing texts and numbers to memory does not fail.
    serde_json::to_string(&Manifest { max_value_bytes, tensors, marks }).unwrap_or_default()
}

/// The columns that rows have. An error says what is not as it should be.
pub fn columns_of(manifest: &str) -> Result<SchemaRef, String> {
    let Manifest { max_value_bytes, tensors, marks } =
        serde_json::from_str(manifest).map_err(|it| it.to_string())?;
    let mut fields = fixed();
    for Entry(side, name, datatype, shape, hashed, columns) in &tensors {
        let dtype = DType::parse(datatype).ok_or_else(|| format!("{datatype:?} is no type"))?;
        if side != "in" && side != "out" {
            return Err(format!("{side:?} is neither in nor out"));
        }
        let (names, is_whole) = match columns {
            Named::Plain(0) => (vec![name.clone()], true),
            Named::Plain(count) if *count <= COLUMNS_MAX => (plain(name, *count), false),
            Named::Plain(count) => return Err(format!("{count} columns are more than a row has")),
            Named::Given(names) => (names.clone(), false),
        };
        let kind = match (hashed, is_whole) {
            (true, _) => DataType::Utf8,
            (false, true) => DataType::Struct(whole()),
            (false, false) => scalar(dtype),
        };
        let mut about = vec![(TENSOR, name.clone()), (DTYPE, datatype.clone())];
        about.push((SHAPE, shape.clone()));
        about.extend(hashed.then(|| (HASHED, "true".to_owned())));
        let about: HashMap<String, String> =
            about.into_iter().map(|(key, it)| (key.to_owned(), it)).collect();
        fields.extend(names.iter().map(|name| {
            Field::new(format!("{side}.{name}"), kind.clone(), true).with_metadata(about.clone())
        }));
    }
    fields.extend(marks.then(truncated));
    if fields.len() > COLUMNS_MAX {
        return Err(format!("{} columns are more than a row has", fields.len()));
    }
    let about = max_value_bytes.map(|it| (VALUE_BYTES_MAX.to_owned(), it.to_string()));
    Ok(Arc::new(Schema::new_with_metadata(fields, about.into_iter().collect::<HashMap<_, _>>())))
}

/// Names of a tensor's columns if nobody gave any.
fn plain(tensor: &str, count: usize) -> Vec<String> {
    match count {
        1 => vec![tensor.to_owned()],
        _ => (0..count).map(|it| format!("{tensor}.{it}")).collect(),
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
