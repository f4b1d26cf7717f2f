"""Turns a trained scikit-learn classifier into an ONNX model with the signature we promise.

Called by `breast_cancer` and `wine`; calls skl2onnx.
"""

import onnx
from onnx import helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator

from .common import ML_OPSET, OPSET, ROWS, finish


def classifier(name: str, version: int, trained: BaseEstimator, doc: str) -> onnx.ModelProto:
    """Input `features` FP32 [N,F]; outputs `label` INT64 [N] and `probabilities` FP32 [N,C].

    F and C are the numbers of features and classes; the classes must be 0, 1, 2 and so on.
    """
    graph = convert_sklearn(
        trained,
        initial_types=[("features", FloatTensorType([None, trained.n_features_in_]))],
        options={"zipmap": False},
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        # Plain Sub and Div instead: not every engine knows the Scaler operator.
        black_op={"Scaler"},
    ).graph
    graph.name = name  # the converter puts a random one
    name_rows(graph)
    drop_zero_base(graph)
    if len(trained.classes_) == 2:
        label_from_probabilities(graph)
    return finish(graph, version, doc)


def name_rows(graph: onnx.GraphProto) -> None:
    """Gives the first axis of each input and output its name; the converter leaves it without."""
    for port in (*graph.input, *graph.output):
        port.type.tensor_type.shape.dim[0].dim_param = ROWS


def drop_zero_base(graph: onnx.GraphProto) -> None:
    """Removes a base score of zero from tree ensembles.

    For two classes the converter writes one score, which ONNX Runtime accepts; tract wants one
    per class and refuses the model. A zero needs no place in the file.
    """
    for node in graph.node:
        for attribute in [it for it in node.attribute if it.name == "base_values"]:
            if not any(attribute.floats):
                node.attribute.remove(attribute)


def label_from_probabilities(graph: onnx.GraphProto) -> None:
    """Makes `label` the index of the larger probability, which for classes 0 and 1 is the class.

    The converter stores one score per leaf for two classes. Engines agree on the probabilities
    that follow from it, but tract 0.23 takes the label from the score's place and swaps the two.
    """
    for node in graph.node:
        for index, output in enumerate(node.output):
            if output == "label":
                node.output[index] = "ensemble_label"
    argmax = helper.make_node(
        "ArgMax", ["probabilities"], ["label"], name="label", axis=1, keepdims=0
    )
    graph.node.append(argmax)
