"""However a caller says how long it waits, a request whose time is up ends with that code."""

import pytest
import tritonclient.grpc as grpc
import tritonclient.http as http
from recorded import cases
from server import wait_for
from tritonclient.grpc import service_pb2
from wire import Http2

INFER = "/v2/models/add_sub/infer"
CASE = cases("add_sub", 1)[0]
LONG_US = 20_000_000

# How it is said over HTTP: a parameter in microseconds, or a header in milliseconds.
WAYS = {
    "parameter": lambda us: ({"parameters": {"timeout": us}}, []),
    "header": lambda us: ({}, [("X-Request-Timeout-Ms", str(us // 1000))]),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_http(samples, way):
    more, headers = way(1)
    answer = samples.ask("POST", INFER, CASE.request | more, headers)
    answer.refused(504, "timeout")
    more, headers = way(LONG_US)
    answer = samples.ask("POST", INFER, CASE.request | more, headers)
    CASE.check_json(answer.json())


@pytest.mark.parametrize("value", ["soon", "-1", "1.5", ""])
def test_a_header_that_is_no_time(samples, value):
    headers = [("X-Request-Timeout-Ms", value)]
    samples.ask("POST", INFER, CASE.request, headers).refused(400, "x-request-timeout-ms")


@pytest.mark.parametrize("module", [http, grpc], ids=["http", "grpc"])
def test_clients(samples, module):
    """The public clients' `timeout` of a request: microseconds, kept by the server."""
    inputs = CASE.tensors(module)
    with samples.client(module) as client:
        with pytest.raises(module.InferenceServerException, match="timeout expired") as error:
            client.infer("add_sub", inputs, timeout=1)
        assert error.value.status() in ("504", "StatusCode.DEADLINE_EXCEEDED")
        result = client.infer("add_sub", inputs, timeout=LONG_US)
    CASE.check("sum", result.as_numpy("sum"))


# A call's own limit: at most eight digits and a unit. The code of the answer; 0 is OK.
CALL_TIMEOUTS = [("1n", 4), ("0S", 4), ("20S", 0), ("1H", 0), ("20", 0), ("1x", 0)]


@pytest.mark.parametrize(("timeout", "code"), CALL_TIMEOUTS)
def test_grpc_timeout(samples, timeout, code):
    """Kept by the server too, for a client that does not look at the clock itself."""
    request = service_pb2.ModelInferRequest(model_name="add_sub")
    for name, datatype, data in CASE.inputs():
        request.inputs.add(name=name, datatype=datatype, shape=data.shape)
        request.raw_input_contents.append(data.tobytes())
    message = request.SerializeToString()
    fields = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", timeout)]
    with Http2(samples.grpc) as connection:
        stream = connection.begin("POST", "/inference.GRPCInferenceService/ModelInfer", fields)
        connection.send(stream, b"\0" + len(message).to_bytes(4, "big") + message)
        answer = connection.answer(stream)
    assert int(answer.headers["grpc-status"]) == code


def test_a_caller_that_leaves(start, repository):
    """What nobody waits for any more is not run, not even beside another request."""
    repository.settings("add_sub", "[dynamic_batching]\nmax_queue_delay_us = 1000000\n")
    repository.sample("add_sub", 1)
    server = start(repository).settled()

    def count(name):
        return server.scrape(name, model="add_sub")[0].value

    def ended(code):
        found = server.scrape("salver_requests_total", model="add_sub", protocol="grpc", code=code)
        return sum(it.value for it in found)

    def leaves():
        """Did it leave before it was answered? A machine that is busy may be slower than what holds it back."""
        before = ended("OK")
        with server.client(grpc) as client:
            call = client.async_infer("add_sub", CASE.tensors(grpc), lambda result, error: None)
            inside = lambda: count("salver_inflight_requests") == 1  # noqa: E731
            wait_for(lambda: inside() or ended("OK") > before, "the request is inside")
            call.cancel()
            wait_for(lambda: ended("CANCELLED") or ended("OK") > before, "the request is gone")
        wait_for(lambda: not inside(), "nothing is left of it")
        return ended("OK") == before

    rows = count("salver_inferences_total")
    assert any(leaves() for _ in range(5)), "answered before it could leave"
    CASE.check_json(server.ask("POST", INFER, CASE.request).json())
    assert count("salver_inferences_total") == rows + ended("OK") + 1
    cancelled = server.scrape("salver_requests_total", model="add_sub", code="CANCELLED")
    assert [(it.labels["protocol"], it.value) for it in cancelled] == [("grpc", 1)]
