"""SIGTERM: not ready at once, what has begun is answered, and no peer can hold the server up."""

import contextlib
import json
import signal
import threading
import time

import grpc
import pytest
import tritonclient.grpc
from hyperframe.frame import GoAwayFrame, PingFrame
from recorded import cases
from server import SAMPLES, ask, wait_for
from wire import Http2, connect, head, is_closed

INFER = "/v2/models/add_sub/infer"
CASE = cases("add_sub", 1)[0]
BODY = json.dumps(CASE.request).encode()

# A lone request is held back so long for others to join it: that is what keeps it inside.
# No longer may be asked for.
SLOW = "[dynamic_batching]\nmax_queue_delay_us = 1000000\n"


def is_ready(server):
    return ask(server.metrics, "GET", "/v2/health/ready").status == 200


def is_refused(address):
    try:
        connect(address).close()
    except ConnectionRefusedError:
        return True
    return False


def half_sent(server):
    """A connection on which a request's header and half of its body have been sent."""
    before = inside(server)
    connection = connect(server.http)
    connection.sendall(head("POST", INFER, f"Content-Length: {len(BODY)}") + BODY[:20])
    wait_for(lambda: inside(server) > before, "the connection is accepted")
    return connection


def inside(server):
    """Connections to the port for HTTP that the server has taken in so far."""
    found = server.scrape("salver_connections_accepted_total", listener="http")
    return sum(it.value for it in found)


def test_what_is_half_sent_is_answered(start):
    server = start(SAMPLES).settled()
    with half_sent(server) as http1, Http2(server.http) as http2:
        stream = http2.begin("POST", INFER)
        http2.send(stream, BODY[:20], end=False)
        live = http2.begin("GET", "/v2/health/live", end=True)
        assert http2.answer(live).status == 200  # so the one before it is inside as well
        assert is_ready(server)
        server.signal()
        wait_for(lambda: not is_ready(server), "it is not ready")
        assert ask(server.metrics, "GET", "/v2/health/live").status == 200
        wait_for(lambda: is_refused(server.http) and is_refused(server.grpc), "peers are refused")
        assert server.process.poll() is None
        http2.wait(lambda it: isinstance(it, GoAwayFrame))
        http2.send(stream, BODY[20:])
        CASE.check_json(http2.answer(stream).json())
        http1.sendall(BODY[20:])
        with http1.makefile("rb") as reader:
            status, *headers = reader.read().partition(b"\r\n\r\n")[0].split(b"\r\n")
        assert status == b"HTTP/1.1 200 OK"
        assert b"connection: close" in headers
    assert server.wait() == 0
    assert server.logs("stopped")[0]["clean"] is True


def test_what_runs_is_answered(start, repository):
    """Over both protocols, and for as long as it takes within the time to drain."""
    repository.settings("add_sub", SLOW)
    repository.sample("add_sub", 1)
    # A machine that is busy may be slower than what holds the requests back: then they are answered before.
    assert any(drained(start(repository).settled()) for _ in range(5)), "answered before it was not ready"


def drained(server):
    """Were requests inside when it was seen to drain? They are answered in any case."""
    answers = []

    def by_http():
        answers.append(server.ask("POST", INFER, CASE.request).json())

    def by_grpc():
        with server.client(tritonclient.grpc) as client:
            result = client.infer("add_sub", CASE.tensors(tritonclient.grpc))
        CASE.check("sum", result.as_numpy("sum"))
        answers.append(CASE.response)

    threads = [threading.Thread(target=it) for it in (by_http, by_grpc)]
    for it in threads:
        it.start()
    inflight = "salver_inflight_requests"
    wait_for(lambda: answers or server.scrape(inflight)[0].value == 2, "both requests are inside")
    server.signal()
    wait_for(lambda: not is_ready(server), "it is not ready")
    were_inside = not answers
    for it in threads:
        it.join()
    for it in answers:
        CASE.check_json(it)
    assert len(answers) == 2
    assert server.wait() == 0
    return were_inside


def test_a_stream_of_requests(start):
    """Nothing that the server took in fails; what it did not take may go elsewhere."""
    server = start(SAMPLES).settled()
    inputs = CASE.tensors(tritonclient.grpc)
    answered, failed = [], []

    def talk():
        with server.client(tritonclient.grpc) as client:
            while not failed:
                try:
                    CASE.check("sum", client.infer("add_sub", inputs).as_numpy("sum"))
                    answered.append(time.monotonic())
                except tritonclient.grpc.InferenceServerException as error:
                    failed.append(error)

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for it in threads:
        it.start()
    wait_for(lambda: len(answered) > 200, "requests are answered")
    server.signal()
    for it in threads:
        it.join()
    assert server.wait() == 0
    for error in failed:
        # Connections are refused now; that is all that may go wrong.
        assert error.status() == "StatusCode.UNAVAILABLE"
        assert "failed to connect" in error.message().lower()
    assert server.logs("stopped")[0]["clean"] is True


def test_a_stream_that_comes_too_late_costs_no_other(start):
    """A client may have numbered it before it heard that the server stops, and send it after it has answered the ping."""
    server = start(SAMPLES).settled()
    with Http2(server.http) as peer:
        stream = peer.begin("POST", INFER)
        peer.send(stream, BODY[:20], end=False)
        server.signal()
        peer.wait(lambda it: isinstance(it, PingFrame) and "ACK" not in it.flags)
        late = peer.begin("POST", INFER)
        peer.grant(late, 65_535)
        peer.send(late, BODY)
        peer.send(stream, BODY[20:])
        CASE.check_json(peer.answer(stream).json())
        farewells = [peer.wait(lambda it: isinstance(it, GoAwayFrame)) for _ in range(2)]
        assert [(it.error_code, it.last_stream_id) for it in farewells] == [(0, 2**31 - 1), (0, stream)]
    assert server.wait() == 0
    assert server.logs("stopped")[0]["clean"] is True


def silent(server, peers):
    peers.enter_context(connect(server.http))


def half_a_header(server, peers):
    peers.enter_context(connect(server.http)).sendall(b"POST /v2/models/add_sub/infer HTT")


def half_a_body(server, peers):
    peers.enter_context(half_sent(server))


def deaf_http2(server, peers):
    """Opens a stream, never ends it, and answers neither GOAWAY nor PING: it no longer reads."""
    peer = peers.enter_context(Http2(server.http))
    peer.send(peer.begin("POST", INFER), BODY[:20], end=False)


def deaf_grpc(server, peers):
    peer = peers.enter_context(Http2(server.grpc))
    fields = [("content-type", "application/grpc"), ("te", "trailers")]
    stream = peer.begin("POST", "/inference.GRPCInferenceService/ModelInfer", fields)
    peer.send(stream, b"\0\0\0\1\0half of what was promised", end=False)


def deaf_idle_http2(server, peers):
    peers.enter_context(Http2(server.http))


def idle_keep_alive(server, peers):
    peer = peers.enter_context(connect(server.http))
    peer.sendall(head("GET", "/v2/health/live"))
    assert peer.recv(1000).startswith(b"HTTP/1.1 200 OK")


PEERS = [
    silent,
    half_a_header,
    half_a_body,
    deaf_http2,
    deaf_grpc,
    deaf_idle_http2,
    idle_keep_alive,
]


@contextlib.contextmanager
def stopped_within(server, most):
    began = time.monotonic()
    yield
    assert server.wait() == 0
    assert time.monotonic() - began < most


def test_no_peer_holds_the_server_up(start):
    """All of them at once, twice: the time to drain is for all together, not for each."""
    server = start(SAMPLES, drain_timeout=2).settled()
    with contextlib.ExitStack() as peers:
        for misbehave in PEERS * 2:
            misbehave(server, peers)
        # One after the other they would take 28 s.
        with stopped_within(server, 10):
            server.signal()
    assert server.logs("stopped")[0]["clean"] is False
    assert server.logs("connections are cut: the time to drain is up")


@pytest.mark.parametrize("misbehave", [silent, idle_keep_alive])
def test_idle_peers_cost_no_time(start, misbehave):
    """Nothing of theirs has begun, so the time to drain is not theirs."""
    server = start(SAMPLES, drain_timeout=15).settled()
    with contextlib.ExitStack() as peers:
        before = inside(server)
        misbehave(server, peers)
        wait_for(lambda: inside(server) > before, "the peer is let in")
        with stopped_within(server, 10):
            server.signal()


def test_the_second_signal_waits_for_nothing(start):
    server = start(SAMPLES, drain_timeout=600).settled()
    with half_sent(server) as peer:
        server.signal()
        wait_for(lambda: not is_ready(server), "it is not ready")
        server.signal(signal.SIGINT)
        assert server.wait() == 130
        assert is_closed(peer)


def test_no_time_at_all(start):
    server = start(SAMPLES, drain_timeout=0).settled()
    # The usual time is 30 s.
    with half_sent(server), stopped_within(server, 10):
        server.signal()


def test_a_server_without_traffic_stops_at_once(start):
    server = start(SAMPLES).settled()
    with grpc.insecure_channel(server.grpc) as channel:
        grpc.channel_ready_future(channel).result(10)
        with stopped_within(server, 10):
            server.signal(signal.SIGINT)
    assert server.logs("stopping")[0]["signal"] == "SIGINT"
