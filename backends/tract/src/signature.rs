//! What the file declares, in the words of the seam.

use backend_api::{Axis, BackendError, DType, GraphTensor, Signature};
use tract_onnx::pb::tensor_proto::DataType as Element;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Length;
use tract_onnx::pb::{GraphProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::*;

use crate::{DTYPES, NAME};

/// Inputs and outputs as the file declares them. An output whose shape it leaves out gets the one
/// that tract found.
pub(crate) fn declared(
    graph: &GraphProto,
    optimized: &TypedModel,
) -> Result<Signature, BackendError> {
    let outputs = graph.output.iter().enumerate().map(|(n, it)| {
        let mut output = graph_tensor(it)?;
        if shape_of(it).is_none()
            && let Ok(fact) = optimized.output_fact(n)
        {
            output.axes = fact.shape.iter().map(axis_of).collect();
        }
        Ok(output)
    });
    Ok(Signature::of_graph(inputs(graph)?, outputs.collect::<Result<_, _>>()?))
}

/// The inputs that a caller must give: old files list their weights among them.
pub(crate) fn inputs(graph: &GraphProto) -> Result<Vec<GraphTensor>, BackendError> {
    let weight =
        |it: &&ValueInfoProto| graph.initializer.iter().any(|weight| weight.name == it.name);
    graph.input.iter().filter(|it| !weight(it)).map(graph_tensor).collect()
}

/// tract's own name for a data type it carries.
pub(crate) fn datum(dtype: DType) -> Option<DatumType> {
    Some(match dtype {
        DType::Bool => DatumType::Bool,
        DType::Uint8 => DatumType::U8,
        DType::Uint16 => DatumType::U16,
        DType::Uint32 => DatumType::U32,
        DType::Uint64 => DatumType::U64,
        DType::Int8 => DatumType::I8,
        DType::Int16 => DatumType::I16,
        DType::Int32 => DatumType::I32,
        DType::Int64 => DatumType::I64,
        DType::Fp16 => DatumType::F16,
        DType::Fp32 => DatumType::F32,
        DType::Fp64 => DatumType::F64,
        DType::Bf16 | DType::Bytes => return None,
    })
}

fn graph_tensor(declared: &ValueInfoProto) -> Result<GraphTensor, BackendError> {
    let name = declared.name.clone();
    let refused =
        |what: String| BackendError::Unsupported { engine: NAME, reason: format!("{name} {what}") };
    let kind = declared.r#type.as_ref().and_then(|it| it.value.as_ref());
    let Some(type_proto::Value::TensorType(tensor)) = kind else {
        let hint = "only tensors can be served (scikit-learn converters: set zipmap to false)";
        return Err(refused(format!("is no tensor; {hint}")));
    };
    let dtype = Element::try_from(tensor.elem_type).ok().and_then(dtype);
    let dtype = dtype.filter(|it| DTYPES.contains(it)).ok_or_else(|| {
        let element = Element::try_from(tensor.elem_type).map(|it| format!("{it:?}"));
        let element = element.unwrap_or_else(|_| tensor.elem_type.to_string());
        refused(format!("has element type {element}, which this engine does not carry"))
    })?;
    Ok(GraphTensor { name: name.clone(), dtype, axes: shape_of(declared).unwrap_or_default() })
}

fn shape_of(declared: &ValueInfoProto) -> Option<Vec<Axis>> {
    let Some(type_proto::Value::TensorType(tensor)) = declared.r#type.as_ref()?.value.as_ref()
    else {
        return None;
    };
    let axis = |length: Option<&Length>| match length {
        Some(Length::DimValue(length)) => {
            usize::try_from(*length).map_or(Axis::Unknown, Axis::Fixed)
        }
        Some(Length::DimParam(name)) if !name.is_empty() => Axis::Named(name.clone()),
        Some(Length::DimParam(_)) | None => Axis::Unknown,
    };
    Some(tensor.shape.as_ref()?.dim.iter().map(|it| axis(it.value.as_ref())).collect())
}

fn axis_of(length: &TDim) -> Axis {
    match length.to_i64().map(usize::try_from) {
        Ok(Ok(length)) => Axis::Fixed(length),
        Ok(Err(_)) | Err(_) => Axis::Named(length.to_string()),
    }
}

fn dtype(element: Element) -> Option<DType> {
    Some(match element {
        Element::Bool => DType::Bool,
        Element::Uint8 => DType::Uint8,
        Element::Uint16 => DType::Uint16,
        Element::Uint32 => DType::Uint32,
        Element::Uint64 => DType::Uint64,
        Element::Int8 => DType::Int8,
        Element::Int16 => DType::Int16,
        Element::Int32 => DType::Int32,
        Element::Int64 => DType::Int64,
        Element::Float16 => DType::Fp16,
        Element::Bfloat16 => DType::Bf16,
        Element::Float => DType::Fp32,
        Element::Double => DType::Fp64,
        Element::String => DType::Bytes,
        Element::Undefined
        | Element::Complex64
        | Element::Complex128
        | Element::Float8e4m3fn
        | Element::Float8e4m3fnuz
        | Element::Float8e5m2
        | Element::Float8e5m2fnuz
        | Element::Uint4
        | Element::Int4
        | Element::Float4e2m1 => return None,
    })
}
