"""`salver monitor` over a topic of labels in which something else lies."""

import json
import random

from serving import wait_for
from test_fleet import FEATURES, LATENESS_S, TRUTH, ask, broker, drawn, models, monitor, replicas

__all__ = ["broker", "models", "monitor", "replicas"]


def test_what_is_no_label_in_a_topic_holds_up_nobody(tmp_path, broker, models, replicas, monitor):
    models()
    with open(tmp_path / "models/wine/model.toml", "a") as file:
        file.write(TRUTH.replace("horizon_s = 30", "horizon_s = 10"))
    topic = f"kafka://{broker.address}/rows"
    server = replicas("one", "--log-monitor=false", "--log-sinks", topic)
    source = random.Random(5)
    ask(server, drawn(source, 1))
    # A topic of rows that is not there either would be said as well.
    wait_for(broker.ids, "the row is in its topic")
    watching = monitor(topic, lateness=LATENESS_S)
    joined = lambda what, result: watching.metric(f'salver_fleet_truth_rows_total{{model="wine",what="{what}",result="{result}"}}')  # noqa: E731
    # Nobody has made the topic of labels yet.
    wait_for(lambda: joined("predictions", "counted") == 1, "the prediction is read")
    wait_for(lambda: watching.get("/v2/health/ready")[0] == 200, "the monitor is ready")
    assert len(watching.said("it is not there yet: nothing is taken to be in it")) == 1
    label = {"ce_type": "dev.salver.inference.label.v1", "ce_source": "/models/wine"}
    broker.send("rows.labels", b"no event")
    broker.send("rows.labels", b"no label", label)
    broker.send("rows.labels", b"{}", {**label, "ce_source": "/models/beer"})
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, len(FEATURES)], "data": drawn(source, 1)[0]}
    status, body = server.ask("POST", "/v2/models/wine/versions/2/infer", {"id": "it", "inputs": [tensor]})
    assert status == 200, body
    status, body = server.ask("POST", "/v2/models/wine/labels", {"labels": [{"id": "it", "value": 1}]})
    assert status == 200, body
    wait_for(lambda: joined("labels", "counted") == 1, "the label is read")
    # A broker that is late may have cost a round by now; what lies in the topic costs none, however often it is asked.
    failures = watching.metric("salver_fleet_failures_total")
    came = lambda result: watching.metric(f'salver_fleet_truth_messages_total{{what="labels",result="{result}"}}')  # noqa: E731
    all_came = lambda: [came(it) for it in ("foreign", "unreadable", "other", "read", "lost")] == [1, 1, 1, 1, 0]  # noqa: E731
    # Other partitions may be read after the label's.
    wait_for(all_came, "what lies in the topic is counted")

    def judged():
        status, text = watching.get("/v2/models/wine/versions/2/performance")
        found = json.loads(text)["versions"][0]["windows"] if status == 200 else []
        return [it for it in found if it["labelled"]]

    assert wait_for(judged, "its window is complete")[0]["labelled"] == 1
    assert watching.metric("salver_fleet_failures_total") == failures and all_came()
    assert len([it for it in watching.said("messages cannot be read: they are left out, and others of their kind will be")]) == 1
