"""Bad paths, methods, headers, commands and sizes over HTTP: refused in words, and outlived."""

import json

import pytest
import tritonclient.http as http
from recorded import cases
from server import SAMPLES, ask
from wire import Http2, connect, head, is_closed

pytestmark = pytest.mark.usefixtures("survives")

INFER = "/v2/models/add_sub/infer"
LENGTH = "Inference-Header-Content-Length"


def request():
    return cases("add_sub", 1)[0].request


# Names as they stand in a path, and as a refusal shows them.
NAMES = {
    "unknown": ("nobody", "nobody"),
    "one folder up": ("..%2fetc", "../etc"),
    "two dots": ("%2e%2e", ".."),
    "a path": ("%2Fetc%2Fpasswd", "/etc/passwd"),
    "backslashes": ("..%5c..%5cetc", "..\\"),
    "hidden": (".git", ".git"),
    "NUL": ("wine%00", "wine"),
    "line feed": ("wine%0a", "wine"),
    "blank": ("%20", ""),
    "5000 characters": ("x" * 5000, ""),
    "5000 quotes": ("%22" * 5000, ""),
    "5000 NULs": ("%00" * 5000, ""),
    "5000 two-byte characters": ("%C3%B6" * 2500, ""),
    "markup": ("%3Cscript%3E", "<script>"),
    "format": ("%25s%7B%7D", "%s{}"),
}
UNKNOWN = [
    ("GET", "/v2/models/{}"),
    ("GET", "/v2/models/{}/ready"),
    ("POST", "/v2/models/{}/infer"),
]


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
@pytest.mark.parametrize(("name", "says"), NAMES.values(), ids=NAMES)
def test_model_that_is_not_there(samples, method, path, name, says):
    body = request() if method == "POST" else None
    samples.ask(method, path.format(name), body).refused(404, says)


@pytest.mark.parametrize(("name", "says"), NAMES.values(), ids=NAMES)
def test_load_of_what_is_not_there(samples, name, says):
    """A name that cannot be a folder's is a mistake; another one is not found."""
    status = 404 if name in ("nobody", "%3Cscript%3E", "%25s%7B%7D") else 400
    shown = says.replace("\\", "\\\\")
    samples.ask("POST", f"/v2/repository/models/{name}/load").refused(status, shown)


# Version in the path, status, and what is said.
VERSIONS = [
    ("7", 404, "7"),
    ("18446744073709551615", 404, "18446744073709551615"),
    ("beta", 404, "beta"),
    ("0", 400, "0"),
    ("01", 400, "01"),
    ("-1", 400, "-1"),
    ("1.5", 400, "1.5"),
    ("18446744073709551616", 400, "18446744073709551616"),
    ("..%2f1", 400, "../1"),
    ("%00", 400, "version"),
    ("9" * 5000, 400, "999"),
]


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
@pytest.mark.parametrize(("version", "status", "says"), VERSIONS, ids=lambda it: str(it)[:20])
def test_version_that_is_not_there(samples, method, path, version, status, says):
    body = request() if method == "POST" else None
    path = path.replace("{}", f"wine/versions/{version}")
    samples.ask(method, path, body).refused(status, says)


PATHS = [
    "/",
    "/v1/models/wine",
    "/v2/models",
    "/v2/models/wine/explain",
    "/v2/models/wine/versions",
    "/v2/models/wine/../wine",
    "/v2/models/wine/infer/",
    "/v2/models/wine/versions/1/a/b/c/d/e/f",
    "/metrics",
    "/" + "a/" * 4000,
]


@pytest.mark.parametrize("path", PATHS, ids=lambda it: it[:40])
def test_path_that_leads_nowhere(samples, path):
    samples.ask("GET", path).refused(404, "Not Found")


def test_path_that_is_no_text(samples):
    samples.ask("GET", "/v2/models/%ff").refused(400, "UTF-8")


METHODS = [
    ("GET", INFER, "POST"),
    ("PUT", INFER, "POST"),
    ("POST", "/v2", "GET"),
    ("DELETE", "/v2/models/wine", "GET"),
    ("POST", "/v2/health/ready", "GET"),
    ("GET", "/v2/repository/index", "POST"),
    ("GET", "/v2/repository/models/wine/load", "POST"),
    ("BREW", "/v2", "GET"),
]


@pytest.mark.parametrize(("method", "path", "allowed"), METHODS)
def test_method(samples, method, path, allowed):
    answer = samples.ask(method, path, b"")
    answer.refused(405, "Method Not Allowed")
    assert allowed in answer.headers["Allow"].split(", ")


def test_method_on_the_metrics_port(samples):
    answer = ask(samples.metrics, "POST", "/metrics", b"")
    answer.refused(405, "Method Not Allowed")
    assert "GET" in answer.headers["Allow"].split(", ")


# Values of the header that tells how long the JSON is, and what is said. 0 has tests of its own.
LENGTHS = [
    (["-1"], "-1"),
    (["99999999999"], "99999999999"),
    (["99999999999999999999999"], "99999999999999999999999"),
    ([""], LENGTH.lower()),
    (["ten"], "ten"),
    (["1.0"], "1.0"),
    (["0x10"], "0x10"),
    (["10", "10"], "twice"),
    (["1"], "JSON"),
]


@pytest.mark.parametrize(("values", "says"), LENGTHS)
def test_length_of_the_json(samples, values, says):
    headers = [(LENGTH, it) for it in values]
    samples.ask("POST", INFER, request(), headers).refused(400, says)


def test_length_beyond_the_body(samples):
    body = json.dumps(request()).encode()
    answer = samples.ask("POST", INFER, body, [(LENGTH, str(len(body) + 1))])
    answer.refused(400, str(len(body) + 1))


# Bytes that the first input says it has, bytes that follow the JSON, and what is said.
TENSORS = [
    (16, 15, "15 bytes are left"),
    (16, 0, "0 bytes are left"),
    (16, 17, "1 bytes follow"),
    (12, 12, "16 bytes, got 12"),
    (20, 20, "16 bytes, got 20"),
    (2**63, 16, str(2**63)),
    (2**64, 16, "1.8446744073709552e+19"),
]


@pytest.mark.parametrize(("size", "count", "says"), TENSORS)
def test_bytes_behind_the_json(samples, size, count, says):
    first, second = request()["inputs"]
    first = {key: it for key, it in first.items() if key != "data"}
    first["parameters"] = {"binary_data_size": size}
    text = json.dumps({"inputs": [first, second]}).encode()
    answer = samples.ask("POST", INFER, text + b"\0" * count, [(LENGTH, str(len(text)))])
    answer.refused(400, says)


# BYTES tensors whose own lengths do not add up, and what is said.
STRINGS = [
    (b"", "input 'name'"),
    (b"\x05\0\0", "input 'name'"),
    (b"\x05\0\0\0abc", "claims 5 bytes, 3 are left"),
    (b"\xff\xff\xff\xffabc", "claims 4294967295 bytes"),
    (b"\x01\0\0\0a\x01\0\0\0b", "input 'name'"),
]


@pytest.mark.parametrize(("element", "says"), STRINGS)
def test_strings_that_do_not_add_up(samples, element, says):
    parameters = {"binary_data_size": len(element)}
    tensor = {"name": "name", "shape": [1, 1], "datatype": "BYTES", "parameters": parameters}
    text = json.dumps({"inputs": [tensor]}).encode()
    headers = [(LENGTH, str(len(text)))]
    samples.ask("POST", "/v2/models/greeting/infer", text + element, headers).refused(400, says)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x" * 3000])
def test_content_encoding(samples, encoding):
    answer = samples.ask("POST", INFER, request(), [("Content-Encoding", encoding)])
    answer.refused(415, encoding[:32])


def test_compression_that_a_client_offers(samples):
    inputs = cases("add_sub", 1)[0].tensors(http)
    with samples.client(http) as client:
        with pytest.raises(http.InferenceServerException, match="gzip") as refused:
            client.infer("add_sub", inputs, request_compression_algorithm="gzip")
        assert refused.value.status() == "415"
        # Asking for a compressed answer is no fault: an answer need not be compressed.
        client.infer("add_sub", inputs, response_compression_algorithm="gzip")


# Command, body, and status.
COMMANDS = [
    ("index", "[", 400),
    ("index", '{"ready": 1}', 400),
    ("index", "[true]", 400),
    ("models/wine/load", "[", 400),
    ("models/wine/load", "[{}]", 400),
    ("models/wine/load", '{"parameters": 1}', 400),
    ("models/wine/load", '{"parameters": {"config": "{}"}}', 501),
    ("models/wine/load", '{"parameters": {"file:1/model.onnx": "AAAA"}}', 501),
    ("models/wine/unload", "[", 400),
    ("models/wine/unload", "[{}]", 400),
    ("models/wine/unload", '{"parameters": 1}', 400),
    ("index", " " * (2 << 20), 413),
]


@pytest.mark.parametrize(("command", "body", "status"), COMMANDS, ids=lambda it: str(it)[:30])
def test_command(start, command, body, status):
    server = start(SAMPLES).settled()
    server.ask("POST", f"/v2/repository/{command}", body.encode()).refused(status, "")
    assert server.state("wine", "1") == "READY"


@pytest.mark.parametrize("depth", [120, 250_000])
@pytest.mark.parametrize("body", ["DEEP", '{"mine": DEEP}', '{"parameters": {"mine": DEEP}}'])
@pytest.mark.parametrize("command", ["index", "models/wine/load", "models/wine/unload"])
def test_deep_command(start, command, body, depth):
    """As deep as no prediction may be either: see test_bad_input.py."""
    test_command(start, command, body.replace("DEEP", "[" * depth + "]" * depth), 400)


def test_too_large(start):
    """By its own word, by what came in, and over HTTP/2: refused before it is stored."""
    server = start(SAMPLES, request_bytes_max=4096).settled()
    for size in (4097, 100_000, 10_000_000):
        server.ask("POST", INFER, b"[" * size).refused(413, "4096")
    chunk = b"1000\r\n" + b"[" * 4096 + b"\r\n"
    answer = server.ask("POST", INFER, chunk * 3, [("Transfer-Encoding", "chunked")])
    answer.refused(413, "4096")
    claimed = [("Content-Length", str(1 << 60))]
    server.ask("POST", INFER, b"", claimed).refused(413, "4096")
    with Http2(server.http) as connection:
        stream = connection.begin("POST", INFER)
        connection.send(stream, b"[" * 8000)
        assert connection.answer(stream).status == 413
        again = connection.begin("POST", INFER)
        connection.send(again, json.dumps(request()).encode())
        assert connection.answer(again).status == 200


# What is no HTTP at all, or lies about its length. Refused or cut off; nothing else is due.
GARBAGE = {
    "noise": b"\x00\x01\x02\x03" * 100 + b"\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
    "words": b"hello\r\n\r\n",
    "half a preface": b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    "preface and noise": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200,
    "two lengths": head("POST", INFER, "Content-Length: 3", "Content-Length: 4") + b"{}  ",
    "a negative length": head("POST", INFER, "Content-Length: -3"),
    "length and chunks": head("POST", INFER, "Content-Length: 3", "Transfer-Encoding: chunks"),
    "a chunk without a size": head("POST", INFER, "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n",
    "a header without end": head("GET", "/v2", "X: " + "x" * (2 << 20)),
    "a thousand headers": head("GET", "/v2", *["X: x"] * 1000),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage(samples, garbage):
    with connect(samples.http) as connection:
        try:
            connection.sendall(garbage)
        except (BrokenPipeError, ConnectionResetError):
            return
        assert is_closed(connection)
