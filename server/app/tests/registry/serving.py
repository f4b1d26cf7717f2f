"""`salver serve` with models of registries, and those who ask it."""

import http.client
import json
import os
import struct
import subprocess
import threading
import time
from pathlib import Path

import grpc
from servers import BINARY, PATIENCE_S, ROOT, plain

SAMPLES = ROOT / "models/repository"
# A row to which the two versions of the sample give different answers.
FEATURES = [12.47, 1.52, 2.2, 19.0, 162.0, 2.5, 2.27, 0.32, 3.28, 2.6, 1.16, 2.63, 937.0]
ROW = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 13], "data": FEATURES}]}
TOLERANCE = 1e-4
CALLERS = 8


def wine(version):
    """The sample's bytes."""
    return (SAMPLES / "wine" / str(version) / "model.onnx").read_bytes()


def wait_for(condition, what, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return answer


class Server:
    """`salver serve` with a file of settings, on free ports, with the cache of `folder`."""

    def __init__(self, folder, settings, *flags, **environment):
        self.folder = folder
        self.log = open(folder / f"log-{time.monotonic_ns()}", "w+b")
        config = folder / "salver.toml"
        config.write_text(settings)
        ports = [word for port in ("http", "grpc", "metrics") for word in (f"--{port}-port", "0")]
        quick = ["--scan-interval-ms", "20", "--rest-ms", "0", "--log-format", "json"]
        command = [BINARY, "serve", "--host", "127.0.0.1", "--config", config, *ports, *quick, *flags]
        self.environment = plain(SALVER_CACHE=str(folder / "cache"), HOME=str(folder), **environment)
        self.process = subprocess.Popen([str(it) for it in command], stderr=self.log, env=self.environment)
        try:
            heard = wait_for(lambda: self.said("listening"), "the server listens")[0]
        except AssertionError:
            self.stop()
            raise
        self.http, self.grpc, self.metrics = heard["http"], heard["grpc"], heard["metrics"]

    def text(self):
        return Path(self.log.name).read_text()

    def said(self, message):
        """The log's lines with that message."""
        assert self.process.poll() is None, self.text()
        lines = [json.loads(it) for it in self.text().splitlines() if it.startswith("{") and it.endswith("}")]
        return [it for it in lines if it.get("message") == message]

    def ask(self, method, path, body=None, at=None):
        connection = http.client.HTTPConnection(at or self.http, timeout=20)
        try:
            connection.request(method, path, body and json.dumps(body))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def infer(self, path="/v2/models/wine/infer"):
        status, body = self.ask("POST", path, ROW)
        assert status == 200, (status, body)
        return json.loads(body)

    def version(self):
        return self.infer()["model_version"]

    def ready(self):
        wait_for(lambda: self.ask("GET", "/v2/health/ready")[0] == 200, "the server is ready")
        return self

    def serves(self, version):
        wait_for(lambda: self.version() == version, f"version {version} answers")

    def index(self, model="wine"):
        """The lines of a model, by version."""
        lines = json.loads(self.ask("POST", "/v2/repository/index", {})[1])
        return {it.get("version"): it for it in lines if it["name"] == model}

    def metric(self, name):
        lines = self.ask("GET", "/metrics", at=self.metrics)[1].decode().splitlines()
        return {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines if line.startswith(name)}

    def rss(self):
        """Bytes in memory."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def command(self, *words):
        """The command line, against this server."""
        where = ["--url", f"http://{self.http}"]
        return subprocess.run(
            [BINARY, *words, *where],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.log.close()


def numbers(answer):
    """All outputs of a JSON answer, one after the other."""
    return [float(it) for output in answer["outputs"] for it in output["data"]]


def field(number, data):
    """A length-delimited field of a protobuf message."""
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def fields(data):
    """(number, value) of each field of a message; of varints the number."""
    place = 0

    def read():
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(data):
        key = read()
        if key & 7 == 0:
            yield key >> 3, read()
        else:
            assert key & 7 == 2, key
            length = read()
            yield key >> 3, data[place : place + length]
            place += length


TENSOR = field(1, b"features") + field(2, b"FP32") + field(3, varint(1) + varint(13))
REQUEST = field(1, b"wine") + field(5, TENSOR) + field(7, struct.pack("<13f", *FEATURES))


def told(message):
    """Version and numbers of a ModelInferResponse."""
    version, kinds, raw = None, [], []
    for number, value in fields(message):
        if number == 2:
            version = value.decode()
        elif number == 5:
            kinds.append(dict(fields(value))[2])
        elif number == 6:
            raw.append(value)
    forms = {b"FP32": "f", b"INT64": "q"}
    parts = [struct.iter_unpack(f"<{forms[kind]}", data) for kind, data in zip(kinds, raw, strict=True)]
    return version, [float(number) for part in parts for (number,) in part]


class Callers:
    """Ask for `wine` at a steady rate, half of them over gRPC; note what failed, and what did not
    agree with the version that it bears."""

    def __init__(self, server, rate, expected):
        self.server, self.expected = server, expected
        self.period = CALLERS / rate
        self.failed, self.mixed, self.heard = [], [], [0] * CALLERS
        self.over = threading.Event()
        talks = [self.talk_http, self.talk_grpc]
        self.threads = [threading.Thread(target=talks[n % 2], args=(n,)) for n in range(CALLERS)]

    def __enter__(self):
        self.began = time.monotonic()
        for it in self.threads:
            it.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for it in self.threads:
            it.join()
        self.took = time.monotonic() - self.began

    def rate(self):
        return sum(self.heard) / self.took

    def paced(self, number, ask):
        """Asks when it is time to: who is late catches up."""
        due = time.monotonic() + self.period * number / CALLERS
        while not self.over.wait(max(0.0, due - time.monotonic())):
            due += self.period
            try:
                version, got = ask()
            except Exception as error:  # whatever it is, no request may fail
                self.failed.append(error)
                continue
            self.heard[number] += 1
            want = self.expected.get(version, [])
            near = len(want) == len(got) and all(abs(a - b) <= TOLERANCE for a, b in zip(want, got, strict=True))
            if not near:
                self.mixed.append((version, got))

    def talk_http(self, number):
        connection = http.client.HTTPConnection(self.server.http, timeout=20)
        body = json.dumps(ROW)

        def ask():
            connection.request("POST", "/v2/models/wine/infer", body)
            response = connection.getresponse()
            answer = response.read()
            assert response.status == 200, (response.status, answer)
            answer = json.loads(answer)
            return answer["model_version"], numbers(answer)

        self.paced(number, ask)
        connection.close()

    def talk_grpc(self, number):
        with grpc.insecure_channel(self.server.grpc) as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            self.paced(number, lambda: told(call(REQUEST, timeout=20)))


def run(folder, *words):
    """The command line by itself."""
    return subprocess.run(
        [BINARY, *map(str, words)],
        env=plain(SALVER_CACHE=str(folder / "cache"), HOME=str(folder)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
