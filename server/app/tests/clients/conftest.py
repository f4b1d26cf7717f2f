"""Servers for the tests. Each ends with its fixture, also when a test fails or is interrupted."""

import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from recorded import cases
from server import BINARY, FIXTURES, SAMPLES, Repository, Server


def pytest_configure():
    # Whoever ends the tests ends them like Ctrl-C does: the fixtures get to stop their servers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def repository(tmp_path):
    """An empty repository."""
    return Repository(tmp_path / "models")


@pytest.fixture(scope="session")
def alone():
    """The binary where no library lies beside it. A link would lead back to one."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copy(BINARY, folder))


@pytest.fixture
def start():
    """Starts servers as `Server` does. A failed test shows what they logged."""
    servers = []

    def start(repository, **settings):
        path = repository.path if isinstance(repository, Repository) else repository
        servers.append(Server(path, **settings))
        return servers[-1]

    yield start
    for it in servers:
        it.stop()
        print(it.log_text())


@pytest.fixture(scope="session")
def samples():
    """Serves the sample models, for tests that change nothing."""
    server = Server(SAMPLES)
    yield server.settled()
    server.stop()


@pytest.fixture
def survives(samples):
    """After the test, the same process answers a good request, and its log holds no panic."""
    yield
    assert samples.process.poll() is None
    case = cases("add_sub", 1)[0]
    case.check_json(samples.ask("POST", "/v2/models/add_sub/infer", case.request).json())
    assert "panic" not in samples.log_text()


@pytest.fixture(scope="session")
def fixtures(tmp_path_factory):
    """Serves every model of backends/api/fixtures under its file's name."""
    repository = Repository(tmp_path_factory.mktemp("fixtures") / "models")
    for path in FIXTURES.glob("*.onnx"):
        repository.version(path.stem, 1, path)
    # Rows without a bound, so that messages can be large.
    repository.settings("double", "max_batch_size = 0\n")
    server = Server(repository.path)
    yield server.settled()
    server.stop()
