"""Two servers and a balancer in front. Each ends with its fixture, also when a test fails or is interrupted."""

import signal
import sys
from pathlib import Path

import pytest

# What the tests of the clients run servers with.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

from balancers import Envoy, Haproxy  # noqa: E402
from server import Repository, Server  # noqa: E402


def pytest_configure():
    # Whoever ends the tests ends them like Ctrl-C does: the fixtures get to stop their servers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def start():
    """Starts servers as `Server` does. A failed test shows what they logged."""
    servers = []

    def start(repository, **settings):
        servers.append(Server(repository.path, **settings))
        return servers[-1].settled()

    yield start
    for it in servers:
        it.stop()
        print(it.log_text())


@pytest.fixture
def repository(tmp_path):
    """Makes repositories with versions of `wine`, as many as are asked for."""
    made = []

    def repository(*versions, settings=""):
        made.append(Repository(tmp_path / f"models-{len(made)}"))
        made[-1].settings("wine", settings)
        made[-1].sample("wine", *versions)
        return made[-1]

    return repository


@pytest.fixture
def balance(tmp_path):
    """Puts a balancer of a kind in front of servers."""
    balancers = []

    def balance(kind, name, servers):
        if kind is Haproxy and not Haproxy.BINARY:
            pytest.skip("haproxy is not installed")
        balancers.append(kind(tmp_path, name, servers))
        return balancers[-1]

    yield balance
    for it in balancers:
        it.stop()
        print(it.log_text())


@pytest.fixture(params=[Envoy, Haproxy])
def kind(request):
    return request.param
