"""jax with nothing around it: what `raw-pjrt` is held against, on the same plugin.

    python jax_raw.py make FOLDER                  # the programs, for raw-pjrt
    python jax_raw.py run PLUGIN NAME ROWS SECONDS # one line of JSON

A run takes a NumPy array of halves and gives one, as a run of ours takes and gives a request's memory.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "backends/pjrt/fixtures"))

# Under this name jax opens a plugin that it does not know.
PLATFORM = "plugin"
# Runs before the clock starts.
WARM_UP = 20


def weights(*shapes):
    import numpy as np

    random = np.random.default_rng(7)
    return [random.normal(0, 1 / shape[0] ** 0.5, shape).astype(np.float32) for shape in shapes]


def mlp(x):
    import jax

    for n, weight in enumerate(weights((256, 512), (512, 512), (512, 10))):
        x = x @ weight if n == 2 else jax.nn.relu(x @ weight)
    return (x,)


def encoder(x):
    """Two layers of attention and a feed-forward network over 128 tokens of 384 numbers."""
    import jax

    shapes = [(384, 384)] * 4 + [(384, 1536), (1536, 384)]
    for query, key, value, out, up, down in (weights(*shapes), weights(*shapes)):
        heads = [(x @ it).reshape(-1, 128, 12, 32).transpose(0, 2, 1, 3) for it in (query, key, value)]
        scores = jax.nn.softmax(heads[0] @ heads[1].transpose(0, 1, 3, 2) / 32**0.5)
        mixed = (scores @ heads[2]).transpose(0, 2, 1, 3).reshape(-1, 128, 384)
        x = x + mixed @ out
        x = x + jax.nn.gelu(x @ up) @ down
    return (x,)


MODELS = {"mlp": (mlp, (256,), (1, 32)), "encoder": (encoder, (128, 384), (1,))}


def make(folder):
    from export import save

    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, (function, shape, rows) in MODELS.items():
        save(Path(folder), name, function, {"x": ("FP32", (-1, *shape))}, ["y"], rows=rows)


def run(plugin, name, rows, seconds):
    os.environ["PJRT_NAMES_AND_LIBRARY_PATHS"] = f"{PLATFORM}:{plugin}"
    os.environ["JAX_PLATFORMS"] = PLATFORM
    import jax
    import numpy as np

    function, shape, _ = MODELS[name]
    compiled = jax.jit(function)
    given = np.full((int(rows), *shape), 0.5, np.float32)
    times, began = [], None
    for n in range(1 << 40):
        before = time.perf_counter()
        if n == WARM_UP:
            began = before
        elif n > WARM_UP and before - began >= float(seconds):
            break
        np.asarray(compiled(given)[0])
        times.append(time.perf_counter() - before)
    times = times[WARM_UP:]
    per_s = len(times) * int(rows) / (before - began)
    print(json.dumps({"rows_per_s": per_s, "median_us": statistics.median(times) * 1e6}))


if __name__ == "__main__":
    {"make": make, "run": run}[sys.argv[1]](*sys.argv[2:])
