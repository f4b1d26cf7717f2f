"""The models that are measured. They are too large to be carried, so they are made where they are needed.

ResNet-50 has a twin in FP16 here: the same graph with its weights and what flows between its nodes in FP16, and FP32
at both ends, so that it takes the same requests.
"""

import importlib.util
import sys
from pathlib import Path

from here import Here
from report import ROOT
from steps import MADE, Failed, Run, Step, call

BENCH = ROOT / "models/bench"
NAMES = ("mlp", "encoder", "resnet50")
HALF = "resnet50_fp16"
# What the scripts of models/train import.
PACKAGES = ("numpy", "onnx", "onnxruntime", "sklearn")
LIMIT_S = 240

# Between an answer in FP16 and in FP32: ten bits of mantissa, fifty layers deep. Relative to the largest logit.
TOLERANCE = 0.05


def file(model: str) -> Path:
    return BENCH / model / "1/model.onnx"


def lacking(here: Here) -> list[str]:
    """What would be needed to make those that are not there."""
    if here.dry:
        return ["a dry run takes those that are there"]
    if all(file(it).is_file() for it in (*NAMES, HALF)):
        return []
    return [f"no Python package {it}, to make models/bench" for it in PACKAGES if not importlib.util.find_spec(it)]


def make(run: Run) -> None:
    missing = [it for it in NAMES if not file(it).is_file()]
    if missing:
        # With this Python: another one's packages are another one's.
        words = ["env", "-C", ROOT / "models", sys.executable, "-m", "train.bench", *missing]
        call(run, words, LIMIT_S, quiet=False)
    if not file(HALF).is_file():
        call(run, [sys.executable, __file__, file("resnet50"), file(HALF)], LIMIT_S, quiet=False)
    for it in (*NAMES, HALF):
        if not file(it).is_file():
            raise Failed(f"{file(it)} was not made")
        run.report.say(f"- {it}: {file(it).stat().st_size / 1e6:.0f} MB")


def lacks(*names: str) -> list[str]:
    return [f"no {file(it).relative_to(ROOT)}: --only models, or make bench-models" for it in names if not file(it).is_file()]


def halve(source: Path, target: Path) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(source)
    graph = model.graph
    for weight in graph.initializer:
        if weight.data_type == TensorProto.FLOAT:
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), weight.name))
    (image,), (logits,) = graph.input, graph.output
    for node in graph.node:
        node.input[:] = ["half_in" if it == image.name else it for it in node.input]
        node.output[:] = ["half_out" if it == logits.name else it for it in node.output]
    first = helper.make_node("Cast", [image.name], ["half_in"], to=TensorProto.FLOAT16)
    last = helper.make_node("Cast", ["half_out"], [logits.name], to=TensorProto.FLOAT)
    nodes = [first, *graph.node, last]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_bytes(model.SerializeToString(deterministic=True))
    off = difference(source, part)
    if off > TOLERANCE:
        raise SystemExit(f"{target}: off by {off:.3f} of the largest logit, at most {TOLERANCE} is expected of FP16")
    part.rename(target)
    print(f"{target.parent.parent.name}: off by {off:.4f} of FP32's largest logit")


def difference(full: Path, half: Path) -> float:
    import numpy as np
    import onnxruntime

    image = (np.arange(3 * 224 * 224) % 255 / 127 - 1).astype(np.float32).reshape(1, 3, 224, 224)
    (a,), (b,) = (
        onnxruntime.InferenceSession(str(it), providers=["CPUExecutionProvider"]).run(None, {"image": image})
        for it in (full, half)
    )
    return float(np.abs(a - b).max() / np.abs(a).max())


STEPS = (Step("models", "The models that are measured", lacking, make, well=MADE),)

if __name__ == "__main__":
    halve(Path(sys.argv[1]), Path(sys.argv[2]))
