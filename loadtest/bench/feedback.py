"""What the prediction log costs, and what the monitors cost on top: one model without, with a log, with both.

Three models in one server, which has a core for answering. The log's own threads are given the load generator's: what
they take is told as processor time. Where the load generator needs its whole core, that is most of what is lost of the
throughput, so the model without a log is measured a second time while another process takes as much of that core; and
what a request takes of the answering core is told, which is what limits a server whose callers are elsewhere. Rounds
are short and many: this takes turns faster than machines drift.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import parts
from bench import SAMPLES, in_turn, ratios, share, spread, table

SOURCE = SAMPLES / "breast_cancer"
FULL = ["--protocol", "grpc", "--concurrency", "64", "--connections", "2"]
OPEN = ["--protocol", "grpc", "--connections", "2", "--spin", "--timeout", "1s"]
LOG = '[log]\nmode = "best_effort"\n'
DRIFT = "[drift]\nlearn_rows = 1000\nwindow_rows = 1000\n"
MODELS = {"without": "", "logged": LOG, "watched": LOG + DRIFT}
# The model that is asked, by what is measured.
KINDS = {"without": "without", "without, beside as much": "without", "logged": "logged", "watched": "watched"}
BESIDE = "without, beside as much"
# Takes a share of the core, in small pieces, and gives way like the log's sinks.
TAKER = """
import os, sys, time
os.nice(10)
share, began = float(sys.argv[1]), time.monotonic()
while True:
    while time.process_time() < share * (time.monotonic() - began):
        pass
    time.sleep(0.002)
"""
# Of the throughput without a log: where nobody waits for anybody.
STEADY_SHARE = 0.4
ROUNDS = 5
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def measure(bench):
    folder = Path(tempfile.mkdtemp(prefix="salver-bench-"))
    for model, text in MODELS.items():
        shutil.copytree(SOURCE, folder / "models" / model)
        (folder / "models" / model / "model.toml").write_text(text)
    found = {it: {"served": [], "p99_us": [], "answering_us": [], "log_us": []} for it in KINDS}
    with bench.server(folder / "models", "--log-dir", folder / "log", "--log-roll-ms", "1000") as server:
        warm = {kind: {key: [] for key in found[kind]} for kind in KINDS}
        for kind in KINDS:
            full(bench, server, kind, warm, 0)
        for number in range(bench.rounds * ROUNDS):
            for kind in in_turn(number, *KINDS):
                full(bench, server, kind, found, share_taken(found["logged"]) or share_taken(warm["logged"]))
        rate = median(found["without"]["served"]) * STEADY_SHARE
        for number in range(bench.rounds * ROUNDS):
            for kind, model in in_turn(number, *KINDS.items()):
                with beside(share_taken(found["logged"]) * STEADY_SHARE if kind == BESIDE else 0):
                    report = load(bench, server, model, [*OPEN, "--rate", f"{rate:.0f}"])
                found[kind]["p99_us"].append(report["latency_us"]["p99"])
                settle(server.process.pid)
        lost = server.scraped().sum("salver_log_records_dropped_total")
    shutil.rmtree(folder)
    bench.results["feedback"] = {"rate": rate, "lost": lost, "kinds": found}
    told(found, rate, lost)


def share_taken(logged):
    """What the log's threads take of a core while requests are logged at full speed."""
    return median(logged["log_us"]) * median(logged["served"]) / 1e6 if logged["served"] else 0


@contextmanager
def beside(share):
    """Something else takes that share of the load generator's core meanwhile."""
    if not share:
        yield
        return
    taker = subprocess.Popen(parts.pinned(parts.LOAD_CORE, [sys.executable, "-c", TAKER, f"{share:.3f}"]))
    try:
        yield
    finally:
        taker.kill()
        taker.wait()


def full(bench, server, kind, found, share):
    """A closed loop at full speed, and who spent how much of the processor on each request."""
    model, into = KINDS[kind], found[kind]
    before, done = spent(server.process.pid), answered(server, model)
    with beside(share if kind == BESIDE else 0):
        report = load(bench, server, model, FULL)
    settle(server.process.pid)
    after, requests = spent(server.process.pid), answered(server, model) - done
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
        cells += [share(ratios(it["served"], found[BESIDE]["served"])), spread(it["answering_us"], 1)]
        cells += [share(ratios(base["answering_us"], it["answering_us"])), spread(it["log_us"], 1)]
        cells += [spread(it["p99_us"])]
        rows.append([*cells, spread([a - b for a, b in zip(it["p99_us"], base["p99_us"], strict=True)])])
    head = ["breast_cancer", "requests/s", "of that without", "of that beside as much"]
    head += ["µs of processor a request, answering", "answered by that core, of that without", "in the log"]
    head += [f"p99 µs at {rate:,.0f}/s", "more than without"]
    note = f"`best_effort`, every request, 30 features; windows of 1,000 rows. Records left out: {lost:,.0f}."
    table("What the log and the monitors cost", head, rows, note)
