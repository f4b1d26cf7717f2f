"""The prediction log's sinks beyond the machine: object stores (moto, Azurite), receivers of CloudEvents, and Kafka."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import confluent_kafka
import pyarrow.parquet
import pytest
from servers import PATIENCE_S, plain
from serving import ROW, SAMPLES, Server, wait_for
from stores import KEYS

ROWS = 5


@pytest.fixture
def logging(tmp_path):
    """Serves wine with a `[log]` into that sink."""
    servers = []
    shutil.copytree(SAMPLES / "wine", tmp_path / "models/wine")
    settings = tmp_path / "models/wine/model.toml"
    text = settings.read_text() if settings.exists() else ""
    settings.write_text(f"{text}\n[log]\nmode = 'at_least_once'\n")

    def start(sink, truth=False, **environment):
        if truth and "[truth]" not in settings.read_text():
            settings.write_text(f"{settings.read_text()}\n[truth]\noutput = 'probabilities'\n")
        flags = ("--model-repository", tmp_path / "models", "--log-dir", tmp_path / "log", "--log-sinks", sink)
        flags += ("--log-roll-ms", 50, "--drain-timeout", 2)
        servers.append(Server(tmp_path, "", *flags, **environment))
        wait_for(lambda: servers[-1].ask("GET", "/v2/models/wine/ready")[0] == 200, "wine is ready")
        return servers[-1]

    yield start
    for it in servers:
        if it.process.poll() is None:
            it.stop()


def failures(server, sink):
    _, text = server.ask("GET", "/metrics", at=server.metrics)
    name = f'salver_log_sink_failures_total{{sink="{sink}"}}'
    return sum(float(it.split()[-1]) for it in text.decode().splitlines() if it.startswith(name))


def rows_in(store, prefix):
    """Event, row, and object of every row."""
    rows = []
    for name in store.written(prefix):
        table = pyarrow.parquet.read_table(io.BytesIO(store.read(name)))
        events = zip(table["event_id"].to_pylist(), table["row_index"].to_pylist(), strict=True)
        rows += [(event, row, name) for event, row in events]
    return rows


@pytest.mark.parametrize("store", ["s3", "az"], indirect=True)
def test_rows_go_to_an_object_store(store, logging):
    sink = f"{store.scheme}://models/logged/here"
    server = logging(sink, **store.place)
    for _ in range(ROWS):
        server.infer()
    rows = wait_for(lambda: (it := rows_in(store, "logged/here/")) and len(it) >= ROWS and it, "rows")
    assert len({it[:2] for it in rows}) == ROWS
    assert all(it[2].startswith("logged/here/model=wine/version=") for it in rows), rows
    # A process that died before it had written down how far it was: all of it again, and nothing twice.
    server.process.kill()
    server.process.wait()
    (server.folder / f"log/wal/{store.scheme}.cursor").unlink(missing_ok=True)
    before = store.written("logged/")
    server = logging(sink, **store.place)
    server.infer()
    wait_for(lambda: len({it[:2] for it in rows_in(store, "logged/here/")}) > ROWS, "one more")
    after = store.written("logged/")
    assert before.items() <= after.items(), "nothing was written over"


def test_a_store_that_is_away_is_nobody_elses_trouble(store, logging):
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"} | KEYS
    server = logging("s3://models/later", **away)
    for _ in range(ROWS):
        server.infer()
    wait_for(lambda: failures(server, "s3") > 1, "it fails, and tries again")
    server.infer()
    server.stop()
    server = logging("s3://models/later", **store.place)
    rows = wait_for(lambda: (it := rows_in(store, "later/")) and len(it) > ROWS and it, "rows")
    assert len({it[:2] for it in rows}) == ROWS + 1


class Receiver(ThreadingHTTPServer):
    """Takes events, but for the first few requests, and those that come while it hangs: it reads them, and says
    nothing."""

    def __init__(self, refuses):
        super().__init__(("127.0.0.1", 0), Taking)
        self.refuses, self.taken, self.lock = refuses, [], threading.Lock()
        self.hung, self.answers = 0, threading.Event()
        self.answers.set()
        self.address = f"127.0.0.1:{self.server_port}/events"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Taking(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if not self.server.answers.is_set():
            self.server.hung += 1
            self.server.answers.wait()
            self.close_connection = True
            return
        with self.server.lock:
            self.server.refuses -= 1
            if refused := self.server.refuses >= 0:
                status = 503
            else:
                status = 202
                self.server.taken.append((dict(self.headers.items()), json.loads(body)))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()
        assert refused or self.path == "/events"

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    servers = []

    def start(refuses=0):
        servers.append(Receiver(refuses))
        return servers[-1]

    yield start
    for it in servers:
        it.answers.set()
        it.shutdown()
        it.server_close()


def test_rows_go_as_events(receiver, logging):
    taking = receiver(refuses=2)
    server = logging(f"cloudevents+http://{taking.address}", SALVER_LOG_EVENTS_TOKEN="hush")
    for _ in range(ROWS):
        server.infer()
    events = lambda: [event for _, batch in list(taking.taken) for event in batch]  # noqa: E731
    wait_for(lambda: len({it["id"] for it in events()}) >= ROWS, "events")
    assert failures(server, "cloudevents") >= 2
    assert max(Counter(it["id"] for it in events()).values()) == 1
    heads, batch = taking.taken[0]
    heads = {name.lower(): it for name, it in heads.items()}
    assert heads["content-type"].startswith("application/cloudevents-batch+json")
    assert heads["authorization"] == "Bearer hush"
    event = batch[0]
    assert event["specversion"] == "1.0" and event["source"].startswith("/models/wine/versions/")
    assert event["id"] == f"{event['data']['event_id']}.{event['data']['row_index']}"
    assert event["data"]["status"] == "OK" and "hush" not in server.text()


LABEL = "dev.salver.inference.label.v1"


def label(server, *ids):
    """The second of three classes is the true one of their only rows."""
    labels = [{"id": it, "value": 1} for it in ids]
    status, answer = server.ask("POST", "/v2/models/wine/labels", {"labels": labels})
    assert status == 200, answer


def dies(server, sink):
    """A process that died before it had written down how far it was with the labels."""
    server.process.kill()
    server.process.wait()
    (server.folder / f"log/truth/{sink}.labels.cursor").unlink()


def test_labels_go_as_events(receiver, logging):
    taking = receiver(refuses=2)
    sink = f"cloudevents+http://{taking.address}"
    server = logging(sink, truth=True)
    status, answer = server.ask("POST", "/v2/models/wine/infer", ROW | {"id": "a"})
    assert status == 200, answer
    label(server, "a", "b")
    events = lambda: [it for _, batch in list(taking.taken) for it in batch if it["type"] == LABEL]  # noqa: E731
    wait_for(lambda: len(events()) == 2, "labels")
    first = events()[0]
    assert (first["source"], first["subject"], first["data"]["label"]) == ("/models/wine", "a", 1)
    assert first["id"] == first["data"]["label_id"] and first["time"] == first["data"]["recorded_time"]
    rows = lambda: [it for _, batch in list(taking.taken) for it in batch if it["type"] != LABEL]  # noqa: E731
    wait_for(lambda: any(it["data"]["request_id"] == "a" for it in rows()), "what it is a label of")
    wait_for(lambda: list(server.metric("salver_label_log_rows_total").values()) == [2], "counted")
    dies(server, "cloudevents")
    server = logging(sink, truth=True)
    label(server, "c")
    wait_for(lambda: {it["subject"] for it in events()} == {"a", "b", "c"}, "one more")
    wait_for(lambda: sorted(Counter(it["id"] for it in events()).values()) == [1, 2, 2], "the others again")


# Longer than a sink waits for an answer, which is 30 s; `make test-long` has the ten minutes.
HANG_S = float(os.environ.get("SALVER_HANG_S", "33"))

# More memory than the log's queue may take is none that a hanging receiver may cost.
GROWN_BYTES_MAX = 64 << 20


def resident(server):
    """Bytes of memory."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(next(it for it in text.splitlines() if it.startswith("VmRSS:")).split()[1])


def test_a_receiver_that_hangs_is_nobody_elses_trouble(receiver, logging):
    taking = receiver()
    server = logging(f"parquet,cloudevents+http://{taking.address}")
    for _ in range(ROWS):
        server.infer()
    events = lambda: {it["id"] for _, batch in list(taking.taken) for it in batch}  # noqa: E731
    wait_for(lambda: len(events()) == ROWS, "events")
    taking.answers.clear()
    before, asked, slowest = resident(server), ROWS, 0.0
    until = time.monotonic() + HANG_S
    while (began := time.monotonic()) < until:
        server.infer()  # each has been synced to the disk when it is answered
        asked, slowest = asked + 1, max(slowest, time.monotonic() - began)
    grown = resident(server) - before
    print(f"{asked} rows in {HANG_S} s, the slowest answer took {slowest:.3f} s, {grown >> 10} KiB more memory")
    wait_for(lambda: taking.hung >= 1 and failures(server, "cloudevents") >= 1, "it was asked, and has not answered")
    assert slowest < 10 and grown < GROWN_BYTES_MAX
    count = lambda: sum(pyarrow.parquet.read_metadata(it).num_rows for it in (server.folder / "log/parquet").glob("model=*/**/*.parquet"))  # noqa: E731
    wait_for(lambda: count() == asked, "the other sink goes on")
    assert failures(server, "parquet") == 0 and len(events()) == ROWS
    taking.answers.set()
    wait_for(lambda: len(events()) == asked, "all rows")


def test_requests_go_as_kserves_events(receiver, logging):
    taking = receiver()
    server = logging(f"kserve+http://{taking.address}")
    answer = server.infer()
    wait_for(lambda: len(taking.taken) == 2, "a request and an answer")
    heads = [{name.lower(): it for name, it in heads.items()} for heads, _ in taking.taken]
    kinds = [it["ce-type"].removeprefix("org.kubeflow.serving.inference.") for it in heads]
    assert kinds == ["request", "response"] and len({it["ce-id"] for it in heads}) == 1
    asked, answered = (body for _, body in taking.taken)
    assert server.ask("POST", "/v2/models/wine/infer", asked)[0] == 200
    assert answered["outputs"] == answer["outputs"]


# A broker that librdkafka brings along for tests, in a process of its own: it speaks the protocol.
BROKER = """
import confluent_kafka, sys
producer = confluent_kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "ignored"})
[it] = producer.list_topics(timeout=60).brokers.values()
print(f"{it.host}:{it.port}", flush=True)
sys.stdin.read()
"""


class Broker:
    def __init__(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, "-c", BROKER], env=plain(), **pipes)
        self.address = self.process.stdout.readline().strip()

    def hangs(self, yes=True):
        os.kill(self.process.pid, signal.SIGSTOP if yes else signal.SIGCONT)

    def messages(self, name="rows"):
        """All that is in a topic: key, headers and value, by partition."""
        settings = {"bootstrap.servers": self.address, "group.id": "tests", "enable.partition.eof": True}
        consumer = confluent_kafka.Consumer(settings)
        topic = consumer.list_topics(name, timeout=PATIENCE_S).topics[name]
        parts = [confluent_kafka.TopicPartition(name, it, 0) for it in topic.partitions]
        consumer.assign(parts)
        found, left = [], len(parts)
        while left:
            it = consumer.poll(PATIENCE_S)
            if it.error() is None:
                headers = {name: value.decode() for name, value in it.headers()}
                found.append((it.key().decode(), headers, json.loads(it.value())))
            else:
                assert it.error().code() == confluent_kafka.KafkaError._PARTITION_EOF, it.error()
                left -= 1
        consumer.close()
        return found

    def send(self, topic, value, headers=None):
        producer = confluent_kafka.Producer({"bootstrap.servers": self.address})
        producer.produce(topic, value, headers=headers)
        assert producer.flush(PATIENCE_S) == 0

    def ids(self, name="rows"):
        return Counter(headers["ce_id"] for _, headers, _ in self.messages(name))

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def broker():
    it = Broker()
    yield it
    it.stop()


def test_rows_go_to_kafka_at_least_once(broker, logging):
    sink = f"kafka://127.0.0.1:1,{broker.address}/rows"
    server = logging(sink)
    for _ in range(ROWS):
        server.infer()
    wait_for(lambda: len(broker.ids()) == ROWS, "rows")
    key, headers, row = broker.messages()[0]
    assert (key, row["model"], row["status"]) == (row["request_id"], "wine", "OK")
    assert headers["ce_id"] == f"{row['event_id']}.{row['row_index']}"
    assert headers["ce_specversion"] == "1.0" and headers["content-type"] == "application/json"
    assert headers["ce_type"] == "dev.salver.inference.row.v1"
    assert headers["ce_source"] == f"/models/wine/versions/{row['version']}"
    # A process that died before it had written down how far it was: all of it again, under the same ids.
    server.process.kill()
    server.process.wait()
    (server.folder / "log/wal/kafka.cursor").unlink(missing_ok=True)
    server = logging(sink)
    server.infer()
    wait_for(lambda: len(broker.ids()) == ROWS + 1, "one more")
    wait_for(lambda: sorted(broker.ids().values()) == [1] + [2] * ROWS, "all of it again")
    orders = {}
    for key, headers, _ in broker.messages():
        orders.setdefault(key, []).append(headers["ce_id"])
    assert all(len(set(it)) == 1 for it in orders.values()), orders


def test_labels_go_to_kafka_in_a_topic_of_their_own(broker, logging):
    sink = f"kafka://{broker.address}/rows"
    server = logging(sink, truth=True)
    label(server, "a", "b")
    wait_for(lambda: len(broker.ids("rows.labels")) == 2, "labels")
    found = {key: (headers, value) for key, headers, value in broker.messages("rows.labels")}
    headers, value = found["a"]
    assert (headers["ce_type"], headers["ce_source"], headers["ce_subject"]) == (LABEL, "/models/wine", "a")
    assert (value["model"], value["inference_id"], value["row_index"], value["label"]) == ("wine", "a", 0, 1)
    assert headers["ce_id"] == value["label_id"] and headers["ce_time"] == value["recorded_time"]
    wait_for(lambda: list(server.metric("salver_label_log_rows_total").values()) == [2], "counted")
    dies(server, "kafka")
    server = logging(sink, truth=True)
    label(server, "c")
    wait_for(lambda: sorted(broker.ids("rows.labels").values()) == [1, 2, 2], "one more, and the others again")
    server.infer()
    wait_for(lambda: len(broker.ids()) == 1, "no label is among the rows")


def test_a_broker_that_hangs_is_nobody_elses_trouble(broker, logging):
    hidden = {"SALVER_LOG_KAFKA_MESSAGE_TIMEOUT_MS": "3000", "SALVER_LOG_KAFKA_SASL_PASSWORD": "hush-hush"}
    broker.hangs()
    server = logging(f"parquet,kafka://{broker.address}/rows", **hidden)
    for _ in range(ROWS):
        server.infer()  # each has been synced to the disk when it is answered
    wait_for(lambda: failures(server, "kafka") > 1, "it fails, and tries again")
    count = lambda: sum(pyarrow.parquet.read_metadata(it).num_rows for it in (server.folder / "log/parquet").glob("model=*/**/*.parquet"))  # noqa: E731
    wait_for(lambda: count() == ROWS, "the other sink goes on")
    assert failures(server, "parquet") == 0
    assert "the time is up after 0 messages" in server.text() and "hush-hush" not in server.text()
    broker.hangs(False)
    wait_for(lambda: len(broker.ids()) == ROWS, "rows")
    server.infer()
    wait_for(lambda: len(broker.ids()) == ROWS + 1, "and more")
