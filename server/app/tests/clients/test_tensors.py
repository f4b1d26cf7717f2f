"""Every data type travels unchanged, as JSON, as raw bytes and as typed contents."""

import json
import math
import struct

import numpy as np
import pytest
import tritonclient.grpc as grpc
import tritonclient.http as http
from grpc import RpcError, StatusCode, insecure_channel
from server import ask
from tensors import KINDS, SHAPE, Kind
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda it: it.name)
floats = pytest.mark.parametrize("name", ["FP16", "BF16", "FP32", "FP64"])


def model(name):
    return f"identity_{name.lower()}"


def json_echo(server, name, data, shape=SHAPE):
    tensor = {"name": "x", "shape": shape, "datatype": name, "data": data}
    return ask(server.http, "POST", f"/v2/models/{model(name)}/infer", {"inputs": [tensor]})


def call(server, request):
    with insecure_channel(server.grpc) as channel:
        return GRPCInferenceServiceStub(channel).ModelInfer(request)


def typed(kind: Kind, field):
    request = service_pb2.ModelInferRequest(model_name=model(kind.name), id="typed")
    tensor = request.inputs.add(name="x", datatype=kind.name, shape=SHAPE)
    getattr(tensor.contents, field).extend(kind.typed())
    return request


@kinds
@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_json(fixtures, kind, nested):
    """Floats have as many digits as it takes to read back the same element, not more."""
    given = [kind.values[:2], kind.values[2:]] if nested else kind.values
    answer = json_echo(fixtures, kind.name, given)
    assert answer.status == 200, answer.body
    [output] = answer.json()["outputs"]
    data = output.pop("data")
    assert output == {"name": "y", "datatype": kind.name, "shape": SHAPE}
    assert [type(it) for it in data] == [type(it) for it in kind.values]
    read = np.array(data, kind.numpy).reshape(SHAPE)
    np.testing.assert_array_equal(read, np.array(kind.values, kind.numpy).reshape(SHAPE))


@kinds
def test_raw_http(fixtures, kind):
    with fixtures.client(http) as client:
        tensor = http.InferInput("x", SHAPE, kind.name)
        tensor.set_data_from_numpy(kind.array())
        result = client.infer(model(kind.name), [tensor])
    assert result.get_output("y")["parameters"]["binary_data_size"] == len(kind.raw())
    assert result.as_numpy("y").dtype == kind.numpy
    np.testing.assert_array_equal(result.as_numpy("y"), kind.array())


@kinds
def test_raw_grpc(fixtures, kind):
    with fixtures.client(grpc) as client:
        tensor = grpc.InferInput("x", SHAPE, kind.name)
        tensor.set_data_from_numpy(kind.array())
        result = client.infer(model(kind.name), [tensor])
    assert result.get_response().raw_output_contents[:] == [kind.raw()]
    assert result.as_numpy("y").dtype == kind.numpy
    np.testing.assert_array_equal(result.as_numpy("y"), kind.array())


@kinds
def test_typed_contents(fixtures, kind):
    """Whatever the request used, the answer is raw: it is all that the public clients read."""
    if kind.contents is None:
        with pytest.raises(RpcError) as refused:
            call(fixtures, typed(kind, "fp32_contents"))
        assert refused.value.code() == StatusCode.INVALID_ARGUMENT
        assert kind.name in refused.value.details()
        return
    response = call(fixtures, typed(kind, kind.contents))
    assert response.id == "typed"
    assert [(it.name, it.datatype, it.shape[:]) for it in response.outputs] == [
        ("y", kind.name, SHAPE)
    ]
    assert response.raw_output_contents[:] == [kind.raw()]
    assert not response.outputs[0].HasField("contents")


@floats
def test_json_has_words_for_what_is_no_number(fixtures, name):
    words = ["NaN", "Infinity", "-Infinity", -0.0]
    answer = json_echo(fixtures, name, words)
    data = json.loads(answer.body, parse_constant=pytest.fail)["outputs"][0]["data"]
    assert data[:3] == words[:3]
    assert data[3] == 0 and math.copysign(1, data[3]) == -1


def test_bits_of_nan_pass_unchanged(fixtures):
    odd = struct.pack("<4I", 0x7FC00001, 0xFFC12345, 0x7F800001, 0x80000000)
    request = service_pb2.ModelInferRequest(model_name=model("FP32"), raw_input_contents=[odd])
    request.inputs.add(name="x", datatype="FP32", shape=SHAPE)
    assert call(fixtures, request).raw_output_contents[:] == [odd]


def test_bytes_that_are_no_text(fixtures):
    """They travel raw; as JSON they are refused, because JSON could only change them."""
    odd = np.array([[b"\xff\x00", b"\xfe"]], np.object_)
    with fixtures.client(grpc) as client:
        tensor = grpc.InferInput("x", [1, 2], "BYTES")
        tensor.set_data_from_numpy(odd)
        assert client.infer(model("BYTES"), [tensor]).as_numpy("y").tolist() == odd.tolist()
    with fixtures.client(http) as client:
        tensor = http.InferInput("x", [1, 2], "BYTES")
        tensor.set_data_from_numpy(odd)
        assert client.infer(model("BYTES"), [tensor]).as_numpy("y").tolist() == odd.tolist()
        as_json = [http.InferRequestedOutput("y", binary_data=False)]
        with pytest.raises(http.InferenceServerException, match="UTF-8") as refused:
            client.infer(model("BYTES"), [tensor], outputs=as_json)
        assert refused.value.status() == "400"


# More than the 4 MiB that many gRPC servers stop at: numbers, and strings.
LARGE = [
    ("double", "FP32", np.arange(1_200_000, dtype=np.float32).reshape(-1, 4)),
    ("identity_bytes", "BYTES", np.array([[b"a" * 3_000_000, b"b" * 3_000_000]], np.object_)),
]


@pytest.mark.parametrize(("name", "datatype", "data"), LARGE, ids=lambda it: str(it)[:14])
@pytest.mark.parametrize("module", [http, grpc], ids=["http", "grpc"])
def test_large(fixtures, module, name, datatype, data):
    with fixtures.client(module) as client:
        tensor = module.InferInput("x", list(data.shape), datatype)
        tensor.set_data_from_numpy(data)
        got = client.infer(name, [tensor]).as_numpy("y")
    np.testing.assert_array_equal(got, data + data if name == "double" else data)


def test_large_json(fixtures):
    text = ["a" * 3_000_000, "é" * 1_500_000]
    answer = json_echo(fixtures, "BYTES", text, [1, 2])
    assert answer.json()["outputs"][0]["data"] == text
