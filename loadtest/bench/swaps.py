"""A hundred versions of one model, one after the other, under 500 requests a second."""

import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import parts
from bench import SAMPLES, table

SWAPS = 100
RATE = 500
# The load outlasts the swaps: each takes about a third of a second.
LOAD_S = 75
# A version's folder must rest before it is loaded; a shorter rest makes the swaps come faster.
FLAGS = ["--rest-ms", "50", "--scan-interval-ms", "25", "--log-level", "error"]


def put(repository, version, source, model="wine", copy=shutil.copy2):
    """Makes a version beside its place and renames it: it is never there in part."""
    part = repository / f".{version}"
    shutil.copytree(source, part, copy_function=copy)
    os.rename(part, repository / model / str(version))


def wait_for(server, version, model="wine", pause_s=0.01):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        states = {it.get("version"): it["state"] for it in server.index() if it["name"] == model}
        if states.get(str(version)) == "READY" and "UNLOADING" not in states.values():
            return
        time.sleep(pause_s)
    raise SystemExit(f"version {version} did not come up: {server.index()}")


def swap(server, repository, wine, first, last):
    for version in range(first, last + 1):
        put(repository, version, wine / str(version % 2 + 1))
        wait_for(server, version)


def measure(bench):
    it = run(bench.server_bin, bench.loadtest, SAMPLES / "wine")
    bench.results["swaps"] = it
    growth = it["rss_after_mb"] / it["rss_before_mb"] - 1
    rss = f"{it['rss_before_mb']:.1f} → {it['rss_after_mb']:.1f} ({growth:+.1%})"
    row = [it["swaps"], it["requests"], it["failed"], rss]
    table("Swaps under load", ["swaps", f"requests at {RATE}/s", "failed", "RSS, MiB"], [row])


def run(binary, loadtest, wine):
    """Counts what failed, and the memory before and after. Ten swaps warm up the allocator."""
    folder = Path(tempfile.mkdtemp(prefix="salver-bench-"))
    (folder / "wine").mkdir()
    shutil.copytree(wine / "1", folder / "wine/1")
    with parts.Server(binary, folder, *FLAGS) as server:
        report = {}
        load = threading.Thread(target=run_load, args=(loadtest, server.grpc, report))
        load.start()
        time.sleep(1)
        swap(server, folder, wine, 2, 11)
        before = server.rss_mb()
        began = time.monotonic()
        swap(server, folder, wine, 12, 11 + SWAPS)
        took = time.monotonic() - began
        after = server.rss_mb()
        if not load.is_alive():
            raise SystemExit(f"the load ended before the swaps, which took {took:.0f} s")
        load.join()
    shutil.rmtree(folder)
    keys = ("requests", "failed", "failures")
    counted = {it: report[it] for it in keys}
    return {"swaps": SWAPS, "took_s": took, "rss_before_mb": before, "rss_after_mb": after, **counted}


def run_load(loadtest, port, report):
    options = ["--rate", RATE, "--arrival", "constant", "--duration", f"{LOAD_S}s", "--check-every", 0]
    report.update(parts.load(loadtest, port, "wine", *map(str, options)))
