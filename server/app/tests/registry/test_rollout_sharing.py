"""Servers that share their rollouts in an object store: one decides, all follow, another takes over."""

import itertools
import json
import os
import shutil
import signal

import pytest
import stores
from serving import ROW, SAMPLES, Server, wait_for

ROLLOUT = "/v2/models/wine/rollout"
PLAN = {"steps": "50,100", "shadow_rows": 0, "latency": False, "step_duration_s_min": 0, "error_rate_ok": 0.2}
NOT_SHARED = "rollouts are not shared; they stay as they are"


@pytest.fixture
def store(request, tmp_path):
    """A store of the test's own: of S3, unless it is marked with another."""
    store = stores.start(getattr(request, "param", "s3"), tmp_path)
    if store is None:
        pytest.skip("no Azurite: `make azurite` fetches it")
    yield store
    store.child.stop()


@pytest.fixture
def replica(tmp_path, store):
    """Starts one with two versions of wine, of which the first serves; each has a copy of its own."""
    servers = []

    def start():
        share = f"{store.scheme}://models/shared/here"
        folder = tmp_path / f"replica-{len(servers)}"
        shutil.copytree(SAMPLES / "wine", folder / "models/wine", ignore=shutil.ignore_patterns("model.toml"))
        (folder / "models/wine/model.toml").write_text("version_policy = { specific = [1] }\n")
        flags = ("--model-repository", folder / "models", "--rollout-share", share, "--rollout-interval-ms", 50)
        servers.append(Server(folder, "", *flags, **store.place))
        return servers[-1].ready()

    start.folder = lambda server: server.folder / "models/wine"
    yield start
    for it in servers:
        if it.process.poll() is None:
            it.stop()


def view(server):
    return json.loads(server.ask("GET", ROLLOUT)[1])


def begin(server, **plan):
    status, body = server.ask("POST", ROLLOUT, {"to": 2, "plan": PLAN | plan})
    assert status == 200, body
    return json.loads(body)


def call(server):
    """One request; the version that answered."""
    status, body = server.ask("POST", "/v2/models/wine/infer", ROW)
    assert status == 200, body
    return json.loads(body)["model_version"]


def becomes(servers, condition, what):
    """Asks all of them for predictions until each one's rollout is so."""
    turns = itertools.cycle(servers)

    def all_are():
        for _ in range(30):
            call(next(turns))
        return all(condition(view(it)) for it in servers)

    wait_for(all_are, what)


def in_state(name):
    return lambda it: it.get("state", {}).get("name") == name


def at_half(it):
    return it.get("weight") == "50"


def all_at_half(servers):
    """Waits for that without asking for predictions: what is counted meanwhile could be enough to promote."""
    wait_for(lambda: all(at_half(view(it)) for it in servers), "all give it half of the requests")


def records(store):
    """The decisions in the bucket, by their number."""
    read = [json.loads(store.read(name)) for name in store.written("shared/here/rollouts/wine/")]
    return sorted(read, key=lambda it: it["number"])


@pytest.mark.parametrize("store", ["s3", "az"], indirect=True)
def test_one_that_ends_midway_is_replaced(store, replica):
    """What is begun on one and counted on both is promoted by the other, with what the first had counted."""
    gone, other = replica(), replica()
    begin(gone, step_requests_min=400)
    all_at_half([gone, other])
    first = view(gone)["shared"]
    assert first["leader"] == first["me"] and first["term"] == 1
    for it in [gone, other] * 20:
        call(it)
    counted = lambda it: view(it)["counts"]["canary"]["requests"] > 0  # noqa: E731
    wait_for(lambda: counted(gone) and counted(other), "the counts are shared")
    gone.process.kill()
    gone.process.wait()
    wait_for(lambda: view(other)["shared"]["term"] == 2, "the other leads")
    shown = view(other)["shared"]
    assert shown["leader"] == shown["me"] != first["leader"]
    becomes([other], in_state("promoted"), "the other has promoted it")
    assert {call(other) for _ in range(5)} == {"2"}
    kept = records(store)
    assert [it["number"] for it in kept] == list(range(1, len(kept) + 1)), "each once"
    assert [it["saved"]["rollout"]["state"]["name"] for it in kept].count("promoted") == 1
    # Who comes later takes up what the store says, before its first load.
    third = replica()
    assert {call(third) for _ in range(5)} == {"2"}


def test_a_store_that_ends_midway_decides_nothing(store, replica):
    """Everybody goes on as it was and says why; nothing is promoted, whatever is counted."""
    both = [replica(), replica()]
    begin(both[0], step_requests_min=300)
    all_at_half(both)
    store.child.stop()
    for it in both:
        wait_for(lambda it=it: it.said(NOT_SHARED), "it says so")
        assert it.metric("salver_rollout_share_failures_total")["salver_rollout_share_failures_total"] > 0
    # More than a promotion needs.
    for it in both:
        versions = [call(it) for _ in range(700)]
        assert set(versions) == {"1", "2"}
    for it in both:
        assert in_state("running")(view(it)), view(it)["state"]
        fault = view(it)["shared"]["fault"]
        assert "the shared state cannot be reached" in fault and "s3://models/shared/here" in fault, fault
        shown = it.command("rollout", "status", "wine")
        assert shown.returncode == 0 and fault in shown.stdout, shown
    status, body = both[1].ask("POST", f"{ROLLOUT}/promote")
    assert status == 503 and b"the shared state cannot be reached" in body, (status, body)
    said = both[0].said(NOT_SHARED)
    assert len(said) <= 3, said


def test_a_store_that_hangs_keeps_nobody_from_serving(store, replica):
    """It takes connections and says nothing: calls are given up, and what was counted meanwhile counts later."""
    both = [replica(), replica()]
    begin(both[0], step_requests_min=300)
    all_at_half(both)
    os.killpg(store.child.process.pid, signal.SIGSTOP)
    try:
        for it in both:
            for _ in range(700):
                call(it)
            assert wait_for(lambda it=it: it.said(NOT_SHARED), "it says so")
            shared = view(it)["shared"]
            assert "no answer within" in shared["fault"] and in_state("running")(view(it)), shared
    finally:
        os.killpg(store.child.process.pid, signal.SIGCONT)
    for it in both:
        wait_for(lambda it=it: it.said("shared rollouts can be read and written again"), "it is back")
        wait_for(lambda it=it: in_state("promoted")(view(it)), "what was counted is enough")
        assert "fault" not in view(it)["shared"]
    kept = [it["saved"]["rollout"]["state"]["name"] for it in records(store)]
    assert kept.count("promoted") == 1, kept


def test_what_is_not_the_same_everywhere_is_held(replica):
    """One replica has other bytes of the candidate: it is named, and nothing is promoted."""
    leader, odd = replica(), replica()
    metadata = replica.folder(odd) / "2/notes.txt"
    metadata.write_text("not what the other has")
    begin(leader)
    for it in [leader, odd]:
        wait_for(lambda it=it: in_state("held")(view(it)), "it is held")
    last = view(leader)
    assert last["state"]["why"] == "differs"
    words = last["evidence"][-1]["words"]
    assert "replicas have other bytes of the candidate" in words and last["shared"]["me"] in words, words
    replicas = {it["replica"]: it for it in last["shared"]["replicas"]}
    mine, theirs = replicas.pop(last["shared"]["me"]), *replicas.values()
    assert (mine["digest_differs"], theirs["digest_differs"]) == (False, True)
    assert mine["digests"]["1"] == theirs["digests"]["1"] and mine["digests"]["2"] != theirs["digests"]["2"]
    shown = leader.command("rollout", "status", "wine").stdout
    for digest in (mine["digests"]["2"], theirs["digests"]["2"]):
        assert digest[:19] in shown, shown
    assert leader.metric("salver_rollout_digest_differs")['salver_rollout_digest_differs{model="wine"}'] == 1
    assert len(leader.said("replicas have other bytes of a version; it is not promoted")) == 1
    status, body = odd.ask("POST", f"{ROLLOUT}/promote")
    assert status == 400, (status, body)
    assert {call(it) for it in [leader, odd] * 3} == {"1"}


def test_an_address_that_cannot_be_used_is_refused(tmp_path, store):
    """A bucket that is not there, found at the start and said in words."""
    folder = tmp_path / "refused"
    shutil.copytree(SAMPLES / "wine", folder / "models/wine")
    with pytest.raises(AssertionError) as refused:
        flags = ("--model-repository", folder / "models", "--rollout-share", "s3://nobody/shared")
        Server(folder, "", *flags, **store.place)
    assert "state of rollouts s3://nobody/shared" in str(refused.value)
