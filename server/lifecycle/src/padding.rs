//! What `[padding]` in a `model.toml` says, and what that means for a model's signature.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use backend_api::{DType, Dim, Signature, UNBATCHED_ROWS};
use half::{bf16, f16};
use server_base::limits;
use server_base::settings::Section;
use server_serving::{Padding, Sizes};

/// A checked `[padding]`; whether it fits a model is seen when the model is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PaddingConfig {
    /// Allowed lengths, by the name of the axis. Empty: nothing is padded.
    pub axes: BTreeMap<String, Sizes>,
    /// What an input is padded with, by its name; 0 where nothing is said.
    pub values: BTreeMap<String, PadValue>,
    /// Is it checked at load that padding does not change answers?
    pub check: bool,
}

/// A number from a file. Bits, so that any two can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PadValue {
    /// A whole one, or a truth value.
    Integer(i64),
    /// The bits of an `f64`.
    Float(u64),
}

impl fmt::Display for PadValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PadValue::Integer(it) => write!(out, "{it}"),
            PadValue::Float(bits) => write!(out, "{}", f64::from_bits(*bits)),
        }
    }
}

impl Default for PaddingConfig {
    fn default() -> PaddingConfig {
        PaddingConfig { axes: BTreeMap::new(), values: BTreeMap::new(), check: true }
    }
}

impl PaddingConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> PaddingConfig {
        let read = PaddingConfig {
            axes: section.with("axes", axes).unwrap_or_default(),
            values: section.with("values", values).unwrap_or_default(),
            check: section.boolean("check").unwrap_or(true),
        };
        if read.axes.is_empty() && !read.values.is_empty() {
            section.fault("values", "nothing is padded: padding.axes is missing");
        }
        read
    }

    /// What it means for this model. The error says everything that does not fit.
    pub(crate) fn resolve(&self, signature: &Signature) -> Result<Padding, String> {
        let mut faults = Vec::new();
        let free = free_axes(signature);
        for axis in self.axes.keys().filter(|it| !free.contains(&it.as_str())) {
            let known = if free.is_empty() { "none has a name".into() } else { free.join(", ") };
            faults.push(format!(
                "padding.axes: no input has a free axis '{axis}' (beside its rows): {known}"
            ));
        }
        let names: Vec<&str> = signature.inputs.iter().map(|it| &*it.name).collect();
        for name in self.values.keys().filter(|it| !names.contains(&it.as_str())) {
            let known = names.join(", ");
            faults.push(format!("padding.values: no input is called '{name}': {known}"));
        }
        let mut fills = Vec::with_capacity(signature.inputs.len());
        for spec in &signature.inputs {
            let Some(value) = self.values.get(&*spec.name) else {
                fills.push(Vec::new());
                continue;
            };
            let has_axis =
                |dim: &Dim| matches!(dim, Dim::Free(it) if self.axes.contains_key(&**it));
            if !spec.dims.iter().any(has_axis) {
                let name = &spec.name;
                faults.push(format!("padding.values: input '{name}' has no axis that is padded"));
            }
            match encode(*value, spec.dtype) {
                Ok(bytes) => fills.push(bytes),
                Err(what) => {
                    faults.push(format!("padding.values: {} = {value}: {what}", spec.name))
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        let axes = self.axes.iter().map(|(name, it)| (Arc::from(name.as_str()), it.clone()));
        Ok(Padding::new(signature, axes, fills))
    }
}

/// Names of axes of inputs that vary, each once.
fn free_axes(signature: &Signature) -> Vec<&str> {
    let mut names = Vec::new();
    for dim in signature.inputs.iter().flat_map(|it| &it.dims) {
        if let Dim::Free(name) = dim
            && !name.is_empty()
            && **name != *UNBATCHED_ROWS
            && !names.contains(&&**name)
        {
            names.push(&**name);
        }
    }
    names
}

/// The bytes of one element of that type.
fn encode(value: PadValue, dtype: DType) -> Result<Vec<u8>, String> {
    let float = match value {
        PadValue::Integer(it) => it as f64,
        PadValue::Float(bits) => f64::from_bits(bits),
    };
    // What is finite must not become infinite.
    let kept = |it: f64| it.is_finite() || !float.is_finite();
    let whole = || match value {
        PadValue::Integer(it) => Ok(it),
        PadValue::Float(_) => Err(format!("{dtype} holds whole numbers")),
    };
    let bytes: Option<Vec<u8>> = match dtype {
        DType::Bool => u8::try_from(whole()?).ok().filter(|it| *it < 2).map(|it| vec![it]),
        DType::Uint8 => u8::try_from(whole()?).ok().map(|it| vec![it]),
        DType::Uint16 => u16::try_from(whole()?).ok().map(|it| it.to_le_bytes().into()),
        DType::Uint32 => u32::try_from(whole()?).ok().map(|it| it.to_le_bytes().into()),
        DType::Uint64 => u64::try_from(whole()?).ok().map(|it| it.to_le_bytes().into()),
        DType::Int8 => i8::try_from(whole()?).ok().map(|it| it.to_le_bytes().into()),
        DType::Int16 => i16::try_from(whole()?).ok().map(|it| it.to_le_bytes().into()),
        DType::Int32 => i32::try_from(whole()?).ok().map(|it| it.to_le_bytes().into()),
        DType::Int64 => Some(whole()?.to_le_bytes().into()),
        DType::Fp16 => {
            let half = f16::from_f64(float);
            kept(half.into()).then(|| half.to_le_bytes().into())
        }
        DType::Bf16 => {
            let half = bf16::from_f64(float);
            kept(half.into()).then(|| half.to_le_bytes().into())
        }
        DType::Fp32 => {
            #[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
            let single = float as f32;
            kept(single.into()).then(|| single.to_le_bytes().into())
        }
        DType::Fp64 => Some(float.to_le_bytes().into()),
        DType::Bytes => return Err("BYTES are padded with empty strings".to_owned()),
    };
    bytes.ok_or_else(|| format!("out of the range of {dtype}"))
}

/// `{ S = [32, 64, 128] }`
fn axes(value: &toml::Value) -> Result<BTreeMap<String, Sizes>, String> {
    let table = value.as_table().ok_or_else(|| format!("{value} is not a table of axes"))?;
    if table.len() > limits::PADDED_AXES_MAX {
        return Err(format!("{} axes, at most {}", table.len(), limits::PADDED_AXES_MAX));
    }
    let entry = |(name, it): (&String, &toml::Value)| {
        let sizes = sizes(it, limits::PADDED_LENGTH_MAX);
        Ok((name.clone(), sizes.map_err(|what| format!("{name} = {what}"))?))
    };
    table.iter().map(entry).collect()
}

/// Ascending lengths from 1.
pub(crate) fn sizes(value: &toml::Value, most: usize) -> Result<Sizes, String> {
    let count = limits::PADDED_SIZES_MAX;
    let expected =
        || format!("{value} is not a list of 1 to {count} ascending lengths from 1 to {most}");
    let list = value.as_array().filter(|it| it.len() <= count).ok_or_else(expected)?;
    let length = |it: &toml::Value| it.as_integer().and_then(|it| usize::try_from(it).ok());
    let lengths: Option<Vec<usize>> = list.iter().map(length).collect();
    let sizes = lengths.and_then(|it| Sizes::new(&it)).filter(|it| it.max() <= most);
    sizes.ok_or_else(expected)
}

/// `{ input_ids = 0, attention_mask = false }`
fn values(value: &toml::Value) -> Result<BTreeMap<String, PadValue>, String> {
    let table = value.as_table().ok_or_else(|| format!("{value} is not a table of inputs"))?;
    let entry = |(name, it): (&String, &toml::Value)| {
        let number = match it {
            toml::Value::Integer(it) => PadValue::Integer(*it),
            toml::Value::Boolean(it) => PadValue::Integer(i64::from(*it)),
            toml::Value::Float(it) => PadValue::Float(it.to_bits()),
            toml::Value::String(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_) => return Err(format!("{name} = {it} is not a number")),
        };
        Ok((name.clone(), number))
    };
    table.iter().map(entry).collect()
}

#[cfg(test)]
#[path = "padding_tests.rs"]
mod tests;
