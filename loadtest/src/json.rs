//! Tensors as the Open Inference Protocol writes them in JSON.
//!
//! Used by `recorded` and `http`. JSON has no NaN, no infinity and no half precision; such inputs
//! are refused with the element that cannot be written.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use half::{bf16, f16};
use serde::Serialize;
use serde_json::Value;

use crate::tensor::{Datatype, Scalar, Scalars, Tensor, put_string};

/// How deep `data` may be nested: far above any tensor's rank.
const NESTING_MAX: usize = 100;

/// Appends the elements of `tensor` as one flat JSON array.
pub(crate) fn put_data(out: &mut Vec<u8>, tensor: &Tensor) -> Result<()> {
    out.push(b'[');
    for (index, scalar) in tensor.scalars().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_scalar(out, scalar).with_context(|| format!("element {index} of {:?}", tensor.name))?;
    }
    out.push(b']');
    Ok(())
}

/// Appends the next elements as nested arrays, one level for each axis of `shape`.
pub(crate) fn put_nested(
    out: &mut Vec<u8>,
    shape: &[usize],
    elements: &mut Scalars<'_>,
) -> Result<()> {
    let Some((&length, inner)) = shape.split_first() else {
        return put_scalar(out, elements.next().context("fewer elements than the shape has")?);
    };
    out.push(b'[');
    for index in 0..length {
        if index > 0 {
            out.push(b',');
        }
        put_nested(out, inner, elements)?;
    }
    out.push(b']');
    Ok(())
}

/// Reads nested arrays; their shape is what the first element of each says.
pub(crate) fn nested(name: &str, datatype: Datatype, value: &Value) -> Result<Tensor> {
    let mut shape = Vec::new();
    let mut inner = Some(value);
    while let Some(Value::Array(values)) = inner {
        ensure!(shape.len() < NESTING_MAX, "{name:?} is nested deeper than {NESTING_MAX}");
        shape.push(values.len());
        inner = values.first();
    }
    let mut bytes = Vec::new();
    put_elements(&mut bytes, datatype, value, 0).with_context(|| format!("tensor {name:?}"))?;
    Tensor::new(name.to_owned(), datatype, shape, Bytes::from(bytes))
}

/// Appends any serialisable value.
pub(crate) fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<()> {
    serde_json::to_writer(out, value).context("cannot be written as JSON")
}

fn put_scalar(out: &mut Vec<u8>, scalar: Scalar<'_>) -> Result<()> {
    match scalar {
        Scalar::Bool(value) => put(out, &value),
        Scalar::Unsigned(value) => put(out, &value),
        Scalar::Signed(value) => put(out, &value),
        Scalar::Half(_) => bail!("FP16 and BF16 do not travel as JSON: use grpc or http-binary"),
        Scalar::Single(value) if value.is_finite() => put(out, &value),
        Scalar::Double(value) if value.is_finite() => put(out, &value),
        Scalar::Single(_) | Scalar::Double(_) => bail!("JSON has no NaN and no infinity"),
        Scalar::Text(bytes) => {
            let text = str::from_utf8(bytes).context("JSON strings are UTF-8: use http-binary")?;
            put(out, text)
        }
    }
}

/// Reads `{"name", "datatype", "shape", "data"}`; `data` may be nested or flat.
pub(crate) fn tensor(value: &Value) -> Result<Tensor> {
    let (name, datatype, shape) = tensor_head(value)?;
    let data = value.get("data").with_context(|| format!("tensor {name:?} has no \"data\""))?;
    let mut bytes = Vec::new();
    put_elements(&mut bytes, datatype, data, 0).with_context(|| format!("tensor {name:?}"))?;
    Tensor::new(name, datatype, shape, Bytes::from(bytes))
}

/// Reads name, data type and shape.
pub(crate) fn tensor_head(value: &Value) -> Result<(String, Datatype, Vec<usize>)> {
    let name = value.get("name").and_then(Value::as_str);
    let name = name.with_context(|| format!("a tensor without a \"name\": {}", clip(value)))?;
    let datatype = value.get("datatype").and_then(Value::as_str);
    let datatype = datatype.with_context(|| format!("tensor {name:?} has no \"datatype\""))?;
    let shape = value.get("shape").and_then(Value::as_array);
    let shape = shape.with_context(|| format!("tensor {name:?} has no \"shape\""))?;
    let axis = |axis: &Value| {
        let length = axis.as_u64().and_then(|it| usize::try_from(it).ok());
        length.with_context(|| format!("tensor {name:?}: axis {axis} is not a length"))
    };
    let shape = shape.iter().map(axis).collect::<Result<_>>()?;
    Ok((name.to_owned(), Datatype::parse(datatype)?, shape))
}

fn put_elements(out: &mut Vec<u8>, datatype: Datatype, value: &Value, depth: usize) -> Result<()> {
    let Value::Array(values) = value else {
        return put_element(out, datatype, value)
            .with_context(|| format!("{} is not an element of {}", clip(value), datatype.name()));
    };
    ensure!(depth < NESTING_MAX, "\"data\" is nested deeper than {NESTING_MAX}");
    values.iter().try_for_each(|it| put_elements(out, datatype, it, depth + 1))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "an FP32 written as decimal is rounded to FP32"
)]
fn put_element(out: &mut Vec<u8>, datatype: Datatype, value: &Value) -> Result<()> {
    let float = || value.as_f64().context("expected a number");
    match datatype {
        Datatype::Bool => out.push(u8::from(boolean(value)?)),
        Datatype::Uint8 => out.extend(integer::<u8>(value)?.to_le_bytes()),
        Datatype::Uint16 => out.extend(integer::<u16>(value)?.to_le_bytes()),
        Datatype::Uint32 => out.extend(integer::<u32>(value)?.to_le_bytes()),
        Datatype::Uint64 => out.extend(integer::<u64>(value)?.to_le_bytes()),
        Datatype::Int8 => out.extend(integer::<i8>(value)?.to_le_bytes()),
        Datatype::Int16 => out.extend(integer::<i16>(value)?.to_le_bytes()),
        Datatype::Int32 => out.extend(integer::<i32>(value)?.to_le_bytes()),
        Datatype::Int64 => out.extend(integer::<i64>(value)?.to_le_bytes()),
        Datatype::Fp16 => out.extend(f16::from_f64(float()?).to_le_bytes()),
        Datatype::Bf16 => out.extend(bf16::from_f64(float()?).to_le_bytes()),
        Datatype::Fp32 => out.extend((float()? as f32).to_le_bytes()),
        Datatype::Fp64 => out.extend(float()?.to_le_bytes()),
        Datatype::Bytes => {
            put_string(out, value.as_str().context("expected a string")?.as_bytes())?
        }
    }
    Ok(())
}

/// `true`, `false`, and the 1 and 0 that some servers write for them.
fn boolean(value: &Value) -> Result<bool> {
    match (value.as_bool(), value.as_u64()) {
        (Some(value), _) => Ok(value),
        (None, Some(0)) => Ok(false),
        (None, Some(1)) => Ok(true),
        (None, _) => bail!("expected true or false"),
    }
}

fn integer<T: TryFrom<i128>>(value: &Value) -> Result<T> {
    let wide = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    let wide = wide.context("expected an integer")?;
    T::try_from(wide).ok().context("out of range")
}

/// The beginning of a value, for messages.
fn clip(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}
