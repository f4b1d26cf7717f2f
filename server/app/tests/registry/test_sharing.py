"""Several processes and one cache; processes that are killed."""

import contextlib
import os
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from servers import BINARY, PATIENCE_S, plain
from serving import wait_for

DATA = os.urandom(1 << 20) * 64
# After so many bytes the command writes down what has come.
NOTED = 16 << 20
# What is sent at once: between two notes, so that none is being written when the command is killed.
HALF = NOTED + NOTED // 2


class Gate(ThreadingHTTPServer):
    """Sends one file: a part at once, the rest when `opened` is set."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.opened = threading.Event()
        self.asked = threading.Event()
        self.ranges = []


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def head(self, status, start=0):
        self.send_response(status)
        self.send_header("ETag", '"a"')
        self.send_header("Content-Length", len(DATA) - start)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
        self.end_headers()

    def do_HEAD(self):
        self.head(200)

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        with contextlib.suppress(OSError):  # who asked may be gone
            self.head(206 if wanted else 200, start)
            self.wfile.write(DATA[start:HALF])
            self.server.asked.set()
            self.server.opened.wait(PATIENCE_S)
            self.wfile.write(DATA[max(start, HALF) :])


@pytest.fixture
def gate():
    server = Gate()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.opened.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def start(salver, gate):
    """Starts a pull of its file."""
    environment = plain(SALVER_CACHE=str(salver.cache), HOME=str(salver.cache))
    uri = f"http://127.0.0.1:{gate.server_port}/model.onnx"
    processes = []

    def start():
        command = [BINARY, "models", "pull", uri]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        return processes[-1]

    start.uri = uri
    yield start
    for process in processes:
        process.kill()
        process.communicate()


def waits(process):
    """Does it wait? Then it has begun: nothing comes before the lock and the network that is waited for so."""
    folder = Path(f"/proc/{process.pid}")
    links = []
    for it in (folder / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(os.readlink(it))
    state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
    return "anon_inode:[eventpoll]" in links and state == "S"


def test_several_processes_fetch_once(gate, start, salver):
    pulls = [start() for _ in range(4)]
    assert gate.asked.wait(PATIENCE_S)
    wait_for(lambda: all(waits(it) for it in pulls), "all have begun")
    gate.opened.set()
    told = [pull.communicate(timeout=PATIENCE_S)[0] for pull in pulls]
    assert [pull.returncode for pull in pulls] == [0] * 4
    assert sum("fetched" in it for it in told) == 1
    assert len({it.splitlines()[1] for it in told}) == 1
    assert gate.ranges == [None]
    assert salver.pull(start.uri).files() == {"model.onnx": DATA}


def test_what_was_killed_is_gone_on_with(gate, start, salver):
    pull = start()
    assert gate.asked.wait(PATIENCE_S)
    partial = salver.cache / "partial"
    come = lambda: sum(it.stat().st_size for it in partial.iterdir())  # noqa: E731
    wait_for(lambda: come() >= HALF, "enough has come")
    pull.send_signal(signal.SIGKILL)
    pull.wait(PATIENCE_S)
    gate.opened.set()
    pulled = salver.pull(start.uri)
    assert pulled.fetched and pulled.files() == {"model.onnx": DATA}
    first, second = gate.ranges
    assert first is None and int(second.removeprefix("bytes=").removesuffix("-")) >= NOTED
    assert list((salver.cache / "staging").iterdir()) == [], "what the dead one left"
