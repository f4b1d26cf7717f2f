"""Callers that go through a balancer, over HTTP/1 and gRPC, each on one connection."""

import http.client
import json
import threading
from collections import Counter
from dataclasses import dataclass

import grpc
from recorded import cases
from server import PATIENCE_S, wait_for
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

# Both versions take it.
CASE = cases("wine", 1)[0]
INFER = "/v2/models/wine/infer"


@dataclass(frozen=True)
class Told:
    """Who answered: the version by the answer, by the header if there is one, and the server's address."""

    version: str
    header: str | None
    server: str


class Http:
    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
        self.body = json.dumps(CASE.request)

    def ask(self, headers=()):
        self.connection.request("POST", INFER, self.body, dict(headers))
        response = self.connection.getresponse()
        body = response.read()
        assert response.status == 200, (response.status, body)
        told = response.headers
        version = json.loads(body)["model_version"]
        return Told(version, told["x-salver-version"], told["x-served-by"])

    def close(self):
        self.connection.close()


class Grpc:
    def __init__(self, address):
        # A channel of its own, not one that callers in this process share.
        self.channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        self.stub = GRPCInferenceServiceStub(self.channel)
        self.request = service_pb2.ModelInferRequest(model_name="wine")
        for name, datatype, data in CASE.inputs():
            self.request.inputs.add(name=name, datatype=datatype, shape=data.shape)
            self.request.raw_input_contents.append(data.tobytes())

    def ask(self, headers=()):
        # The client would send again by itself what fails in certain ways: here nothing may fail.
        answer, call = self.stub.ModelInfer.with_call(
            self.request, metadata=list(headers), timeout=PATIENCE_S
        )
        told = dict(call.initial_metadata())
        return Told(answer.model_version, told.get("x-salver-version"), told["x-served-by"])

    def close(self):
        self.channel.close()


WAYS = [Http, Grpc]


class Load:
    """Callers of both kinds that ask one request after the other until they are told to stop."""

    EACH = 4

    def __init__(self, address):
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.answered, self.failed = Counter(), []
        self._threads = [
            threading.Thread(target=self._talk, args=(way, address))
            for way in WAYS
            for _ in range(self.EACH)
        ]
        for it in self._threads:
            it.start()

    def _talk(self, way, address):
        caller = way(address)
        while not self._over.is_set():
            try:
                told = caller.ask()
            except Exception as error:
                with self._lock:
                    self.failed.append((way.__name__, repr(error)))
                return
            with self._lock:
                self.answered[way.__name__, told] += 1
        caller.close()

    def count(self, way=None, server=None):
        """Answers so far, of all or of some."""
        with self._lock:
            assert not self.failed, self.failed
            return sum(
                many
                for (by, told), many in self.answered.items()
                if way in (None, by) and server in (None, told.server)
            )

    def more(self, many, server=None):
        """Waits for so many more answers to each kind of caller."""
        for way in WAYS:
            before = self.count(way.__name__, server)
            wait_for(
                lambda way=way, before=before: self.count(way.__name__, server) >= before + many,
                f"{many} more answers over {way.__name__}",
            )

    def stop(self):
        self._over.set()
        for it in self._threads:
            it.join()
