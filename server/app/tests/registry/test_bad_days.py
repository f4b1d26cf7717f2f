"""A registry that hangs, lies or never ends while callers are served: they notice nothing, operators do."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from serving import Callers, numbers, wait_for, wine
from test_serve import model, serve  # noqa: F401

# Requests a second while the registry misbehaves.
RATE = 200
# Answers in a row, none failed, that are taken for "serving goes on".
ENOUGH = 400


class Web(ThreadingHTTPServer):
    """Gives version 1 of the sample, until it is told to lie."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lie = None
        self.looks, self.bodies = 0, 0
        self.hangs = threading.Event()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        pass  # whoever asked has heard enough


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def head(self, status, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def do_HEAD(self):
        whole, lie = wine(1), self.server.lie
        if lie == "circle":
            # A look that is sent in a circle is one look.
            self.server.looks += self.path == "/model.onnx"
            self.head(302, Location="/again" if self.path == "/model.onnx" else "/again?and=again")
        elif lie is None and self.headers.get("If-None-Match") == '"1"':
            self.head(304, ETag='"1"')
        else:
            self.server.looks += lie is not None
            self.head(200, ETag='"1"' if lie is None else '"2"', Content_Length=len(whole))

    def do_GET(self):
        whole, lie = wine(1), self.server.lie
        self.server.bodies += lie is not None
        if lie is None:
            self.head(200, ETag='"1"', Content_Length=len(whole))
            self.wfile.write(whole)
        elif lie == "hang":
            self.head(200, ETag='"2"', Content_Length=len(whole))
            self.wfile.write(whole[:100])
            self.wfile.flush()
            self.server.hangs.set()
            self.server.over.wait()
        elif lie == "page":
            self.head(200, Content_Type="text/html", Content_Length=len(whole))
            self.wfile.write(b"<html>" + b" " * (len(whole) - 6))
        elif lie == "short":
            self.head(200, ETag='"2"', Content_Length=100)
            self.wfile.write(whole[:100])
        elif lie == "endless":
            self.head(200, ETag='"2"')
            while not self.server.over.is_set():
                self.wfile.write(bytes(65536))


@pytest.fixture
def web():
    server = Web()
    yield server
    server.stop()


def goes_on(callers):
    """Waits until enough has been answered from now on."""
    before = sum(callers.heard)
    wait_for(lambda: sum(callers.heard) >= before + ENOUGH or callers.failed, "callers are answered")


@pytest.mark.parametrize(
    ("lie", "bodies", "result", "says"),
    [
        ("hang", 2, "slow", "nothing came for 30"),  # what had come was gone on with, once
        ("page", 1, "answer", "web page"),
        ("short", 1, "answer", "100 bytes where"),
        ("endless", 1, "answer", "more than the"),
        ("circle", 0, "answer", "redirects more than 5 times"),
    ],
)
def test_callers_notice_nothing_of_a_registry(web, serve, lie, bodies, result, says):  # noqa: F811
    server = serve(model(f"http://127.0.0.1:{web.server_port}/model.onnx")).ready()
    expected = {"1": numbers(server.infer())}
    with Callers(server, RATE, expected) as callers:
        goes_on(callers)
        web.lie = lie
        if lie == "hang":
            wait_for(web.hangs.is_set, "half of the body has come, and no more")
            goes_on(callers)
            assert server.index()["1"]["reason"] == "", "it is still being waited for"
        reason = wait_for(lambda: server.index()["1"]["reason"], "the index says why it is not followed")
        told, looks = time.monotonic(), web.looks
        assert web.bodies == bodies, "what fails the same way is not tried over and over"
        goes_on(callers)
        minutes = int((time.monotonic() - told) / 60)
        # A try is a look, and the pull's own.
        assert web.looks - looks <= 2 * minutes, "and not before a minute is over"
    assert not callers.failed, callers.failed[0]
    assert not callers.mixed, callers.mixed[0]
    assert says in reason, reason
    line = server.index()["1"]
    assert (line["state"], line["share"]) == ("READY", 1.0), "what was served is served"
    assert server.index().keys() == {"1"}, "and nothing else"
    assert server.metric("salver_registry_failing") == {'salver_registry_failing{model="wine"}': 1.0}
    looks = server.metric(f'salver_registry_looks_total{{model="wine",result="{result}"')
    assert list(looks.values()) == [1.0], server.metric("salver_registry_looks_total")
    (said,) = server.said("the address cannot be followed")
    assert (said["model"], said["reason"]) == ("wine", reason), "one line in the log"
