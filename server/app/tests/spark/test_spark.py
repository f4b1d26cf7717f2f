"""The Spark job of the documents over the logs of two servers: it finds what `salver monitor` finds."""

import csv
import http.client
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

HERE = Path(__file__).resolve().parent
# How to run servers as children is written down there.
sys.path.append(str(HERE.parent / "registry"))
sys.path.append(str(HERE.parents[3] / "loadtest/demo/spark"))

import drift  # noqa: E402
from servers import BINARY, PATIENCE_S, ROOT, Child, free_port, plain  # noqa: E402

SAMPLE = ROOT / "models/repository/wine"
FEATURES = [f"f{n}" for n in range(13)]
ROWS = 1_000
BATCH = 50
# Everything is in one of these.
WINDOW = "10000 days"


def drawn(source, rows, shift):
    return [[source.gauss(shift if n == 0 else 0.0, 1.0) for n in range(len(FEATURES))] for _ in range(rows)]


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body and json.dumps(body))
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.05)
    return answer


@pytest.fixture
def models(tmp_path):
    """The sample with a reference, watched by the fleet's monitor in one window."""
    folder = tmp_path / "models/wine"
    shutil.copytree(SAMPLE, folder)
    with open(tmp_path / "reference.csv", "w", newline="") as file:
        csv.writer(file).writerows([FEATURES, *drawn(random.Random(1), 4_000, 0.0)])
    command = [BINARY, "profile", "--data", tmp_path / "reference.csv", "--model", "wine"]
    command += ["--output", folder / "2/profile.json"]
    subprocess.run([str(it) for it in command], env=plain(), check=True)
    shutil.copy(folder / "2/profile.json", folder / "1/profile.json")
    text = (SAMPLE / "model.toml").read_text().replace("version_policy", "max_batch_size = 64\nversion_policy")
    log = f"[log]\nmode = 'at_least_once'\nfeatures = {{ features = {json.dumps(FEATURES)} }}\n"
    (folder / "model.toml").write_text(f"{text}\n{log}[drift]\nwindow_rows = {ROWS}\nfalse_alarm_windows = 720\n")
    return folder.parent


@pytest.fixture
def children():
    started = []

    def start(folder, *words):
        folder.mkdir(exist_ok=True)
        port = free_port()
        command = [BINARY, *words, "--host", "127.0.0.1", "--log-format", "json"]
        command += ["--http-port" if words[0] == "serve" else "--port", port]
        started.append(Child(command, f"http://127.0.0.1:{port}/v2/health/ready", folder / "said", HOME=str(folder)))
        started[-1].ready()
        return port

    yield start
    for it in started:
        it.stop()


def served(tmp_path, models, children, name):
    """A replica that has answered half of the rows; where its log lies."""
    folder = tmp_path / name
    ports = ["--grpc-port", "0", "--metrics-port", "0", "--log-roll-ms", "50", "--log-monitor=false"]
    port = children(folder, "serve", "--model-repository", models, "--log-dir", folder / "log", *ports)
    wait_for(lambda: ask(port, "GET", "/v2/models/wine/versions/2/ready")[0] == 200, "wine is ready")
    source = random.Random(name)
    for _ in range(ROWS // 2 // BATCH):
        data = [value for row in drawn(source, BATCH, 0.3) for value in row]
        tensor = {"name": "features", "datatype": "FP32", "shape": [BATCH, len(FEATURES)], "data": data}
        status, body = ask(port, "POST", "/v2/models/wine/versions/2/infer", {"inputs": [tensor]})
        assert status == 200, body
    return folder / "log/parquet"


def test_spark_finds_what_the_monitor_finds(tmp_path, models, children):
    logs = [served(tmp_path, models, children, name) for name in ("one", "two")]
    words = [word for it in logs for word in ("--log", it)]
    words += ["--model-repository", models, "--state", tmp_path / "state"]
    port = children(tmp_path / "monitor", "monitor", *words, "--interval-ms", "50", "--lateness-s", "10")

    def window():
        status, text = ask(port, "GET", "/v2/models/wine/versions/2/drift")
        return status == 200 and json.loads(text)["last"]

    last = wait_for(window, "a window is complete")
    # A file that was delivered twice changes nothing.
    [first, *_] = sorted(logs[0].glob("model=wine/version=2/*/*/*.parquet"))
    shutil.copy(first, first.with_name("again.parquet"))
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", False)
    spark = spark.config("spark.sql.shuffle.partitions", 1).getOrCreate()
    try:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        profile = json.loads((models / "wine/2/profile.json").read_text())
        found = drift.drift(spark, [str(it) for it in logs], ("wine", 2), profile, WINDOW)
    finally:
        spark.stop()
    ours = {f"in.{it['name']}": it["evidence"] for it in last["features"]}
    assert {it["feature"] for it in found} == set(ours) == {f"in.{it}" for it in FEATURES}
    for it in found:
        evidence = ours[it["feature"]]
        assert it["rows"] == evidence["rows"] == ROWS
        assert it["psi"] == pytest.approx(evidence["statistics"]["psi"], rel=1e-9), it
    assert max(found, key=lambda it: it["psi"])["feature"] == "in.f0"
