"""Connections: either port speaks HTTP/1, HTTP/2 and gRPC, as the peer begins."""

import json

import pytest
import tritonclient.grpc as grpc
from recorded import cases
from server import ask
from wire import Http2, connect, head

ports = pytest.mark.parametrize("port", ["http", "grpc"])
INFER = "/v2/models/add_sub/infer"


def case():
    return cases("add_sub", 1)[0]


@ports
def test_http1(samples, port):
    answer = ask(getattr(samples, port), "POST", INFER, case().request)
    case().check_json(answer.json())


@ports
def test_grpc(samples, port):
    with grpc.InferenceServerClient(getattr(samples, port)) as client:
        assert client.is_server_ready()
        result = client.infer("add_sub", case().tensors(grpc))
    case().check("sum", result.as_numpy("sum"))


@ports
def test_http2_without_upgrade(samples, port):
    with Http2(getattr(samples, port)) as connection:
        live = connection.answer(connection.begin("GET", "/v2/health/live", end=True))
        assert (live.status, live.body) == (200, b"")
        infer = connection.begin("POST", INFER, [("content-type", "application/json")])
        connection.send(infer, json.dumps(case().request).encode())
        case().check_json(connection.answer(infer).json())


def test_many_streams_on_one_connection(samples):
    """Opened together, answered in whatever order, each with its own answer."""
    with Http2(samples.http) as connection:
        streams = {n: connection.begin("POST", INFER) for n in range(100)}
        for n, stream in streams.items():
            body = json.dumps(case().request | {"id": f"request {n}"})
            connection.send(stream, body.encode())
        for n, stream in reversed(streams.items()):
            assert connection.answer(stream).json()["id"] == f"request {n}"


def test_requests_one_after_the_other(samples):
    """One HTTP/1 connection, also after a refusal whose body was never looked at."""
    body = json.dumps(case().request).encode()
    asked = [("POST", INFER, 200), ("POST", "/v2/models/nobody/infer", 404), ("POST", INFER, 200)]
    with connect(samples.http) as connection, connection.makefile("rb") as reader:
        for method, path, expect in asked:
            connection.sendall(head(method, path, f"Content-Length: {len(body)}") + body)
            status, _ = read(reader)
            assert status == expect


def test_pipelined(samples):
    """Sent together on one HTTP/1 connection, answered in order."""
    bodies = [json.dumps(case().request | {"id": str(n)}).encode() for n in range(5)]
    with connect(samples.http) as connection, connection.makefile("rb") as reader:
        parts = [head("POST", INFER, f"Content-Length: {len(it)}") + it for it in bodies]
        connection.sendall(b"".join(parts))
        assert [json.loads(read(reader)[1])["id"] for _ in bodies] == ["0", "1", "2", "3", "4"]


def test_chunked(samples):
    body = json.dumps(case().request).encode()
    chunks = [body[at : at + 7] for at in range(0, len(body), 7)]
    encoded = b"".join(b"%x\r\n%s\r\n" % (len(it), it) for it in chunks) + b"0\r\n\r\n"
    answer = samples.ask("POST", INFER, encoded, [("Transfer-Encoding", "chunked")])
    case().check_json(answer.json())


def test_expect_continue(samples):
    """What curl does with bodies above a megabyte: it waits to be told to go on."""
    body = json.dumps(case().request).encode()
    with connect(samples.http) as connection, connection.makefile("rb") as reader:
        length = f"Content-Length: {len(body)}"
        connection.sendall(head("POST", INFER, length, "Expect: 100-continue"))
        assert reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert reader.readline() == b"\r\n"
        connection.sendall(body)
        status, answer = read(reader)
    assert status == 200
    case().check_json(json.loads(answer))


def test_head(samples):
    answer = samples.ask("HEAD", "/v2")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0


def read(reader):
    """Status and body of one HTTP/1 answer with a length."""
    status = int(reader.readline().split()[1])
    length = 0
    while (line := reader.readline()) != b"\r\n":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, reader.read(length)
