//! JSON as tensors: what people record and what tools write beside a model.
//!
//! Not the door of the server: files of an operator, read once a load, so clarity goes first.

use backend_api::{DType, Shape, Signature, Tensor, strings};
use half::{bf16, f16};
use serde_json::Value;

/// Arrays in arrays: more than any shape has axes.
const DEPTH_MAX: usize = 32;

/// Elements in a row or in arrays, at the shape that is given.
pub fn shaped(dtype: DType, dims: &[i64], data: &Value) -> Result<Tensor, String> {
    let shape = Shape::from_wire(dims).map_err(|it| it.to_string())?;
    let mut elements = Vec::new();
    flatten(data, 0, &mut elements)?;
    if elements.len() != shape.elements() {
        let (wanted, got) = (shape.elements(), elements.len());
        return Err(format!("shape {shape} has {wanted} elements, data has {got}"));
    }
    of_elements(dtype, shape, &elements)
}

/// Arrays in arrays, whose lengths are the shape.
pub(crate) fn nested(dtype: DType, data: &Value) -> Result<Tensor, String> {
    let mut dims = Vec::new();
    let mut level = data;
    while let Value::Array(list) = level {
        if dims.len() >= DEPTH_MAX {
            return Err(format!("arrays are nested deeper than {DEPTH_MAX}"));
        }
        dims.push(list.len());
        match list.first() {
            Some(first) => level = first,
            None => break,
        }
    }
    if !is_even(data, &dims) {
        return Err("arrays beside one another differ in length".to_owned());
    }
    let mut elements = Vec::new();
    flatten(data, 0, &mut elements)?;
    of_elements(dtype, Shape::new(&dims).map_err(|it| it.to_string())?, &elements)
}

/// Puts named tensors into the signature's order, and holds them against it.
pub fn in_order(
    signature: &Signature,
    mut named: Vec<(String, Tensor)>,
) -> Result<Vec<Tensor>, String> {
    let mut inputs = Vec::new();
    for spec in &signature.inputs {
        let place = named.iter().position(|(name, _)| **name == *spec.name);
        let place = place.ok_or_else(|| format!("input '{}' is missing", spec.name))?;
        let (_, tensor) = named.swap_remove(place);
        if tensor.dtype() != spec.dtype || !spec.accepts(tensor.shape()) {
            let (dtype, shape) = (tensor.dtype(), tensor.shape());
            return Err(format!("{dtype} {shape} does not fit the input {spec}"));
        }
        inputs.push(tensor);
    }
    if let Some((name, _)) = named.first() {
        return Err(format!("there is no input '{name}'"));
    }
    if signature.is_batched() {
        let mut rows = inputs.iter().filter_map(|it| it.shape().rows());
        let first = rows.next();
        if first == Some(0) || rows.any(|it| Some(it) != first) {
            return Err("the inputs have no rows, or not all as many".to_owned());
        }
    }
    Ok(inputs)
}

fn is_even(data: &Value, dims: &[usize]) -> bool {
    match (data, dims) {
        (Value::Array(list), [length, inner @ ..]) => {
            list.len() == *length && list.iter().all(|it| is_even(it, inner))
        }
        (Value::Array(_), []) | (_, [_, ..]) => false,
        (_, []) => true,
    }
}

fn flatten<'a>(data: &'a Value, depth: usize, into: &mut Vec<&'a Value>) -> Result<(), String> {
    let Value::Array(list) = data else {
        into.push(data);
        return Ok(());
    };
    if depth >= DEPTH_MAX {
        return Err(format!("arrays are nested deeper than {DEPTH_MAX}"));
    }
    list.iter().try_for_each(|it| flatten(it, depth + 1, into))
}

fn of_elements(dtype: DType, shape: Shape, elements: &[&Value]) -> Result<Tensor, String> {
    let mut data = Vec::with_capacity(elements.len() * dtype.size().unwrap_or(8));
    for element in elements {
        push(&mut data, dtype, element)
            .ok_or_else(|| format!("{} is no {dtype}", brief(element)))?;
    }
    Tensor::new(dtype, shape, data.into()).map_err(|it| it.to_string())
}

fn brief(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}

fn push(out: &mut Vec<u8>, dtype: DType, value: &Value) -> Option<()> {
    match dtype {
        DType::Bool => out.push(match value.as_bool() {
            Some(it) => u8::from(it),
            None => u8::try_from(whole(value)?).ok().filter(|it| *it < 2)?,
        }),
        DType::Uint8 => out.extend(u8::try_from(whole(value)?).ok()?.to_le_bytes()),
        DType::Uint16 => out.extend(u16::try_from(whole(value)?).ok()?.to_le_bytes()),
        DType::Uint32 => out.extend(u32::try_from(whole(value)?).ok()?.to_le_bytes()),
        DType::Uint64 => out.extend(u64::try_from(whole(value)?).ok()?.to_le_bytes()),
        DType::Int8 => out.extend(i8::try_from(whole(value)?).ok()?.to_le_bytes()),
        DType::Int16 => out.extend(i16::try_from(whole(value)?).ok()?.to_le_bytes()),
        DType::Int32 => out.extend(i32::try_from(whole(value)?).ok()?.to_le_bytes()),
        DType::Int64 => out.extend(i64::try_from(whole(value)?).ok()?.to_le_bytes()),
        DType::Fp16 => out.extend(f16::from_f64(float(value)?).to_le_bytes()),
        DType::Bf16 => out.extend(bf16::from_f64(float(value)?).to_le_bytes()),
        #[expect(clippy::cast_possible_truncation, reason = "rounding is what is meant")]
        DType::Fp32 => out.extend((float(value)? as f32).to_le_bytes()),
        DType::Fp64 => out.extend(float(value)?.to_le_bytes()),
        DType::Bytes => strings::push(out, value.as_str()?.as_bytes()).ok()?,
    }
    Some(())
}

/// A whole number, also where a table has written it as 1.0.
fn whole(value: &Value) -> Option<i128> {
    if let Some(it) = value.as_i64() {
        return Some(i128::from(it));
    }
    if let Some(it) = value.as_u64() {
        return Some(i128::from(it));
    }
    // Beyond 2^53 a float may not be the number that was written.
    let float = value.as_f64().filter(|it| it.fract() == 0.0 && it.abs() <= 9e15)?;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
    let whole = float as i128;
    Some(whole)
}

/// A number; JSON has none that is not finite, so those are words, or null as tables write them.
fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(f64::NAN),
        Value::Bool(it) => Some(f64::from(u8::from(*it))),
        Value::Number(it) => it.as_f64(),
        Value::String(word) => match word.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dtype: DType, json: &str, expect: Result<(&[usize], usize), &str>) {
        let value: Value = serde_json::from_str(json).expect("JSON");
        let made = nested(dtype, &value);
        let made = made.as_ref().map(|it| (it.shape().dims(), it.data().len()));
        assert_eq!(made.map_err(String::as_str), expect, "{json}");
    }

    #[test]
    fn arrays_have_their_shape() {
        check(DType::Fp32, "[[1, 2.5, null], [true, \"NaN\", -1e3]]", Ok((&[2, 3], 24)));
        check(DType::Int64, "[1, 2.0]", Ok((&[2], 16)));
        check(DType::Bytes, "[\"ab\", \"\"]", Ok((&[2], 10)));
        check(DType::Bool, "[true, 0]", Ok((&[2], 2)));
        check(DType::Fp32, "1", Ok((&[], 4)));
    }

    #[test]
    fn what_is_no_such_tensor_is_said() {
        check(DType::Uint8, "[256]", Err("256 is no UINT8"));
        check(DType::Int32, "[1.5]", Err("1.5 is no INT32"));
        check(DType::Fp32, "[\"x\"]", Err("\"x\" is no FP32"));
        check(DType::Fp32, "[[1], [2, 3]]", Err("arrays beside one another differ in length"));
        check(DType::Fp32, "[[1], 2]", Err("arrays beside one another differ in length"));
        check(DType::Fp32, "[{}]", Err("{} is no FP32"));
    }

    #[test]
    fn flat_data_is_counted() {
        let data = serde_json::json!([1, 2, 3]);
        let error = shaped(DType::Fp32, &[2, 2], &data).expect_err("one is missing");
        assert_eq!(error, "shape [2,2] has 4 elements, data has 3");
        assert!(shaped(DType::Fp32, &[-1], &data).is_err());
        assert!(shaped(DType::Fp32, &[3, 1], &data).is_ok());
    }
}
