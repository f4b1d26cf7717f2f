"""`salver validate`: would a model serve? Its exit code tells pipelines."""

import json
import shutil
import subprocess

import pyarrow.parquet
import pytest
from conftest import KEYS
from servers import BINARY, PATIENCE_S, plain
from serving import FEATURES, ROW, SAMPLES, Server, run, wait_for, wine

ROWS = 6


def test_validate_says_whether_a_model_would_serve(tmp_path):
    good, bad, none = (tmp_path / it for it in ("good", "bad", "none"))
    for folder, name, data in [(good, "model.onnx", wine(1)), (bad, "model.onnx", b"no"), (none, "x", b"")]:
        folder.mkdir()
        (folder / name).write_bytes(data)
    done = run(tmp_path, "validate", f"file:{good}", "--output", "json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["good"], told["batched"]) == (0, True, True), done
    assert told["digest"].startswith("sha256:") and any("features" in it for it in told["inputs"])
    assert "would serve" in run(tmp_path, "validate", f"file:{good}").stdout
    for folder, says in [(bad, "would not serve"), (none, "no file that an engine reads")]:
        done = run(tmp_path, "validate", f"file:{folder}")
        assert done.returncode == 1 and says in done.stdout, done
    assert json.loads(run(tmp_path, "validate", f"file:{bad}", "--output", "json").stdout)["good"] is False
    config = tmp_path / "model.toml"
    config.write_text("max_batch_sizes = 3")
    for words, code, says in [
        (["nonsense"], 2, "nonsense"),
        ([f"file:{good}", "--config", config], 2, "unknown key"),
        (["mlflow://127.0.0.1:1/wine@champion"], 69, "refused"),
        ([f"file:{tmp_path}/nowhere"], 1, "nowhere"),
    ]:
        done = run(tmp_path, "validate", *words)
        assert done.returncode == code and says in done.stderr, done
        done = run(tmp_path, "validate", *words, "--output", "json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["good"]) == (code, False) and says in told["reason"], done


@pytest.fixture
def logged(tmp_path, started, s3):
    """The log of a server that serves version 2 of wine, as files here and in a store."""
    shutil.copytree(SAMPLES / "wine/2", tmp_path / "models/wine/2")
    (tmp_path / "models/wine/model.toml").write_text("[log]\nmode = 'at_least_once'\n")
    place = {"AWS_ENDPOINT_URL": started["s3"].url} | KEYS
    prefix = f"logs/{tmp_path.name}"
    flags = ("--model-repository", tmp_path / "models", "--log-dir", tmp_path / "log", "--log-roll-ms", 50)
    server = Server(tmp_path, "", *flags, "--log-sinks", f"parquet,s3://models/{prefix}", **place)
    wait_for(lambda: server.ask("GET", "/v2/models/wine/ready")[0] == 200, "wine is ready")
    for number in range(ROWS):
        row = [it * (1 + number / 10) for it in FEATURES]
        inputs = [ROW["inputs"][0] | {"data": row}]
        status, _ = server.ask("POST", "/v2/models/wine/infer", {"inputs": inputs, "id": f"r{number}"})
        assert status == 200
    there = lambda: s3.list_objects_v2(Bucket="models", Prefix=prefix).get("Contents", [])  # noqa: E731
    files = lambda: (tmp_path / "log/parquet").rglob("model=wine/**/*.parquet")  # noqa: E731
    count = lambda: sum(pyarrow.parquet.read_metadata(it).num_rows for it in files())  # noqa: E731
    wait_for(lambda: count() == ROWS and len(there()) >= 1, "the rows are there")
    server.stop()
    for version in (1, 2):
        (tmp_path / f"wine-{version}").mkdir()
        (tmp_path / f"wine-{version}/model.onnx").write_bytes(wine(version))

    def ask(*words):
        environment = plain(SALVER_CACHE=str(tmp_path / "cache"), HOME=str(tmp_path), **place)
        words = [str(it) for it in (BINARY, *words)]
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    ask.store, ask.log, ask.folder = f"s3://models/{prefix}", tmp_path / "log", tmp_path
    return ask


def test_a_candidate_is_asked_what_was_logged(logged):
    def validate(version, log, *more):
        done = logged("validate", f"file:{logged.folder}/wine-{version}", "--replay", log, "--output", "json", *more)
        return done.returncode, json.loads(done.stdout), done

    for log in (logged.log, logged.store, f"file:{logged.log}/parquet"):
        code, told, done = validate(2, log, "--flips-max", 0, "--difference-max", 1e-4)
        replay = told["replay"]
        assert (code, told["good"], replay["asked"], replay["failed"]) == (0, True, ROWS, 0), done
        assert (replay["compared"]["rows"], replay["compared"]["rows_differ"]) == (ROWS, 0), done
        assert replay["latency_ms"]["p50"] > 0 and replay["cut"] is None
    page = logged.folder / "page.html"
    code, told, done = validate(1, logged.log, "--model", "wine", "--difference-max", 1e-3, "--report", page)
    compared = told["replay"]["compared"]
    assert (code, told["good"]) == (1, False) and "a number differs by" in told["reason"], done
    assert compared["rows_differ"] > 0 and compared["worst"][0]["id"].startswith("r")
    assert compared["worst"][0]["id"] in page.read_text()
    # Without limits the differences are told, and refuse nobody.
    code, told, done = validate(1, logged.log, "--rows", 2)
    assert (code, told["good"], told["replay"]["asked"]) == (0, True, 2), done
    code, told, done = validate(2, logged.log, "--rows", 1)
    assert (code, told["replay"]["asked"], told["replay"]["compared"]["rows"]) == (0, 1, 1), done
    text = logged("validate", f"file:{logged.folder}/wine-1", "--replay", logged.log).stdout
    assert "CLASS FLIPS" in text and f"{ROWS} logged requests asked" in text and "answers as it may" in text


def test_what_cannot_be_asked_is_told_apart(logged):
    uri = f"file:{logged.folder}/wine-2"
    for words, code, says in [
        (["--replay", logged.folder / "nowhere"], 65, "no Parquet files are logged there"),
        (["--replay", logged.log, "--model", "other"], 65, "nothing that is logged could be asked"),
        (["--replay", logged.log, "--until", "2020-01-01"], 65, "nothing that is logged could be asked"),
        (["--replay", logged.log, "--since", "yesterday"], 2, '--since is "yesterday"'),
        (["--replay", logged.log, "--flips-max", 2], 2, "--flips-max 2 is no share"),
        (["--rows", 5], 2, "--replay"),
    ]:
        done = logged("validate", uri, *words)
        assert done.returncode == code and says in done.stdout + done.stderr, done


def test_logs_of_a_store_are_shown_exported_and_asked_again(logged):
    shown = logged("logs", "tail", "--log-dir", logged.store, "--lines", 3)
    lines = [json.loads(it) for it in shown.stdout.splitlines()]
    assert [it["model"] for it in lines] == ["wine"] * 3, shown
    out = logged.folder / "all.parquet"
    done = logged("logs", "export", "--log-dir", logged.store, "--model", "wine", "--output", out)
    assert done.returncode == 0 and done.stdout.startswith(f"{ROWS} rows in "), done
    assert pyarrow.parquet.read_table(out).num_rows == ROWS
    flags = ("--model-repository", logged.folder / "models", "--log-dir", logged.folder / "other")
    server = Server(logged.folder, "", *flags)
    try:
        wait_for(lambda: server.ask("GET", "/v2/models/wine/ready")[0] == 200, "wine is ready")
        where = ("--url", f"http://{server.http}", "--output", "json", "--max-diff-share", 0)
        done = logged("logs", "replay", "--log-dir", logged.store, "--model", "wine", "--to", "2", *where)
        report = json.loads(done.stdout)
        assert (done.returncode, report["sent"], report["compared"]["rows_differ"]) == (0, ROWS, 0), done
    finally:
        server.stop()
    done = logged("logs", "tail", "--log-dir", "s3://nowhere-at-all/x")
    assert done.returncode == 1 and done.stderr, done
    assert not list(logged.folder.glob("salver-*")), "nothing is left behind"
