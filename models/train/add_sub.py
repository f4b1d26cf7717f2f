"""Sum and difference of two vectors: a model whose answers anyone can check by eye."""

from collections.abc import Iterator

import numpy as np

from .common import ROWS, Built, Inputs
from .graph import FLOAT, Graph

DOC = "Sum and difference of two vectors of four."


def build() -> Iterator[Built]:
    graph = Graph("add_sub")
    graph.node("Add", "a", "b", out="sum")
    graph.node("Sub", "a", "b", out="difference")
    inputs = [(name, FLOAT, [ROWS, 4]) for name in ("a", "b")]
    outputs = [(name, FLOAT, [ROWS, 4]) for name in ("sum", "difference")]
    yield Built("add_sub", 1, graph.model(inputs, outputs, 1, DOC), requests())


def requests() -> list[Inputs]:
    one = pair([[1, 2, 3, 4]], [[10, 20, 30, 40]])
    three = pair(
        [[0.5, 1.5, 2.5, 3.5], [-1, -2, -3, -4], [100, 0, 100, 0]],
        [[0.25, 0.25, 0.25, 0.25], [1, 2, 3, 4], [0.125, 100, -0.125, -100]],
    )
    # Not exact in binary, the largest finite values, the smallest ones, and a negative zero.
    # No sum leaves the finite range: JSON has no infinity.
    edge = pair(
        [
            [0.1, 0.7, 16777216, 1e-3],
            [3.4028235e38, -3.4028235e38, 1e38, -1e38],
            [1e-45, 0, -0.0, 1e-38],
        ],
        [[0.2, 0.1, 1, 1e3], [0, 0, 1e38, 1e38], [0, 1e-45, 0, 1e-38]],
    )
    return [one, three, edge]


def pair(a: list[list[float]], b: list[list[float]]) -> Inputs:
    return {"a": np.array(a, dtype=np.float32), "b": np.array(b, dtype=np.float32)}
