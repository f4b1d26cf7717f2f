"""The binary tensor extension of HTTP: what is JSON, what follows it, and bodies without JSON."""

import json

import numpy as np
import pytest
from recorded import cases
from server import ask

LENGTH = "Inference-Header-Content-Length"
ROW = np.array([[1, 2, 3, 4]], np.float32)


def infer(server, model, request, tensors=b""):
    """Posts JSON and tensors; the answer's JSON, and the bytes behind it."""
    head = json.dumps(request).encode()
    headers = [(LENGTH, str(len(head)))] if tensors else []
    answer = ask(server.http, "POST", f"/v2/models/{model}/infer", head + tensors, headers)
    assert answer.status == 200, answer.body
    length = int(answer.headers.get(LENGTH, len(answer.body)))
    kind = "application/octet-stream" if LENGTH in answer.headers else "application/json"
    assert answer.headers["Content-Type"] == kind
    return json.loads(answer.body[:length]), answer.body[length:]


def inputs():
    return [
        {"name": name, "shape": [1, 4], "datatype": "FP32", "data": ROW[0].tolist()}
        for name in ("a", "b")
    ]


# The request's own parameters, the outputs it lists, and which outputs come as bytes.
# `binary_data_output` is for outputs that are not listed: one that is speaks for itself.
SCOPES = [
    ({}, [], []),
    ({"binary_data_output": True}, [], ["sum", "difference"]),
    ({"binary_data_output": False}, [], []),
    ({"binary_data_output": True}, [("sum", None), ("difference", None)], []),
    ({"binary_data_output": True}, [("sum", True), ("difference", False)], ["sum"]),
    ({"binary_data_output": False}, [("sum", True), ("difference", None)], ["sum"]),
    ({}, [("difference", True), ("sum", True)], ["difference", "sum"]),
]


@pytest.mark.parametrize(("parameters", "outputs", "binary"), SCOPES)
def test_scope(samples, parameters, outputs, binary):
    listed = [
        {"name": name, **({} if wanted is None else {"parameters": {"binary_data": wanted}})}
        for name, wanted in outputs
    ]
    request = {"parameters": parameters, "inputs": inputs()}
    answer, tensors = infer(samples, "add_sub", request | ({"outputs": listed} if listed else {}))
    values = {"sum": ROW + ROW, "difference": ROW - ROW}
    assert sorted(it["name"] for it in answer["outputs"]) == sorted(values)
    for output in answer["outputs"]:
        expect = values[output["name"]]
        if output["name"] in binary:
            assert output["parameters"]["binary_data_size"] == expect.nbytes
            assert "data" not in output
            assert tensors[: expect.nbytes] == expect.tobytes()
            tensors = tensors[expect.nbytes :]
        else:
            assert output["data"] == expect[0].tolist()
    assert tensors == b""


def test_json_and_bytes_in_one_request(samples):
    request = {"inputs": inputs()}
    del request["inputs"][0]["data"]
    request["inputs"][0]["parameters"] = {"binary_data_size": 16}
    answer, _ = infer(samples, "add_sub", request, (ROW * 10).tobytes())
    assert answer["outputs"][0]["data"] == [11, 22, 33, 44]


def test_the_length_counts_bytes_not_characters(samples):
    """A client that counts characters, or a server that does, fails on this id."""
    case = cases("greeting", 1)[0]
    name = "Zoë".encode()
    element = len(name).to_bytes(4, "little") + name
    tensor = case.request["inputs"][0] | {"parameters": {"binary_data_size": len(element)}}
    del tensor["data"]
    request = {"id": "größe ✓", "inputs": [tensor]}
    head = json.dumps(request, ensure_ascii=False).encode()
    answer = ask(
        samples.http,
        "POST",
        "/v2/models/greeting/infer",
        head + element,
        [(LENGTH, str(len(head)))],
    )
    assert answer.json()["id"] == "größe ✓"
    assert answer.json()["outputs"][0]["data"] == ["Hello, Zoë!"]


def raw(server, model, body):
    return ask(server.http, "POST", f"/v2/models/{model}/infer", body, [(LENGTH, "0")])


def split(answer):
    assert answer.status == 200, answer.body
    length = int(answer.headers[LENGTH])
    return json.loads(answer.body[:length]), answer.body[length:]


def test_a_raw_body_is_one_row(samples):
    case = cases("wine", 2)[0]
    [(_, _, data)] = case.inputs()
    answer, tensors = split(raw(samples, "wine", data.tobytes()))
    label, probabilities = answer["outputs"]
    assert (label["shape"], probabilities["shape"]) == ([1], [1, 3])
    case.check("label", np.frombuffer(tensors[:8], np.int64))
    case.check("probabilities", np.frombuffer(tensors[8:], np.float32).reshape(1, 3))


def test_a_raw_body_is_one_string(samples):
    answer, tensors = split(raw(samples, "greeting", b"world"))
    assert answer["outputs"][0]["datatype"] == "BYTES"
    assert tensors == b"\x0d\0\0\0Hello, world!"


def test_a_raw_body_finds_the_one_free_axis(fixtures):
    """`double` is served without batches here, so its first axis is any length."""
    data = np.arange(12, dtype=np.float32)
    answer, tensors = split(raw(fixtures, "double", data.tobytes()))
    assert answer["outputs"][0]["shape"] == [3, 4]
    assert tensors == (data + data).tobytes()


# Model, body, and what the refusal says.
RAW_FAULTS = [
    ("add_sub", ROW.tobytes(), "exactly 1 input, the model has 2"),
    ("wine", b"\0" * 51, "has 52 bytes, got 51"),
    ("wine", b"\0" * 104, "has 52 bytes, got 104"),
    ("wine", b"", "has 52 bytes, got 0"),
]


@pytest.mark.parametrize(("model", "body", "says"), RAW_FAULTS)
def test_a_raw_body_that_does_not_fit(samples, model, body, says):
    answer = raw(samples, model, body)
    assert answer.status == 400
    assert says in answer.json()["error"]
