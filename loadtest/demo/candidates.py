"""Versions of `wine` that a rollout should take, and some that it should not."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]
STABLE = ROOT / "models/repository/wine/1/model.onnx"
RETRAINED = ROOT / "models/repository/wine/2/model.onnx"
# Rows whose first feature (alcohol, in percent) is above this fail the one that errs: about one in ten.
ALCOHOL = 13.9
# Multiplications of two matrices of this size take some milliseconds on one core.
SLOW_SIZE, SLOW_TIMES = 700, 4


def good():
    """The same again, as after a rebuild."""
    return onnx.load(STABLE)


def errs():
    """Looks up an entry that a table does not have, for rows with much alcohol."""
    model = onnx.load(STABLE)
    graph = model.graph
    name, out = graph.input[0].name, graph.output[1].name
    constants = {
        "demo_first": np.array([0], np.int64),
        "demo_limit": np.array([ALCOHOL], np.float32),
        "demo_far": np.array(1_000, np.int64),
        "demo_table": np.array([0.0], np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    nodes = [
        helper.make_node("Gather", [name, "demo_first"], ["demo_alcohol"], axis=1),
        helper.make_node("Greater", ["demo_alcohol", "demo_limit"], ["demo_much"]),
        helper.make_node("Cast", ["demo_much"], ["demo_flag"], to=TensorProto.INT64),
        helper.make_node("Mul", ["demo_flag", "demo_far"], ["demo_place"]),
        helper.make_node("Gather", ["demo_table", "demo_place"], ["demo_nothing"], axis=0),
        helper.make_node("Add", ["demo_inner", "demo_nothing"], [out]),
    ]
    return renamed(model, out, nodes)


def slow():
    """Multiplies large matrices before it answers what it always did."""
    model = onnx.load(STABLE)
    graph = model.graph
    name, out = graph.input[0].name, graph.output[1].name
    random = np.random.default_rng(1)
    matrix = random.standard_normal((SLOW_SIZE, SLOW_SIZE)).astype(np.float32) / SLOW_SIZE
    graph.initializer.append(numpy_helper.from_array(matrix, "demo_matrix"))
    graph.initializer.append(numpy_helper.from_array(np.array(1e-30, np.float32), "demo_tiny"))
    # Begins with the input, or all of it would be computed once and for all when the model is loaded.
    nodes = [
        helper.make_node("ReduceMean", [name], ["demo_mean"], keepdims=0),
        helper.make_node("Add", ["demo_matrix", "demo_mean"], ["demo_0"]),
    ]
    for n in range(SLOW_TIMES):
        nodes.append(helper.make_node("MatMul", [f"demo_{n}", "demo_matrix"], [f"demo_{n + 1}"]))
    nodes += [
        helper.make_node("ReduceMax", [f"demo_{SLOW_TIMES}"], ["demo_max"], keepdims=0),
        helper.make_node("Mul", ["demo_max", "demo_tiny"], ["demo_nothing"]),
        helper.make_node("Add", ["demo_inner", "demo_nothing"], [out]),
    ]
    return renamed(model, out, nodes)


def worse():
    """Was trained on the wrong column: gives the probabilities of the classes in another order."""
    model = onnx.load(STABLE)
    graph = model.graph
    out = graph.output[1].name
    graph.initializer.append(numpy_helper.from_array(np.array([1, 0, 2], np.int64), "demo_order"))
    return renamed(model, out, [helper.make_node("Gather", ["demo_inner", "demo_order"], [out], axis=1)])


def renamed(model, out, nodes):
    """What was computed as `out` is called `demo_inner`, and the nodes come after it."""
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            if name == out:
                node.output[place] = "demo_inner"
        for place, name in enumerate(node.input):
            if name == out:
                node.input[place] = "demo_inner"
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


# Name, what is put there, what is expected of the rollout, and what its plan says beside the rest.
CANDIDATES = [
    ("good", good, "promoted", {}),
    ("errs", errs, "rolled_back", {}),
    ("slow", slow, "rolled_back", {}),
    ("worse", worse, "rolled_back", {"shadow_rows": 300, "shadow_percent": "50", "flip_rate_max": 0.05}),
    # Nothing but the labels that callers bring later tells on it.
    ("wrong", worse, "rolled_back", {"loss_increase_max": 0.02, "step_labels_min": 200}),
]
