"""Benchmark model: three dense layers, 256-512-512-10.

So small that what is measured is the server around it.
"""

import numpy as np
import onnx

from .common import ROWS, SEED
from .graph import FLOAT, Graph

WIDTHS = (256, 512, 512, 10)


def build() -> onnx.ModelProto:
    random = np.random.default_rng(SEED)
    net = Graph("mlp")
    flow = "x"
    for layer, (width, next_width) in enumerate(zip(WIDTHS[:-1], WIDTHS[1:], strict=True)):
        scale = np.sqrt(2 / width)  # He: keeps the variance through ReLU
        weight = net.weight(f"weight_{layer}", random.normal(scale=scale, size=(width, next_width)))
        bias = net.weight(f"bias_{layer}", random.normal(scale=0.1, size=next_width))
        if layer > 0:
            flow = net.node("Relu", flow)
        flow = net.node("Gemm", flow, weight, bias)
    net.node("Softmax", flow, out="y", axis=1)
    inputs, outputs = [("x", FLOAT, [ROWS, WIDTHS[0]])], [("y", FLOAT, [ROWS, WIDTHS[-1]])]
    return net.model(inputs, outputs, 1, "Three dense layers with random weights, for benchmarks.")


def example() -> dict[str, np.ndarray]:
    """One row of small whole numbers over eight, so that the recorded request stays readable."""
    row = (np.arange(WIDTHS[0]) * 7 % 17 - 8) / 8
    return {"x": row.astype(np.float32).reshape(1, -1)}
