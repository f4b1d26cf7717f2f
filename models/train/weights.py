"""The sample and benchmark models as safetensors with a `config.json`, for the engine candle.

    python -m train.weights FOLDER            mlp, encoder and resnet50 of bench/, one folder each
    python -m train.weights FOLDER encoder    that one

The weights are those of the ONNX files, renamed and turned as the Hugging Face hub has them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from . import encoder, resnet50
from .common import BENCH, REPOSITORY

Weights = dict[str, np.ndarray]

TYPES = {"float32": "F32", "float16": "F16", "int64": "I64"}


def pack(weights: Weights, metadata: dict[str, str] | None = None) -> bytes:
    """A safetensors file: length of the header, the header as JSON, the numbers."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    body = b""
    for name, values in sorted(weights.items()):
        data = np.ascontiguousarray(values).tobytes()
        span = [len(body), len(body) + len(data)]
        kind = TYPES[values.dtype.name]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": span}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def save(folder: Path, config: dict, weights: Weights) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(pack(weights))
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def of_graph(path: Path) -> Weights:
    graph = onnx.load(path).graph
    return {it.name: numpy_helper.to_array(it) for it in graph.initializer}


def digits() -> tuple[dict, Weights]:
    """The committed sample model."""
    onnx_weights = of_graph(REPOSITORY / "digits/1/model.onnx")
    weights = {
        "ink.weight": np.array(1 / onnx_weights["ink_max"], np.float32),
        "dense.weight": onnx_weights["dense"],
        "dense.bias": onnx_weights["bias_3"],
    }
    for n in (1, 2):
        weights[f"conv_{n}.weight"] = onnx_weights[f"kernel_{n}"]
        weights[f"conv_{n}.bias"] = onnx_weights[f"bias_{n}"]
    conv = {"type": "conv2d", "padding": 1}
    layers = [
        {"type": "scale", "name": "ink"},
        conv | {"name": "conv_1"},
        {"type": "relu"},
        conv | {"name": "conv_2"},
        {"type": "relu"},
        {"type": "max_pool2d", "size": 2},
        {"type": "flatten"},
        {"type": "linear", "name": "dense"},
        {"type": "softmax"},
    ]
    config = {
        "model_type": "sequential",
        "inputs": [{"name": "image", "shape": [1, 8, 8]}],
        "layers": layers,
        "outputs": [{"name": "probabilities"}],
    }
    return config, weights


def mlp() -> tuple[dict, Weights]:
    onnx_weights = of_graph(BENCH / "mlp/1/model.onnx")
    count = len(onnx_weights) // 2
    weights, layers = {}, []
    for n in range(count):
        weights[f"{n}.weight"] = onnx_weights[f"weight_{n}"].T
        weights[f"{n}.bias"] = onnx_weights[f"bias_{n}"]
        layers += [{"type": "linear", "name": str(n)}, {"type": "relu"}]
    layers[-1] = {"type": "softmax"}
    config = {
        "model_type": "sequential",
        "inputs": [{"name": "x", "shape": [onnx_weights["weight_0"].shape[0]]}],
        "layers": layers,
        "outputs": [{"name": "y"}],
    }
    return config, weights


def bert() -> tuple[dict, Weights]:
    old = of_graph(BENCH / "encoder/1/model.onnx")
    new = {
        "embeddings.word_embeddings.weight": old["token_embedding"],
        "embeddings.position_embeddings.weight": old["position_embedding"],
        "embeddings.token_type_embeddings.weight": np.zeros((1, encoder.WIDTH), np.float32),
    }

    def norm(to: str, name: str) -> None:
        new[f"{to}.weight"], new[f"{to}.bias"] = old[f"{name}_scale"], old[f"{name}_shift"]

    def dense(to: str, name: str) -> None:
        new[f"{to}.weight"], new[f"{to}.bias"] = old[f"{name}_weight"].T, old[f"{name}_bias"]

    norm("embeddings.LayerNorm", "embedding_norm")
    for n in range(encoder.LAYERS):
        to, name = f"encoder.layer.{n}", f"layer_{n}"
        for part in ("query", "key", "value"):
            dense(f"{to}.attention.self.{part}", f"{name}_attention_{part}")
        dense(f"{to}.attention.output.dense", f"{name}_attention_output")
        norm(f"{to}.attention.output.LayerNorm", f"{name}_attention_norm")
        dense(f"{to}.intermediate.dense", f"{name}_inner")
        dense(f"{to}.output.dense", f"{name}_outer")
        norm(f"{to}.output.LayerNorm", f"{name}_norm")
    config = {
        "model_type": "bert",
        "num_hidden_layers": encoder.LAYERS,
        "num_attention_heads": encoder.HEADS,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "salver": {"pooling": "mean"},
    }
    return config, new


def resnet() -> tuple[dict, Weights]:
    """Its normalisations are folded into the convolutions already."""
    old = of_graph(BENCH / "resnet50/1/model.onnx")
    new = {"classifier.1.weight": old["dense"], "classifier.1.bias": old["dense_bias"]}
    count = 0

    def conv(to: str) -> None:
        nonlocal count
        for part in ("weight", "bias"):
            new[f"resnet.{to}.convolution.{part}"] = old[f"conv_{count}_{part}"]
        count += 1

    conv("embedder.embedder")
    for stage, (blocks, _) in enumerate(resnet50.STAGES):
        for block in range(blocks):
            name = f"encoder.stages.{stage}.layers.{block}"
            for n in range(3):
                conv(f"{name}.layer.{n}")
            if block == 0:
                conv(f"{name}.shortcut")
    config = {
        "model_type": "resnet",
        "layer_type": "bottleneck",
        "depths": [blocks for blocks, _ in resnet50.STAGES],
        "hidden_act": "relu",
        "salver": {"image_size": resnet50.SIDE},
    }
    return config, new


SCRIPTS = {"mlp": mlp, "encoder": bert, "resnet50": resnet}


def main() -> int:
    if len(sys.argv) < 2 or set(sys.argv[2:]) - set(SCRIPTS):
        print(__doc__, file=sys.stderr)
        return 2
    for name in sys.argv[2:] or SCRIPTS:
        save(Path(sys.argv[1]) / name / "1", *SCRIPTS[name]())
    return 0


if __name__ == "__main__":
    sys.exit(main())
