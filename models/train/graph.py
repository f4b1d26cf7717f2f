"""A small writer of ONNX graphs: every method adds one thing and returns its name.

Called by the scripts that write a graph by hand; calls onnx.helper.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .common import OPSET, finish

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING

# Name, element type, axes; a string axis is symbolic.
Port = tuple[str, int, Sequence[int | str]]


class Graph:
    """Names are counted, never random, so the same calls give the same bytes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, values: np.ndarray) -> str:
        """A constant. Floats of any width are stored as float32."""
        values = np.asarray(values)
        if values.dtype.kind == "f":
            values = values.astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def ints(self, name: str, *values: int) -> str:
        return self.weight(name, np.array(values, dtype=np.int64))

    def node(self, op: str, *inputs: str, out: str = "", **attributes: object) -> str:
        """One operator with one output, called `out` or after the operator."""
        count = sum(node.op_type == op for node in self.nodes)
        name = f"{op.lower()}_{count}"
        out = out or name
        self.nodes.append(helper.make_node(op, list(inputs), [out], name=name, **attributes))
        return out

    def model(
        self,
        inputs: Sequence[Port],
        outputs: Sequence[Port],
        version: int,
        doc: str,
        opset: int = OPSET,
    ) -> onnx.ModelProto:
        ports = [
            [helper.make_tensor_value_info(*port) for port in side] for side in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, self.name, *ports, initializer=self.weights)
        return finish(graph, version, doc, opset)
