"""Labels meet what was predicted, and lie on the disk as a table that joins with the log."""

import json
from pathlib import Path

import duckdb
import grpc
import pytest
from recorded import cases
from server import salver, wait_for

ROWS = 3
[CASE] = [it for it in cases("wine", 2) if it.request["inputs"][0]["shape"][0] == ROWS]
# What the model says of each row.
CLASSES = next(it["data"] for it in CASE.response["outputs"] if it["name"] == "label")
WRONG = [(it + 1) % 3 for it in CLASSES]
DOCUMENT = Path(__file__).parents[3] / "CONFIGURATION.md"


@pytest.fixture
def begin(start, repository, tmp_path):
    """Starts servers, one after the other, on the same folders."""
    repository.sample("wine", 2)
    repository.settings("wine", '[log]\n[truth]\noutput = "probabilities"\n')
    return lambda: start(repository, log_dir=tmp_path / "log", log_roll_ms=50).settled()


@pytest.fixture
def server(begin):
    server = begin()
    assert server.ask("POST", "/v2/models/wine/infer", CASE.request | {"id": "a"}).status == 200
    return server


def labels(server, *labels):
    answer = server.ask("POST", "/v2/models/wine/labels", {"labels": list(labels)})
    assert answer.status == 200, answer.body
    return answer.json()


def accuracy(server):
    """Once the truth of all rows is known."""

    def there():
        answer = server.ask("GET", "/v2/models/wine/performance").json()
        so_far = answer["versions"][0]["so_far"]
        return so_far if so_far["labelled"] == ROWS else None

    return wait_for(there, "all is joined")["metrics"]["accuracy"]


def test_a_training_job_reads_rows_with_their_labels(server, tmp_path):
    assert labels(server, {"id": "a", "value": WRONG})["joined"] == ROWS
    assert accuracy(server) == 0
    # The last one counts.
    answer = labels(server, *({"id": "a", "row": it, "value": CLASSES[it]} for it in range(2)))
    assert answer == {"recorded": 2, "joined": 2, "corrected": 2, "waiting": 0}
    assert accuracy(server) == pytest.approx(2 / 3)
    whole = lambda: [it for it in (tmp_path / "log/parquet").glob("model=wine/**/*.parquet") if it.name[0] != "."]  # noqa: E731
    wait_for(whole, "rows")
    # The query in the documents is the one that works.
    query = DOCUMENT.read_text().split("```sql\nSELECT p.*, l.label")[1].split(";\n```")[0]
    query = f"SELECT p.row_index, l.label{query}".replace("DIR", str(tmp_path / "log"))
    found = dict(duckdb.sql(query).fetchall())
    assert {row: int(float(it)) for row, it in found.items()} == dict(enumerate([*CLASSES[:2], WRONG[2]]))
    # The same labels beside the predictions, in files that no reader of those comes upon.
    files = lambda: list((tmp_path / "log/parquet-labels").glob("model=wine/date=*/hour=*/*.parquet"))  # noqa: E731
    paths = f"{tmp_path}/log/parquet-labels/model=*/**/*.parquet"
    table = f"SELECT row_index, arg_max(label_number, recorded_time) FROM '{paths}'"
    last = lambda: files() and dict(duckdb.sql(f"{table} WHERE inference_id = 'a' GROUP BY ALL").fetchall())  # noqa: E731
    wait_for(lambda: last() == dict(enumerate([*CLASSES[:2], WRONG[2]])), "labels in the log")


def test_the_command_line_sends_tables(server, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("id,row,value,timestamp\n" + "".join(f"a,{it},{CLASSES[it]},\n" for it in range(ROWS)))
    words = ["labels", "send", "--model", "wine", "--file", str(table), "--url", f"http://{server.http}"]
    done = salver(*words, "--output", "json")
    assert json.loads(done.stdout)["recorded"] == ROWS, done
    assert accuracy(server) == 1
    table.write_text("id,value\na,7\n")
    failed = salver(*words)
    assert failed.returncode == 1 and 'value "7": expected a class from 0 to 2' in failed.stderr, failed


def test_a_restart_goes_on(server, begin):
    labels(server, {"id": "a", "value": CLASSES[:2]}, {"id": "b", "value": 1})
    assert server.stop() == 0
    again = begin()
    labels(again, {"id": "a", "row": 2, "value": CLASSES[2]})
    assert accuracy(again) == 1


def test_the_service_takes_calls(server):
    with grpc.insecure_channel(server.grpc) as channel:
        record = channel.unary_unary("/salver.v1.Labels/Record")
        # A model's name and no label, by hand.
        with pytest.raises(grpc.RpcError) as refused:
            record(b"\x0a\x04wine")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "0 labels: expected 1 to 10000"
