"""Two servers with one version each behind a balancer: nine tenths to one, a tenth to the other."""

import contextlib
import json
from collections import Counter

import pytest
from balancers import port
from callers import CASE, INFER, WAYS, Load
from server import hold, wait_for
from wire import connect, head

CALLS = 1_000
# With independent calls fewer than one thousand in a hundred million has a number outside: the tails of the
# binomial distribution beyond 57 calls from a tenth are 7.8e-9 together.
CANARY = range(100 - 57, 100 + 58)

BODY = json.dumps(CASE.request).encode()
# A request waits so long for others: some are always inside when a server is told to stop.
SLOW = "[dynamic_batching]\nmax_queue_delay_us = 20000\n"


@pytest.fixture
def servers(start, repository):
    """The stable one with version 1, and the canary with version 2."""
    stable = start(repository(1, settings="[labels]\nstable = 1\n"))
    canary = start(repository(2, settings="[labels]\ncanary = 2\n"))
    return [stable, canary]


@pytest.mark.parametrize("way", WAYS)
def test_nine_to_one(servers, balance, kind, way):
    """None of a thousand calls fails, and each answer is of the version of the server that gave it."""
    front = balance(kind, kind.CANARY, servers)
    caller = way(front.address)
    counts = Counter(caller.ask() for _ in range(CALLS))
    caller.close()
    gave = {(it.version, it.server): many for it, many in counts.items()}
    stable, canary = (it.http for it in servers)
    assert set(gave) == {("1", stable), ("2", canary)}, gave
    assert gave["2", canary] in CANARY, gave
    # The servers' own counts say the same.
    for server, version in zip(servers, "12", strict=True):
        did = server.scrape("salver_requests_total", model="wine", version=version)
        assert sum(it.value for it in did) == gave[version, server.http]
    print(f"{kind.__name__} {way.__name__}: {gave}")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("asked", ["2", "canary"])
def test_who_asks_for_the_canary_has_it(servers, balance, kind, way, asked):
    front = balance(kind, kind.CANARY, servers)
    caller = way(front.address)
    told = Counter(caller.ask([("x-salver-version", asked)]) for _ in range(30))
    caller.close()
    assert {(it.version, it.server) for it in told} == {("2", servers[1].http)}


@pytest.mark.parametrize("which", [0, 1], ids=["stable", "canary"])
def test_a_server_stops_and_comes_back(start, repository, balance, kind, which):
    """Under load, and no request fails: the balancer sees that it is not ready, and the other has its share."""
    folders = [repository(version, settings=SLOW) for version in (1, 2)]
    servers = [start(it) for it in folders]
    front = balance(kind, kind.CANARY, servers)
    goes, stays = servers[which], servers[1 - which]
    load = Load(front.address)
    try:
        load.more(20, goes.http)
        with half_sent(goes) as peer:
            goes.signal()
            wait_for(lambda: front.ready() == {stays.http}, "the balancer sees it")
            # By the answer to its check, not by the end of the server: that waits for this request.
            assert goes.process.poll() is None
            load.more(50, stays.http)
            peer.sendall(BODY[20:])
            with peer.makefile("rb") as reader:
                assert reader.read().startswith(b"HTTP/1.1 200 OK")
        assert goes.wait() == 0
        assert goes.logs("stopped")[0]["clean"] is True
        load.more(20, stays.http)
        ports = {"http_port": port(goes.http), "metrics_port": port(goes.metrics)}
        with contextlib.ExitStack() as held:
            for it in ports.values():
                held.enter_context(wait_for(lambda it=it: hold(it), "the port is nobody's"))
            start(folders[which], **ports)
        wait_for(lambda: front.ready() == {goes.http, stays.http}, "the balancer sees it again")
        load.more(5, goes.http)
    finally:
        load.stop()
    assert load.count() > 0
    answered = {(it.version, it.server) for _, it in load.answered}
    assert answered == {("1", servers[0].http), ("2", servers[1].http)}


def half_sent(server):
    """A connection past the balancer on which a request has been sent by half."""

    def inside():
        accepted = server.scrape("salver_connections_accepted_total", listener="http")
        return sum(it.value for it in accepted)

    before = inside()
    connection = connect(server.http)
    connection.sendall(head("POST", INFER, f"Content-Length: {len(BODY)}") + BODY[:20])
    wait_for(lambda: inside() > before, "the connection is accepted")
    return connection
