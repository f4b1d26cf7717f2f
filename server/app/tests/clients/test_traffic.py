"""Requests that name no version are shared out: by weight, by a caller's key, by a header."""

import http.client
import json
from collections import Counter

import grpc
import pyarrow.parquet
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from recorded import cases
from server import wait_for
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

CASE = cases("wine", 1)[0]
INFER = "/v2/models/wine/infer"
SETTINGS = """
version_policy = "all"
[labels]
stable = 1
canary = 2
[traffic]
weights = { stable = 90, canary = 10 }
sticky = "X-User"
"""
CALLS = 1_000
# Of so many calls with a chance of a tenth, all but one set of calls in a thousand million: six deviations.
CANARY = range(100 - 57, 100 + 58)


@pytest.fixture
def shared(start, repository):
    """A server with two versions of `wine`, nine tenths of the traffic on the first."""
    repository.settings("wine", SETTINGS)
    repository.sample("wine")
    return start(repository).settled()


class Http:
    """Calls on one connection."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection(server.http, timeout=20)

    def ask(self, headers=(), path=INFER):
        """The version by the header and by the body of the answer."""
        self.connection.request("POST", path, json.dumps(CASE.request), dict(headers))
        response = self.connection.getresponse()
        answer = json.load(response)
        assert response.status == 200, answer
        return response.headers["x-salver-version"], answer["model_version"]


class Grpc:
    def __init__(self, server):
        self.stub = GRPCInferenceServiceStub(grpc.insecure_channel(server.grpc))
        self.request = service_pb2.ModelInferRequest(model_name="wine")
        for name, datatype, data in CASE.inputs():
            self.request.inputs.add(name=name, datatype=datatype, shape=data.shape)
            self.request.raw_input_contents.append(data.tobytes())

    def ask(self, headers=()):
        answer, call = self.stub.ModelInfer.with_call(self.request, metadata=list(headers))
        return dict(call.initial_metadata()).get("x-salver-version"), answer.model_version


@pytest.mark.parametrize("way", [Http, Grpc])
def test_by_weight(shared, way):
    """A thousand calls, nine to one; each answer says who gave it."""
    caller, counts = way(shared), Counter()
    for _ in range(CALLS):
        said, gave = caller.ask()
        assert said == gave
        counts[gave] += 1
    assert set(counts) == {"1", "2"} and counts["2"] in CANARY, counts


def test_a_caller_stays(shared):
    """By the header's value, whatever the protocol; callers are shared out as calls are."""
    ways, counts = [Http(shared), Grpc(shared)], Counter()
    for user in range(CALLS // 2):
        headers = [("x-user", f"user {user}")]
        [version] = {it.ask(headers)[1] for it in ways * 2}
        counts[version] += 1
    assert counts["2"] in range(50 - 40, 50 + 41), counts


@pytest.mark.parametrize("way", [Http, Grpc])
@pytest.mark.parametrize(("asked", "answers"), [("2", "2"), ("canary", "2"), ("stable", "1")])
def test_a_header_decides(shared, way, asked, answers):
    caller = way(shared)
    assert caller.ask([("x-salver-version", asked)]) == (answers, answers)


def test_a_header_that_contradicts_the_path(shared):
    headers = [("X-Salver-Version", "1")]
    path = "/v2/models/wine/versions/{}/infer".format
    assert Http(shared).ask(headers, path(1))[1] == "1"
    says = "x-salver-version says version 1, the request itself 2"
    shared.ask("POST", path(2), CASE.request, headers).refused(400, says)


def test_a_header_that_names_nobody(shared):
    for version, status in [("9", 404), ("nobody", 404), ("-1", 400)]:
        answer = shared.ask("POST", INFER, CASE.request, [("X-Salver-Version", version)])
        answer.refused(status, version)


def test_weights_move_without_a_load(shared, repository):
    repository.settings("wine", SETTINGS.replace("90", "0"))
    caller = Http(shared)
    wait_for(lambda: all(caller.ask()[1] == "2" for _ in range(50)), "the second has everything")
    assert len(shared.logs("model version is available")) == 2


def test_a_share_of_a_version_that_is_not_there(start, repository):
    """Nobody is turned away for it: the others have it meanwhile."""
    repository.settings("wine", SETTINGS)
    repository.sample("wine", 1)
    server = start(repository).settled()
    caller = Http(server)
    assert {caller.ask()[1] for _ in range(200)} == {"1"}
    repository.sample("wine", 2)
    wait_for(lambda: caller.ask()[1] == "2", "the second has its share")


@pytest.mark.parametrize("way", [Http, Grpc])
def test_every_answer_tells_its_version(samples, way):
    """Where nothing had to be chosen, too."""
    [version] = {way(samples).ask() for _ in range(3)}
    assert version[0] == version[1]


def test_an_error_tells_no_version(samples):
    answer = samples.ask("POST", INFER, CASE.request | {"inputs": []})
    assert answer.status == 400 and "x-salver-version" not in answer.headers


def test_a_session_stays(start, repository):
    """By a parameter of the request, as Triton's own clients send it, whatever the protocol."""
    repository.settings("wine", SETTINGS.replace("X-User", "parameter:session"))
    repository.sample("wine")
    server = start(repository).settled()
    counts = Counter()
    for user in range(CALLS // 4):
        given = {"session": f"user {user}"}
        versions = set()
        for module in (triton_http, triton_grpc):
            client = server.client(module)
            inputs = []
            for name, datatype, data in CASE.inputs():
                inputs.append(module.InferInput(name, data.shape, datatype))
                inputs[-1].set_data_from_numpy(data)
            answer = client.infer("wine", inputs, parameters=given).get_response()
            versions.add(answer["model_version"] if isinstance(answer, dict) else answer.model_version)
        [version] = versions
        counts[version] += 1
    assert counts["2"] in range(25 - 22, 25 + 30), counts


def test_copies_are_compared(start, repository, tmp_path):
    """The canary is asked beside the stable version: nobody gets its answers, and the log has both."""
    copies = 'weights = { stable = 1 }\nshadow = { version = "canary", percent = 50 }\n[log]\n'
    repository.settings("wine", SETTINGS.split("weights")[0] + copies)
    repository.sample("wine")
    server = start(repository, log_dir=tmp_path / "log", log_roll_ms=50).settled()
    for way in (Http, Grpc):
        caller = way(server)
        assert {caller.ask()[1] for _ in range(50)} == {"1"}

    def seen():
        shadow = server.ask("GET", "/v2/models/wine/traffic").json()["shadow"]
        return shadow if shadow["compared"] + sum(shadow["left_out"].values()) == 50 else None

    shadow = wait_for(seen, "each copy has come to its end")
    assert shadow["compared"] > 0 and shadow["failed"] == 0, shadow
    assert (shadow["version"], shadow["percent"]) == (2, 50)
    [compared] = server.scrape("salver_shadow_compared_total", model="wine", version="2")
    assert compared.value == shadow["compared"]
    left_out = server.scrape("salver_shadow_left_out_total", model="wine", version="2")
    assert {it.labels["reason"]: it.value for it in left_out} == shadow["left_out"]

    def logged():
        files = sorted((tmp_path / "log/parquet").rglob("*.parquet"))
        rows = [row for it in files for row in pyarrow.parquet.read_table(it, partitioning=None).to_pylist()]
        served = {it["event_id"] for it in rows if it["route"] == "shared"}
        pairs = [it["pair_event_id"] for it in rows if it["route"] == "shadow"]
        return (served, pairs) if len(pairs) >= shadow["compared"] and len(served) >= 100 else None

    served, pairs = wait_for(logged, "requests and copies are logged")
    assert set(pairs) <= served and len(set(pairs)) == len(pairs)


@pytest.mark.parametrize(
    ("shadow", "says"),
    [
        ('{ version = "next", percent = 1 }', "is no label: canary, stable"),
        ('{ version = "stable", percent = 1 }', "version 1 answers every request"),
        ("{ version = 2, percent = 120 }", "traffic.shadow.percent: 120: expected a number from 0 to 100"),
    ],
)
def test_copies_that_cannot_be_meant(start, repository, shadow, says):
    repository.settings("wine", SETTINGS.split("weights")[0] + f"weights = {{ stable = 1 }}\nshadow = {shadow}\n")
    repository.sample("wine")
    server = start(repository)
    wait_for(lambda: says in server.log_text(), "it is said")
