"""Greets a name: the model of the repository whose tensors hold strings."""

from collections.abc import Iterator

import numpy as np

from .common import ROWS, Built, Inputs
from .graph import STRING, Graph

DOC = "Hello, and the name that was sent."

STRING_CONCAT_OPSET = 20  # the first opset with StringConcat


def build() -> Iterator[Built]:
    graph = Graph("greeting")
    hello = graph.weight("hello", np.array(["Hello, "], dtype=object))
    mark = graph.weight("mark", np.array(["!"], dtype=object))
    start = graph.node("StringConcat", hello, "name")
    graph.node("StringConcat", start, mark, out="greeting")
    inputs, outputs = [("name", STRING, [ROWS, 1])], [("greeting", STRING, [ROWS, 1])]
    model = graph.model(inputs, outputs, 1, DOC, STRING_CONCAT_OPSET)
    yield Built("greeting", 1, model, requests())


def requests() -> list[Inputs]:
    # Empty, blank, two to four bytes a character, what JSON must escape, and a long one.
    edge = ["", " ", "Wörld", "мир", "世界", "🌍", 'a "quoted" \\ name\n', "o" * 300]
    return [column(["world"]), column(["red", "green", "blue"]), column(edge)]


def column(names: list[str]) -> Inputs:
    return {"name": np.array(names, dtype=object).reshape(-1, 1)}
