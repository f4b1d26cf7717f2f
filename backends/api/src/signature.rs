//! What a model takes and gives.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::dtype::DType;
use crate::shape::Shape;

/// Length of one axis, as the server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Always this long.
    Fixed(usize),
    /// The batch axis: rows of different requests may be joined along it.
    Rows,
    /// Differs from request to request; the name, where the model has one, is for people.
    Free(Arc<str>),
}

impl Dim {
    /// The name by which axes of several inputs are one: see [`crate::check_run`].
    fn shared_name(&self) -> Option<&Arc<str>> {
        match self {
            Dim::Free(name) => Some(name).filter(|it| !it.is_empty() && ***it != *UNBATCHED_ROWS),
            Dim::Fixed(_) | Dim::Rows => None,
        }
    }
}

/// What the whole numbers of a quantised tensor stand for: `scale * (number - zero_point)`.
#[derive(Clone, Copy, Debug)]
pub struct Quantization {
    /// The value of one step.
    pub scale: f32,
    /// The number that stands for 0.
    pub zero_point: i64,
}

/// By its bits, so that equality holds for any scale that a file may bring.
impl PartialEq for Quantization {
    fn eq(&self, other: &Quantization) -> bool {
        (self.scale.to_bits(), self.zero_point) == (other.scale.to_bits(), other.zero_point)
    }
}

impl Eq for Quantization {}

/// Name, type and axes of one input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Unique among the inputs, or among the outputs.
    pub name: Arc<str>,
    /// Type of the elements.
    pub dtype: DType,
    /// Axes, outermost first. Invariant: [`Dim::Rows`] stands nowhere but in the first place.
    pub dims: Vec<Dim>,
    /// What its numbers stand for, where the model says that they are quantised. Tensors travel as
    /// they are; this is for people and clients.
    pub quantization: Option<Quantization>,
}

impl TensorSpec {
    /// Does `shape` have these axes?
    pub fn accepts(&self, shape: &Shape) -> bool {
        let fits = |(dim, &length): (&Dim, &usize)| match dim {
            Dim::Fixed(wanted) => *wanted == length,
            Dim::Rows | Dim::Free(_) => true,
        };
        self.dims.len() == shape.dims().len() && self.dims.iter().zip(shape.dims()).all(fits)
    }

    /// The shape at so many rows, if that settles every axis.
    pub fn shape_at(&self, rows: usize) -> Option<Shape> {
        let length = |dim: &Dim| match dim {
            Dim::Fixed(length) => Some(*length),
            Dim::Rows => Some(rows),
            Dim::Free(_) => None,
        };
        Shape::new(&self.dims.iter().map(length).collect::<Option<Vec<usize>>>()?).ok()
    }

    /// The same but for what its free axes are called?
    fn is_like(&self, other: &TensorSpec) -> bool {
        let alike = |(a, b): (&Dim, &Dim)| match (a, b) {
            (Dim::Free(_), Dim::Free(_)) => true,
            (Dim::Free(_) | Dim::Fixed(_) | Dim::Rows, _) => a == b,
        };
        let parts = |it: &TensorSpec| (it.dtype, it.quantization, it.dims.len());
        self.name == other.name
            && parts(self) == parts(other)
            && self.dims.iter().zip(&other.dims).all(alike)
    }

    /// Is the first axis the batch axis?
    pub fn has_rows(&self) -> bool {
        self.dims.first() == Some(&Dim::Rows)
    }

    /// The lengths as the protocols show them: -1 where they vary.
    pub fn to_wire(&self) -> Vec<i64> {
        let length = |dim: &Dim| match dim {
            Dim::Fixed(length) => i64::try_from(*length).unwrap_or(i64::MAX),
            Dim::Rows | Dim::Free(_) => -1,
        };
        self.dims.iter().map(length).collect()
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} [", self.name, self.dtype)?;
        for (n, dim) in self.dims.iter().enumerate() {
            out.write_str(if n == 0 { "" } else { "," })?;
            match dim {
                Dim::Fixed(length) => write!(out, "{length}")?,
                Dim::Rows => out.write_str("rows")?,
                Dim::Free(name) => out.write_str(if name.is_empty() { "?" } else { name })?,
            }
        }
        out.write_str("]")?;
        match &self.quantization {
            Some(Quantization { scale, zero_point }) => {
                write!(out, " = {scale} * (number - {zero_point})")
            }
            None => Ok(()),
        }
    }
}

/// Name of what was the batch axis in a signature that is served unbatched. Where the graph left
/// first axes unnamed, they need not agree.
pub const UNBATCHED_ROWS: &str = "rows";

/// All inputs and outputs of a model, in the model's own order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What [`crate::Instance::run`] takes, in this order.
    pub inputs: Vec<TensorSpec>,
    /// What it gives, in this order.
    pub outputs: Vec<TensorSpec>,
}

/// An axis as a graph declares it, before anybody decided what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Always this long.
    Fixed(usize),
    /// As long as every other axis of that name.
    Named(String),
    /// The graph does not say.
    Unknown,
}

/// An input or output as a graph declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphTensor {
    /// Name in the graph.
    pub name: String,
    /// Type of the elements.
    pub dtype: DType,
    /// Axes, outermost first.
    pub axes: Vec<Axis>,
}

impl Signature {
    /// Finds the batch axis of a graph that does not name it, which is every ONNX graph.
    ///
    /// The model is batched if the first axis of every input and every output varies, and
    /// wherever it has a name the name is the same, stands on no other axis, and does not speak
    /// of steps in time. Anything else is served unbatched: slower, never wrong.
    pub fn of_graph(inputs: Vec<GraphTensor>, outputs: Vec<GraphTensor>) -> Signature {
        let batched = !inputs.is_empty() && rows_axis_found(inputs.iter().chain(&outputs));
        let spec = |tensor: GraphTensor| TensorSpec {
            name: tensor.name.into(),
            dtype: tensor.dtype,
            dims: tensor
                .axes
                .into_iter()
                .enumerate()
                .map(|(n, it)| dim(it, batched && n == 0))
                .collect(),
            quantization: None,
        };
        Signature {
            inputs: inputs.into_iter().map(spec).collect(),
            outputs: outputs.into_iter().map(spec).collect(),
        }
    }

    /// May it stand in for `other`: are all inputs and outputs the same to whoever asks?
    ///
    /// What free axes are called is for people. But inputs that share an axis by its name must be equally
    /// long there, so what is shared here must be shared there: else it would refuse what `other` takes.
    pub fn stands_in_for(&self, other: &Signature) -> bool {
        let alike = |it: &[TensorSpec], others: &[TensorSpec]| {
            it.len() == others.len() && it.iter().zip(others).all(|(a, b)| a.is_like(b))
        };
        if !alike(&self.inputs, &other.inputs) || !alike(&self.outputs, &other.outputs) {
            return false;
        }
        let mut met: BTreeMap<&Arc<str>, Option<&Arc<str>>> = BTreeMap::new();
        let inputs = self.inputs.iter().zip(&other.inputs);
        let mut axes = inputs.flat_map(|(a, b)| a.dims.iter().zip(&b.dims));
        axes.all(|(a, b)| {
            let Some(name) = a.shared_name() else { return true };
            let others = b.shared_name();
            met.insert(name, others).is_none_or(|first| first.is_some() && first == others)
        })
    }

    /// May rows of several requests be joined into one run?
    pub fn is_batched(&self) -> bool {
        !self.inputs.is_empty() && self.inputs.iter().chain(&self.outputs).all(TensorSpec::has_rows)
    }

    /// The same model, each request on its own.
    #[must_use]
    pub fn unbatched(mut self) -> Signature {
        for dim in
            self.inputs.iter_mut().chain(&mut self.outputs).filter_map(|it| it.dims.first_mut())
        {
            if *dim == Dim::Rows {
                *dim = Dim::Free(UNBATCHED_ROWS.into());
            }
        }
        self
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sides = [("", &self.inputs), (" -> ", &self.outputs)];
        for (before, specs) in sides {
            out.write_str(before)?;
            for (n, spec) in specs.iter().enumerate() {
                write!(out, "{}{spec}", if n == 0 { "" } else { ", " })?;
            }
        }
        Ok(())
    }
}

fn dim(axis: Axis, is_rows: bool) -> Dim {
    match axis {
        Axis::Named(_) | Axis::Unknown if is_rows => Dim::Rows,
        Axis::Fixed(length) => Dim::Fixed(length),
        Axis::Named(name) => Dim::Free(name.into()),
        Axis::Unknown => Dim::Free("".into()),
    }
}

fn rows_axis_found<'a>(tensors: impl Iterator<Item = &'a GraphTensor>) -> bool {
    let mut name: Option<&str> = None;
    let mut elsewhere: Vec<&str> = Vec::new();
    for tensor in tensors {
        match tensor.axes.first() {
            None | Some(Axis::Fixed(_)) => return false,
            Some(Axis::Unknown) => {}
            Some(Axis::Named(it)) if name.is_none_or(|first| first == it) => name = Some(it),
            Some(Axis::Named(_)) => return false,
        }
        let named = |axis: &'a Axis| match axis {
            Axis::Named(it) => Some(it.as_str()),
            Axis::Fixed(_) | Axis::Unknown => None,
        };
        elsewhere.extend(tensor.axes.iter().skip(1).filter_map(named));
    }
    name.is_none_or(|it| !elsewhere.contains(&it) && !speaks_of_time(it))
}

/// Recurrent models often put time first; joining requests there would mix their steps.
fn speaks_of_time(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let whole = ["t", "s", "l"].contains(&name.as_str());
    whole || ["seq", "time", "len", "step", "frame", "token"].iter().any(|it| name.contains(it))
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
