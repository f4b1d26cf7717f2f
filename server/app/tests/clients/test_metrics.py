"""What `/metrics` shows: every request once, under documented names, and never more of them."""

import re
from collections import Counter, defaultdict

import grpc
import pytest
from recorded import cases
from server import ROOT, SAMPLES, ask, wait_for
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

DOCUMENT = ROOT / "server/METRICS.md"
LATENCY = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75,
    1, 2.5, 5, 7.5, 10, 30, 60,
]  # fmt: skip
BUCKETS = {
    "salver_request_duration_seconds": LATENCY,
    "salver_stage_duration_seconds": LATENCY,
    "http_server_request_duration_seconds": LATENCY,
    "rpc_server_call_duration_seconds": LATENCY,
    "salver_batch_size": [2**n for n in range(11)],
    "salver_model_load_duration_seconds": [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600],
}
LIMIT = 100_000


@pytest.fixture
def server(start):
    """One that has answered nothing yet, so that everything can be counted."""
    return start(SAMPLES, request_bytes_max=LIMIT).settled()


def documented():
    """Type and labels of each series, by name, from the document's table."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*) \|", DOCUMENT.read_text(), re.MULTILINE)
    return {name: (kind, {it for it in labels.split(", ") if it}) for name, kind, labels in rows}


def requests(server):
    """How many requests ended, by model, version, protocol and code."""
    keys = ("model", "version", "protocol", "code")
    samples = server.scrape("salver_requests_total")
    counted = {tuple(it.labels[key] for key in keys): int(it.value) for it in samples}
    return {key: count for key, count in counted.items() if count}


def by_http(server, model, version, body):
    """The status of an answer over HTTP."""
    path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
    return server.ask("POST", path, body).status


def by_grpc(server, model, version, body):
    """The code of the same request's answer over gRPC."""
    request = messages.ModelInferRequest(model_name=model, model_version=version)
    for it in body["inputs"]:
        contents = {"fp32_contents": it["data"]}
        request.inputs.add(
            name=it["name"], shape=it["shape"], datatype=it["datatype"], contents=contents
        )
    if "parameters" in body:
        request.parameters["timeout"].int64_param = body["parameters"]["timeout"]
    with grpc.insecure_channel(server.grpc) as channel:
        try:
            GRPCInferenceServiceStub(channel).ModelInfer(request)
            return "OK"
        except grpc.RpcError as error:
            return error.code().name


WINE = cases("wine", 2)[1].request
ADD_SUB = cases("add_sub", 1)[0].request
BAD = {"inputs": [it | {"name": "nothing"} for it in ADD_SUB["inputs"]]}
LATE = ADD_SUB | {"parameters": {"timeout": 0}}

# Model and version asked for, the request, then: who is counted, HTTP's status, gRPC's code.
ENDS = [
    ("wine", "", WINE, ("wine", "2"), 200, "OK"),
    ("wine", "1", WINE, ("wine", "1"), 200, "OK"),
    ("wine", "stable", WINE, ("wine", "1"), 200, "OK"),
    ("add_sub", "", ADD_SUB, ("add_sub", "1"), 200, "OK"),
    ("add_sub", "", BAD, ("add_sub", "1"), 400, "INVALID_ARGUMENT"),
    ("add_sub", "", LATE, ("add_sub", "1"), 504, "DEADLINE_EXCEEDED"),
    ("wine", "0", WINE, ("_unknown", ""), 400, "INVALID_ARGUMENT"),
    ("nobody", "", WINE, ("_unknown", ""), 404, "NOT_FOUND"),
    ("..%2fetc", "", WINE, ("_unknown", ""), 404, "NOT_FOUND"),
    ("wine", "7", WINE, ("wine", ""), 404, "NOT_FOUND"),
]


def test_every_request_is_counted_once(server):
    expect = Counter()
    for n, (model, version, body, counted, status, code) in enumerate(ENDS, start=1):
        for _ in range(n):
            assert by_http(server, model, version, body) == status
            assert by_grpc(server, model, version, body) == code
        expect.update({(*counted, protocol, code): n for protocol in ("http", "grpc")})
    assert requests(server) == expect
    # The other books say the same.
    assert total(server, "salver_request_duration_seconds_count") == expect.total()
    three_rows, one_row = (1 + 2 + 3) * 2, 4 * 2
    assert total(server, "salver_inferences_total", model="wine") == 3 * three_rows
    assert total(server, "salver_inferences_total", model="add_sub") == one_row
    runs = total(server, "salver_batch_executions_total")
    assert total(server, "salver_batch_size_count") == runs
    assert total(server, "salver_batch_closed_total") == runs


def total(server, name, **labels):
    return sum(it.value for it in server.scrape(name, **labels))


def test_what_is_refused_at_the_door_is_counted(server):
    """Too large by its own word, by what came in, or unreadable: it came to an end as well."""
    path = "/v2/models/add_sub/infer"
    chunks = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    server.ask("POST", path, b" " * (LIMIT + 1)).refused(413, str(LIMIT))
    chunked = server.ask("POST", path, chunks * 4, [("Transfer-Encoding", "chunked")])
    chunked.refused(413, str(LIMIT))
    server.ask("POST", path, b"", [("Content-Encoding", "gzip")]).refused(415, "gzip")
    server.ask("POST", path, b"no JSON").refused(400, "JSON")
    large = {"inputs": [ADD_SUB["inputs"][0] | {"data": [0.0] * LIMIT}]}
    assert by_grpc(server, "add_sub", "", large) == "RESOURCE_EXHAUSTED"
    counted = Counter()
    for (_, _, protocol, code), count in requests(server).items():
        counted[protocol, code] += count
    assert counted == {
        ("http", "RESOURCE_EXHAUSTED"): 2,
        ("http", "UNIMPLEMENTED"): 1,
        ("http", "INVALID_ARGUMENT"): 1,
        ("grpc", "RESOURCE_EXHAUSTED"): 1,
    }


def test_each_batch_is_counted(server):
    """A request of 32 rows, and its size."""
    case = cases("digits", 1)[-1]
    by_http(server, "digits", "", case.request)
    rows = case.request["inputs"][0]["shape"][0]
    [inferences] = server.scrape("salver_inferences_total", model="digits")
    assert inferences.value == rows
    buckets = server.scrape("salver_batch_size_bucket", model="digits")
    assert all(it.value == (float(it.labels["le"]) >= rows) for it in buckets)
    for stage in ("decode", "queue", "compute_input", "compute_infer", "compute_output", "encode"):
        name = "salver_stage_duration_seconds_count"
        [sample] = server.scrape(name, model="digits", stage=stage)
        assert sample.value == 1, stage


def busy(server):
    """Makes every series show that these tests can make show."""
    for model, version, body, *_ in ENDS:
        by_http(server, model, version, body)
        by_grpc(server, model, version, body)
    for verb in ("unload", "load"):
        server.ask("POST", f"/v2/repository/models/wine/{verb}")
    server.ask("GET", "/v2/nowhere")


def test_what_is_shown_is_documented(server):
    busy(server)
    table = documented()
    assert len(table) > 20
    parts = {f"{name}_{part}": name for name in BUCKETS for part in ("bucket", "sum", "count")}
    for sample in server.scrape():
        name = parts.get(sample.name, sample.name)
        assert name in table
        assert set(sample.labels) - {"le"} == table[name][1], name


def test_what_is_documented_is_shown(server):
    """With its type and its help, but for what may never happen in a server's life."""
    busy(server)
    text = ask(server.metrics, "GET", "/metrics").body.decode()
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    helps = re.findall(r"^# HELP (\w+) .+$", text, re.MULTILINE)
    rare = {"salver_connections_closed_total", "salver_version_switches_total"}
    rare |= {"salver_evictions_total", "salver_load_wait_seconds"}  # of models that are loaded on demand
    rare |= {"salver_models_memory_bytes"}  # under a limit
    rare |= {f"salver_rollout_{it}" for it in ("state", "weight", "decisions_total", "log_evidence")}
    rare |= {"salver_model_refusals_total", "salver_audit_lost_total"}  # of proofs, and of a slow disk
    rare |= {it for it in documented() if it.startswith("salver_shadow_")}  # of models whose requests are copied
    # Of replicas that share their rollouts.
    rare |= {f"salver_rollout_{it}" for it in ("leads", "replicas", "share_failures_total", "digest_differs")}
    # Of machines with GPUs, and of those that fail.
    rare |= {it for it in documented() if it.startswith("salver_gpu_")} | {"salver_device_losses_total"}
    # Of servers with a prediction log, monitors, labels, triggers.
    rare |= {it for it in documented() if it.startswith(("salver_log_", "salver_drift_", "salver_truth_", "salver_label"))}
    rare |= {it for it in documented() if it.startswith(("salver_performance", "salver_concept_drift_", "salver_retraining_", "salver_trigger_"))}
    rare |= {it for it in documented() if it.startswith("salver_fleet_")}  # of `salver monitor`
    rare |= {it for it in documented() if it.startswith("salver_client_memory_")}  # where clients may share some
    rare |= {it for it in documented() if it.startswith("salver_registry_")}  # of servers that serve from registries
    table = {name: kind for name, (kind, _) in documented().items()}
    assert types.items() <= table.items()
    assert table.keys() - types.keys() <= rare
    assert set(helps) == set(types)


@pytest.mark.parametrize("name", BUCKETS)
def test_buckets(server, name):
    busy(server)
    shown = defaultdict(list)
    for sample in server.scrape(f"{name}_bucket"):
        bound = float(sample.labels.pop("le"))
        shown[tuple(sample.labels.items())].append((bound, sample.value))
    assert shown
    for buckets in shown.values():
        bounds, counts = zip(*buckets, strict=True)
        assert list(bounds) == [*BUCKETS[name], float("inf")]
        assert list(counts) == sorted(counts)


def test_names_that_are_not_there_share_one_series(server):
    """Whatever callers ask for, the number of series stays."""

    def ask_for(name):
        by_http(server, name, "", WINE)
        by_http(server, "wine", name, WINE)
        by_grpc(server, name, "", WINE)
        by_grpc(server, "wine", name, WINE)
        for path in (f"/v2/models/{name}", f"/v2/models/{name}/ready", f"/v2/{name}"):
            server.ask("GET", path)
            server.ask("POST", path, b"")
        for verb in ("load", "unload"):
            server.ask("POST", f"/v2/repository/models/{name}/{verb}")

    def series():
        return {(it.name, frozenset(it.labels.items())) for it in server.scrape()}

    ask_for("first")
    before = series()
    assert any(("model", "_unknown") in labels for _, labels in before)
    for n in range(50):
        ask_for(f"stranger-{n}")
    assert series() == before


def test_gauges_come_back_down(server):
    with grpc.insecure_channel(server.grpc) as channel:
        live = GRPCInferenceServiceStub(channel).ServerLive(messages.ServerLiveRequest())
        assert live.live
        assert total(server, "salver_connections", listener="grpc") == 1
    by_http(server, "wine", "", WINE)
    # The connection that scrapes is one itself.
    expect = {"salver_connections": 1, "salver_inflight_requests": 0, "salver_queue_depth": 0}
    wait_for(
        lambda: {name: total(server, name) for name in expect} == expect, "all is at rest again"
    )


def test_each_version_is_in_one_state(server):
    server.ask("POST", "/v2/repository/models/digits/unload")
    wait_for(lambda: server.state("digits", "1") == "UNAVAILABLE", "it is unloaded")
    states = defaultdict(list)
    for it in server.scrape("salver_model_state"):
        states[it.labels["model"], it.labels["version"]] += [it.labels["state"]] * int(it.value)
    expect = {key: ["AVAILABLE"] for key in server.index()}
    assert states == expect | {("digits", "1"): ["END"]}


def test_the_process_is_described(server):
    [build] = server.scrape("salver_build_info")
    assert build.labels["version"] == server.ask("GET", "/v2").json()["version"]
    value = {it.name: it.value for it in server.scrape() if it.name.startswith("process_")}
    assert value["process_resident_memory_bytes"] > 1 << 20
    assert 0 < value["process_open_fds"] < value["process_max_fds"]
    assert value["process_threads"] > 2


def test_the_port_of_its_own(server):
    answer = ask(server.metrics, "GET", "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert ask(server.metrics, "GET", "/metrics/").status == 200
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert ask(server.metrics, "GET", path).status == 200
    ask(server.metrics, "POST", "/v2/models/wine/infer", WINE).refused(405, "")
    ask(server.metrics, "GET", "/v2/models/wine").refused(404, "Not Found")
    server.ask("GET", "/metrics").refused(404, "Not Found")
