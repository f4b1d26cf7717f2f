"""What the server and its models tell about themselves, and commands to the repository."""

import pytest
import tritonclient.grpc as grpc
import tritonclient.http as http
from google.protobuf.json_format import MessageToDict
from recorded import cases
from server import SAMPLES, ask, wait_for
from tritonclient.utils import InferenceServerException

both = pytest.mark.parametrize("module", [http, grpc], ids=["http", "grpc"])

# Model, version, inputs, outputs. -1 is the number of rows.
METADATA = [
    ("digits", "1", [("image", "FP32", [-1, 1, 8, 8])], [("probabilities", "FP32", [-1, 10])]),
    (
        "wine",
        "2",
        [("features", "FP32", [-1, 13])],
        [("label", "INT64", [-1]), ("probabilities", "FP32", [-1, 3])],
    ),
    (
        "add_sub",
        "1",
        [("a", "FP32", [-1, 4]), ("b", "FP32", [-1, 4])],
        [("sum", "FP32", [-1, 4]), ("difference", "FP32", [-1, 4])],
    ),
    ("greeting", "1", [("name", "BYTES", [-1, 1])], [("greeting", "BYTES", [-1, 1])]),
]


def plain(module, answer):
    """HTTP's JSON as it is, gRPC's message as JSON."""
    return answer if module is http else MessageToDict(answer, preserving_proto_field_name=True)


def infer(module, server, model, case, version=""):
    """The names and the version that answered."""
    with server.client(module) as it:
        result = it.infer(model, case.tensors(module), model_version=version)
    answer = plain(module, result.get_response())
    return answer["model_name"], answer["model_version"]


@both
def test_server_metadata(samples, module):
    with samples.client(module) as it:
        answer = plain(module, it.get_server_metadata())
    assert answer["name"] == "salver"
    assert answer["version"].count(".") == 2
    assert {"model_repository", "binary_tensor_data", "parameters"} <= set(answer["extensions"])


@both
@pytest.mark.parametrize(("model", "version", "inputs", "outputs"), METADATA)
def test_model_metadata(samples, module, model, version, inputs, outputs):
    with samples.client(module) as it:
        answers = [it.get_model_metadata(model), it.get_model_metadata(model, version)]
    ready = [["1", "2"] if model == "wine" else ["1"], [version]]
    for answer, versions in zip(answers, ready, strict=True):
        answer = plain(module, answer)
        assert answer["name"] == model
        assert answer["versions"] == versions
        assert answer["platform"] == "onnxruntime_onnx"
        for key, expect in (("inputs", inputs), ("outputs", outputs)):
            shapes = [[int(dim) for dim in it["shape"]] for it in answer[key]]
            named = [(it["name"], it["datatype"]) for it in answer[key]]
            assert [(*name, shape) for name, shape in zip(named, shapes, strict=True)] == expect


@both
def test_ready(samples, module):
    with samples.client(module) as it:
        assert it.is_server_live()
        assert it.is_server_ready()
        assert it.is_model_ready("wine")
        assert it.is_model_ready("wine", "1")
        assert it.is_model_ready("wine", "canary")
        assert not it.is_model_ready("wine", "7")
        assert not it.is_model_ready("wine", "beta")
        assert not it.is_model_ready("nobody")


EMPTY = [
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/wine/ready",
    "/v2/models/wine/versions/1/ready",
    "/v2/models/wine/versions/stable/ready",
]


@pytest.mark.parametrize("path", EMPTY)
def test_health_has_no_body(samples, path):
    answer = samples.ask("GET", path)
    assert (answer.status, answer.body) == (200, b"")


def test_health_on_the_metrics_port(samples):
    for path in EMPTY[:2]:
        answer = ask(samples.metrics, "GET", path)
        assert (answer.status, answer.body) == (200, b"")


def test_index_is_an_array_over_http(samples):
    lines = samples.ask("POST", "/v2/repository/index").json()
    names = [(it["name"], it["version"], it["state"], it["reason"]) for it in lines]
    versions = {path.parent for path in SAMPLES.glob("*/*/model.onnx")}
    assert names == sorted((it.parent.name, it.name, "READY", "") for it in versions)


@both
def test_index(samples, module):
    with samples.client(module) as it:
        answer = plain(module, it.get_model_repository_index())
    lines = answer if module is http else answer["models"]
    assert [it["state"] for it in lines if it["name"] == "wine"] == ["READY", "READY"]


def states(server, model):
    lines = [line for (name, _), line in server.index().items() if name == model]
    return {(it["state"], it["reason"]) for it in lines}


@both
def test_unload_and_load(start, module):
    server = start(SAMPLES).settled()
    case = cases("wine", 2)[0]
    with server.client(module) as it:
        assert infer(module, server, "wine", case) == ("wine", "2")
        it.unload_model("wine")
        assert not it.is_model_ready("wine")
        assert it.is_server_ready()
        with pytest.raises(InferenceServerException, match="no available versions") as refused:
            infer(module, server, "wine", case)
        assert refused.value.status() in ("503", "StatusCode.UNAVAILABLE")
        ended = {("UNAVAILABLE", "unloaded")}
        wait_for(lambda: states(server, "wine") == ended, "both versions end")
        ready = server.ask("POST", "/v2/repository/index", {"ready": True}).json()
        assert "wine" not in {line["name"] for line in ready} and ready
        it.load_model("wine")
        assert it.is_model_ready("wine")
        assert infer(module, server, "wine", case) == ("wine", "2")
        # Twice is no fault, nor is a model that never was: it is as unloaded as can be.
        it.unload_model("wine")
        it.unload_model("wine", unload_dependents=True)
        it.unload_model("nobody")
        assert not it.is_model_ready("wine")


@both
def test_load_refused(samples, module):
    with samples.client(module) as it:
        with pytest.raises(InferenceServerException, match="nobody") as refused:
            it.load_model("nobody")
        assert refused.value.status() in ("404", "StatusCode.NOT_FOUND")
        # Models come from the repository alone: nothing is written there for a caller.
        for more in ({"config": "{}"}, {"config": "{}", "files": {"file:1/model.onnx": b"x"}}):
            with pytest.raises(InferenceServerException, match="is not served") as refused:
                it.load_model("wine", **more)
            assert refused.value.status() in ("501", "StatusCode.UNIMPLEMENTED")


# Version as it is asked for, and the one that answers.
VERSIONS = [("", "2"), ("1", "1"), ("2", "2"), ("stable", "1"), ("canary", "2")]


@both
@pytest.mark.parametrize(("asked", "answers"), VERSIONS)
def test_versions_and_labels(samples, module, asked, answers):
    """Versions are strings on the wire; a word is a label of the model's settings."""
    case = cases("wine", answers)[0]
    assert infer(module, samples, "wine", case, asked) == ("wine", answers)


def test_a_label_in_the_path(samples):
    case = cases("wine", 1)[1]
    answer = samples.ask("POST", "/v2/models/wine/versions/stable/infer", case.request)
    case.check_json(answer.json())
    metadata = samples.ask("GET", "/v2/models/wine/versions/stable").json()
    assert metadata["versions"] == ["1"]


def test_labels_move_without_a_load(start, repository):
    """A label is a line of the settings: moving it reloads nothing."""
    settings = 'version_policy = "all"\n[labels]\nlive = {}\n'.format
    repository.sample("wine")
    repository.settings("wine", settings(1))
    server = start(repository).settled()
    path = "/v2/models/wine/versions/live"
    assert server.ask("GET", path).json()["versions"] == ["1"]
    repository.settings("wine", settings(2))
    wait_for(lambda: server.ask("GET", path).json()["versions"] == ["2"], "the label moves")
    assert len(server.logs("model version is available")) == 2
