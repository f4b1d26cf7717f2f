"""Runs the real binary on free ports, fills model repositories, and asks over plain HTTP.

Every server is a child of the tests: `Server.stop` ends it, by force if it does not go by itself.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[4]
BINARY = Path(os.environ.get("SALVER_BIN", ROOT / "target/debug/salver")).resolve()
SAMPLES = ROOT / "models/repository"
FIXTURES = ROOT / "backends/api/fixtures"

# Longer than anything takes that works, on a machine that is busy either.
PATIENCE_S = 120

# Longest body of a refusal, whatever it quotes.
ERROR_BYTES_MAX = 1024


def wait_for(condition, what, seconds=PATIENCE_S):
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return answer


def hold(port=0):
    """A socket that holds a port without listening, so that nobody else comes to have it. A server can listen there all
    the same: both reuse addresses. `None` if the port is somebody's already."""
    it = socket.socket()
    it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        it.bind(("127.0.0.1", port))
    except OSError:
        it.close()
        return None
    return it


def environment(**more):
    """Ours without anything that would configure a server."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("SALVER_")}
    return plain | more


def salver(*args, stdin=None, env=None, binary=BINARY):
    """Runs a command to its end."""
    return subprocess.run(
        [binary, *map(str, args)],
        input=stdin,
        env=environment(**(env or {})),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@dataclass
class Answer:
    """What came back over HTTP."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)

    def refused(self, status, says):
        """Is it a refusal? Its status, and one short text that names what is wrong."""
        assert self.status == status, self.body[:2000]
        assert self.headers["Content-Type"] == "application/json", self.headers["Content-Type"]
        assert len(self.body) <= ERROR_BYTES_MAX, f"{len(self.body)} bytes"
        assert list(self.json()) == ["error"], self.body
        error = self.json()["error"]
        assert says in error, f"{says!r} is not in {error!r}"


def ask(address, method, path, body=None, headers=()):
    """One request on a connection of its own. `headers` are pairs; a dict as body becomes JSON."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
    try:
        connection.putrequest(method, path)
        names = {name.lower() for name, _ in headers}
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            connection.putheader("Content-Length", str(len(body)))
        for name, value in headers:
            connection.putheader(name, value)
        # Refused before all of it was sent: the answer is there nevertheless.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


class Repository:
    """A folder of models, to which versions are added whole: copied aside, then renamed."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.mkdir()

    def sample(self, model, *versions):
        """Versions of a sample model; all of them if none are named. Its settings stay behind."""
        versions = versions or sorted(int(it.name) for it in (SAMPLES / model).glob("[0-9]*"))
        for version in versions:
            self.version(model, version, SAMPLES / model / str(version) / "model.onnx")

    def version(self, model, version, artifact):
        """A version with one artifact: a path, or its bytes."""
        data = artifact if isinstance(artifact, bytes) else artifact.read_bytes()
        aside = self.path / model / f".{version}"
        aside.mkdir(parents=True)
        (aside / "model.onnx").write_bytes(data)
        aside.rename(self.path / model / str(version))

    def settings(self, model, text):
        """The model's `model.toml`."""
        folder = self.path / model
        folder.mkdir(exist_ok=True)
        (folder / ".model.toml").write_text(text)
        (folder / ".model.toml").rename(folder / "model.toml")


# Free ports, and a repository that is looked at as often as a test's patience wants.
FLAGS = {
    "host": "127.0.0.1",
    "http_port": 0,
    "grpc_port": 0,
    "metrics_port": 0,
    "log_format": "json",
    "rest_ms": 0,
    "scan_interval_ms": 20,
}


class Server:
    """A running server. `http`, `grpc` and `metrics` are its addresses; `flags` go over `FLAGS`."""

    def __init__(self, repository, binary=BINARY, env=None, **flags):
        self._log = tempfile.TemporaryFile()
        command = [binary, "serve", "--model-repository", repository]
        for name, value in (FLAGS | flags).items():
            command += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
        self.process = subprocess.Popen(
            command, env=environment(**(env or {})), stdin=subprocess.DEVNULL, stderr=self._log
        )
        try:
            at = wait_for(self._listening, "the server listens")
        except BaseException:
            self.stop()
            raise
        self.http, self.grpc, self.metrics = (at[it] for it in ("http", "grpc", "metrics"))

    def _listening(self):
        assert self.process.poll() is None, f"ended at once: {self.log_text()}"
        return next(iter(self.logs("listening")), None)

    def settled(self):
        """Waits until the models found at the start have come up or failed."""
        wait_for(lambda: self.logs("the initial models have settled"), "the models settle")
        return self

    def log_text(self):
        return os.pread(self._log.fileno(), 1 << 26, 0).decode()

    def logs(self, message):
        """The whole lines of the log so far that bear the message. A library may write there as well, in pieces: one of
        ours may then stand behind the beginning of one of its."""
        whole, _, _ = self.log_text().rpartition("\n")
        lines = [line.partition('{"timestamp"') for line in whole.splitlines()]
        records = [json.loads(begin + rest) for _, begin, rest in lines if begin]
        return [it for it in records if it.get("message") == message]

    def client(self, module):
        """One of the public clients, at the port that is meant for it."""
        address = self.http if ".http" in module.__name__ else self.grpc
        return module.InferenceServerClient(address)

    def ask(self, method, path, body=None, headers=()):
        return ask(self.http, method, path, body, headers)

    def index(self):
        """The lines of the repository index by model and version."""
        lines = self.ask("POST", "/v2/repository/index").json()
        return {(it["name"], it.get("version")): it for it in lines}

    def state(self, model, version):
        return self.index().get((model, version), {}).get("state")

    def scrape(self, name=None, **labels):
        """Samples of the metrics: all of them, or those of one name that bear the labels."""
        text = ask(self.metrics, "GET", "/metrics").body.decode()
        families = text_string_to_metric_families(text)
        samples = [it for family in families for it in family.samples]
        bears = labels.items()
        return [it for it in samples if name in (None, it.name) and bears <= it.labels.items()]

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, seconds=PATIENCE_S):
        """The exit code, once it has ended."""
        return self.process.wait(seconds)

    def stop(self):
        """Ends it, and returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
