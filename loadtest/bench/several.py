"""Several models on one core: what a light one feels of eight heavy ones, and what sharing costs them."""

import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from statistics import median

from bench import AXES, BIG, SAMPLES, share, spread, table

HEAVY, COPIES = "encoder", 8
SMALL, RATE = "breast_cancer", 200
# How the server's turns are dealt out, by the flag that says so. A server without it has but one way.
FLAG = "--scheduler"
WAYS = ("fair", "off")
IN_FLIGHT = 2 * COPIES


def measure(bench):
    folder = Path(tempfile.mkdtemp(prefix="salver-bench-"))
    try:
        results = compare(bench, repository(folder))
    finally:
        shutil.rmtree(folder)
    bench.results["models"] = results
    rows = []
    for way, it in results.items():
        cells = [way, spread(it["alone"], 1), spread(it["total"], 1), share(it["total_to_alone"])]
        cells += [f"{median(it['least']):.1f} – {median(it['most']):.1f}", spread(it["heavy_p99_ms"])]
        rows.append([*cells, spread(it["small_alone_p99_ms"], 1), spread(it["small_p99_ms"], 1)])
    head = ["turns", f"one {HEAVY}, rows/s", f"{COPIES} of them, rows/s", "of one", "each, least – most", "worst p99 of them, ms"]
    head += [f"{SMALL} at {RATE}/s alone, p99 ms", "beside them"]
    table("Several models on one core", head, rows)


def names():
    return [f"{HEAVY}-{number}" for number in range(1, COPIES + 1)]


def repository(folder):
    """Hard links where the file system has them: eight copies of a large file would only fill the disk."""
    for name, source in [*((it, BIG / HEAVY) for it in names()), (SMALL, SAMPLES / SMALL)]:
        shutil.copytree(source.resolve(), folder / name, copy_function=link)
    return folder


def link(source, target):
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def ways(bench):
    """The flags to start the server with, by name."""
    words = [bench.server_bin, "serve", "--help"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return {it: [FLAG, it] for it in WAYS} if FLAG in told else {"the kernel's": []}


KEYS = ("alone", "total", "total_to_alone", "least", "most", "heavy_p99_ms", "small_alone_p99_ms", "small_p99_ms")


def compare(bench, folder):
    results = {way: {key: [] for key in KEYS} for way in ways(bench)}
    for number in range(bench.rounds):
        order = list(ways(bench).items())
        for way, flags in order if number % 2 == 0 else reversed(order):
            with bench.server(folder, *flags) as server:
                for key, value in one_round(bench, server).items():
                    results[way][key].append(value)
    return results


def one_round(bench, server):
    seconds = bench.seconds * 2
    in_flight = ["--concurrency", str(IN_FLIGHT), *AXES]
    small = ["--rate", str(RATE), "--connections", "2"]
    quiet = bench.load(server.grpc, SMALL, *small, seconds=bench.seconds)
    alone = bench.load(server.grpc, names()[0], *in_flight, seconds=seconds)["rows_per_s"]
    beside = {}
    light = threading.Thread(
        target=lambda: beside.update(bench.load(server.grpc, SMALL, *small, seconds=seconds))
    )
    light.start()
    mix = ",".join(f"{it}=1" for it in names())
    heavy = bench.load(server.grpc, mix, *in_flight, "--timeout", "60s", seconds=seconds)
    light.join()
    rows = [it["rows_per_s"] for it in heavy["models"]]
    tails = [it["latency_us"]["p99"] / 1000 for it in heavy["models"] if it["latency_us"]]
    return {
        "alone": alone,
        "total": heavy["rows_per_s"],
        "total_to_alone": heavy["rows_per_s"] / alone,
        "least": min(rows),
        "most": max(rows),
        "heavy_p99_ms": max(tails, default=0),
        "small_alone_p99_ms": quiet["latency_us"]["p99"] / 1000,
        "small_p99_ms": beside["latency_us"]["p99"] / 1000 if beside.get("latency_us") else float("inf"),
    }
