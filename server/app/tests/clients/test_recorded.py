"""Every recorded request, through every public client and in every encoding, gets its answer."""

import asyncio
import json

import pytest
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http
import tritonclient.http.aio as http_aio
from recorded import MODELS, cases
from server import ask, salver

models = pytest.mark.parametrize(("model", "version"), MODELS)

# Tensors in the request: behind the JSON or in it. Outputs: named or all of them, as bytes or JSON.
HTTP_WAYS = [(binary, outputs) for binary in (True, False) for outputs in (None, "binary", "json")]


def check(case, result, answer, request_id):
    """`answer` is the response's head as a dict; the arrays are the client's own."""
    assert answer["id"] == request_id
    assert answer["model_name"] == case.response["model_name"]
    assert answer["model_version"] == case.response["model_version"]
    assert sorted(it["name"] for it in answer["outputs"]) == sorted(case.output_names())
    for name in case.output_names():
        case.check(name, result.as_numpy(name))


def http_questions(model, version):
    for n, case in enumerate(cases(model, version)):
        for binary, outputs in HTTP_WAYS:
            named = [
                http.InferRequestedOutput(it, binary_data=outputs == "binary")
                for it in case.output_names()
            ]
            yield (
                case,
                {
                    "inputs": case.tensors(http, binary_data=binary),
                    "outputs": named if outputs else None,
                    "request_id": f"{n}-{binary}-{outputs}",
                    "model_version": version,
                },
            )


def grpc_questions(model, version):
    for n, case in enumerate(cases(model, version)):
        named = [grpc.InferRequestedOutput(it) for it in case.output_names()]
        for outputs in (None, named):
            yield (
                case,
                {
                    "inputs": case.tensors(grpc),
                    "outputs": outputs,
                    "request_id": f"{n}-{len(outputs or [])}",
                    "model_version": version,
                },
            )


@models
def test_http(samples, model, version):
    with samples.client(http) as client:
        for case, question in http_questions(model, version):
            result = client.infer(model, **question)
            check(case, result, result.get_response(), question["request_id"])


@models
def test_http_aio(samples, model, version):
    async def talk():
        async with samples.client(http_aio) as client:
            for case, question in http_questions(model, version):
                result = await client.infer(model, **question)
                check(case, result, result.get_response(), question["request_id"])

    asyncio.run(talk())


@models
def test_grpc(samples, model, version):
    with samples.client(grpc) as client:
        for case, question in grpc_questions(model, version):
            result = client.infer(model, **question)
            check(case, result, result.get_response(as_json=True), question["request_id"])


@models
def test_grpc_aio(samples, model, version):
    async def talk():
        async with samples.client(grpc_aio) as client:
            for case, question in grpc_questions(model, version):
                result = await client.infer(model, **question)
                check(case, result, result.get_response(as_json=True), question["request_id"])

    asyncio.run(talk())


@models
def test_one_output_of_several(samples, model, version):
    """What is named is what comes, and nothing else."""
    case = cases(model, version)[0]
    for name in case.output_names():
        body = case.request | {"outputs": [{"name": name}]}
        answer = ask(samples.http, "POST", f"/v2/models/{model}/versions/{version}/infer", body)
        assert [it["name"] for it in answer.json()["outputs"]] == [name]


@models
def test_plain_json(samples, model, version):
    """As curl sends it: the body as it was recorded, and no header that is not needed."""
    for case in cases(model, version):
        path = f"/v2/models/{model}/versions/{version}/infer"
        answer = ask(samples.http, "POST", path, case.request)
        assert answer.status == 200, answer.body
        assert answer.headers["Content-Type"] == "application/json"
        assert "id" not in answer.json()
        case.check_json(answer.json())


@models
def test_predict(samples, model, version, tmp_path):
    """`salver predict`, with the request from a file and from standard input."""
    url = f"http://{samples.http}"
    command = ["predict", model, "--version", version, "--url", url, "--output", "json", "--json"]
    for case in cases(model, version):
        request = json.dumps(case.request)
        (tmp_path / "request.json").write_text(request)
        for done in (
            salver(*command, tmp_path / "request.json"),
            salver(*command, "-", stdin=request),
        ):
            assert done.returncode == 0, done.stderr
            case.check_json(json.loads(done.stdout))


def test_the_newest_version_answers(samples):
    """Of a model with two versions, when the request names none."""
    case = cases("wine", 2)[1]
    answer = ask(samples.http, "POST", "/v2/models/wine/infer", case.request)
    case.check_json(answer.json())
