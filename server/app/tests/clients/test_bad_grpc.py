"""Whatever a client sends over gRPC, it hears what is wrong with it, and the server lives on."""

import struct

import grpc
import pytest
from grpc import StatusCode
from server import ERROR_BYTES_MAX, PATIENCE_S, SAMPLES
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub
from wire import Http2

pytestmark = pytest.mark.usefixtures("survives")

INVALID = StatusCode.INVALID_ARGUMENT
NOT_FOUND = StatusCode.NOT_FOUND
UNIMPLEMENTED = StatusCode.UNIMPLEMENTED
ROW = struct.pack("<4f", 1, 2, 3, 4)
HUGE = 2**60 + 2
INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture
def stub(samples):
    with grpc.insecure_channel(samples.grpc) as channel:
        yield GRPCInferenceServiceStub(channel)


def refused(call, request, code, says):
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=PATIENCE_S)
    assert error.value.code() == code, error.value.details()
    assert says in error.value.details()
    assert len(error.value.details().encode()) <= ERROR_BYTES_MAX


def tensor(name, shape=(1, 4), datatype="FP32", **more):
    return dict(name=name, shape=shape, datatype=datatype, **more)


def raw(first=None, contents=(ROW, ROW), more=(), **request):
    """A good raw request but for what is given: of its first input, its bytes, its whole."""
    given = [{**tensor("a"), **(first or {})}, tensor("b"), *more]
    message = messages.ModelInferRequest(model_name="add_sub", **request)
    for it in given:
        message.inputs.add(**it)
    message.raw_input_contents.extend(contents)
    return message


def typed(datatype="FP32", shape=(1, 4), **contents):
    """A request with typed contents for its first input."""
    message = messages.ModelInferRequest(model_name="add_sub")
    message.inputs.add(name="a", shape=shape, datatype=datatype, contents=contents)
    message.inputs.add(name="b", shape=[1, 4], datatype="FP32", contents={"fp32_contents": [0] * 4})
    return message


def parameter(value):
    kind = {bool: "bool_param", int: "int64_param", str: "string_param"}[type(value)]
    return messages.InferParameter(**{kind: value})


SHARED = {"shared_memory_region": parameter("r"), "shared_memory_byte_size": parameter(16)}

# What is wrong, the request, its code, and what the refusal says.
REQUESTS = {
    "name": (raw({"name": "c"}), INVALID, "'c'"),
    "name twice": (raw({"name": "b"}), INVALID, "'b'"),
    "third input": (raw(more=[tensor("c")], contents=[ROW] * 3), INVALID, "'c'"),
    "type": (raw({"datatype": "INT32"}), INVALID, "'INT32'"),
    "type that is none": (raw({"datatype": "FLOAT"}), INVALID, "'FLOAT'"),
    "no type": (raw({"datatype": ""}), INVALID, "'a'"),
    "axes": (raw({"shape": [4]}), INVALID, "[4]"),
    "axis": (raw({"shape": [1, 3]}, [ROW[:12], ROW]), INVALID, "[1,3]"),
    "no rows": (raw({"shape": [0, 4]}, [b"", ROW]), INVALID, "[0,4]"),
    "rows differ": (raw({"shape": [2, 4]}, [ROW * 2, ROW]), INVALID, "[2,4]"),
    "negative axis": (raw({"shape": [-1, 4]}), INVALID, "[-1, 4]"),
    "two negative axes": (raw({"shape": [-1, -4]}), INVALID, "[-1, -4]"),
    "least axis": (raw({"shape": [-(2**63), 4]}), INVALID, str(-(2**63))),
    "shape that overflows": (raw({"shape": [4, HUGE]}), INVALID, str(HUGE)),
    "shape that overflows twice": (raw({"shape": [2**32, 2**32]}), INVALID, str(2**32)),
    "shape of a thousand axes": (raw({"shape": [1] * 1000}), INVALID, "1000 axes"),
    "large shape": (raw({"shape": [2**33, 4]}), INVALID, "137438953472 bytes, got 16"),
    "short": (raw(contents=[ROW[:15], ROW]), INVALID, "16 bytes, got 15"),
    "long": (raw(contents=[ROW + b"\0", ROW]), INVALID, "16 bytes, got 17"),
    "one entry": (raw(contents=[ROW]), INVALID, "got 1"),
    "three entries": (raw(contents=[ROW] * 3), INVALID, "got 3"),
    "raw and typed": (
        raw({"contents": {"fp32_contents": [1, 2, 3, 4]}}),
        INVALID,
        "contents field must not be specified when using raw_input_contents",
    ),
    "output": (raw(outputs=[{"name": "product"}]), INVALID, "'product'"),
    "output twice": (raw(outputs=[{"name": "sum"}] * 2), INVALID, "'sum'"),
    "few elements": (typed(fp32_contents=[1, 2, 3]), INVALID, "4 elements, got 3"),
    "many elements": (typed(fp32_contents=[1] * 5), INVALID, "4 elements, got 5"),
    "no contents": (typed(), INVALID, "4 elements, got 0"),
    "another type's contents": (typed(int_contents=[1] * 4), INVALID, "4 elements, got 0"),
    "FP16 typed": (typed("FP16", fp32_contents=[1] * 4), INVALID, "FP16"),
    "INT8 too large": (typed("INT8", int_contents=[128, 0, 0, 0]), INVALID, "128"),
    "UINT16 too large": (typed("UINT16", uint_contents=[65536, 0, 0, 0]), INVALID, "65536"),
    "timeout": (raw(parameters={"timeout": parameter("soon")}), INVALID, "timeout"),
    "negative timeout": (raw(parameters={"timeout": parameter(-1)}), INVALID, "timeout"),
    "shared memory for an input": (
        raw({"parameters": SHARED}),
        UNIMPLEMENTED,
        "shared_memory_",
    ),
    "shared memory for an output": (
        raw(outputs=[{"name": "sum", "parameters": SHARED}]),
        UNIMPLEMENTED,
        "shared_memory_",
    ),
    "classification": (
        raw(outputs=[{"name": "sum", "parameters": {"classification": parameter(2)}}]),
        UNIMPLEMENTED,
        "classification",
    ),
    "version": (raw(model_version="7"), NOT_FOUND, "7"),
    "label": (raw(model_version="beta"), NOT_FOUND, "beta"),
    "version 0": (raw(model_version="0"), INVALID, '"0"'),
    "version of text": (raw(model_version="../1"), INVALID, "../1"),
    "version of 5000 digits": (raw(model_version="9" * 5000), INVALID, "999"),
}


@pytest.mark.parametrize(("request_", "code", "says"), REQUESTS.values(), ids=REQUESTS)
def test_request(stub, request_, code, says):
    refused(stub.ModelInfer, request_, code, says)


NAMES = ["nobody", "", "..", "../etc", "wine\0", "x" * 5000, "ö" * 2500, "\0" * 5000, "a\r\nb: c"]


@pytest.mark.parametrize("name", NAMES, ids=lambda it: repr(it[:10]))
def test_model_that_is_not_there(stub, name):
    """Also names that could not be one: who asks for a model of theirs finds none."""
    infer = messages.ModelInferRequest(model_name=name)
    refused(stub.ModelInfer, infer, NOT_FOUND, name[:100])
    refused(stub.ModelMetadata, messages.ModelMetadataRequest(name=name), NOT_FOUND, name[:100])
    assert not stub.ModelReady(messages.ModelReadyRequest(name=name)).ready
    load = messages.RepositoryModelLoadRequest(model_name=name)
    code = NOT_FOUND if name == "nobody" else INVALID
    refused(stub.RepositoryModelLoad, load, code, "name" if code == INVALID else name)


# BYTES elements whose own lengths do not add up.
STRINGS = [b"", b"\x05\0\0", b"\x05\0\0\0abc", b"\xff\xff\xff\xff", b"\x01\0\0\0a\x01\0\0\0b"]


@pytest.mark.parametrize("element", STRINGS)
def test_strings_that_do_not_add_up(stub, element):
    request = messages.ModelInferRequest(model_name="greeting", raw_input_contents=[element])
    request.inputs.add(name="name", shape=[1, 1], datatype="BYTES")
    refused(stub.ModelInfer, request, INVALID, "'name'")


def test_load_takes_no_parameters(stub):
    config = {"config": messages.ModelRepositoryParameter(string_param="{}")}
    request = messages.RepositoryModelLoadRequest(model_name="wine", parameters=config)
    refused(stub.RepositoryModelLoad, request, UNIMPLEMENTED, "config")


# Bytes that are no message, and the code of the answer. For most of them gRPC itself names
# INTERNAL ("Status codes and their use in gRPC"), although the fault is the client's.
FRAMES = {
    "no message": (b"\0\0\0\0\4\xff\xff\xff\xff", StatusCode.INVALID_ARGUMENT),
    "a string that is no text": (b"\0\0\0\0\3\x0a\x01\xff", StatusCode.INVALID_ARGUMENT),
    "half a message": (b"\0\0\0\0\x10\x0a", StatusCode.INVALID_ARGUMENT),
    "half a prefix": (b"\0\0", StatusCode.INVALID_ARGUMENT),
    "compressed, but not said how": (b"\1\0\0\0\4abcd", StatusCode.UNIMPLEMENTED),
    "a length of 4 GiB": (b"\0\xff\xff\xff\xffabc", StatusCode.RESOURCE_EXHAUSTED),
    "two messages": (b"\0\0\0\0\0" * 2, StatusCode.INVALID_ARGUMENT),
    "inputs without end": (b"\0\0\0\x20\0" + b"\x2a\0" * 4096, StatusCode.INVALID_ARGUMENT),
}


@pytest.mark.parametrize(("body", "code"), FRAMES.values(), ids=FRAMES)
def test_frame(samples, body, code):
    with Http2(samples.grpc) as connection:
        fields = [("content-type", "application/grpc"), ("te", "trailers")]
        stream = connection.begin("POST", INFER, fields)
        connection.send(stream, body)
        answer = connection.answer(stream)
    assert (answer.status, int(answer.headers["grpc-status"])) == (200, code.value[0])


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compression_that_a_client_offers(samples, algorithm):
    """The same answer as over HTTP, in gRPC's words."""
    with grpc.insecure_channel(samples.grpc, compression=algorithm) as channel:
        infer = GRPCInferenceServiceStub(channel).ModelInfer
        request = raw(contents=[b"\0" * 4096] * 2)
        refused(infer, request, UNIMPLEMENTED, "")


@pytest.mark.parametrize("size", [100_000, 10_000_000])
def test_too_large(start, size):
    """What surrounds the tensors has 64 KiB of its own."""
    server = start(SAMPLES, request_bytes_max=4096).settled()
    with grpc.insecure_channel(server.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)
        request = raw(contents=[b"\0" * size])
        refused(stub.ModelInfer, request, StatusCode.RESOURCE_EXHAUSTED, "4096")
        assert stub.ModelInfer(raw()).model_name == "add_sub"


def test_answer_too_large_for_the_client(samples):
    """The client's own limit: it refuses the answer, and the connection goes on."""
    options = [("grpc.max_receive_message_length", 10)]
    with grpc.insecure_channel(samples.grpc, options) as channel:
        stub = GRPCInferenceServiceStub(channel)
        refused(stub.ModelInfer, raw(), StatusCode.RESOURCE_EXHAUSTED, "")
        assert stub.ServerLive(messages.ServerLiveRequest()).live
