//! A loaded graph: one plan, shared by all instances.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use backend_api::{Axis, BackendError, Device, GraphTensor, Instance, Model, Signature, elsewhere};
use tract_onnx::model::ParseResult;
use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;

use crate::instance::TractInstance;
use crate::{NAME, signature};

/// A model in memory; its weights are the plan's constants.
pub(crate) struct TractModel {
    plan: Arc<TypedRunnableModel>,
    signature: Arc<Signature>,
}

impl TractModel {
    pub(crate) fn load(artifact: &Path) -> Result<TractModel, BackendError> {
        // tract panics on some malformed files instead of failing.
        catch_unwind(AssertUnwindSafe(|| read(artifact))).unwrap_or_else(|_| {
            Err(BackendError::Artifact {
                reason: "tract panicked while reading the file".to_owned(),
            })
        })
    }
}

impl Model for TractModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn devices(&self) -> Vec<Device> {
        vec![Device::Cpu]
    }

    fn instance(&self, device: &Device) -> Result<Box<dyn Instance>, BackendError> {
        if *device != Device::Cpu {
            return Err(elsewhere(NAME, device));
        }
        Ok(Box::new(TractInstance::new(&self.plan, &self.signature)?))
    }
}

fn read(artifact: &Path) -> Result<TractModel, BackendError> {
    let unreadable = |reason: String| BackendError::Artifact { reason };
    let refused =
        |it: TractError| BackendError::Unsupported { engine: NAME, reason: format!("{it:#}") };
    let size = artifact
        .metadata()
        .map_err(|it| unreadable(format!("{}: {it}", artifact.display())))?
        .len();
    if size == 0 {
        return Err(unreadable(format!("{}: the file is empty", artifact.display())));
    }
    // Shapes that the file declares for its outputs are often careless; tract finds them itself.
    let framework = tract_onnx::onnx().with_ignore_output_shapes(true);
    let proto =
        framework.proto_model_for_path(artifact).map_err(|it| unreadable(format!("{it:#}")))?;
    let Some(graph) = &proto.graph else {
        return Err(unreadable("the file holds no graph".to_owned()));
    };
    refuse_wrong_answers(graph)?;
    let folder = artifact.parent().and_then(Path::to_str);
    let ParseResult { mut model, unresolved_inputs, .. } =
        framework.parse(&proto, folder).map_err(refused)?;
    if !unresolved_inputs.is_empty() {
        return Err(unreadable(format!(
            "the graph uses {unresolved_inputs:?}, which nothing gives"
        )));
    }
    name_axes(&mut model, &signature::inputs(graph)?).map_err(refused)?;
    let optimized = model.into_optimized().map_err(refused)?;
    try_each(&optimized).map_err(refused)?;
    let signature = signature::declared(graph, &optimized)?;
    let plan = optimized.into_runnable().map_err(refused)?;
    Ok(TractModel { plan, signature: Arc::new(signature) })
}

/// Refuses what this version of tract computes wrongly: it answers with another label than the
/// scores say where a tree ensemble for two classes gives one score only, which is how converters
/// write it. The scores are right, so a model that leaves the label unused is served.
fn refuse_wrong_answers(graph: &GraphProto) -> Result<(), BackendError> {
    let used = |name: &String| {
        graph.output.iter().any(|it| it.name == *name)
            || graph.node.iter().any(|it| it.input.contains(name))
    };
    let of = |node: &NodeProto, name: &str| {
        node.attribute
            .iter()
            .find(|it| it.name == name)
            .map(|it| it.ints.clone())
            .unwrap_or_default()
    };
    for node in graph.node.iter().filter(|it| it.op_type == "TreeEnsembleClassifier") {
        let ids = of(node, "class_ids");
        let one_score = ids.windows(2).all(|it| matches!(it, [a, b] if a == b));
        if one_score && node.output.first().is_some_and(used) {
            let reason = format!(
                "tract gets the label of the two-class tree ensemble '{}' wrong; derive it from \
                 the scores (ArgMax), or serve the model with onnxruntime",
                node.name
            );
            return Err(BackendError::Unsupported { engine: NAME, reason });
        }
    }
    Ok(())
}

/// Computes one zero with each operation that takes its elements one by one: tract asks for their type only when one runs.
fn try_each(model: &TypedModel) -> TractResult<()> {
    for node in &model.nodes {
        let Some(ElementWiseOp(op, out)) = node.op_as::<ElementWiseOp>() else { continue };
        let datum = model.node_input_facts(node.id)?.first().map(|it| it.datum_type);
        // A text without characters is no number: of these nothing is known before.
        let Some(datum) = datum.filter(|it| *it != DatumType::String) else { continue };
        let mut zero = Tensor::zero_dt(datum, &[1])?;
        let tried = match op.output_type(datum) {
            Some(_) => op.eval_out_of_place(&zero, *out).map(drop),
            None => op.eval_in_place(&mut zero, *out),
        };
        tried.map_err(|it| it.context(format!("operation '{}' of {datum:?}", node.name)))?;
    }
    Ok(())
}

/// Gives a symbol to every axis that varies: tract plans for any length of a symbol, but not for
/// an unknown one. Axes without a name get one by their place, so that first axes agree.
fn name_axes(model: &mut InferenceModel, inputs: &[GraphTensor]) -> TractResult<()> {
    for (n, input) in inputs.iter().enumerate() {
        let Some(datum) = signature::datum(input.dtype) else { continue };
        let mut dims: TVec<TDim> = tvec![];
        for (place, axis) in input.axes.iter().enumerate() {
            dims.push(match axis {
                Axis::Fixed(length) => length.to_dim(),
                Axis::Named(name) => model.symbols.sym(name).to_dim(),
                Axis::Unknown if place == 0 => model.symbols.sym("rows").to_dim(),
                Axis::Unknown => model.symbols.sym(&format!("axis_{n}_{place}")).to_dim(),
            });
        }
        model.set_input_fact(n, InferenceFact::dt_shape(datum, dims))?;
    }
    Ok(())
}
