"""What the folder of models may hold, and what becomes of it."""

import time

import pytest
from recorded import cases
from server import FIXTURES, SAMPLES, wait_for

WINE = SAMPLES / "wine/2/model.onnx"


def check_wine(server, version):
    case = cases("wine", version)[0]
    case.check_json(server.ask("POST", "/v2/models/wine/infer", case.request).json())


def loads(server, model, version):
    """Results of the version's loads so far, as the metrics count them."""
    mine = {"model": model, "version": version}
    found = server.scrape("salver_model_loads_total", **mine)
    return {it.labels["result"]: it.value for it in found if it.value}


# A new version that cannot be loaded: its bytes, and what the reason says.
CORRUPT = {
    "truncated": WINE.read_bytes()[:400],
    "empty": b"",
    "text": b"not a model at all\n",
    "another format": b"PK\x03\x04" + bytes(200),
}


@pytest.mark.parametrize("content", CORRUPT.values(), ids=CORRUPT)
def test_a_corrupt_version(start, repository, content):
    """It is reported, the old one serves on, and one that is whole takes over."""
    repository.sample("wine", 1)
    server = start(repository).settled()
    repository.version("wine", 2, content)
    wait_for(lambda: server.state("wine", "2") == "UNAVAILABLE", "version 2 fails")
    assert server.index()["wine", "2"]["reason"].startswith("cannot read the model")
    check_wine(server, 1)
    assert server.state("wine", "1") == "READY"
    assert server.ask("GET", "/v2/models/wine/versions/2/ready").status == 400
    assert server.ask("POST", "/v2/models/wine/versions/2/infer", {"inputs": []}).status == 503
    repository.version("wine", 3, WINE)
    wait_for(lambda: server.state("wine", "3") == "READY", "version 3 is ready")
    assert loads(server, "wine", "2") == {"failure": 1}


def test_a_version_that_is_being_copied(start, repository):
    """Nothing is loaded while files grow; once they have been at rest, it is."""
    rest_s, pause_s = 10, 0.6
    repository.sample("wine", 1)
    server = start(repository, rest_ms=int(rest_s * 1000)).settled()
    content = WINE.read_bytes()
    folder = repository.path / "wine/2"
    folder.mkdir()
    step = -(-len(content) // 8)
    with (folder / "model.onnx").open("wb") as file:
        for at in range(0, len(content), step):
            file.write(content[at : at + step])
            file.flush()
            written = time.monotonic()
            while time.monotonic() < written + pause_s:
                line = server.index().get(("wine", "2"))
                assert line is None or line["reason"] == "still being written"
            check_wine(server, 1)
    wait_for(lambda: server.state("wine", "2") == "READY", "version 2 is ready")
    assert time.monotonic() - written > 0.9 * rest_s
    assert loads(server, "wine", "2") == {"success": 1}
    check_wine(server, 2)


def test_a_folder_without_versions(start, repository):
    (repository.path / "hollow").mkdir()
    (repository.path / "words/one").mkdir(parents=True)
    (repository.path / "bare/1").mkdir(parents=True)
    (repository.path / "a file").write_text("no model")
    repository.sample("wine", 1)
    server = start(repository).settled()
    index = server.index()
    assert set(index) == {("bare", "1"), ("hollow", None), ("wine", "1"), ("words", None)}
    for key in (("hollow", None), ("words", None), ("bare", "1")):
        assert index[key]["state"] == "UNAVAILABLE"
        assert index[key]["reason"]
    answer = server.ask("POST", "/v2/models/hollow/infer", {"inputs": []})
    answer.refused(503, "'hollow'")
    assert server.ask("GET", "/v2/health/ready").status == 200
    check_wine(server, 1)
    repository.version("hollow", 1, WINE)
    wait_for(lambda: server.state("hollow", "1") == "READY", "its first version is served")


# Settings that are faulty, and what is said of them: every fault, by its key.
FAULTY = {
    "syntax": ("version_policy = ", ["version_policy"]),
    "unknown key": ("max_batchsize = 4\n", ["max_batchsize"]),
    "unknown section": ("[dynamic_batch]\nx = 1\n", ["dynamic_batch"]),
    "engine": ('engine = "tensorflow"\n', ["engine", "tensorflow"]),
    "policy": ('version_policy = "some"\n', ["version_policy", "some"]),
    "label": ("[labels]\n7 = 1\n", ["labels", "7"]),
    "three faults": (
        'max_batch_size = -1\ntimeout_ms = 0\n[instances]\ncount = "many"\n',
        ["max_batch_size", "timeout_ms", "instances.count", "many"],
    ),
}


@pytest.mark.parametrize(("text", "says"), FAULTY.values(), ids=FAULTY)
def test_faulty_settings(start, repository, text, says):
    """The model is not served, the others are; corrected, it is served."""
    repository.settings("wine", text)
    repository.sample("wine", 1)
    repository.sample("add_sub", 1)
    server = start(repository).settled()
    line = server.index()["wine", "1"]
    assert line["state"] == "UNAVAILABLE"
    [logged] = server.logs("model.toml is faulty")
    for word in says:
        assert word in line["reason"]
        assert word in logged["faults"]
    assert server.state("add_sub", "1") == "READY"
    load = server.ask("POST", "/v2/repository/models/wine/load")
    load.refused(400, says[0])
    repository.settings("wine", "max_batch_size = 8\n")
    wait_for(lambda: server.state("wine", "1") == "READY", "the model is served")


def test_settings_that_become_faulty(start, repository):
    """What is served goes on as it was; the index says why the new settings are not in force."""
    repository.settings("wine", "max_batch_size = 8\n")
    repository.sample("wine", 1)
    server = start(repository).settled()
    repository.settings("wine", "max_batch_size = 'eight'\n")
    wait_for(lambda: "eight" in server.index()["wine", "1"]["reason"], "the fault is reported")
    assert server.state("wine", "1") == "READY"
    check_wine(server, 1)


def test_a_model_that_leaves(start, repository):
    repository.sample("wine", 1)
    repository.sample("add_sub", 1)
    server = start(repository).settled()
    (repository.path / "wine").rename(repository.path / ".wine")
    wait_for(lambda: ("wine", "1") not in server.index(), "the model is gone")
    server.ask("GET", "/v2/models/wine").refused(404, "'wine'")
    (repository.path / ".wine").rename(repository.path / "wine")
    wait_for(lambda: server.state("wine", "1") == "READY", "the model is back")
    assert server.state("add_sub", "1") == "READY"


def test_a_repository_that_is_out_of_reach(start, repository):
    """A volume that is gone for a while unloads nothing."""
    repository.sample("wine", 1)
    server = start(repository).settled()
    away = repository.path.with_name("away")
    repository.path.rename(away)
    wait_for(lambda: server.logs("cannot scan"), "the scan fails")
    check_wine(server, 1)
    away.rename(repository.path)
    repository.sample("add_sub", 1)
    wait_for(lambda: server.state("add_sub", "1") == "READY", "the folder is read again")
    check_wine(server, 1)


def test_links_are_followed(start, repository):
    """As volumes of configuration are made of them."""
    (repository.path / ".data").mkdir()
    (repository.path / ".data/model.onnx").write_bytes(WINE.read_bytes())
    (repository.path / "wine").mkdir()
    (repository.path / "wine/2").symlink_to("../.data")
    (repository.path / "linked").symlink_to("wine")
    server = start(repository).settled()
    assert server.state("wine", "2") == server.state("linked", "2") == "READY"


def test_rows_that_are_not_alone(start, repository):
    """A model whose rows mix is never batched: each request is run by itself."""
    repository.version("share", 1, FIXTURES / "share.onnx")
    server = start(repository).settled()
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 1, 3, 1]}
    answer = server.ask("POST", "/v2/models/share/infer", {"inputs": [tensor]}).json()
    assert answer["outputs"][0]["data"] == [0.25, 0.5, 0.75, 0.5]
