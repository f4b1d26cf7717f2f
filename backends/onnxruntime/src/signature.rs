//! The graph's types in the words of the seam.

use backend_api::{Axis, BackendError, DType, GraphTensor, Signature};
use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

use crate::NAME;

/// What the session takes and gives. Refuses what no protocol carries.
pub(crate) fn read(session: &Session) -> Result<Signature, BackendError> {
    let all = |side: &[Outlet]| side.iter().map(graph_tensor).collect::<Result<Vec<_>, _>>();
    Ok(Signature::of_graph(all(session.inputs())?, all(session.outputs())?))
}

fn graph_tensor(outlet: &Outlet) -> Result<GraphTensor, BackendError> {
    let name = outlet.name().to_owned();
    let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else {
        let hint = "only tensors can be served (scikit-learn converters: set zipmap to false)";
        let reason = format!("{name} is {:?}; {hint}", outlet.dtype());
        return Err(BackendError::Unsupported { engine: NAME, reason });
    };
    let dtype = dtype(*ty).ok_or_else(|| BackendError::Unsupported {
        engine: NAME,
        reason: format!("{name} has element type {ty}, which no protocol carries"),
    })?;
    let axis = |(&length, symbol): (&i64, &String)| match usize::try_from(length) {
        Ok(length) => Axis::Fixed(length),
        Err(_) if symbol.is_empty() => Axis::Unknown,
        Err(_) => Axis::Named(symbol.clone()),
    };
    let axes = shape.iter().zip(dimension_symbols.iter()).map(axis).collect();
    Ok(GraphTensor { name, dtype, axes })
}

fn dtype(element: TensorElementType) -> Option<DType> {
    const CARRIED: [(TensorElementType, DType); 14] = [
        (TensorElementType::Bool, DType::Bool),
        (TensorElementType::Uint8, DType::Uint8),
        (TensorElementType::Uint16, DType::Uint16),
        (TensorElementType::Uint32, DType::Uint32),
        (TensorElementType::Uint64, DType::Uint64),
        (TensorElementType::Int8, DType::Int8),
        (TensorElementType::Int16, DType::Int16),
        (TensorElementType::Int32, DType::Int32),
        (TensorElementType::Int64, DType::Int64),
        (TensorElementType::Float16, DType::Fp16),
        (TensorElementType::Bfloat16, DType::Bf16),
        (TensorElementType::Float32, DType::Fp32),
        (TensorElementType::Float64, DType::Fp64),
        (TensorElementType::String, DType::Bytes),
    ];
    CARRIED.iter().find(|(it, _)| *it == element).map(|(_, dtype)| *dtype)
}
