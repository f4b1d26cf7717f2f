"""A thousand models that are registered, fifty of them asked for: what the others cost."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
import urllib.request
from pathlib import Path

from bench import SAMPLES, in_turn, model_file, ratios, share, spread, table

MODELS, HOT = 1_000, 50
# Long enough that every file has come to rest when the server looks.
REST_S = 1.5
LAZY = ["--load", "lazy"]
CLOSED = ["--protocol", "grpc", "--concurrency", "64", "--connections", "2"]


def names(count):
    return [f"m{it:04}" for it in range(count)]


def repository(folder, count, artifact):
    """Copies of one model as hard links; every other one has a file with settings."""
    for number, name in enumerate(names(count)):
        version = folder / name / "1"
        version.mkdir(parents=True)
        os.link(artifact, version / artifact.name)
        if number % 2 == 0:
            (folder / name / "model.toml").write_text("max_batch_size = 32\n")
    return folder


def cpu_s(server):
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(server, seconds=5):
    """Share of a core that a server takes of which nobody wants anything."""
    before = cpu_s(server)
    time.sleep(seconds)
    return (cpu_s(server) - before) / seconds


@contextlib.contextmanager
def stopped(server):
    """Both servers have the one core: what the other does beside its requests must not count."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def wake(server):
    """Loads the hot ones as clients do, by asking for their metadata."""
    began = time.monotonic()
    for name in names(HOT):
        with urllib.request.urlopen(f"http://127.0.0.1:{server.http}/v2/models/{name}", timeout=30):
            pass
    return time.monotonic() - began


def measure(bench):
    """Rounds alternate between the server with all models and one with the hot ones alone."""
    folder = Path(tempfile.mkdtemp(prefix="salver-bench-"))
    artifact = folder / ".model" / "model.onnx"
    artifact.parent.mkdir()
    shutil.copy2(model_file("breast_cancer", SAMPLES), artifact)
    all_models = repository(folder / "many", MODELS, artifact)
    hot_models = repository(folder / "hot", HOT, artifact)
    time.sleep(REST_S)
    with bench.server(all_models) as server:
        eager = figures(server)
    ready = []
    for _ in range(bench.rounds - 1):
        with bench.server(all_models, *LAZY) as server:
            ready.append(server.ready_s)
    served, p99 = ([], []), ([], [])
    with bench.server(all_models, *LAZY) as many, bench.server(hot_models) as few:
        lazy = figures(many)
        ready.append(lazy["ready_s"])
        wake_s = wake(many)
        hot_rss = (many.rss_mb(), few.rss_mb())
        first, *others = names(HOT)
        options = [*CLOSED, *(word for it in others for word in ("--model", it))]
        for number in range(bench.rounds):
            for place, server, other in in_turn(number, (0, many, few), (1, few, many)):
                with stopped(other):
                    report = bench.load(server.grpc, first, *options)
                served[place].append(report["requests_per_s"])
                p99[place].append(report["latency_us"]["p99"] / 1000)
    shutil.rmtree(folder)
    ratio = ratios(*served)
    bench.results["many"] = {
        "ready_s": ready, "eager": eager, "lazy": lazy, "wake_s": wake_s, "hot_rss_mib": hot_rss,
        "requests_per_s": served, "p99_ms": p99, "ratio": ratio,
    }  # fmt: skip
    rows = [[kind, f"{it['ready_s']:.2f}", f"{it['rss_mb']:.1f}", f"{it['idle_cores']:.2%}"]
            for kind, it in (("eager", eager), ("lazy", lazy))]  # fmt: skip
    table("1,000 models", ["load", "seconds to ready", "RSS, MiB", "idle, cores"], rows)
    kinds = ("1,000 lazy, 50 of them hot", "50 eager")
    rows = [[kind, spread(served[it]), spread(p99[it], 2), f"{hot_rss[it]:.1f}"] for it, kind in enumerate(kinds)]
    rows.append(["the first against the second", share(ratio), share(ratios(*p99)), ""])
    table(f"50 hot models, loaded in {wake_s:.2f} s", ["server", "requests/s", "p99 ms", "RSS, MiB"], rows)


def figures(server):
    time.sleep(1)
    return {"ready_s": server.ready_s, "rss_mb": server.rss_mb(), "idle_cores": idle(server)}
