"""Versions come and go while requests run: none fails, each is answered by one version alone."""

import threading
import time

import numpy as np
import pytest
import tritonclient.grpc as grpc
import tritonclient.http as http
from recorded import cases
from server import wait_for

# The same row, to which the two versions give different answers.
CASES = {str(version): cases("wine", version)[1] for version in (1, 2)}

# Each thread waits so long between requests: several hundred a second in all.
PAUSE_S = 0.005
CALM_S = 0.6


class Traffic:
    """Threads that ask for `wine` without a version; what they heard, and when they asked."""

    def __init__(self, server):
        self.heard = []
        self.failed = []
        self._over = threading.Event()
        modules = [http, grpc] * 2
        self._threads = [threading.Thread(target=self._talk, args=(server, it)) for it in modules]

    def __enter__(self):
        for it in self._threads:
            it.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for it in self._threads:
            it.join()

    def _talk(self, server, module):
        inputs = CASES["1"].tensors(module)
        with server.client(module) as client:
            while not self._over.wait(PAUSE_S):
                asked = time.monotonic()
                try:
                    result = client.infer("wine", inputs)
                except Exception as error:  # whatever it is, no request may fail
                    self.failed.append(error)
                    continue
                head = result.get_response()
                version = head["model_version"] if module is http else head.model_version
                arrays = {it: result.as_numpy(it) for it in CASES["1"].output_names()}
                self.heard.append((asked, version, arrays))

    def count(self, version):
        return sum(1 for _, it, _ in self.heard if it == version)

    def calm(self):
        """Goes on for a while, in which every thread is heard."""
        before, until = len(self.heard), time.monotonic() + CALM_S
        wait_for(
            lambda: time.monotonic() > until and len(self.heard) > before + 20, "requests go on"
        )

    def check(self):
        """No request failed, and every answer is wholly that of the version it names."""
        assert not self.failed, self.failed[0]
        for _, version, arrays in self.heard:
            for name, got in arrays.items():
                CASES[version].check(name, got)


def test_the_versions_can_be_told_apart():
    label = {version: case.response["outputs"][1]["data"] for version, case in CASES.items()}
    assert np.abs(np.subtract(label["1"], label["2"])).max() > 0.1


@pytest.mark.parametrize("transition", ["availability", "resources"])
def test_a_new_version_under_load(start, repository, transition):
    """`availability` promises that nobody notices; with `resources` there is a gap, said so."""
    repository.settings("wine", f'version_policy = {{ latest = 1 }}\ntransition = "{transition}"\n')
    repository.sample("wine", 1)
    server = start(repository).settled()
    with Traffic(server) as traffic:
        traffic.calm()
        repository.sample("wine", 2)
        wait_for(lambda: server.state("wine", "2") == "READY", "version 2 is ready")
        swapped = time.monotonic()
        traffic.calm()
        # Some of those that are calm were asked of the other version.
        wait_for(lambda: traffic.count("2") > 20, "version 2 answers")
    if transition == "resources":
        unavailable = ("503", "StatusCode.UNAVAILABLE")
        assert all(it.status() in unavailable for it in traffic.failed)
        traffic.failed.clear()
    traffic.check()
    assert traffic.count("1") > 20 and traffic.count("2") > 20
    late = {version for asked, version, _ in traffic.heard if asked > swapped}
    assert late == {"2"}
    wait_for(lambda: server.state("wine", "1") == "UNAVAILABLE", "version 1 is gone")


def test_back_to_the_old_version_under_load(start, repository):
    """The settings name another version: a rollback, with the same promise."""
    policy = "version_policy = {{ specific = [{}] }}\n".format
    repository.settings("wine", policy(2))
    repository.sample("wine")
    server = start(repository).settled()
    with Traffic(server) as traffic:
        traffic.calm()
        repository.settings("wine", policy(1))
        wait_for(lambda: server.state("wine", "2") == "UNAVAILABLE", "version 2 is gone")
        swapped = time.monotonic()
        traffic.calm()
    traffic.check()
    assert {it for asked, it, _ in traffic.heard if asked > swapped} == {"1"}


def test_a_version_that_changes_under_load(start, repository):
    """The same number with new content: the old content answers until the new one can."""
    repository.sample("wine", 1)
    server = start(repository).settled()
    model = repository.path / "wine/1/model.onnx"
    with Traffic(server) as traffic:
        traffic.calm()
        aside = model.with_name(".model.onnx")
        aside.write_bytes(model.read_bytes())
        aside.rename(model)
        loaded = "model version is available"
        wait_for(lambda: len(server.logs(loaded)) == 2, "the new content is loaded")
        traffic.calm()
    traffic.check()
    assert traffic.count("1") == len(traffic.heard)
