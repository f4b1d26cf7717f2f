"""Requests of different lengths, padded to a few: the same answers as without, and what is refused."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from server import FIXTURES, ask

PADDED = """
[dynamic_batching]
max_batch_elements = 256
[padding]
axes = { S = [8, 16, 32] }
values = { ids = 1 }
"""


@pytest.fixture
def server(repository, start):
    """`padded` and `bare` are one model."""
    for name in ("padded", "bare"):
        repository.version(name, 1, FIXTURES / "masked.onnx")
    repository.settings("padded", PADDED)
    return start(repository).settled()


def body(rows, length, seed=0):
    """A request of that shape: tokens, and a mask that leaves the first of each row."""
    chance = random.Random(seed * 1000 + rows * 100 + length)
    ids = [chance.randrange(8) for _ in range(rows * length)]
    mask = [int(n % length == 0 or chance.random() < 0.7) for n in range(rows * length)]
    shape = [rows, length]
    return {
        "inputs": [
            {"name": "ids", "datatype": "INT64", "shape": shape, "data": ids},
            {"name": "mask", "datatype": "INT64", "shape": shape, "data": mask},
        ]
    }


def outputs(server, model, request):
    answer = ask(server.http, "POST", f"/v2/models/{model}/infer", request)
    assert answer.status == 200, answer.body
    tensors = answer.json()["outputs"]
    return {it["name"]: np.array(it["data"]).reshape(it["shape"]) for it in tensors}


def test_answers_are_those_without_padding(server):
    def compare(case):
        seed, (rows, length) = case
        request = body(rows, length, seed)
        padded, bare = (outputs(server, model, request) for model in ("padded", "bare"))
        assert padded["scores"].shape == (rows, length)
        assert padded["mean"].shape == (rows, 3)
        for name, expect in bare.items():
            np.testing.assert_allclose(padded[name], expect, rtol=1e-5, atol=1e-6)

    shapes = [(rows, length) for rows in (1, 2, 3) for length in (1, 3, 8, 9, 15, 20, 32)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(compare, enumerate(shapes * 3)))


def test_the_waste_is_counted(server):
    def counted(model):
        names = ("salver_batch_elements_total", "salver_batch_padding_elements_total")
        return [sum(it.value for it in server.scrape(name, model=model)) for name in names]

    for model in ("padded", "bare"):
        outputs(server, model, body(1, 8))
        outputs(server, model, body(2, 5))
    assert counted("padded") == [8 + 16, 6]
    assert counted("bare") == [8 + 10, 0]


@pytest.mark.parametrize(
    ("rows", "length", "fault"),
    [
        (1, 33, "the axis 'S' of model 'padded' must be from 1 to 32 long, got 33"),
        (1, 0, "the axis 'S' of model 'padded' must be from 1 to 32 long, got 0"),
        (
            9,
            20,
            "inference request must have at most 256 elements for 'padded', "
            "got 288: 9 rows of 32",
        ),
    ],
)
def test_what_is_too_large_is_refused(server, rows, length, fault):
    answer = server.ask("POST", "/v2/models/padded/infer", body(rows, length))
    assert (answer.status, answer.json()["error"]) == (400, fault)
    assert server.ask("POST", "/v2/models/padded/infer", body(1, 32)).status == 200


@pytest.mark.parametrize(
    ("fixture", "padding", "reason"),
    [
        ("masked", "values = { mask = 1 }", "padding changes the model's answers: output 'mean'"),
        ("unmasked", "", "padding changes the model's answers: output 'plain'"),
        ("masked", "values = { ids = 9 }", "padding changes the model's answers: the model"),
        ("unmasked", "values = { mask = 0 }", "no input is called 'mask': ids"),
        ("pair", "", "no input has a free axis 'S'"),
    ],
)
def test_padding_that_does_not_fit_the_model_is_refused(
    repository, start, fixture, padding, reason
):
    repository.version("m", 1, FIXTURES / f"{fixture}.onnx")
    repository.settings("m", f"[padding]\naxes = {{ S = [8, 16] }}\n{padding}\n")
    line = start(repository).settled().index()["m", "1"]
    assert line["state"] != "READY" and reason in line["reason"], line


def test_the_check_can_be_left_out(repository, start):
    repository.version("m", 1, FIXTURES / "unmasked.onnx")
    repository.settings("m", "[padding]\naxes = { S = [8] }\ncheck = false\n")
    server = start(repository).settled()
    request = {"inputs": body(1, 4)["inputs"][:1]}
    assert outputs(server, "m", request)["plain"].shape == (1, 3)
