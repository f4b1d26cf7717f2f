"""`salver logs`: what was logged is shown, exported, and asked again of another version."""

import csv
import json
import re

import duckdb
import pyarrow.parquet
import pytest
from recorded import cases
from server import FIXTURES, ROOT, salver, wait_for

[MANY] = [it.request["inputs"][0] for it in cases("wine", 2) if it.request["inputs"][0]["shape"] == [32, 13]]
ROWS = [MANY["data"][13 * row : 13 * row + 13] for row in range(32)]
CASES = [{"inputs": [MANY | {"shape": [1, 13], "data": row}]} for row in ROWS]
PATH = "/v2/models/wine/versions/2/infer"


@pytest.fixture
def logged(start, repository, tmp_path):
    """A server with both versions of wine, and a log of what the second was asked."""
    repository.sample("wine", 1, 2)
    repository.settings("wine", "version_policy = \"all\"\n[log]\n")
    server = start(repository, log_dir=tmp_path / "log", log_roll_ms=50).settled()

    def ask(**more):
        for case in CASES:
            server.ask("POST", PATH, case | more)
        folder = tmp_path / "log/parquet"
        count = lambda: sum(pyarrow.parquet.read_metadata(it).num_rows for it in folder.rglob("model=*/**/*.parquet"))  # noqa: E731
        wait_for(lambda: count() >= len(CASES), "rows")
        return server

    ask.log = ("--log-dir", tmp_path / "log")
    return ask


def replay(logged, server, *words):
    where = ("--url", f"http://{server.http}", "--output", "json")
    done = salver("logs", "replay", *logged.log, "--model", "wine", *words, *where)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_version_answers_as_it_did_and_another_does_not(logged):
    server = logged()
    code, report = replay(logged, server, "--to", "2", "--max-diff-share", "0")
    assert (code, report["sent"], report["errors"], report["not_sent"]) == (0, len(CASES), {}, {})
    assert report["compared"]["rows"] == len(CASES) and report["compared"]["rows_differ"] == 0
    code, report = replay(logged, server, "--to", "1", "--max-diff-share", "0", "--limit", "5")
    assert (code, report["sent"]) == (1, 5)
    assert report["compared"]["rows_differ"] > 0 and report["latency_ratio"] > 0
    assert any(it["max_abs"] > 0 for it in report["compared"]["outputs"].values())
    code, report = replay(logged, server, "--to", f"http://{server.http}", "--rate", "1000")
    assert (code, report["compared"]["rows_differ"]) == (0, 0), "its newest version"
    table = salver("logs", "replay", *logged.log, "--model", "wine", "--to", "2", "--url", f"http://{server.http}")
    assert "OUTPUT" in table.stdout and f"{len(CASES)} requests sent" in table.stdout


def rows_by(tmp_path, model="wine"):
    """Ids of events by their route."""
    found = {}
    for path in (tmp_path / "log/parquet").rglob(f"model={model}/**/*.parquet"):
        for row in pyarrow.parquet.read_table(path, columns=["route", "event_id"]).to_pylist():
            found.setdefault(row["route"], set()).add(row["event_id"])
    return found


def test_a_replay_is_logged_as_one_unless_it_is_asked_to_be_traffic(logged, tmp_path):
    server = logged()
    code, report = replay(logged, server, "--to", "2", "--limit", "3")
    wait_for(lambda: len(rows_by(tmp_path).get("replay", ())) == 3, "they are logged as what they are")
    code, report = replay(logged, server, "--to", "2", "--limit", str(len(CASES)), "--log")
    wait_for(lambda: len(rows_by(tmp_path)["direct"]) == 2 * len(CASES), "they are logged as any other")
    # What a replay has asked is not asked by the next.
    _, report = replay(logged, server, "--to", "1")
    assert (report["sent"], report["not_sent"]) == (2 * len(CASES), {"asked by a replay": 3})


def test_whoever_says_so_is_still_on_record(start, repository, tmp_path):
    """A header cannot keep a request out of a log that is to be sure."""
    repository.sample("wine", 2)
    repository.settings("wine", "[log]\nmode = \"fail_closed\"\n")
    server = start(repository, log_dir=tmp_path / "log", log_roll_ms=50).settled()
    answer = server.ask("POST", PATH, CASES[0], headers=[("x-salver-replay", "1")])
    assert answer.headers["x-salver-logged"] == "durable"
    wait_for(lambda: rows_by(tmp_path).keys() == {"replay"}, "it is there, as what it says it is")


def test_what_cannot_be_asked_again_is_counted(logged, repository):
    server = logged()
    late = CASES[0] | {"parameters": {"timeout": 0}}
    server.ask("POST", PATH, late).refused(504, "")
    why = "it was answered with DEADLINE_EXCEEDED"
    wait_for(lambda: replay(logged, server, "--to", "2")[1]["not_sent"].get(why) == 1, "the failed one is counted")
    code, report = replay(logged, server, "--to", "7", "--max-diff-share", "0.5")
    # What was asked again is not asked once more.
    assert code == 1 and sum(report["errors"].values()) == len(CASES)
    gone = salver("logs", "replay", *logged.log, "--model", "wine", "--to", "2", "--url", "http://127.0.0.1:1")
    assert gone.returncode == 69
    wrong = salver("logs", "replay", *logged.log, "--model", "wine", "--to", "champion")
    assert wrong.returncode == 1 and "--to is \"champion\"" in wrong.stderr


def test_numbers_that_json_has_no_word_for_are_asked_again(start, repository, tmp_path):
    repository.version("double", 1, FIXTURES / "double.onnx")
    repository.settings("double", "[log]\n")
    server = start(repository, log_dir=tmp_path / "log", log_roll_ms=50).settled()
    x = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ["NaN", "Infinity", "-Infinity", 0.1]}
    server.ask("POST", "/v2/models/double/infer", {"inputs": [x]}).json()
    wait_for(lambda: rows_by(tmp_path, "double"), "a row")
    where = ("--log-dir", tmp_path / "log", "--model", "double", "--url", f"http://{server.http}", "--output", "json")
    done = salver("logs", "replay", *where, "--to", "1", "--max-diff-share", "0")
    report = json.loads(done.stdout)
    assert (done.returncode, report["sent"], report["errors"], report["not_sent"]) == (0, 1, {}, {}), done
    assert report["compared"]["rows"] == 1 and report["compared"]["rows_differ"] == 0
    wait_for(lambda: len(rows_by(tmp_path, "double").get("replay", ())) == 1, "it was asked as it came")


def test_rows_of_an_older_server_are_exported_with_those_of_a_newer(logged, tmp_path):
    """Which has a column more: here it is taken out of some rows, as if they had never had it."""
    logged()
    files = sorted((tmp_path / "log/parquet").rglob("model=*/**/*.parquet"))
    table = pyarrow.parquet.read_table(files[0], partitioning=None)
    gone = table.column_names[-1]
    pyarrow.parquet.write_table(table.drop_columns([gone]), files[0].with_name("older.parquet"))
    rows = len(CASES) + table.num_rows
    for name in ("all.parquet", "all.csv"):
        done = salver("logs", "export", *logged.log, "--output", tmp_path / name)
        assert done.returncode == 0 and done.stdout.startswith(f"{rows} rows in "), done.stderr
    column = pyarrow.parquet.read_table(tmp_path / "all.parquet")[gone]
    assert (len(column), column.null_count) == (rows, table.num_rows)


def test_rows_are_shown_and_exported(logged, tmp_path):
    logged()
    shown = salver("logs", "tail", *logged.log, "--model", "wine", "--lines", "3")
    lines = [json.loads(it) for it in shown.stdout.splitlines()]
    assert [it["model"] for it in lines] == ["wine"] * 3
    for name in ("all.parquet", "all.csv", "all.jsonl"):
        done = salver("logs", "export", *logged.log, "--from", "2020-01-01", "--output", tmp_path / name)
        assert done.returncode == 0 and done.stdout.startswith(f"{len(CASES)} rows in "), done.stderr
    assert pyarrow.parquet.read_table(tmp_path / "all.parquet").num_rows == len(CASES)
    with open(tmp_path / "all.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(CASES) and {it["version"] for it in table} == {"2"}
    for name in ("none.parquet", "none.csv", "none.jsonl"):
        none = salver("logs", "export", *logged.log, "--until", "2020-01-01", "--output", tmp_path / name)
        assert none.returncode == 0 and none.stdout.endswith(f"{name}: none that is logged fits\n"), none.stdout
    tables = [pyarrow.parquet.read_table(tmp_path / it) for it in ("none.parquet", "all.parquet")]
    assert tables[0].num_rows == 0 and tables[0].column_names == tables[1].column_names
    assert (tmp_path / "none.csv").read_text().strip() == ",".join(tables[0].column_names)
    assert (tmp_path / "none.jsonl").read_text() == ""
    wrong = salver("logs", "export", *logged.log, "--from", "yesterday", "--output", tmp_path / "x.csv")
    assert wrong.returncode == 1 and "--from is \"yesterday\"" in wrong.stderr


def test_the_query_of_the_documents_runs(logged, start, repository, tmp_path):
    """Also while rows are under way, in a file that is not whole yet."""
    assert logged().stop() == 0
    server = start(repository, log_dir=tmp_path / "log", log_roll_ms=86_400_000).settled()
    assert server.ask("POST", PATH, CASES[0]).status == 200
    wait_for(lambda: list((tmp_path / "log/parquet").glob(".unfinished-*/*")), "a row is under way")
    text = (ROOT / "server/CONFIGURATION.md").read_text()
    [query] = [it for it in re.findall(r"```sql\n(.*?)```", text, re.DOTALL) if "share_failed" in it]
    found = duckdb.sql(query.replace("DIR/parquet", f"{tmp_path}/log/parquet")).fetchall()
    [(model, version, _hour, requests, share_failed, p99)] = found
    assert (model, int(version), share_failed) == ("wine", 2, 0.0)
    assert requests == len(CASES) and p99 > 0
