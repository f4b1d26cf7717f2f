"""`salver models pull|lock|verify` by themselves."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from servers import BIN, Salver, plain


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"first")
    return folder


def test_a_pulled_model_lies_where_it_should(model, tmp_path, salver):
    to = tmp_path / "repository/wine/1"
    to.parent.mkdir(parents=True)
    pulled = salver.pull(f"file:{model}", "--to", to)
    assert pulled.files() == {"model.onnx": b"first"} and Path(pulled.told["folder"]) == to
    assert sorted(os.listdir(to.parent)) == ["1"]
    salver.refused("pull", f"file:{model}", "--to", to, says=str(to))


def test_text_for_people(model, salver):
    said = salver.run("pull", f"file:{model}").stdout
    assert "fetched: 1 files, 5 bytes" in said and "sha256:" in said
    assert "was here: 1 files" in salver.run("pull", f"file:{model}").stdout


def test_pinned_models_stay_what_they_are(model, tmp_path, salver):
    lock = ("--lock", tmp_path / "models.lock")
    uri = f"file:{model}"
    salver.refused("pull", uri, *lock, says="models.lock: No such file")
    salver.refused("verify", *lock, says="models.lock: No such file")
    assert salver.run("lock", uri, *lock).returncode == 0
    first = salver.pull(uri, *lock)
    salver.refused("pull", f"{uri}/model.onnx", *lock, says="is not pinned")
    (model / "model.onnx").write_bytes(b"other")
    assert salver.pull(uri, *lock).tree == first.tree  # from the cache
    elsewhere = Salver(tmp_path / "elsewhere")
    elsewhere.refused("pull", uri, *lock, says="where sha256:")
    assert salver.run("lock", *lock).returncode == 0  # all of them, anew
    assert salver.pull(uri, *lock).files() == {"model.onnx": b"other"}
    salver.refused("lock", "--lock", tmp_path / "none.lock", says="nothing to pin")


def test_damage_is_found(model, tmp_path, salver):
    lock = ("--lock", tmp_path / "models.lock")
    salver.run("lock", f"file:{model}", *lock)
    pulled = salver.pull(f"file:{model}")
    assert json.loads(salver.run("verify", "--output", "json").stdout) == {"whole": [pulled.tree]}
    kept = Path(pulled.told["folder"]) / "model.onnx"
    kept.chmod(0o644)
    kept.write_bytes(b"fjrst")
    salver.refused("verify", *lock, says="damaged and removed")
    salver.refused("verify", *lock, says="pinned, but not here")
    assert salver.pull(f"file:{model}", *lock).fetched
    assert "1 models are whole" in salver.run("verify", *lock).stdout


def test_a_start_without_the_registry(model, salver):
    uri = f"file:{model}"
    salver.refused("pull", uri, "--offline", says="is not in the cache")
    tree = salver.pull(uri).tree
    (model / "model.onnx").unlink()
    model.rmdir()
    salver.refused("pull", uri, says="does not exist")
    assert salver.pull(uri, "--offline").tree == tree


def test_signatures(model, tmp_path, salver):
    keys = tmp_path / "key.pem", tmp_path / "key.pub"
    ecparam = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]
    subprocess.run([*ecparam, "-out", keys[0]], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", keys[0], "-pubout", "-out", keys[1]], check=True)
    required = ("--signer", keys[1])
    salver.refused("pull", f"file:{model}", *required, says="no signature (model.sig)")
    signature = ("--private_key", keys[0], "--signature", model / "model.sig")
    sign = [BIN / "model_signing", "sign", "key", model, *signature]
    subprocess.run(sign, check=True, capture_output=True, env=plain())
    assert salver.pull(f"file:{model}", *required).fetched
    (model / "model.onnx").write_bytes(b"other")
    salver.refused("pull", f"file:{model}", *required, says="model.onnx is sha256:")


def test_wrong_usage(salver):
    salver.refused("pull", "wine", says="names no model")
    done = salver.run("pull", "http://me:hush@h/m.onnx")
    assert "credentials belong" in done.stderr and "hush" not in done.stderr, done.stderr
    salver.refused("pull", "file:/nowhere", says="/nowhere does not exist")
