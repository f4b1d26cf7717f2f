"""What a model notices while another one is swapped: its p99 without a swap, with one, and with one after the other.

Small: `wine`. Large: ResNet-50, a hundred megabytes, which ONNX Runtime reads, rewrites and warms up for a second or
more each time. The server has one core for everything, as in the other parts: what a load takes, it takes from the
neighbour.
"""

import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import swaps
from bench import BIG, SAMPLES, in_turn, share, spread, table

NEIGHBOUR = "breast_cancer"
RATE = 500
OPEN = ["--protocol", "grpc", "--connections", "2", "--spin", "--timeout", "1s", "--rate", str(RATE), "--arrival", "constant"]
SWAPPED = {"wine": SAMPLES, "resnet50": BIG}
KINDS = {"still": 0, "one": 1, "many": 10**6}
# A large model takes a second or more.
LOOK_S = 0.2
# So many requests that a p99 stands on at least fifty.
SECONDS_MIN = 10


class Swapping:
    """New versions of a model, one after the other, until there were enough or the block ends."""

    def __init__(self, most, given):
        self.ends, self.count, self.failed = threading.Event(), 0, None
        self.most, self.given = most, given
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()
        if self.failed:
            raise self.failed

    def run(self):
        server, repository, model, source = self.given
        version = max(int(it.name) for it in (repository / model).iterdir() if it.name.isdigit())
        try:
            while self.count < self.most and not self.ends.is_set():
                version += 1
                # Links, and few looks: copying a large file and asking a hundred times a second would take the
                # load's core from it, which is no part of a swap.
                swaps.put(repository, version, source, model, os.link)
                swaps.wait_for(server, version, model, LOOK_S)
                self.count += 1
                with suppress(FileNotFoundError):
                    shutil.rmtree(repository / model / str(version - 2))
        except BaseException as failed:
            self.failed = failed


def measure(bench):
    bench.results["neighbour"], rows = {}, []
    for model, source in bench.models(SWAPPED).items():
        it = one(bench, model, source / model / "1")
        bench.results["neighbour"][model] = it
        still, single, many = (it["p99_us"][kind] for kind in KINDS)
        change = share([after / before - 1 for before, after in zip(still, single, strict=True)])
        cells = [model, spread(still), spread(single), change, spread(many), f"{sum(it['swaps'])}"]
        rows.append([*cells, sum(it["failed"])])
    head = ["swapped", f"p99 µs of {NEIGHBOUR} at {RATE}/s", "with one swap in the time", "change"]
    head += ["with one swap after the other", "which were", "failed"]
    table("A neighbour's swaps", head, rows)


def one(bench, model, source):
    scratch = Path(tempfile.mkdtemp(prefix="salver-bench-"))
    folder, origin = scratch / "repository", scratch / "origin"
    shutil.copytree(SAMPLES / NEIGHBOUR, folder / NEIGHBOUR)
    shutil.copytree(source, folder / model / "1")
    shutil.copytree(source, origin)
    found = {"p99_us": {it: [] for it in KINDS}, "swaps": [], "failed": []}
    with bench.server(folder, *swaps.FLAGS[:-2]) as server:
        for number in range(bench.rounds):
            for kind in in_turn(number, *KINDS):
                with Swapping(KINDS[kind], (server, folder, model, origin)) as swapping:
                    report = load(bench, server)
                found["p99_us"][kind].append(report["latency_us"]["p99"])
                found["failed"].append(report["failed"])
                if kind == "many":
                    found["swaps"].append(swapping.count)
    shutil.rmtree(scratch)
    return found


def load(bench, server):
    return bench.load(server.grpc, NEIGHBOUR, *OPEN, seconds=max(bench.seconds, SECONDS_MIN))
