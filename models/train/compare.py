"""Says whether a rebuilt model version is the committed one.

Called by `build`; calls `record`. Three outcomes: the same bytes; the same graph with the same
answers, as another CPU may give; or different.
"""

import json
from enum import Enum
from pathlib import Path

import onnx

from .record import replay

# How far a model trained on another CPU may answer from the committed one. Stored weights are
# multiples of 1/4096; the worst single step found by trial moves an answer of `digits` by 0.0002.
REBUILT = 1e-3


class Verdict(Enum):
    SAME_BYTES = "same bytes"
    SAME_ANSWERS = "same graph and answers"
    DIFFERENT = "different"


def compare(committed: Path, rebuilt: Path) -> tuple[Verdict, list[str]]:
    """Verdict and reasons for two folders of one model version."""
    model, recorded = committed / "model.onnx", committed / "recorded.json"
    missing = [f"{path.name} is missing" for path in (model, recorded) if not path.is_file()]
    if missing:
        return Verdict.DIFFERENT, missing
    stale = [f"committed model: {it}" for it in replay(model, recorded)]
    if stale:
        return Verdict.DIFFERENT, stale
    changed = [
        it for it in (model, recorded) if it.read_bytes() != (rebuilt / it.name).read_bytes()
    ]
    if not changed:
        return Verdict.SAME_BYTES, []
    if skeleton(model) != skeleton(rebuilt / "model.onnx"):
        return Verdict.DIFFERENT, ["the graphs differ"]
    if requests(recorded) != requests(rebuilt / "recorded.json"):
        return Verdict.DIFFERENT, ["the recorded requests differ"]
    faults = replay(rebuilt / "model.onnx", recorded, REBUILT)
    if faults:
        return Verdict.DIFFERENT, [f"rebuilt model: {it}" for it in faults]
    return Verdict.SAME_ANSWERS, [f"other bytes in {it.name}" for it in changed]


def requests(path: Path) -> list[dict]:
    return [case["request"] for case in json.loads(path.read_text(encoding="utf-8"))["cases"]]


def skeleton(path: Path) -> bytes:
    """The model without the numbers that training chose."""
    model = onnx.load(path)
    for weight in model.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT:
            weight.ClearField("raw_data")
            weight.ClearField("float_data")
    for node in model.graph.node:
        for attribute in node.attribute:
            attribute.ClearField("floats")
    return model.SerializeToString(deterministic=True)
