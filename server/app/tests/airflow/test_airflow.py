"""The server's trigger against a real Airflow 3."""

from conftest import PASSWORD, wait_for


def new(airflow, before, dag="train"):
    return {run: it for run, it in airflow.runs(dag).items() if run not in before}


def test_a_trigger_starts_exactly_one_run(airflow, start):
    before = airflow.runs()
    server = start()
    shown = server.told("test", "retrain", "--id", "monday")
    assert shown["result"] == "dry_run"
    assert new(airflow, before) == {}, "a test sends nothing"

    fired = server.told("fire", "retrain", "--id", "monday", "--reason", "new labels")
    assert (fired["result"], fired["event"]["key"]) == ("fired", shown["event"]["key"])
    wait_for(lambda: "delivered" in server.results(), "Airflow is told")
    [(run, it)] = new(airflow, before).items()
    assert (it["state"], run) == ("queued", f"salver__{fired['event']['key']}")
    conf = it["conf"]
    assert (conf["model"], conf["cause"], conf["evidence"]["text"]) == ("wine", "manual", "new labels")
    assert conf["parameters"] == {"name": f"wine-{conf['version']}"}

    # The server knows the id, another one does not, and Airflow does: its 409 is as good as a run.
    assert server.told("fire", "retrain", "--id", "monday")["result"] == "duplicate"
    other = start("other")
    assert other.told("fire", "retrain", "--id", "monday")["result"] == "fired"
    wait_for(lambda: other.results() == ["fired", "duplicate"], "Airflow knows it")
    assert 'salver_trigger_deliveries_total{target="training",result="duplicate"} 1' in other.metrics()
    assert list(new(airflow, before)) == [run]

    # One at a time, until Airflow says that it has ended.
    refused = server.command("fire", "retrain", "--id", "tuesday")
    assert refused.returncode == 1 and "is under way" in refused.stderr, refused
    assert "under way" in server.command("list").stdout
    airflow.end(run, "success")
    wait_for(lambda: "run_succeeded" in server.results(), "the end is noticed")
    assert server.told("fire", "retrain", "--id", "tuesday")["result"] == "fired"
    wait_for(lambda: len(new(airflow, before)) == 2, "another run")


def test_what_fired_before_a_crash_is_delivered_after_it(airflow, start):
    before = airflow.runs()
    server = start(url="http://127.0.0.1:1")
    key = server.told("fire", "retrain", "--id", "crash")["event"]["key"]
    wait_for(lambda: "retry" in server.results(), "nobody answers")
    server.kill()
    server = start()
    wait_for(lambda: "delivered" in server.results(), "Airflow is told")
    assert list(new(airflow, before)) == [f"salver__{key}"]
    assert server.told("list")[0]["pending"] == 0


def test_a_paused_dag_is_pointed_out(airflow, start):
    server = start(dag="rests")
    server.told("fire", "retrain")
    wait_for(lambda: "delivered" in server.results(), "Airflow is told")
    assert "is paused" in server.audit()[-1][1]["note"]


def test_a_wrong_password_ends_in_a_dead_letter_and_nowhere_else(start):
    server = start(password="wrong-wrong")
    server.told("fire", "retrain")
    wait_for(lambda: "dead" in server.results(), "it is given up")
    kept = [it for it in server.folder.rglob("*") if it.is_file() and it.name != "password"]
    assert any(it.name == "dead_letters.jsonl" for it in kept)
    for it in kept:
        content = it.read_bytes()
        assert b"wrong-wrong" not in content and PASSWORD.encode() not in content, it


def test_an_operator_silences_a_trigger(start):
    server = start()
    assert server.told("mute", "retrain", "--hours", "2")["muted_until"] is not None
    assert "muted" in server.command("list").stdout
    assert server.told("unmute", "retrain")["muted_until"] is None
    assert server.results() == ["muted", "unmuted"]
    unknown = server.command("mute", "nobody")
    assert unknown.returncode == 1 and "there is no trigger 'nobody'" in unknown.stderr
