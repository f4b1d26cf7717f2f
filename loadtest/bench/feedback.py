"""What the prediction log costs, and what the monitors cost on top: one model without, with a log, with both.

Three models in one server, which has a core for answering. The log's own threads are given the load generator's: what
they take is told as processor time, and what is left of the throughput is what the requests pay. Rounds are short and
many: this takes turns faster than machines drift.
"""

import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import parts
from bench import SAMPLES, in_turn, ratios, share, spread, table

SOURCE = SAMPLES / "breast_cancer"
FULL = ["--protocol", "grpc", "--concurrency", "64", "--connections", "2"]
OPEN = ["--protocol", "grpc", "--connections", "2", "--spin", "--timeout", "1s"]
LOG = '[log]\nmode = "best_effort"\n'
DRIFT = "[drift]\nlearn_rows = 1000\nwindow_rows = 1000\n"
KINDS = {"without": "", "logged": LOG, "watched": LOG + DRIFT}
# Of the throughput without a log: where nobody waits for anybody.
STEADY_SHARE = 0.4
ROUNDS = 5
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def measure(bench):
    folder = Path(tempfile.mkdtemp(prefix="salver-bench-"))
    for kind, text in KINDS.items():
        shutil.copytree(SOURCE, folder / "models" / kind)
        (folder / "models" / kind / "model.toml").write_text(text)
    found = {it: {"served": [], "p99_us": [], "answering_us": [], "log_us": []} for it in KINDS}
    with bench.server(folder / "models", "--log-dir", folder / "log", "--log-roll-ms", "1000") as server:
        for kind in KINDS:
            full(bench, server, kind, {key: [] for key in found[kind]})
        for number in range(bench.rounds * ROUNDS):
            for kind in in_turn(number, *KINDS):
                full(bench, server, kind, found[kind])
        rate = median(found["without"]["served"]) * STEADY_SHARE
        for number in range(bench.rounds * ROUNDS):
            for kind in in_turn(number, *KINDS):
                report = load(bench, server, kind, [*OPEN, "--rate", f"{rate:.0f}"])
                found[kind]["p99_us"].append(report["latency_us"]["p99"])
                settle(server.process.pid)
        lost = server.scraped().sum("salver_log_records_dropped_total")
    shutil.rmtree(folder)
    bench.results["feedback"] = {"rate": rate, "lost": lost, "kinds": found}
    told(found, rate, lost)


def full(bench, server, kind, into):
    """A closed loop at full speed, and who spent how much of the processor on each request."""
    before, done = spent(server.process.pid), answered(server, kind)
    report = load(bench, server, kind, FULL)
    settle(server.process.pid)
    after, requests = spent(server.process.pid), answered(server, kind) - done
    into["served"].append(report["requests_per_s"])
    for key in ("answering", "log"):
        into[f"{key}_us"].append((after[key] - before[key]) * 1e6 / requests)


def load(bench, server, kind, options):
    lasting = ["--duration", f"{bench.seconds * 1000 // ROUNDS}ms", "--warmup", "200ms"]
    return parts.load(bench.loadtest, server.grpc, kind, *lasting, *options)


def answered(server, kind):
    return server.scraped().sum("salver_requests_total", model=kind)


def spent(pid):
    """Seconds of processor time: of the threads that answer requests, and of the log's; which move to their core."""
    seconds = {"answering": 0.0, "log": 0.0}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name, fields = re.match(r"\d+ \((.*)\) (.*)", (task / "stat").read_text()).groups()
        if is_log := name.split("/")[0] == "log":
            os.sched_setaffinity(int(task.name), {int(parts.LOAD_CORE)})
        ticks = sum(map(int, fields.split()[11:13]))
        seconds["log" if is_log else "answering"] += ticks / TICKS_PER_S
    return seconds


def settle(pid):
    """Until the rows that wait have been written: the log does nothing for a quarter of a second."""
    while True:
        before = spent(pid)["log"]
        time.sleep(0.25)
        if spent(pid)["log"] == before:
            return


def told(found, rate, lost):
    base, rows = found["without"], []
    for kind, it in found.items():
        cells = [kind, spread(it["served"]), share(ratios(it["served"], base["served"]))]
        cells += [spread(it["answering_us"], 1), spread(it["log_us"], 1), spread(it["p99_us"])]
        rows.append([*cells, spread([a - b for a, b in zip(it["p99_us"], base["p99_us"], strict=True)])])
    head = ["breast_cancer", "requests/s", "of that without", "µs of processor a request, answering", "in the log"]
    head += [f"p99 µs at {rate:,.0f}/s", "more than without"]
    note = f"`best_effort`, every request, 30 features; windows of 1,000 rows. Records left out: {lost:,.0f}."
    table("What the log and the monitors cost", head, rows, note)
