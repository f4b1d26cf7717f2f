"""Predictions are logged: as rows that others read, durably where that was promised."""

import contextlib
import http.client
import itertools
import json
import os
import random
import struct
import subprocess
import threading

import duckdb
import grpc
import pyarrow.dataset
import pyarrow.parquet
import pytest
from recorded import cases
from server import wait_for
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

[CASE] = [it for it in cases("wine", 2) if it.request["inputs"][0]["shape"][0] == 1][:1]
[(NAME, DTYPE, VALUES)] = CASE.inputs()
ROW = [float(it) for it in VALUES[0]]
PATH = "/v2/models/wine/infer"


@pytest.fixture
def serve(start, repository, tmp_path):
    """Serves wine with that `[log]`."""
    repository.sample("wine", 2)

    def serve(log, **flags):
        repository.settings("wine", f"[log]\n{log}")
        flags = {"log_dir": tmp_path / "log", "log_roll_ms": 50} | flags
        return start(repository, **flags).settled()

    return serve


def by_json(server, name, **more):
    """The plainest of ways: HTTP/1, all of it JSON."""
    return server.ask("POST", PATH, CASE.request | {"id": name} | more)


def by_hyper(server, name):
    """A request that the plain reader leaves to others."""
    body = json.dumps(CASE.request | {"id": name}).encode()
    return server.ask("POST", f"{PATH}?", body)


def by_binary(server, name):
    data = VALUES.tobytes()
    tensor = {"name": NAME, "datatype": DTYPE, "shape": list(VALUES.shape)}
    tensor["parameters"] = {"binary_data_size": len(data)}
    head = json.dumps({"id": name, "inputs": [tensor]}).encode()
    headers = [("Inference-Header-Content-Length", str(len(head)))]
    return server.ask("POST", PATH, head + data, headers)


def by_grpc(server, name, metadata=()):
    """The answer and its initial metadata."""
    request = messages.ModelInferRequest(model_name="wine", id=name)
    request.inputs.add(name=NAME, datatype=DTYPE, shape=list(VALUES.shape))
    request.raw_input_contents.append(VALUES.tobytes())
    with grpc.insecure_channel(server.grpc) as channel:
        infer = GRPCInferenceServiceStub(channel).ModelInfer
        answer, call = infer.with_call(request, metadata=metadata)
        return answer, dict(call.initial_metadata())


def files(tmp_path):
    return sorted((tmp_path / "log/parquet").glob("model=*/version=*/date=*/hour=*/*.parquet"))


def rows(tmp_path):
    """All rows so far, by the request's id, then by row."""
    found = files(tmp_path)
    if not found:
        return {}
    root = str(tmp_path / "log/parquet")
    paths = [str(it) for it in found]
    table = pyarrow.dataset.dataset(paths, partitioning="hive", partition_base_dir=root).to_table()
    return {(it["request_id"], it["row_index"]): it for it in table.to_pylist()}


def wait_for_rows(tmp_path, *names):
    """The rows of these requests, once they are all there."""

    def there():
        found = rows(tmp_path)
        return found if {name for name, _ in found} >= set(names) else None

    return wait_for(there, f"rows of {names}")


def test_each_way_in_is_a_row(serve, tmp_path):
    names = ", ".join(f"'f{n}'" for n in range(len(ROW)))
    server = serve(f"features = {{ {NAME} = [{names}] }}")
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = by_json(server, "json").json()
    assert by_hyper(server, "hyper").status == 200
    assert by_binary(server, "binary").status == 200
    by_grpc(server, "grpc", [("traceparent", trace)])
    found = wait_for_rows(tmp_path, "json", "hyper", "binary", "grpc")
    for name in ("json", "hyper", "binary", "grpc"):
        row = found[name, 0]
        assert [row[f"in.f{n}"] for n in range(len(ROW))] == ROW
        assert (row["model"], row["version"], row["status"]) == ("wine", 2, "OK")
        assert row["protocol"] == ("grpc" if name == "grpc" else "http")
        assert (row["sample_rate"], row["sample_reason"]) == (1.0, "uniform")
        assert row["batch_rows"] >= 1 and row["latency_us"] >= row["infer_us"] >= 0
        assert row["artifact_digest"].startswith("sha256:")
        for output in answer["outputs"]:
            got = [row[it] for it in row if it.startswith(f"out.{output['name']}")]
            assert got == pytest.approx(output["data"])
    assert found["grpc", 0]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert found["grpc", 0]["span_id"] == "00f067aa0ba902b7"
    assert len({it["event_id"] for it in found.values()}) == 4
    everything = f"read_parquet('{tmp_path}/log/parquet/model=*/**/*.parquet', hive_partitioning = true)"
    query = f'select model, version, avg("in.f0") from {everything} group by all'
    [(model, version, mean)] = duckdb.sql(query).fetchall()
    assert (model, int(version), mean) == ("wine", 2, pytest.approx(ROW[0]))


def test_failures_are_rows_whatever_the_sample(serve, tmp_path):
    server = serve("sample = 0")
    assert by_json(server, "good").status == 200
    by_json(server, "late", parameters={"timeout": 0}).refused(504, "")
    stranger = CASE.request["inputs"][0] | {"name": "nothing"}
    by_json(server, "bad", inputs=[stranger]).refused(400, "nothing")
    found = wait_for_rows(tmp_path, "late", "bad")
    assert {name for name, _ in found} == {"late", "bad"}
    assert found["late", 0]["status"] == "DEADLINE_EXCEEDED"
    assert found["bad", 0]["status"] == "INVALID_ARGUMENT" and "nothing" in found["bad", 0]["error"]
    assert {it["sample_reason"] for it in found.values()} == {"error"}
    assert {it["sample_rate"] for it in found.values()} == {1.0}
    [offered] = server.scrape("salver_log_records_offered_total", model="wine")
    assert offered.value == 2
    lag = lambda: [it.value for it in server.scrape("salver_log_sink_lag_bytes")]  # noqa: E731
    wait_for(lambda: set(lag()) == {0}, "all is delivered")


@pytest.mark.parametrize("mode", ["at_least_once", "fail_closed"])
def test_what_is_said_to_be_durable_survives(serve, tmp_path, mode):
    # So long that no sink has delivered anything when the process dies.
    server = serve(f"mode = '{mode}'", log_roll_ms=86_400_000)
    for name, way in [("json", by_json), ("hyper", by_hyper), ("binary", by_binary)]:
        answer = way(server, name)
        assert (answer.status, answer.headers["x-salver-logged"]) == (200, "durable")
    answer, metadata = by_grpc(server, "grpc")
    assert metadata["x-salver-logged"] == answer.parameters["logged"].string_param == "durable"
    server.process.kill()
    server.wait()
    assert files(tmp_path) == []
    again = serve(f"mode = '{mode}'")
    found = wait_for_rows(tmp_path, "json", "hyper", "binary", "grpc")
    assert len(found) == 4
    again.stop()


def test_nothing_is_promised_where_nothing_was_asked_for(serve, tmp_path):
    server = serve("")
    assert "x-salver-logged" not in by_json(server, "one").headers
    assert server.stop() == 0
    assert ("one", 0) in rows(tmp_path), "what has come is delivered before the end"


def test_what_is_kept_back_is_on_no_disk(serve, tmp_path):
    key = tmp_path / "key"
    key.write_text("a secret of enough bytes\n")
    server = serve(f"hash = ['{NAME}']", log_key_file=key)
    assert by_json(server, "secret").status == 200
    row = wait_for_rows(tmp_path, "secret")["secret", 0]
    hashes = [value for name, value in row.items() if name.startswith("in.")]
    assert len(hashes) == len(ROW) and all(len(it) == 64 for it in hashes)
    server.stop()
    [least_common] = [it for it in sorted(ROW, key=lambda it: -len(str(it)))][:1]
    written = [it for it in (tmp_path / "log").rglob("*") if it.is_file()]
    assert any(b"secret" in it.read_bytes() for it in written)
    assert not any(struct.pack("<f", least_common) in it.read_bytes() for it in written)


def test_a_promise_that_cannot_be_kept_is_not_made(serve):
    server = serve("mode = 'fail_closed'", log_dir=None)
    line = server.index()["wine", "2"]
    assert line["state"] == "UNAVAILABLE" and "--log-dir" in line["reason"]


# Kills of the whole server; `make test-long` has more of them.
ROUNDS = int(os.environ.get("SALVER_CRASH_ROUNDS", "4"))
CALLERS = 4


class Storm:
    """Callers who ask until nobody answers any more. `durable` is what they were told is."""

    def __init__(self):
        self.names, self.asked, self.durable = itertools.count(), set(), []

    def calls(self, server):
        threads = [threading.Thread(target=self.call, args=(server,)) for _ in range(CALLERS)]
        for it in threads:
            it.start()
        return threads

    def call(self, server):
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                name = f"storm-{next(self.names)}"
                self.asked.add(name)
                answer = by_json(server, name)
                if answer.headers.get("x-salver-logged") == "durable":
                    self.durable.append(name)


def delivered(server):
    """Ends the server cleanly, once its sinks have all there is."""
    lag = lambda: [it.value for it in server.scrape("salver_log_sink_lag_bytes")]  # noqa: E731
    wait_for(lambda: set(lag()) == {0}, "all is delivered")
    assert server.stop() == 0


def events(tmp_path):
    """Of each request the names and numbers of its rows, one for each time that they are there."""
    found = {}
    columns = ["request_id", "event_id", "row_index"]
    for path in files(tmp_path):
        for row in pyarrow.parquet.read_table(path, columns=columns).to_pylist():
            event = (row["event_id"], row["row_index"])
            found.setdefault(row["request_id"], []).append(event)
    return found


def test_kills_lose_nothing_that_was_said_to_be_durable(serve, tmp_path):
    storm, moment = Storm(), random.Random(7)
    for _ in range(ROUNDS):
        server = serve("mode = 'at_least_once'")
        callers = storm.calls(server)
        # At any moment of what the callers and the log are at.
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(moment.uniform(0.2, 1.2))
        assert server.process.poll() is None, "nobody else has ended it"
        server.process.kill()
        server.wait()
        for it in callers:
            it.join()
    told = len(storm.durable)
    delivered(serve("mode = 'at_least_once'"))
    found = events(tmp_path)
    lost = [it for it in storm.durable if it not in found]
    print(f"{ROUNDS} kills: {told} told durable, {len(lost)} of them lost")
    assert told > ROUNDS and not lost, lost
    assert found.keys() <= storm.asked, "and nothing that nobody asked"
    assert all(len(set(it)) == 1 for it in found.values()), "what is there twice has one name"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 32 MiB for the log."""
    place = tmp_path / "log"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "salver-tests", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here, which takes root: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place):
    """Takes what room there is."""
    path = place / "filler"
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    return path


@pytest.mark.parametrize("mode", ["at_least_once", "fail_closed"])
def test_a_full_disk_breaks_no_promise(small_disk, serve, tmp_path, mode):
    server = serve(f"mode = '{mode}'")
    durable, told = [], []

    def ask():
        name = f"full-{len(told)}"
        answer = by_json(server, name)
        told.append((answer.status, answer.headers.get("x-salver-logged")))
        if told[-1] == (200, "durable"):
            durable.append(name)
        return told[-1]

    for _ in range(20):
        assert ask() == (200, "durable")
    filler = fill(small_disk)
    refused = (503, None) if mode == "fail_closed" else (200, "dropped")
    wait_for(lambda: ask() == refused, "the disk is full")
    for _ in range(20):
        assert ask() in (refused, (200, "durable")), told
    assert server.process.poll() is None
    filler.unlink()
    wait_for(lambda: ask() == (200, "durable"), "it writes again")
    for _ in range(20):
        assert ask() == (200, "durable")
    delivered(server)
    found = events(tmp_path)
    assert [it for it in durable if it not in found] == []
    assert all(len(set(it)) == 1 for it in found.values())
