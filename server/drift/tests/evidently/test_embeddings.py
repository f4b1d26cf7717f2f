"""Embeddings: the committed numbers against NumPy's, and `salver profile` on lists of numbers."""

import base64
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from embeddings import cases
from pyarrow import parquet

SALVER = os.environ["SALVER_BIN"]
GOLDEN = Path(__file__).parent.parent / "data" / "embeddings.json"


def test_the_committed_numbers_are_those_of_the_definitions():
    committed, fresh = json.loads(GOLDEN.read_text()), cases()
    assert len(committed) == len(fresh) == 6
    for ours, theirs in zip(committed, fresh):
        assert ours["reference"] == theirs["reference"]
        for name in ("bandwidth", "mmd_squared", "euclidean", "cosine", "witness_p"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-9), name


def test_a_profile_holds_means_and_vectors(tmp_path):
    random = np.random.default_rng(3)
    vectors = random.normal(size=(700, 16)).astype(np.float32)
    rows = [None if it % 7 == 0 else vector for it, vector in enumerate(vectors)]
    present = np.array([it for it in rows if it is not None])
    for kind in (pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32())):
        table = pa.table({"x": random.random(700), "pooled": pa.array(rows, type=kind)})
        data, output = tmp_path / "train.parquet", tmp_path / "profile.json"
        parquet.write_table(table, data)
        command = [SALVER, "profile", "--data", data, "--model", "m", "--output", output]
        done = subprocess.run(
            [*command, "--outputs", "pooled"], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done
        x, pooled = json.loads(output.read_text())["features"]
        assert (x["type"], pooled["type"], pooled["role"]) == ("num", "vec", "output")
        assert (pooled["rows"], pooled["missing"], pooled["length"]) == (600, 100, 16)
        assert np.allclose(pooled["mean"], present.mean(axis=0), atol=1e-6)
        sample = np.frombuffer(base64.b64decode(pooled["sample"]), dtype="<f4").reshape(-1, 16)
        assert len(sample) == 256 and len(np.unique(sample, axis=0)) == 256
        known = {it.tobytes() for it in present}
        assert all(it.tobytes() in known for it in sample)
