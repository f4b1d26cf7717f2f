"""What every model script shares: the seed, the split, the rounding and the finished model.

Called by the model scripts; calls onnx only. Nothing here depends on the clock or on the machine.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from sklearn.model_selection import train_test_split

SEED = 0
OPSET = 17  # the newest that every engine of the server reads
ML_OPSET = 3  # domain ai.onnx.ml: trees and linear classifiers
ROWS = "N"  # name of the first axis of every input and output

MODELS = Path(__file__).resolve().parent.parent
REPOSITORY = MODELS / "repository"
BENCH = MODELS / "bench"

# One inference request: an array per input name.
Inputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Built:
    """One model version, ready to be written."""

    name: str
    version: int
    model: onnx.ModelProto
    requests: list[Inputs]
    # Share of the held-out rows answered correctly; None where nothing was learned.
    accuracy: float | None = None

    def folder(self, root: Path) -> Path:
        return root / self.name / str(self.version)


def split(features: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Training features, held-out features, training labels, held-out labels.

    Features become float32 before anything is learned, because the server sees no others.
    """
    features = features.astype(np.float32)
    return train_test_split(features, labels, test_size=0.4, stratify=labels, random_state=SEED)


def rounded(weights: np.ndarray) -> np.ndarray:
    """`weights` rounded to multiples of 1/4096.

    Two CPUs add in different orders and so learn weights that differ in their last digits. The
    step is far coarser than that, so that a rebuild elsewhere stores the same numbers, and too
    fine to cost accuracy. A multiple of 1/4096 below 4096 is exact in float32.
    """
    return np.round(np.asarray(weights, dtype=np.float64) * 4096) / 4096


def first_rows(features: np.ndarray, counts: tuple[int, ...]) -> list[np.ndarray]:
    """Consecutive slices of `features`, so that no row is used twice."""
    ends = np.cumsum(counts)
    return [features[end - count : end] for count, end in zip(counts, ends, strict=True)]


def finish(graph: onnx.GraphProto, version: int, doc: str, opset: int = OPSET) -> onnx.ModelProto:
    """Wraps `graph` with fixed metadata and checks it. No producer version, no date."""
    domains = {node.domain for node in graph.node}
    opsets = [helper.make_opsetid("", opset)]
    if "ai.onnx.ml" in domains:
        opsets.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
    model = helper.make_model(graph, opset_imports=opsets, producer_name="salver")
    model.ir_version = helper.find_min_ir_version_for(opsets)
    model.model_version = version
    model.doc_string = doc
    onnx.checker.check_model(model, full_check=True)
    return model


def write(model: onnx.ModelProto, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
