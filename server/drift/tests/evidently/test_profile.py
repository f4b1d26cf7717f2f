"""`salver profile` on real files."""

import json
import os
import subprocess

import numpy as np
import pandas as pd

SALVER = os.environ["SALVER_BIN"]


def test_a_profile_holds_what_the_data_looks_like(tmp_path):
    random = np.random.default_rng(1)
    numbers = random.normal(5, 2, 5000)
    numbers[:100] = np.nan
    table = pd.DataFrame(
        {
            "number": numbers,
            "word": random.choice(["a", "b", "c"], 5000, p=[0.6, 0.3, 0.1]),
            "score": random.random(5000),
            "text": [f"line {it}" for it in range(5000)],
        }
    )
    for ending in ("parquet", "csv"):
        data, output = tmp_path / f"train.{ending}", tmp_path / "profile.json"
        table.to_parquet(data) if ending == "parquet" else table.to_csv(data, index=False)
        command = [SALVER, "profile", "--data", data, "--model", "wine", "--output", output]
        done = subprocess.run(
            [*command, "--outputs", "score"], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0 and "left out" in done.stdout, done
        profile = json.loads(output.read_text())
        assert (profile["format"], profile["model"], profile["source"]) == (1, "wine", "data")
        assert profile["rows"] == 5000 and profile["distinct_rows"] > 4700
        features = {it["name"]: it for it in profile["features"]}
        assert list(features) == ["number", "word", "score"]
        number, word = features["number"], features["word"]
        assert (number["rows"], number["missing"], number["role"]) == (4900, 100, "input")
        assert features["score"]["role"] == "output"
        present = table["number"].dropna()
        for name, expect in (
            ("mean", present.mean()),
            ("deviation", present.std(ddof=0)),
            ("min", present.min()),
            ("max", present.max()),
        ):
            assert abs(number[name] - expect) < 1e-9, name
        edges = [-np.inf, *number["edges"], np.inf]
        counts = pd.cut(present, edges, right=False).value_counts(sort=False)
        assert counts.tolist() == number["counts"] and len(number["counts"]) == 128
        assert len(number["sample"]) == 1000
        assert dict(word["counts"]) == table["word"].value_counts().to_dict()


def test_faults_are_named(tmp_path):
    data = tmp_path / "train.csv"
    data.write_text("x,y\n1.5,\n2.5,\n")
    command = [SALVER, "profile", "--data", data, "--model", "m", "--output", tmp_path / "out"]
    for arguments, word in (([], '"y" has no usable value'), (["--outputs", "z"], '"z"')):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and word in done.stderr, done
        assert not (tmp_path / "out").exists()
