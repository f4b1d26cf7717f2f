"""Whatever a client sends over HTTP, it hears what is wrong with it, and the server lives on.

After each case the same process answers a good request, and its log holds no panic.
"""

import json

import pytest

pytestmark = pytest.mark.usefixtures("survives")

INFER = "/v2/models/add_sub/infer"
HUGE = 2**60 + 2


def tensor(name="a", shape=(1, 4), datatype="FP32", data=(1, 2, 3, 4), **more):
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": data, **more}


def inputs(**first):
    """A good request but for what is given of its first input."""
    return {"inputs": [tensor(**first), tensor("b")]}


def without_data(parameters):
    it = inputs(parameters=parameters)
    del it["inputs"][0]["data"]
    return it


# What is wrong, the request, and what the refusal says.
REQUESTS = {
    "name": (inputs(name="c"), "'c'"),
    "name twice": (inputs(name="b"), "'b'"),
    "no inputs": ({"inputs": []}, "missing required input(s) ['a','b']"),
    "one input": ({"inputs": [tensor()]}, "missing required input(s) ['b']"),
    "three inputs": ({"inputs": [tensor(), tensor("b"), tensor("c")]}, "'c'"),
    "1025 inputs": ({"inputs": [tensor()] * 1025}, "1025"),
    "output": (inputs() | {"outputs": [{"name": "product"}]}, "'product'"),
    "output twice": (inputs() | {"outputs": [{"name": "sum"}, {"name": "sum"}]}, "'sum'"),
    "type": (inputs(datatype="FP64"), "'FP64'"),
    "type that is none": (inputs(datatype="FLOAT"), "FLOAT"),
    "type in small": (inputs(datatype="fp32"), "fp32"),
    "axes": (inputs(shape=(4,)), "[4]"),
    "more axes": (inputs(shape=(1, 1, 4)), "[1,1,4]"),
    "axis": (inputs(shape=(1, 3), data=[1, 2, 3]), "[1,3]"),
    "no rows": ({"inputs": [tensor(it, (0, 4), data=[]) for it in "ab"]}, "no rows"),
    "33 rows": ({"inputs": [tensor(it, (33, 4), data=[0] * 132) for it in "ab"]}, "33 rows"),
    "rows differ": (inputs(shape=(2, 4), data=[0] * 8), "differ"),
    "negative axis": (inputs(shape=(-1, 4)), "[-1, 4]"),
    "negative axes": (inputs(shape=(-1, -4)), "[-1, -4]"),
    "axis of text": (inputs(shape=("1", 4)), '"1"'),
    "axis of a fraction": (inputs(shape=(1.5, 4)), "1.5"),
    "axis above 64 bits": (inputs(shape=(2**64, 4)), "1.8446744073709552e+19"),
    "shape that overflows": (inputs(shape=(4, HUGE)), str(HUGE)),
    "shape that overflows twice": (inputs(shape=(2**32, 2**32)), str(2**32)),
    "shape of a thousand axes": (inputs(shape=[1] * 1000), "1000 axes"),
    "shape that is large": (inputs(shape=(2**33, 4)), "has 34359738368 elements"),
    "few elements": (inputs(data=[1, 2, 3]), "data has 3"),
    "many elements": (inputs(data=[1] * 5), "more than the shape's 4"),
    "no elements": (inputs(data=[]), "data has 0"),
    "element of text": (inputs(data=["one", 2, 3, 4]), '"one"'),
    "element null": (inputs(data=[None, 2, 3, 4]), "null"),
    "element too large": (inputs(data=[1e39, 2, 3, 4]), "1e39"),
    "ragged data": (inputs(data=[[1, 2], [3]]), "data has 3"),
    "data no array": (inputs(data=1), "integer `1`"),
    "bytes and data": (inputs(parameters={"binary_data_size": 16}), "both"),
    "neither": (without_data({}), "neither"),
    "bytes that are not there": (without_data({"binary_data_size": 16}), "binary_data_size is 16"),
    "negative count of bytes": (without_data({"binary_data_size": -1}), "-1"),
    "timeout": (inputs() | {"parameters": {"timeout": "soon"}}, "soon"),
    "id": (inputs() | {"id": 7}, "7"),
    "inputs no array": ({"inputs": {"a": [1]}}, "map"),
    "input no object": ({"inputs": ["abc"]}, "abc"),
    "no object": ("[1, 2]", "object"),
    "nothing": ("", "EOF"),
    "half": ('{"inputs": [', "EOF"),
    "no JSON": ("inputs=1", "JSON"),
    "no UTF-8": (b'{"id": "\xff", "inputs": []}', "JSON"),
    "twice the key": ('{"inputs": [], "inputs": []}', "inputs"),
}


@pytest.mark.parametrize(("request_", "says"), REQUESTS.values(), ids=REQUESTS)
def test_request(samples, request_, says):
    body = json.dumps(request_) if isinstance(request_, dict) else request_
    body = body.encode() if isinstance(body, str) else body
    samples.ask("POST", INFER, body).refused(400, says)


# Where so many brackets stand.
DEEP = {
    "data": inputs(data="DEEP"),
    "data before its type": {"inputs": [{"data": "DEEP", "shape": [1, 4], "datatype": "FP32"}]},
    "shape": inputs(shape="DEEP"),
    "parameters": inputs() | {"parameters": {"mine": "DEEP"}},
    "an input's parameters": inputs(parameters={"mine": "DEEP"}),
    "an unknown key": inputs() | {"mine": "DEEP"},
    "an input's unknown key": inputs(mine="DEEP"),
    "nothing": "DEEP",
}


@pytest.mark.parametrize("depth", [120, 250_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
@pytest.mark.parametrize("request_", DEEP.values(), ids=DEEP)
def test_deep(samples, request_, brackets, depth):
    opening = "[" if brackets == "[]" else '{"a":'
    deep = opening * depth + "1" + brackets[1] * depth
    body = json.dumps(request_).replace('"DEEP"', deep)
    samples.ask("POST", INFER, body.encode()).refused(400, "JSON")


SHARED = {"shared_memory_region": "r", "shared_memory_byte_size": 16}

# Extensions that ask for something else than the answer: refused, not ignored.
EXTENSIONS = {
    "shared memory for an input": (without_data(SHARED), "shared_memory_region"),
    "shared memory for an output": (
        inputs() | {"outputs": [{"name": "sum", "parameters": SHARED}]},
        "shared_memory_region",
    ),
    "classification": (
        inputs() | {"outputs": [{"name": "sum", "parameters": {"classification": 2}}]},
        "classification",
    ),
}


@pytest.mark.parametrize(("request_", "says"), EXTENSIONS.values(), ids=EXTENSIONS)
def test_extension(samples, request_, says):
    samples.ask("POST", INFER, request_).refused(501, says)
