"""More than can be done: what is done all the same, and how the rest is told.

Capacity is what a closed loop gets, before and after each flood: the machine drifts. A flood is an open
loop at a multiple of it. Its callers wait `PATIENCE` and then give up; some say so beforehand,
some only cut the call. Nothing of the flood is left out as warm-up.
"""

import math
import socket
import threading
import time
from statistics import fmean

from bench import AXES, BIG, table

# Also the bound of a bucket of the server's histograms: what began to run later than that after
# its arrival began for a caller who had gone.
PATIENCE_S = 2.5
CALLERS = {"say their deadline": ["--send-deadline"], "only give up": []}
# A model that takes its time at ten times the load, which one core of load can still offer; and
# a fast one at twice, where refusing itself costs what answering would.
CASES = {
    "encoder": {"model": "encoder", "times": (2, 10), "load": AXES, "in_flight": 8},
    "mlp, 32 rows": {"model": "mlp", "times": (2,), "load": ["--rows", "32"], "in_flight": 16, "minutes_max": 2},
}
# Streams of a connection are bounded by the server; callers shall wait there, not in the client.
CONNECTIONS = 16
PROBE_EVERY_S = 0.25
# Half of what a refusal may take: above it, the load measures its own delay.
LATE_MS_MAX = 5


def measure(bench):
    results, rows = {}, []
    for name, case in CASES.items():
        with bench.server(BIG) as server:
            capacity = closed(bench, server, case)
            for times in case["times"]:
                for callers, options in CALLERS.items():
                    it = flood(bench, server, case, (times * capacity, options))
                    after = closed(bench, server, case)
                    it["capacity"] = fmean([capacity, after])
                    it["goodput"] = it["goodput_per_s"] / it["capacity"]
                    capacity = after
                    results[f"{name}, {times} ×, callers {callers}"] = {"times": times, **it}
                    rows.append([name, f"{times} × {it['capacity']:,.0f}/s", callers, *cells(it)])
    bench.results["overload"] = {"minutes": bench.overload_minutes, "floods": results}
    head = ["model", "load", "callers", "goodput / capacity", "last / first interval", "refused: share, p99 ms"]
    head += ["given up", "begun too late", "run, nobody took it", "control p99, max ms"]
    note = (
        f"Each flood lasts {bench.overload_minutes:g} min, of the MLP at most 2; an interval is a minute, or a sixth of less than two. Callers wait "
        f"{PATIENCE_S} s. *Begun too late*: runs of requests that had waited longer than that. *Run, nobody took it*: also "
        "those whose caller left while they ran."
    )
    table("Overload", head, rows, note)


def closed(bench, server, case):
    """Answers per second with a few requests in flight."""
    options = ["--concurrency", str(case["in_flight"]), *case["load"]]
    settled(server, case["model"])
    return bench.load(server.grpc, case["model"], *options, seconds=bench.seconds * 2)["requests_per_s"]


def flood(bench, server, case, load):
    rate, options = load
    seconds = min(bench.overload_minutes, case.get("minutes_max", math.inf)) * 60
    interval = 60 if seconds >= 120 else seconds / 6
    # Room for every caller who may be waiting.
    outstanding = int(rate * PATIENCE_S * 1.5) + 100
    words = ["--rate", f"{rate:.1f}", "--timeout", f"{PATIENCE_S}s", "--duration", f"{seconds}s", "--warmup", "0s"]
    words += ["--interval", f"{interval}s", "--outstanding-max", str(outstanding)]
    words += ["--connections", str(CONNECTIONS), "--spin", *case["load"], *options]
    before = executed(server, case["model"])
    with Control(server.metrics) as control:
        report = bench.ask(
            "run", "--url", f"127.0.0.1:{server.grpc}", "--model", case["model"], "--ceiling", "0s", *words
        )
    settled(server, case["model"])
    ran, late = (b - a for a, b in zip(before, executed(server, case["model"]), strict=True))
    good = [it["good_per_s"] for it in report["phases"]]
    shed, late_ms = report["refused"], report["lateness_us"]["p99"] / 1000
    return {
        "minutes": seconds / 60,
        "goodput_per_s": report["goodput_per_s"],
        "good_by_interval": good,
        "last_to_first": good[-1] / good[0] if good[0] else 0,
        "requests": report["requests"],
        "refused": shed["count"],
        "shed_p99_ms": shed["latency_us"]["p99"] / 1000 if shed["count"] else None,
        "given_up": report["requests"] - report["answered"] - shed["count"],
        "failures": report["failures"],
        "not_sent": report["not_sent"],
        "late_p99_ms": late_ms,
        "limited_by_client": report["not_sent"] > 0 or late_ms > LATE_MS_MAX,
        "warnings": report["warnings"],
        "executed": ran,
        "begun_too_late": late,
        "nobody_took": ran - report["answered"],
        "control_ms": control.summary(),
    }


def cells(it):
    requests = it["requests"] or 1
    shed = f", {it['shed_p99_ms']:.1f}" if it["shed_p99_ms"] is not None else ""
    nobody = f"{it['nobody_took']:.0f} of {it['executed']:.0f}"
    goodput = f"{it['goodput']:.1%}{' †' if it['limited_by_client'] else ''}"
    row = [goodput, f"{it['last_to_first']:.1%}", f"{it['refused'] / requests:.1%}{shed}"]
    row += [f"{it['given_up'] / requests:.1%}", f"{it['begun_too_late']:.0f}", nobody]
    return [*row, f"{it['control_ms']['p99']:.1f}, {it['control_ms']['max']:.1f}"]


def executed(server, model):
    """Requests that were run, and those of them that had waited longer than any caller does."""
    name, labels = "salver_stage_duration_seconds", {"model": model, "stage": "queue"}
    scrape = server.scraped()
    ran = scrape.sum(f"{name}_count", **labels)
    return ran, ran - scrape.sum(f"{name}_bucket", le=f"{PATIENCE_S:g}", **labels)


def settled(server, model):
    """Waits until nothing of the load before is left inside."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if server.scraped().sum("salver_inflight_requests", model=model) == 0:
            return
        time.sleep(0.1)
    raise SystemExit(f"requests for {model} stay inside though nobody asks any more")


class Control:
    """Asks the control port again and again, on a thread: probe and scrape, each on a connection of its own."""

    PATHS = ("/v2/health/live", "/metrics")

    def __init__(self, port):
        self.port = port
        self.took_ms, self.failed = [], 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.wait(PROBE_EVERY_S):
            for path in self.PATHS:
                began = time.monotonic()
                self.failed += not self.answered(path)
                self.took_ms.append((time.monotonic() - began) * 1000)

    def answered(self, path):
        """By hand: a library would take milliseconds of the core that the load needs."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as it:
                it.sendall(f"GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n".encode())
                answer = it.recv(1 << 16)
                first = answer
                while answer:
                    answer = it.recv(1 << 16)
                return first.startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def summary(self):
        ascending = sorted(self.took_ms) or [0.0]
        p99 = ascending[min(len(ascending) - 1, int(len(ascending) * 0.99))]
        return {"count": len(self.took_ms), "failed": self.failed, "p99": p99, "max": ascending[-1]}
