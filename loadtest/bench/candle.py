"""candle beside ONNX Runtime, at full size and on the same weights: do they answer alike, and how fast is each?

The weights are taken out of the ONNX files by `models/train/weights.py`. Both engines answer one request through one server, as
nothing else shows what a caller would notice; the time of a run is taken without one, in turns, on one thread.
"""

import json
import os
import random
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import engines
import parts
from bench import BIG, ROOT, SEQUENCE, in_turn, model_file, share, spread, table

# Each with what its free axes get and with rows of a batch.
MODELS = {"mlp": (1, (1, 32)), "encoder": (SEQUENCE, (1, 4)), "resnet50": (1, (1, 4))}
# FP32 against FP32 in another order, up to fifty layers deep; absolute, and relative to the answer.
TOLERANCE = 1e-3
# The encoder's words are below this.
VOCABULARY = 30000


def measure(bench):
    python, rows, results = engines.VENV / "models/bin/python", [], {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        engines.run("env", "-C", ROOT / "models", python, "-m", "train.weights", folder, *MODELS)
        for name in MODELS:
            # Beside each other in one repository, under two names.
            os.rename(folder / name, folder / f"{name}_candle")
            (folder / name).symlink_to(BIG / name)
        off = differences(bench, folder)
        for name, (free, counts) in MODELS.items():
            for count in counts:
                found = in_rounds(bench, folder, (name, count, free))
                ratio = [it["onnxruntime"] / it["candle"] for it in found]
                results[f"{name} at {count}"] = {"ratio": ratio, "rounds": found, "off": off[name]}
                times = [spread([it[who] for it in found], 1) for who in ("candle", "onnxruntime")]
                rows.append([name, count, *times, share(ratio), f"{off[name]:.1e}"])
    bench.results["candle"] = results
    head = ["model", "rows", "raw-candle, µs a run", "ONNX Runtime, µs", "speed beside it", "answers differ by"]
    note = f"One thread each. The difference is the largest of an element to 1 + its size; {TOLERANCE} would be a fault."
    table("candle beside ONNX Runtime, on the same weights", head, rows, note)


def in_rounds(bench, folder, given):
    name, count, free = given
    weights = folder / f"{name}_candle/1/model.safetensors"
    words = {
        "candle": (bench.raw_bin.with_name("raw-candle"), weights, count, bench.seconds, free),
        "onnxruntime": (bench.raw_bin, bench.library, model_file(name), count, bench.seconds, free),
    }
    turns = (in_turn(number, *words.items()) for number in range(bench.rounds))
    return [{who: engines.run(*it)["median_us"] for who, it in turn} for turn in turns]


def differences(bench, folder):
    """By model, how far the two are apart on one request."""
    off = {}
    with bench.server(folder) as server:
        for name, (free, _) in MODELS.items():
            # Drawn from one seed: the same numbers, under the names that each of the two has for its inputs.
            ours, theirs = (answer(server, it, made_up(server, it, free)) for it in (f"{name}_candle", name))
            off[name] = max(abs(a - b) / (1 + abs(b)) for a, b in zip(ours, theirs, strict=True))
            if not off[name] <= TOLERANCE:
                raise SystemExit(f"{name}: candle's answer is off by {off[name]}, expected at most {TOLERANCE}")
    return off


def made_up(server, model, free):
    seeded = random.Random(1)
    tensors = []
    for it in metadata(server, model)["inputs"]:
        shape = [1, *(free if length < 0 else length for length in it["shape"][1:])]
        size = 1
        for length in shape:
            size *= length
        draw = {"FP32": lambda: seeded.uniform(-1, 1), "INT64": lambda: seeded.randrange(VOCABULARY)}[it["datatype"]]
        ones = it["name"] == "attention_mask"
        data = [1 if ones else draw() for _ in range(size)]
        tensors.append({"name": it["name"], "shape": shape, "datatype": it["datatype"], "data": data})
    return {"inputs": tensors}


def metadata(server, model):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http}/v2/models/{model}", timeout=parts.PATIENCE_S) as it:
        return json.load(it)


def answer(server, model, request):
    url = f"http://127.0.0.1:{server.http}/v2/models/{model}/infer"
    asked = urllib.request.Request(url, json.dumps(request).encode(), method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=parts.PATIENCE_S) as it:
            return json.load(it)["outputs"][0]["data"]
    except urllib.error.HTTPError as fault:
        raise SystemExit(f"{model}: {fault.read().decode()}") from fault
