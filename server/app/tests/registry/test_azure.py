"""`az://` against Azurite: models pulled and served. Logs, monitors and shared rollouts are where those of S3 are."""

import pytest
from servers import Salver
from serving import wait_for, wine
from stores import ACCOUNT, ACCOUNT_KEY
from test_serve import model, serve  # noqa: F401
from test_stores import ONE

WRONG_KEY = "bm90IHRoZSBrZXk="


@pytest.fixture
def salver_az(tmp_path, az):
    """The command line, with what Azure needs."""
    return Salver(tmp_path, **az.place)


def fill(az, prefix, contents):
    for path, data in contents.items():
        az.put(f"{prefix}/{path}", data)


def test_a_prefix_of_a_container(az, salver_az):
    fill(az, "plain", ONE)
    az.put("plain/sub", b"")  # as tools mark folders
    first = salver_az.pull("az://models/plain")
    assert (first.fetched, first.version, first.files()) == (True, None, ONE)
    assert not salver_az.pull("az://models/plain").fetched
    az.put("plain/model.onnx", b"2")
    assert salver_az.pull("az://models/plain/").files() == ONE | {"model.onnx": b"2"}


def test_folders_of_versions_and_one_object(az, salver_az):
    for version in (2, 10, 9):
        fill(az, f"numbered/{version}", ONE | {"model.onnx": str(version).encode()})
    latest = salver_az.pull("az://models/numbered")
    assert (latest.version, latest.files()["model.onnx"]) == (10, b"10")
    assert salver_az.pull("az://models/numbered?version=9").version == 9
    salver_az.refused("pull", "az://models/numbered?version=3", says="no version 3")
    assert salver_az.pull("az://models/numbered/9/model.onnx").files() == {"model.onnx": b"9"}


def ways(az):
    """Every way to say which account, where and who: the emulator's, the crate's, the command line's, a string."""
    return {
        "emulator": {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": az.child.url},
        "endpoint": {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY,
            "AZURE_ENDPOINT": az.endpoint,
        },
        "command line": {
            "AZURE_STORAGE_ACCOUNT": ACCOUNT,
            "AZURE_STORAGE_KEY": ACCOUNT_KEY,
            "AZURE_STORAGE_ENDPOINT": az.endpoint,
        },
        "connection string": {"AZURE_STORAGE_CONNECTION_STRING": az.connection},
    }


@pytest.mark.parametrize("way", ["emulator", "endpoint", "command line", "connection string"])
def test_ways_to_name_an_account(way, az, tmp_path):
    fill(az, "named", ONE)
    salver = Salver(tmp_path, **ways(az)[way])
    assert salver.pull("az://models/named").files() == ONE


def test_what_is_not_there_or_not_ours(az, salver_az, tmp_path):
    salver_az.refused("pull", "az://models/nothing", says="az://models/nothing is not there")
    salver_az.refused("pull", "az://nobody/x", says="nobody answers 404")
    stranger = Salver(tmp_path, **az.place | {"AZURE_STORAGE_ACCOUNT_KEY": WRONG_KEY})
    done = stranger.run("pull", "az://models/plain")
    assert done.returncode == 1 and "answers 403" in done.stderr, done
    assert WRONG_KEY not in done.stderr
    nobody = Salver(tmp_path, AZURE_STORAGE_CONNECTION_STRING="hush")
    nobody.refused("pull", "az://models/plain", says="AZURE_STORAGE_CONNECTION_STRING")


def test_another_object_is_another_version(az, serve):  # noqa: F811
    az.put("served/model.onnx", wine(1))
    server = serve(model("az://models/served"), **az.place).ready()
    assert server.version() == "1", "counted: the store has no numbers"
    before = server.infer()["outputs"]
    az.put("served/model.onnx", wine(2))
    server.serves("2")
    assert server.infer()["outputs"] != before
    line = wait_for(lambda: server.index().get("2"), "it is listed")
    assert (line["state"], line["source"], line["share"]) == ("READY", "az://models/served", 1.0)
