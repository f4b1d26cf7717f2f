"""Builds models that exist only to be measured: true shapes, random weights, never committed.

    python -m train.bench              all, into bench/
    python -m train.bench mlp encoder  these

Beside `mlp` and `encoder` lies a recorded.json, as in the repository. The request of `resnet50`
would be larger than a megabyte as JSON, so it has a check.json instead: for each input a formula
in the flat index i, counted from 0 in row-major order, and for the output a few values with their
flat indices.

    image[i] = (i % 255) / 127 - 1      remainder of whole numbers, then float32
"""

import argparse
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from . import encoder, mlp, resnet50
from .common import BENCH, Inputs, write
from .record import DATATYPES, answer, record, render, replay, session, tensor

SCRIPTS = {"mlp": mlp, "encoder": encoder, "resnet50": resnet50}

# Deep networks add up more rounding than the small ones of the repository.
TOLERANCE = 1e-3

RAMP = "(i % 255) / 127 - 1"
SAMPLES = (0, 1, 2, 3, 250, 500, 750, 999)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m train.bench")
    parser.add_argument("names", nargs="*", metavar="model", help=", ".join(SCRIPTS))
    names = parser.parse_args().names or list(SCRIPTS)
    unknown = set(names) - set(SCRIPTS)
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    for name in names:
        build(name, SCRIPTS[name], BENCH / name / "1")
    return 0


def build(name: str, script: ModuleType, folder: Path) -> None:
    started = time.monotonic()
    path = folder / "model.onnx"
    write(script.build(), path)
    built = time.monotonic() - started
    request = ramp() if script is resnet50 else script.example()
    seconds = measure(path, request)
    if script is resnet50:
        write_check(folder, request)
    else:
        record(folder, name, 1, [request], TOLERANCE)
        if faults := replay(path, folder / "recorded.json"):
            raise SystemExit(f"{name}: {'; '.join(faults)}")
    megabytes = path.stat().st_size / 1e6
    print(f"{name:9} {megabytes:6.1f} MB  built in {built:.1f} s  ", end="")
    print(f"one row on one thread {seconds * 1e3:.2f} ms", flush=True)


def ramp() -> Inputs:
    shape = (1, 3, resnet50.SIDE, resnet50.SIDE)
    values = np.arange(np.prod(shape)) % 255 / 127 - 1
    return {"image": values.astype(np.float32).reshape(shape)}


def measure(path: Path, request: Inputs) -> float:
    """Seconds of the second run on one thread; the first one also allocates.

    Refuses a model with useless answers, or one whose rows depend on their neighbours.
    """
    runner = session(path)
    (alone,) = answer(runner, request).values()
    if not np.isfinite(alone).all() or np.ptp(alone) < 1e-3:
        raise SystemExit(f"{path}: the outputs are not finite, or all equal")
    started = time.monotonic()
    runner.run(None, request)
    seconds = time.monotonic() - started
    pair = {key: np.concatenate([it, it]) for key, it in request.items()}
    (twice,) = answer(runner, pair).values()
    if twice.shape[0] != 2 or not np.allclose(twice[1], alone[0], rtol=TOLERANCE, atol=TOLERANCE):
        raise SystemExit(f"{path}: a batch answers differently from its rows")
    return seconds


def write_check(folder: Path, request: Inputs) -> None:
    (image,) = request.values()
    logits = answer(session(folder / "model.onnx"), request)["logits"]
    values = tensor("logits", logits.ravel()[list(SAMPLES)])["data"]
    check = {
        "tolerance": {"absolute": TOLERANCE, "relative": TOLERANCE},
        "inputs": [head("image", image) | {"formula": RAMP}],
        "outputs": [head("logits", logits) | {"indices": list(SAMPLES), "values": values}],
    }
    (folder / "check.json").write_text(render(check) + "\n", encoding="utf-8")


def head(name: str, array: np.ndarray) -> dict:
    return {"name": name, "shape": list(array.shape), "datatype": DATATYPES[array.dtype.name]}


if __name__ == "__main__":
    sys.exit(main())
