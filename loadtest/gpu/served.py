"""The whole server beside the same engine in process: the same file, as many instances, the batch that suits the engine
best, requests over gRPC from the same machine. How busy the GPU is meanwhile is what the driver says.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

from models import HALF, file
from speeds import lacking, seam
from steps import MEASURED, Failed, Run, Step, call, end

# Model, the batches that are tried, the length of free axes. A request of more rows of an image would be larger than
# the server takes without being told.
SERVED = (("resnet50", (8, 32, 64), 1), (HALF, (8, 32, 64), 1), ("encoder", (32, 64, 128), 128))
IN_DRY_RUN = (("mlp", (8, 16), 1),)
AXES = ("input_ids", "attention_mask")

INSTANCES = 2
# Each instance has a batch that runs and one that waits; the rest are on their way.
IN_FLIGHT = 4 * INSTANCES
CONNECTIONS, CLIENT_THREADS = 4, 2

START_S = 120
SAMPLE_MS = 200

# Targets, in percent: the server beside the engine, and the GPU's work while it serves.
RATIO_MIN, BUSY_MIN = 95, 95


def served(run: Run) -> None:
    head = ("model", "in process, rows/s by rows", "rows", "in process, rows/s", "over gRPC, rows/s", "share", "GPU busy, served")
    run.report.table(f"Served over gRPC, {IN_FLIGHT} in flight, {INSTANCES} instances", *head)
    faults = []
    for model, sizes, free in IN_DRY_RUN if run.here.dry else SERVED:
        try:
            found = {rows: seam(run, model, (rows, free), ("bound", INSTANCES))["rows_per_s"] for rows in sizes}
            rows = max(found, key=found.get)
            alone, over_grpc, busy = beside(run, model, (rows, free))
        except Failed as fault:
            faults.append(f"{model}: {fault}")
            run.report.row(model, "failed", "", "", "", "", "")
            continue
        tried = ", ".join(f"{it}: {speed:.0f}" for it, speed in found.items())
        share = judged(over_grpc / alone * 100, RATIO_MIN)
        percent = "" if busy is None else judged(busy, BUSY_MIN)
        run.report.row(model, tried, rows, f"{alone:.0f}", f"{over_grpc:.0f}", share, percent)
    if faults:
        raise Failed("\n".join(faults))


def judged(percent: float, least: float) -> str:
    return f"{percent:.1f} %" + ("" if percent >= least else f" (target: {least} %)")


def beside(run: Run, model: str, given: tuple[int, int]) -> tuple[float, float, float | None]:
    """Medians of rows a second in process and served, and of the GPU's work; both take turns."""
    rows, free = given
    alone, over_grpc, busy = [], [], []
    with server(run, model, rows) as port:
        for number in range(run.rounds):
            for turn in (0, 1) if number % 2 else (1, 0):
                if turn:
                    alone.append(seam(run, model, (rows, free), ("bound", INSTANCES))["rows_per_s"])
                    continue
                with sampled(run) as samples:
                    over_grpc.append(load(run, model, (rows, free), port))
                busy += steady(samples)
    return median(alone), median(over_grpc), median(busy) if busy else None


def load(run: Run, model: str, given: tuple[int, int], port: int) -> float:
    rows, free = given
    lasting = ["--duration", f"{run.seconds}s", "--warmup", "1s", "--ceiling", "0s", "--output", "json"]
    axes = [word for it in AXES for word in ("--axis", f"{it}={free}")] if free > 1 else []
    closed = ["--concurrency", IN_FLIGHT, "--connections", CONNECTIONS, "--threads", CLIENT_THREADS, "--rows", rows]
    words = [run.here.program("loadtest"), "run", "--url", f"127.0.0.1:{port}", "--model", model]
    # Its report goes over several lines.
    return json.loads(call(run, [*words, *closed, *axes, *lasting], START_S + run.seconds))["rows_per_s"]


@contextlib.contextmanager
def server(run: Run, model: str, rows: int):
    """Its gRPC port, once it is ready."""
    with tempfile.TemporaryDirectory() as folder:
        version = Path(folder) / model / "1"
        version.mkdir(parents=True)
        place(file(model), version / "model.onnx")
        toml = (
            f'engine = "onnxruntime"\ndevice = "{run.here.device}"\nmax_batch_size = {rows}\n'
            f"[instances]\ncount = {INSTANCES}\n[warmup]\nbatch_sizes = [{rows}]\n"
        )
        (Path(folder) / model / "model.toml").write_text(toml)
        http, grpc, metrics = free_ports(3)
        ports = ["--http-port", http, "--grpc-port", grpc, "--metrics-port", metrics]
        words = [run.here.program("salver"), "serve", "--host", "127.0.0.1", "--model-repository", folder, *ports]
        words += ["--onnxruntime-library", run.here.library, "--log-level", "warn"]
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                [str(it) for it in words], stdout=log, stderr=log, env=run.here.environment(), start_new_session=True
            )
            try:
                wait(run, process, f"http://127.0.0.1:{http}/v2/models/{model}/ready", log)
                yield grpc
            finally:
                end(process)


def place(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # of another file system
        shutil.copyfile(source, target)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for it in sockets:
            it.bind(("127.0.0.1", 0))
        return [it.getsockname()[1] for it in sockets]


def wait(run: Run, process: subprocess.Popen, url: str, log) -> None:
    until = time.monotonic() + run.clock.limit(START_S)
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    log.seek(0)
    raise Failed(f"the server is not ready: {url}: {log.read()[-2000:].strip()}")


@contextlib.contextmanager
def sampled(run: Run):
    """Percent of the time in which the GPU computed something, by sample."""
    samples: list[float] = []
    if run.here.dry:
        yield samples
        return
    query = ["nvidia-smi", "--id=0", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", f"--loop-ms={SAMPLE_MS}"]
    process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield samples
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        out, _ = process.communicate()
        samples += [float(it) for it in out.split() if it.isdigit()]


def steady(samples: list[float]) -> list[float]:
    """Without the first and the last third: the warm-up, and the end."""
    third = len(samples) // 3
    return samples[third : len(samples) - third]


MODELS = tuple(model for model, _, _ in SERVED)
READY = lacking("salver", "loadtest", "seam", models=MODELS)
STEPS = (Step("served", "The server beside the engine in process", READY, served, MEASURED),)
