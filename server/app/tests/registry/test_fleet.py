"""`salver monitor`: one monitor over the logs of several servers, in object stores (moto, Azurite), in folders and in Kafka."""

import http.client
import json
import random
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from servers import BINARY, plain
from serving import SAMPLES, Server, run, wait_for
from test_log_sinks import Broker, Receiver

FEATURES = [f"f{n}" for n in range(13)]
# Rows of a request. A window of a thousand is more than either server is asked.
BATCH = 50
WINDOW = 1_000
# Longer than rows take to a log on a machine whose disk is busy: what comes later counts nowhere.
LATENESS_S = 10
ALARMS = 'salver_drift_alarms_total{model="wine",version="2",kind="drift"}'


def drawn(source, rows, shift=0.0):
    """Rows of a sample; `shift` is that of the first feature, in standard deviations."""
    return [[source.gauss(shift if n == 0 else 0.0, 1.0) for n in range(len(FEATURES))] for _ in range(rows)]


@pytest.fixture
def models(tmp_path):
    """A repository with the sample, which is watched."""
    folder = tmp_path / "models/wine"
    shutil.copytree(SAMPLES / "wine", folder)
    reference = tmp_path / "reference.parquet"
    rows = drawn(random.Random(1), 4_000)
    columns = {name: pa.array([it[n] for it in rows], pa.float32()) for n, name in enumerate(FEATURES)}
    pyarrow.parquet.write_table(pa.table(columns), reference)
    made = run(tmp_path, "profile", "--data", reference, "--model", "wine", "--output", folder / "2/profile.json")
    assert made.returncode == 0, made.stderr
    shutil.copy(folder / "2/profile.json", folder / "1/profile.json")

    def watched(**drift):
        keys = {"window_rows": WINDOW, "false_alarm_windows": 720} | drift
        lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
        text = (SAMPLES / "wine/model.toml").read_text().replace("version_policy", "max_batch_size = 64\nversion_policy")
        log = f"mode = 'at_least_once'\nfeatures = {{ features = {json.dumps(FEATURES)} }}"
        (folder / "model.toml").write_text(f"{text}\n[log]\n{log}\n[drift]\n{lines}")
        return folder.parent

    return watched


@pytest.fixture
def replicas(tmp_path, models):
    """Starts servers of that repository, each with a log of its own."""
    servers = []

    def start(name, *flags, **environment):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        flags = ("--model-repository", tmp_path / "models", "--log-dir", folder / "log", *flags)
        servers.append(Server(folder, "", *flags, "--log-roll-ms", 50, "--drain-timeout", 2, **environment))
        # The version that is asked: the model is ready as soon as any one of it is.
        wait_for(lambda: servers[-1].ask("GET", "/v2/models/wine/versions/2/ready")[0] == 200, "wine is ready")
        return servers[-1]

    yield start
    for it in servers:
        if it.process.poll() is None:
            it.stop()


class Monitor:
    """`salver monitor`, on a free port."""

    def __init__(self, folder, *logs, lateness=LATENESS_S, settings="", **environment):
        self.folder, self.command, self.environment = folder, [BINARY, "monitor"], environment
        folder.mkdir(exist_ok=True)
        (folder / "salver.toml").write_text(settings)
        for it in logs:
            self.command += ["--log", it]
        self.command += ["--model-repository", folder.parent / "models", "--state", folder / "state"]
        self.command += ["--config", folder / "salver.toml", "--host", "127.0.0.1", "--port", "0"]
        self.command += ["--interval-ms", "50", "--lateness-s", lateness, "--log-format", "json"]
        self.start()

    def start(self):
        self.log = open(self.folder / f"log-{time.monotonic_ns()}", "w+b")
        command = [str(it) for it in self.command]
        environment = plain(HOME=str(self.folder), **self.environment)
        self.process = subprocess.Popen(command, stderr=self.log, env=environment)
        lines = wait_for(lambda: self.said("listening"), "the monitor listens")
        self.http = lines[0]["http"]
        return self

    def said(self, message):
        text = Path(self.log.name).read_text()
        assert self.process.poll() is None, text
        lines = [json.loads(it) for it in text.splitlines() if it.startswith("{") and it.endswith("}")]
        return [it for it in lines if it.get("message") == message]

    def get(self, path):
        connection = http.client.HTTPConnection(self.http, timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def view(self):
        status, text = self.get("/v2/models/wine/versions/2/drift")
        return json.loads(text) if status == 200 else None

    def rows(self, window):
        """Rows that were counted, by any process."""
        view = self.view()
        return (view["last"] or {"number": 0})["number"] * window + view["open"]["rows"] if view else 0

    def metric(self, series):
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(it.split(" ")[1]) for it in lines if it.startswith(series))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0
        self.log.close()


@pytest.fixture
def monitor(tmp_path):
    monitors = []

    def start(*logs, **more):
        monitors.append(Monitor(tmp_path / "monitor", *logs, **more))
        return monitors[-1]

    yield start
    for it in monitors:
        if it.process.poll() is None:
            it.kill()


def ask(server, rows):
    tensor = {"name": "features", "datatype": "FP32", "shape": [len(rows), len(FEATURES)]}
    tensor["data"] = [value for row in rows for value in row]
    status, body = server.ask("POST", "/v2/models/wine/versions/2/infer", {"inputs": [tensor]})
    assert status == 200, body


def shown(folder, address, *words):
    return run(folder, "drift", *words, "--url", f"http://{address}")


@pytest.mark.parametrize("store", ["s3", "az"], indirect=True)
def test_a_shift_that_only_both_show_is_told_once(tmp_path, store, models, replicas, monitor):
    models()
    logs = f"{store.scheme}://models/fleet/logged"
    both = [replicas(name, "--log-sinks", logs, **store.place) for name in ("one", "two")]
    hears = Receiver(refuses=0)
    settings = f"[target.oncall]\nkind = 'webhook'\nurl = 'http://{hears.address}'\n"
    settings += "[[trigger]]\nname = 'wine'\nmodel = 'wine'\ntarget = 'oncall'\non = ['drift']\nalarms = 1\nwindows = 1\n"
    watching = monitor(logs, settings=settings, **store.place)
    source = random.Random(2)
    for _ in range(12):
        for server in both:
            ask(server, drawn(source, BATCH, shift=0.5))
    wait_for(lambda: watching.rows(WINDOW) == 1_200, "all rows are counted")
    view = watching.view()
    assert view["history"][0]["rows"] == WINDOW and view["history"][0]["found"]["drift"]["is_alarm"]
    assert view["history"][0]["found"]["drift"]["subjects"] == ["in.f0"]
    assert watching.get("/v2/health/ready")[0] == 200
    wait_for(lambda: hears.taken, "the trigger has fired")
    # What people ask for.
    found = shown(tmp_path, watching.http, "show", "wine")
    assert found.returncode == 0 and "in.f0" in found.stdout and "alarms:" in found.stdout, found
    page = tmp_path / "page.html"
    assert shown(tmp_path, watching.http, "report", "wine", "--out", page).returncode == 0
    assert "in.f0" in page.read_text()
    wait_for(lambda: watching.metric(ALARMS) == 1, "the alarm is counted")
    # Neither server has seen enough.
    for server in both:
        alone = server.command("drift", "show", "wine", "--version", "2")
        assert alone.returncode == 0 and "no alarms" in alone.stdout, alone
    # Nor is it told again by the process after it.
    audit = watching.folder / "state/audit.jsonl"
    wait_for(lambda: '"delivered"' in audit.read_text(), "that it was told is known")
    watching.stop()
    watching.start()
    ask(both[0], drawn(source, BATCH))
    wait_for(lambda: watching.rows(WINDOW) == 1_250, "one more request is counted")
    status, triggers = watching.get("/v2/triggers")
    assert status == 200 and json.loads(triggers)[0]["name"] == "wine"
    assert len(hears.taken) == 1 and watching.metric("salver_fleet_rows_total") == BATCH
    assert watching.get("/v2/models/wine/infer")[0] in (404, 405)
    hears.shutdown()
    hears.server_close()


def killed_under_load(monitor, logs, both, there):
    """Asks both servers all the time and kills the monitor of those logs again and again: each row counts once."""
    asked, over, failed = [0, 0], threading.Event(), []

    def keep_asking(n):
        source = random.Random(n)
        try:
            while not over.wait(0.01):
                rows = source.randrange(1, 8)
                ask(both[n], drawn(source, rows))
                asked[n] += rows
        except Exception as error:  # whatever it is, no request may fail
            failed.append(error)

    callers = [threading.Thread(target=keep_asking, args=(n,)) for n in range(2)]
    for it in callers:
        it.start()
    chance = random.Random(3)
    try:
        wait_for(there, "rows are logged")
        watching = monitor(*logs)
        wait_for(lambda: watching.rows(100) > 0, "rows are counted")
        counted = []
        for _ in range(8):
            time.sleep(chance.uniform(0.05, 0.7))
            watching.kill()
            watching.start()
            counted.append(watching.rows(100))
    finally:
        over.set()
        for it in callers:
            it.join()
    assert not failed, failed
    assert counted == sorted(counted), "nothing that was counted is lost"
    wait_for(lambda: watching.rows(100) >= sum(asked), "every row is counted")
    # Whatever might still come has come when later rows are counted.
    ask(both[0], drawn(chance, 1))
    wait_for(lambda: watching.rows(100) > sum(asked), "the last row")
    assert watching.rows(100) == sum(asked) + 1
    assert watching.metric("salver_fleet_failures_total") == 0
    return watching


def test_a_killed_monitor_neither_loses_nor_doubles_rows(tmp_path, models, replicas, monitor):
    models(window_rows=100)
    both = [replicas(name, "--log-monitor=false") for name in ("one", "two")]
    # The server watches nothing: that is the fleet's.
    assert both[0].ask("GET", "/v2/models/wine/drift")[0] == 404
    logs = [tmp_path / name / "log/parquet" for name in ("one", "two")]
    killed_under_load(monitor, logs, both, lambda: all((it / "model=wine").is_dir() for it in logs))


@pytest.fixture
def broker():
    it = Broker()
    yield it
    it.stop()


def test_a_killed_monitor_of_a_topic_neither_loses_nor_doubles_rows(broker, models, replicas, monitor):
    models(window_rows=100)
    topic = f"kafka://{broker.address}/rows"
    both = [replicas(name, "--log-monitor=false", "--log-sinks", topic) for name in ("one", "two")]
    watching = killed_under_load(monitor, [topic], both, broker.ids)
    assert watching.metric('salver_fleet_messages_total{result="lost"}') == 0


def test_a_shift_in_a_topic_is_told(broker, models, replicas, monitor):
    models()
    topic = f"kafka://{broker.address}/rows"
    both = [replicas(name, "--log-sinks", topic) for name in ("one", "two")]
    source = random.Random(2)
    for server in both:
        ask(server, drawn(source, BATCH, shift=0.5))
    broker.send("rows", b"no row of the log")
    # Short, as a broker hangs below, and longer than one takes that does not.
    watching = monitor(topic, SALVER_LOG_KAFKA_MESSAGE_TIMEOUT_MS="6000")
    for _ in range(11):
        for server in both:
            ask(server, drawn(source, BATCH, shift=0.5))
    wait_for(lambda: watching.rows(WINDOW) == 1_200, "all rows are counted")
    found = watching.view()["history"][0]
    assert found["rows"] == WINDOW and found["found"]["drift"]["subjects"] == ["in.f0"]
    wait_for(lambda: watching.metric(ALARMS) == 1, "the alarm is counted")
    assert watching.metric('salver_fleet_messages_total{result="foreign"}') == 1
    # A broker that hangs is waited for, and nobody's rows are late for it.
    failures = lambda: watching.metric('salver_fleet_failures_total{what="store"}')  # noqa: E731
    before = failures()
    broker.hangs()
    wait_for(lambda: failures() > before, "that it hangs is seen")
    ask(both[0], drawn(source, BATCH))
    broker.hangs(False)
    wait_for(lambda: watching.rows(WINDOW) == 1_250, "the last rows")
    assert watching.metric('salver_fleet_rows_total{model="wine",version="2",result="late"}') == 0


TRUTH = "[truth]\noutput = 'probabilities'\nwindow_s = 2\nhorizon_s = 30\nrows_min = 20\naccuracy_min = 0.8\n"


@pytest.fixture(params=["folders", "store", "topic"])
def logged(request, tmp_path):
    """Flags for replicas, logs for the monitor, and the environment of both."""
    if request.param == "folders":
        return (), [tmp_path / name / "log/parquet" for name in ("one", "two")], {}
    if request.param == "topic":
        return ("--log-sinks", (topic := f"kafka://{request.getfixturevalue('broker').address}/rows")), [topic], {}
    place = request.getfixturevalue("store").place
    return ("--log-sinks", "s3://models/judged/logged"), ["s3://models/judged/logged"], place


def test_labels_at_one_replica_judge_what_another_has_answered(tmp_path, logged, models, replicas, monitor):
    models()
    with open(tmp_path / "models/wine/model.toml", "a") as file:
        file.write(TRUTH)
    flags, logs, place = logged
    answers, told = (replicas(name, "--log-monitor=false", *flags, **place) for name in ("one", "two"))
    hears = Receiver(refuses=0)
    settings = f"[target.oncall]\nkind = 'webhook'\nurl = 'http://{hears.address}'\n"
    settings += "[[trigger]]\nname = 'worse'\nmodel = 'wine'\ntarget = 'oncall'\non = ['performance']\nalarms = 1\nwindows = 1\n"
    if not flags:
        wait_for(lambda: all(it.is_dir() for it in logs), "the replicas log")
    watching = monitor(*logs, settings=settings, **place)
    source, right, rows = random.Random(4), 0, 0

    def label(server, name, values):
        labels = {"labels": [{"id": name, "value": values}]}
        status, body = server.ask("POST", "/v2/models/wine/labels", labels)
        assert status == 200, body
        return json.loads(body)

    for turn in range(12):
        tensor = {"name": "features", "datatype": "FP32", "shape": [BATCH, len(FEATURES)]}
        tensor["data"] = [value for row in drawn(source, BATCH) for value in row]
        request = {"id": f"r{turn}", "inputs": [tensor]}
        status, body = answers.ask("POST", "/v2/models/wine/versions/2/infer", request)
        assert status == 200, body
        outputs = {it["name"]: it["data"] for it in json.loads(body)["outputs"]}
        scores = [outputs["probabilities"][3 * row : 3 * row + 3] for row in range(BATCH)]
        classes = [it.index(max(it)) for it in scores]
        # Two rows in five turn out to be another class.
        truth = [(it + 1) % 3 if row % 5 < 2 else it for row, it in enumerate(classes)]
        # Corrected at once, sent twice, or sent to the other replica as well: it counts once.
        if turn == 3:
            label(told, request["id"], classes)
        assert label(told, request["id"], truth)["waiting" if turn != 3 else "recorded"] == BATCH
        if turn == 4:
            label(told, request["id"], truth)
        if turn == 5:
            assert label(answers, request["id"], truth)["joined"] == BATCH
        right += sum(one == other for one, other in zip(classes, truth))
        rows += BATCH
        if turn == 6:
            watching.kill()
            watching.start()

    def windows():
        status, text = watching.get("/v2/models/wine/versions/2/performance")
        found = json.loads(text)["versions"][0]["windows"] if status == 200 else []
        return found if sum(it["rows"] for it in found) >= rows else None

    found = wait_for(windows, "all windows are complete")
    assert sum(it["rows"] for it in found) == rows == sum(it["predicted"] for it in found), found
    for window in found:
        assert window["metrics"]["accuracy"] == pytest.approx(right / rows), window
    series = 'salver_performance{model="wine",version="2",metric="accuracy"}'
    assert watching.metric(series) == pytest.approx(right / rows)
    wait_for(lambda: hears.taken, "the trigger has fired")

    def alarms():
        lines = (watching.folder / "state/audit.jsonl").read_text().splitlines()
        lines = [json.loads(it) for it in lines]
        return [it["from"] for it in lines if it["event"] == "alarm" and it["kind"] == "performance"]

    # One for each window, however often the process was killed, and one event for all.
    enough = [it["from"] * 1_000 for it in reversed(found) if it["rows"] >= 20]
    wait_for(lambda: alarms() == enough, "every alarm is written down")
    watching.kill()
    watching.start()
    ask(answers, drawn(source, 1))
    read = 'salver_fleet_truth_rows_total{model="wine",what="predictions",result="counted"}'
    wait_for(lambda: watching.metric(read) > 0, "one more request is judged")
    assert alarms() == enough
    # A delivery that nobody has written down comes again, under its key.
    assert len({event["id"] for _, event in hears.taken}) == 1, hears.taken
    # The replica that was told nothing but one request's truth knows no more than that.
    status, body = answers.ask("GET", "/v2/models/wine/performance")
    known = [it for version in json.loads(body)["versions"] for it in [version["so_far"], *version["windows"]]]
    assert sum(it["labelled"] for it in known) == BATCH, body
    hears.shutdown()
    hears.server_close()
