//! The signature of an `MLmodel`: JSON texts inside YAML, of tensors or of columns.

use std::fmt;

use backend_api::DType;
use serde_json::Value;

/// What a model takes and gives, as its author declared it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// What it takes.
    pub inputs: Side,
    /// What it gives.
    pub outputs: Side,
}

/// One side of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Side {
    /// Nothing is said.
    #[default]
    Anything,
    /// Arrays.
    Tensors(Vec<DeclaredTensor>),
    /// Columns of a table.
    Columns(Vec<Column>),
}

/// One array.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredTensor {
    /// Where there is only one, it often has none.
    pub name: Option<String>,
    /// `None` for a type that no tensor of ours has.
    pub dtype: Option<DType>,
    /// The type as it was written.
    pub written: String,
    /// Lengths; -1 says nothing.
    pub dims: Vec<i64>,
}

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Lists of one column often have none.
    pub name: Option<String>,
    /// The type as it was written: `double`, `long`, `string`.
    pub written: String,
}

impl Declared {
    /// Reads the value of `signature`.
    pub(crate) fn read(value: &Value) -> Result<Declared, String> {
        let side = |name: &str| {
            let text = value.get(name).and_then(Value::as_str);
            text.map_or(Ok(Side::Anything), Side::parse)
                .map_err(|it| format!("signature.{name}: {it}"))
        };
        Ok(Declared { inputs: side("inputs")?, outputs: side("outputs")? })
    }
}

impl Side {
    /// Reads a JSON list.
    pub(crate) fn parse(json: &str) -> Result<Side, String> {
        let list: Value = serde_json::from_str(json).map_err(|it| it.to_string())?;
        let list = list.as_array().ok_or("expected a list")?;
        let kind =
            |it: &Value| it.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        if list.is_empty() || list.iter().any(|it| kind(it) == "any") {
            return Ok(Side::Anything);
        }
        if list.iter().all(|it| kind(it) == "tensor") {
            return list.iter().map(tensor).collect::<Result<_, _>>().map(Side::Tensors);
        }
        if list.iter().any(|it| kind(it) == "tensor") {
            return Err("tensors and columns stand in one list".to_owned());
        }
        let column = |it: &Value| Column { name: name(it), written: kind(it) };
        Ok(Side::Columns(list.iter().map(column).collect()))
    }
}

fn name(value: &Value) -> Option<String> {
    value.get("name").and_then(Value::as_str).map(str::to_owned)
}

fn tensor(value: &Value) -> Result<DeclaredTensor, String> {
    let spec = value.get("tensor-spec").ok_or("a tensor without `tensor-spec`")?;
    let written = spec.get("dtype").and_then(Value::as_str).ok_or("a tensor without `dtype`")?;
    let dims = spec.get("shape").and_then(Value::as_array).ok_or("a tensor without `shape`")?;
    let dims: Option<Vec<i64>> = dims.iter().map(Value::as_i64).collect();
    let dims = dims.ok_or_else(|| format!("{}: expected whole numbers", spec["shape"]))?;
    Ok(DeclaredTensor {
        name: name(value),
        dtype: dtype(written),
        written: written.to_owned(),
        dims,
    })
}

/// The tensor's type for a type of numpy.
fn dtype(written: &str) -> Option<DType> {
    Some(match written {
        "bool" => DType::Bool,
        "uint8" => DType::Uint8,
        "uint16" => DType::Uint16,
        "uint32" => DType::Uint32,
        "uint64" => DType::Uint64,
        "int8" => DType::Int8,
        "int16" => DType::Int16,
        "int32" => DType::Int32,
        "int64" => DType::Int64,
        "float16" => DType::Fp16,
        "bfloat16" => DType::Bf16,
        "float32" => DType::Fp32,
        "float64" => DType::Fp64,
        "str" | "object" | "string" | "bytes" => DType::Bytes,
        _ => return None,
    })
}

impl fmt::Display for DeclaredTensor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dtype {
            Some(dtype) => write!(out, "{dtype} [")?,
            None => write!(out, "{} [", self.written)?,
        }
        for (n, dim) in self.dims.iter().enumerate() {
            write!(out, "{}{dim}", if n == 0 { "" } else { "," })?;
        }
        out.write_str("]")
    }
}
