"""Recorded requests and answers, as JSON of the Open Inference Protocol, beside a model.

Called by `build`, `compare` and `bench`; calls onnxruntime. A `request` can be sent to the
server as it is. The answers are what ONNX Runtime says on one CPU thread.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime

from .common import Inputs

TOLERANCE = 1e-5  # absolute and relative: engines add in different orders

DATATYPES = {"float32": "FP32", "int64": "INT64", "object": "BYTES"}
NUMPY_TYPES = {"FP32": np.float32, "INT64": np.int64, "BYTES": object}


def session(model: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def answer(runner: onnxruntime.InferenceSession, inputs: Inputs) -> dict[str, np.ndarray]:
    names = [output.name for output in runner.get_outputs()]
    return dict(zip(names, runner.run(names, inputs), strict=True))


def record(
    folder: Path, name: str, version: int, requests: list[Inputs], tolerance: float = TOLERANCE
) -> None:
    """Answers `requests` with `folder`/model.onnx and writes `folder`/recorded.json."""
    runner = session(folder / "model.onnx")
    cases = []
    for inputs in requests:
        outputs = answer(runner, inputs)
        response = {"model_name": name, "model_version": str(version), "outputs": tensors(outputs)}
        cases.append({"request": {"inputs": tensors(inputs)}, "response": response})
    text = render({"tolerance": {"absolute": tolerance, "relative": tolerance}, "cases": cases})
    (folder / "recorded.json").write_text(text + "\n", encoding="utf-8")


def tensors(arrays: dict[str, np.ndarray]) -> list[dict]:
    return [tensor(name, array) for name, array in arrays.items()]


def tensor(name: str, array: np.ndarray) -> dict:
    datatype = DATATYPES[array.dtype.name]
    data = array.ravel().tolist()
    if datatype == "FP32":
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: JSON has no infinity and no NaN")
        # NumPy prints the fewest digits that read back as the same float32.
        data = [float(str(value)) for value in array.ravel()]
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": data}


def read_array(it: dict) -> np.ndarray:
    return np.array(it["data"], dtype=NUMPY_TYPES[it["datatype"]]).reshape(it["shape"])


def arrays(listed: list[dict]) -> dict[str, np.ndarray]:
    return {it["name"]: read_array(it) for it in listed}


def replay(model: Path, recorded: Path, tolerance: float | None = None) -> list[str]:
    """What `model` answers differently from `recorded`, one sentence each, in a new session.

    Without `tolerance`, the one in the file counts.
    """
    document = json.loads(recorded.read_text(encoding="utf-8"))
    written = document["tolerance"]
    absolute = written["absolute"] if tolerance is None else tolerance
    relative = written["relative"] if tolerance is None else tolerance
    runner = session(model)
    faults = []
    for index, case in enumerate(document["cases"]):
        got = answer(runner, arrays(case["request"]["inputs"]))
        for name, expected in arrays(case["response"]["outputs"]).items():
            if not same(got[name], expected, absolute, relative):
                faults.append(f"case {index}: {name} differs")
    return faults


def same(got: np.ndarray, expected: np.ndarray, absolute: float, relative: float) -> bool:
    """Floats within the tolerance, everything else exactly; shapes and types always."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return False
    if got.dtype.kind == "f":
        return bool(np.allclose(got, expected, rtol=relative, atol=absolute))
    return bool((got == expected).all())


def render(value: object, indent: int = 0) -> str:
    """JSON with one line per row of data, so that a difference can be read."""
    pad, inner = " " * indent, " " * (indent + 2)
    if isinstance(value, dict):
        if "data" in value:
            return render_tensor(value, indent)
        body = [f"{inner}{json.dumps(key)}: {render(it, indent + 2)}" for key, it in value.items()]
        return "{\n" + ",\n".join(body) + f"\n{pad}}}"
    if isinstance(value, list) and any(isinstance(it, dict | list) for it in value):
        body = [inner + render(it, indent + 2) for it in value]
        return "[\n" + ",\n".join(body) + f"\n{pad}]"
    return json.dumps(value, ensure_ascii=False)


def render_tensor(it: dict, indent: int) -> str:
    pad, inner = " " * indent, " " * (indent + 2)
    head = json.dumps({key: held for key, held in it.items() if key != "data"})
    row_values = max(1, len(it["data"]) // it["shape"][0])
    if row_values == 1:
        row_values = max(1, len(it["data"]))  # a column reads better as one line
    rows = [it["data"][at : at + row_values] for at in range(0, len(it["data"]), row_values)]
    lines = [inner + json.dumps(row, ensure_ascii=False)[1:-1] for row in rows]
    return head[:-1] + ', "data": [\n' + ",\n".join(lines) + f"\n{pad}]}}"
