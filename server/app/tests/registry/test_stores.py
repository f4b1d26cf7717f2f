"""`s3://` against moto, `http://` against Python's own server, `file:`."""

import os
import subprocess
import sys

import pytest
from servers import BINARY, PATIENCE_S, files, plain

ONE = {"model.onnx": b"1" * 5000, "sub/config.json": b"{}"}


def put(s3, prefix, contents):
    for path, data in contents.items():
        s3.put_object(Bucket="models", Key=f"{prefix}/{path}", Body=data)


def test_a_prefix_of_a_bucket(s3, salver_s3):
    put(s3, "plain", ONE)
    for mark in ("plain/", "plain/sub/"):  # as consoles mark folders
        s3.put_object(Bucket="models", Key=mark, Body=b"")
    first = salver_s3.pull("s3://models/plain")
    assert (first.fetched, first.version, first.files()) == (True, None, ONE)
    assert not salver_s3.pull("s3://models/plain").fetched
    s3.put_object(Bucket="models", Key="plain/model.onnx", Body=b"2")
    assert salver_s3.pull("s3://models/plain/").files() == ONE | {"model.onnx": b"2"}


def test_folders_of_versions(s3, salver_s3):
    for version in (2, 10, 9):
        put(s3, f"numbered/{version}", ONE | {"model.onnx": str(version).encode()})
    latest = salver_s3.pull("s3://models/numbered")
    assert (latest.version, latest.files()["model.onnx"]) == (10, b"10")
    assert salver_s3.pull("s3://models/numbered?version=9").version == 9
    salver_s3.refused("pull", "s3://models/numbered?version=3", says="no version 3")


def test_one_object(s3, salver_s3):
    put(s3, "single", ONE)
    assert salver_s3.pull("s3://models/single/model.onnx").files() == {"model.onnx": b"1" * 5000}


def test_tritons_way_to_name_a_server(s3, started, salver_s3):
    put(s3, "triton", ONE)
    assert salver_s3.pull(f"s3://{started['s3'].url}/models/triton").files() == ONE


def test_what_is_not_there(salver_s3):
    salver_s3.refused("pull", "s3://models/nothing", says="s3://models/nothing is not there")
    salver_s3.refused("pull", "s3://nobucket/x", says="nobucket answers 404")


def test_large_files_over_http(tmp_path, salver):
    data = bytes(range(256)) * 100_000
    (tmp_path / "web").mkdir()
    (tmp_path / "web/model.onnx").write_bytes(data)
    with files(tmp_path / "web") as address:
        pulled = salver.pull(f"{address}/model.onnx")
        assert pulled.files() == {"model.onnx": data}
        assert not salver.pull(f"{address}/model.onnx").fetched
        salver.refused("pull", f"{address}/other.onnx", says="answers 404")


# Peak of the memory of what it runs, in KiB. What starts a program counts as the program's for as long as it takes to
# start it: this is small.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.parametrize("kind", ["http", "file"])
def test_large_models_take_no_more_memory(kind, tmp_path, capsys):
    def peak(name, size):
        folder = tmp_path / name
        folder.mkdir()
        with open(folder / "model.onnx", "wb") as file:
            os.truncate(file.fileno(), size)  # zeros, and none of them on the disk
        settings = plain(SALVER_CACHE=str(tmp_path / f"{name}-cache"), HOME=str(tmp_path))
        with files(folder) as web:
            uri = f"{web}/model.onnx" if kind == "http" else f"file:{folder}"
            command = [sys.executable, "-c", PEAK, BINARY, "models", "pull", uri]
            done = subprocess.run(command, env=settings, capture_output=True, timeout=PATIENCE_S, check=True)
        return int(done.stdout) << 10

    small, large = peak("small", 1000), peak("large", 320 << 20)
    with capsys.disabled():
        print(f"\n{kind}: peak {small >> 10} KiB for 1 kB, {large >> 10} KiB for 320 MiB")
    assert large - small <= 64 << 20


@pytest.fixture
def folder(tmp_path):
    """A folder with a model in it."""
    for path, data in ONE.items():
        (tmp_path / "model" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / path).write_bytes(data)
    return tmp_path / "model"


def test_a_folder(folder, salver):
    assert salver.pull(f"file:{folder}").files() == ONE
    assert not salver.pull(f"file:{folder}").fetched
    (folder / "model.onnx").write_bytes(b"new")
    assert salver.pull(f"file:{folder}").files() == ONE | {"model.onnx": b"new"}


def test_links(folder, salver):
    # As Kubernetes mounts a ConfigMap: links within are fine.
    (folder / "..data").mkdir()
    (folder / "..data/labels.txt").write_bytes(b"a\nb\n")
    (folder / "labels.txt").symlink_to("..data/labels.txt")
    assert salver.pull(f"file:{folder}").files() == ONE | {"labels.txt": b"a\nb\n"}
    (folder / "passwd").symlink_to("/etc/passwd")
    salver.refused("pull", f"file:{folder}", says="a link out of the model")
