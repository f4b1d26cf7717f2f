"""The encoder of models/bench in PyTorch and in JAX, and its ResNet-50 in JAX, with the weights of the ONNX files.

    python same_weights.py torch eager|compile MODEL ROWS SECONDS DEVICE    # PyTorch; one line of JSON
    python same_weights.py programs cuda|cpu FOLDER ROWS,… ENCODER RESNET50 # programs for raw-pjrt, by jax

A run of PyTorch takes NumPy arrays and gives one, as a run of ours takes and gives a request's memory. What it answers is
held against the answer that was recorded beside the model.
"""

import json
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADS, WIDTH, LAYERS, SEQUENCE = 12, 384, 6, 128
# Added to the score of a masked token, as in models/train/encoder.py.
MASKED = -10000.0
STAGES = (3, 4, 6, 3)
WARM_UP = 10
# FP32 against FP32 in another order, six layers deep.
TOLERANCE = 1e-3


def weights(path):
    import onnx
    from onnx import numpy_helper

    return {it.name: numpy_helper.to_array(it) for it in onnx.load(path).graph.initializer}


def torch_encoder(path, device):
    import torch
    from torch.nn import functional

    parts = {name: torch.from_numpy(it.copy()).to(device) for name, it in weights(path).items()}

    def norm(name, flow):
        return functional.layer_norm(flow, (WIDTH,), parts[f"{name}_scale"], parts[f"{name}_shift"], 1e-12)

    def dense(name, flow):
        return flow @ parts[f"{name}_weight"] + parts[f"{name}_bias"]

    def split(flow):
        return flow.reshape(*flow.shape[:2], HEADS, WIDTH // HEADS).transpose(1, 2)

    def encoder(ids, mask):
        flow = norm("embedding_norm", parts["token_embedding"][ids] + parts["position_embedding"][: ids.shape[1]])
        mask = mask.to(flow.dtype)
        bias = ((1 - mask) * MASKED)[:, None, None, :]
        for layer in range(LAYERS):
            name = f"layer_{layer}"
            query, key, value = (split(dense(f"{name}_attention_{it}", flow)) for it in ("query", "key", "value"))
            mixed = functional.scaled_dot_product_attention(query, key, value, bias)
            attended = dense(f"{name}_attention_output", mixed.transpose(1, 2).reshape(flow.shape))
            flow = norm(f"{name}_attention_norm", attended + flow)
            inner = functional.gelu(dense(f"{name}_inner", flow))
            flow = norm(f"{name}_norm", dense(f"{name}_outer", inner) + flow)
        mask = mask[:, :, None]
        return (flow * mask).sum(1) / mask.sum(1).clamp(min=1)

    return encoder


def torch_run(way, path, rows, seconds, device):
    import numpy as np
    import torch

    # As ours: products in full FP32.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.set_grad_enabled(False)
    encoder = torch_encoder(path, device)
    function = torch.compile(encoder) if way == "compile" else encoder

    def run(ids, mask):
        return function(*(torch.from_numpy(it).to(device) for it in (ids, mask))).cpu().numpy()

    off = difference(Path(path), run, np)
    if off > TOLERANCE:
        raise SystemExit(f"PyTorch's encoder is off by {off} of the recorded answer, at most {TOLERANCE} is expected")
    given = [np.ones((int(rows), SEQUENCE), np.int64)] * 2
    for _ in range(WARM_UP):
        run(*given)
    times, began = [], time.perf_counter()
    while time.perf_counter() - began < float(seconds):
        before = time.perf_counter()
        run(*given)
        times.append(time.perf_counter() - before)
    per_s = len(times) * int(rows) / (time.perf_counter() - began)
    found = {"rows_per_s": per_s, "median_us": statistics.median(times) * 1e6, "off": off, "version": torch.__version__}
    print(json.dumps(found))


def difference(path, run, np):
    """The largest, between its answer and the recorded one."""
    (case,) = json.loads((path.parent / "recorded.json").read_text())["cases"]
    given = {it["name"]: np.array(it["data"], np.int64).reshape(it["shape"]) for it in case["request"]["inputs"]}
    expected = np.array(case["response"]["outputs"][0]["data"], np.float32)
    return float(np.abs(run(given["input_ids"], given["attention_mask"]).ravel() - expected).max())


def jax_encoder(path):
    import jax
    import jax.numpy as jnp

    parts = weights(path)

    def norm(name, flow):
        mean = flow.mean(-1, keepdims=True)
        spread = ((flow - mean) ** 2).mean(-1, keepdims=True)
        return (flow - mean) / jnp.sqrt(spread + 1e-12) * parts[f"{name}_scale"] + parts[f"{name}_shift"]

    def dense(name, flow):
        return flow @ parts[f"{name}_weight"] + parts[f"{name}_bias"]

    def split(flow):
        return flow.reshape(*flow.shape[:2], HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)

    def encoder(input_ids, attention_mask):
        embedded = jnp.asarray(parts["token_embedding"])[input_ids]
        flow = norm("embedding_norm", embedded + parts["position_embedding"][: input_ids.shape[1]])
        mask = attention_mask.astype(jnp.float32)
        bias = ((1 - mask) * MASKED)[:, None, None, :]
        for layer in range(LAYERS):
            name = f"layer_{layer}"
            query, key, value = (split(dense(f"{name}_attention_{it}", flow)) for it in ("query", "key", "value"))
            shares = jax.nn.softmax(query @ key.transpose(0, 1, 3, 2) / (WIDTH // HEADS) ** 0.5 + bias)
            attended = dense(f"{name}_attention_output", (shares @ value).transpose(0, 2, 1, 3).reshape(flow.shape))
            flow = norm(f"{name}_attention_norm", attended + flow)
            inner = jax.nn.gelu(dense(f"{name}_inner", flow), approximate=False)
            flow = norm(f"{name}_norm", dense(f"{name}_outer", inner) + flow)
        mask = mask[:, :, None]
        return ((flow * mask).sum(1) / jnp.maximum(mask.sum(1), 1),)

    return encoder


def jax_resnet(path):
    import jax
    import jax.numpy as jnp
    from jax import lax

    parts = weights(path)

    def network(image):
        count = 0

        def convolution(flow, stride=1):
            nonlocal count
            kernel, bias = parts[f"conv_{count}_weight"], parts[f"conv_{count}_bias"]
            count += 1
            padding = [(kernel.shape[2] // 2,) * 2] * 2
            return lax.conv_general_dilated(flow, kernel, (stride, stride), padding) + bias.reshape(1, -1, 1, 1)

        flow = jax.nn.relu(convolution(image, 2))
        around = ((0, 0), (0, 0), (1, 1), (1, 1))
        flow = lax.reduce_window(flow, -jnp.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), around)
        for stage, blocks in enumerate(STAGES):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                branch = jax.nn.relu(convolution(flow))
                branch = convolution(jax.nn.relu(convolution(branch, stride)))
                flow = jax.nn.relu(branch + (flow if block else convolution(flow, stride)))
        return (flow.mean((2, 3)) @ parts["dense"].T + parts["dense_bias"],)

    return network


def programs(platform, folder, rows, encoder, resnet):
    sys.path.insert(0, str(ROOT / "backends/pjrt/fixtures"))
    from export import save

    folder, rows = Path(folder), [int(it) for it in rows.split(",")]
    folder.mkdir(parents=True, exist_ok=True)
    # One: a program for two has an input that says which it is.
    platforms = (platform,)
    tokens = {name: ("INT64", (-1, SEQUENCE)) for name in ("input_ids", "attention_mask")}
    # A place in the table of tokens that is too large is the caller's fault: the plugin would not say so.
    ranges = {"input_ids": (0, 30521)}
    save(folder, "encoder", jax_encoder(encoder), tokens, ["embedding"], rows=rows, ranges=ranges, platforms=platforms)
    image = {"image": ("FP32", (-1, 3, 224, 224))}
    save(folder, "resnet50", jax_resnet(resnet), image, ["logits"], rows=rows, platforms=platforms)


if __name__ == "__main__":
    {"torch": torch_run, "programs": programs}[sys.argv[1]](*sys.argv[2:])
