"""Three processes that share their rollouts in a folder: one decides, all follow, another takes over."""

import itertools
import os
import random

import pytest
from server import FIXTURES, wait_for

DOUBLE = (FIXTURES / "double.onnx").read_bytes()
# The same inputs and outputs, other numbers: x * x instead of x + x.
SQUARE = DOUBLE.replace(b"Add", b"Mul")
ROLLOUT = "/v2/models/m/rollout"
# Whoever leads is replaced after ten seconds of silence: no replica is that slow while it lives.
INTERVAL_MS = 1000
NOTHING_WATCHED = {"latency": False, "step_duration_s_min": 0, "error_rate_ok": 0.2}


def shared(path):
    """Flags to share rollouts in that folder."""
    return {"rollout_share": f"file:{path}", "rollout_interval_ms": INTERVAL_MS}


@pytest.fixture
def three(start, repository, tmp_path):
    """Three replicas; versions 2 and 3 are there, and the file wants the first."""
    assert SQUARE != DOUBLE
    repository.settings("m", "version_policy = { specific = [1] }\n")
    for version, artifact in enumerate([DOUBLE, DOUBLE, SQUARE], start=1):
        repository.version("m", version, artifact)
    # By a link, which is switched in one step.
    (tmp_path / "there").mkdir()
    (tmp_path / "share").symlink_to("there")
    return [start(repository, **shared(tmp_path / "share")).settled() for _ in range(3)]


def view(server):
    return server.ask("GET", ROLLOUT).json()


def begin(server, to, **plan):
    answer = server.ask("POST", ROLLOUT, {"to": to, "plan": NOTHING_WATCHED | plan})
    assert answer.status == 200, answer.body
    return answer.json()


def call(server):
    """One request; the version that answered."""
    row = [random.uniform(3, 4) for _ in range(4)]
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": row}
    answer = server.ask("POST", "/v2/models/m/infer", {"inputs": [tensor]})
    assert answer.status == 200, answer.body
    return answer.json()["model_version"]


def becomes(servers, condition, what):
    """Asks all of them for predictions until each one's rollout is so."""
    turns = itertools.cycle(servers)

    def all_are():
        for _ in range(30):
            call(next(turns))
        return all(condition(view(it)) for it in servers)

    wait_for(all_are, what)


def all_at_half(servers):
    """Waits for that without asking for predictions: what is counted meanwhile could be enough to promote."""
    wait_for(lambda: all(view(it).get("weight") == "50" for it in servers), "all give it half of the requests")


def in_state(name):
    return lambda it: it.get("state", {}).get("name") == name


def test_a_good_one_takes_over_everywhere(three):
    """No replica could prove it alone: it is counted together."""
    begun = begin(three[0], 2, steps="50,100", shadow_rows=0, step_requests_min=300)
    assert begun["shared"]["leader"] == begun["shared"]["me"]
    for it in three[1:]:
        wait_for(lambda it=it: view(it).get("state"), "it is heard of")
        answer = it.ask("POST", ROLLOUT, {"to": 3})
        assert (answer.status, b"is under way" in answer.body) == (400, True), answer.body
    becomes(three, in_state("promoted"), "all have promoted it")
    last = [view(it)["evidence"][-1] for it in three]
    assert last[0] == last[1] == last[2]
    assert last[0]["counts"]["canary"]["requests"] >= 300
    assert {call(it) for it in three * 5} == {"2"}

    # Of every replica the same: how it converged, and what is ready there.
    def converged():
        shown = view(three[1])["shared"]
        acts_by = [it["acts_by"] for it in shown["replicas"]]
        return acts_by == [shown["number"]] * 3

    wait_for(converged, "all act by the last decision")


def test_a_bad_one_goes_back_everywhere(three):
    """Found on copies of requests, counted together; nobody was answered by it."""
    begin(three[1], 3, steps="50,100", shadow_rows=100_000, shadow_percent="100", difference_max=0.5)
    becomes(three, in_state("rolled_back"), "all have rolled it back")
    last = [view(it)["evidence"][-1] for it in three]
    assert last[0] == last[1] == last[2]
    assert last[0]["cause"] == {"guard": "difference"}, last[0]
    assert {call(it) for it in three * 5} == {"1"}
    for it in three:
        shown = it.scrape("salver_rollout_state", model="m", state="rolled_back")
        wait_for(lambda it=it: it.scrape("salver_rollout_replicas")[0].value == 3, "all are there")
        assert [it.value for it in shown] == [1]
    leads = lambda: [it.scrape("salver_rollout_leads")[0].value for it in three]  # noqa: E731
    wait_for(lambda: leads() == [0, 1, 0], "who began it leads")


def test_a_leader_that_is_killed_is_replaced(three):
    """The rollout goes on from where it was, and what the leader has counted is not lost."""
    begin(three[0], 2, steps="50,100", shadow_rows=0, step_requests_min=400)
    all_at_half(three)
    for it in three * 20:
        call(it)
    before = view(three[0])["shared"]
    gone = next(it for it in three if view(it)["shared"]["me"] == before["leader"])
    rest = [it for it in three if it is not gone]
    wait_for(lambda: view(rest[0])["counts"]["canary"]["requests"] > 0, "the counts are shared")
    gone.process.kill()
    gone.wait()

    def replaced(it):
        return it["shared"]["leader"] != before["leader"] and it["shared"]["term"] == before["term"] + 1

    for it in rest:
        wait_for(lambda it=it: replaced(view(it)), "another leads")
        assert in_state("running")(view(it))
    becomes(rest, in_state("promoted"), "the others have promoted it")
    assert {call(it) for it in rest * 5} == {"2"}
    # Whom an operator asks does not matter.
    follower = next(it for it in rest if view(it)["shared"]["leader"] != view(it)["shared"]["me"])
    answer = follower.ask("POST", f"{ROLLOUT}/abort")
    assert answer.json()["state"]["name"] == "rolled_back", answer.body
    for it in rest:
        wait_for(lambda it=it: in_state("rolled_back")(view(it)), "all have rolled it back")
        wait_for(lambda it=it: call(it) == "1", "the old version is back")


def leads_to(tmp_path, target):
    """Switches the shared folder at once: its replicas would make one that is missing."""
    (tmp_path / "next").symlink_to(target)
    os.replace(tmp_path / "next", tmp_path / "share")


def test_a_folder_that_is_gone_for_a_while(three, tmp_path):
    """Every replica goes on as it was, says so once, and finds back."""
    begin(three[0], 2, steps="50,100", shadow_rows=0, step_requests_min=1_000_000)
    all_at_half(three)
    (tmp_path / "nowhere").write_text("not a folder")
    leads_to(tmp_path, "nowhere")
    message = "rollouts are not shared; they stay as they are"
    for it in three:
        wait_for(lambda it=it: it.logs(message), "it says so")
        assert it.scrape("salver_rollout_share_failures_total")[0].value > 0
    answer = three[1].ask("POST", f"{ROLLOUT}/abort")
    answer.refused(503, "the shared state cannot be reached")
    assert {call(three[0]) for _ in range(100)} == {"1", "2"}
    leads_to(tmp_path, "there")
    for it in three:
        wait_for(lambda it=it: it.logs("shared rollouts can be read and written again"), "it is back")
    assert three[1].ask("POST", f"{ROLLOUT}/abort").status == 200
    for it in three:
        wait_for(lambda it=it: in_state("rolled_back")(view(it)), "all have rolled it back")


SETTINGS = """
[rollout]
steps = "50,100"
shadow_rows = 300
shadow_percent = "100"
step_requests_min = 200
step_duration_s_min = 0
latency = false
error_rate_ok = 0.2
difference_max = 0.5
"""


def test_what_arrives_is_rolled_out_everywhere(start, repository, tmp_path):
    """The file asks for it: one begins, all follow; who comes later does not load what was rolled back."""
    repository.settings("m", SETTINGS)
    repository.version("m", 1, DOUBLE)
    flags = shared(tmp_path / "share")
    replicas = [start(repository, **flags).settled() for _ in range(3)]
    assert {call(it) for it in replicas} == {"1"}
    repository.version("m", 2, DOUBLE)
    becomes(replicas, in_state("promoted"), "all have promoted it")
    assert {call(it) for it in replicas * 5} == {"2"}
    repository.version("m", 3, SQUARE)

    def back(it):
        return it.get("canary") == 3 and in_state("rolled_back")(it)

    becomes(replicas, back, "all have rolled the third back")
    fourth = start(repository, **flags).settled()
    assert {call(it) for it in [fourth, *replicas] * 5} == {"2"}
    assert fourth.scrape("salver_requests_total", model="m", version="3") == []


def test_what_is_forgotten_is_forgotten_everywhere(three):
    """The file says again what serves, on all of them; what is under way is not forgotten."""
    begin(three[0], 2, steps="50,100", shadow_rows=0, step_requests_min=1_000_000)
    all_at_half(three)
    three[1].ask("POST", "/v2/models/m/forget", {}).refused(400, "is under way")
    assert three[1].ask("POST", f"{ROLLOUT}/promote").status == 200
    becomes(three, in_state("promoted"), "all have promoted it")
    answer = three[2].ask("POST", "/v2/models/m/forget", {"by": "anna"})
    assert answer.status == 200, answer.body
    for it in three:
        wait_for(lambda it=it: it.ask("GET", ROLLOUT).status == 404, "it has none")
        wait_for(lambda it=it: call(it) == "1", "its file wants the first")
    begin(three[1], 3, steps="50,100", shadow_rows=0, step_requests_min=300)
    becomes(three, in_state("promoted"), "another takes over")
