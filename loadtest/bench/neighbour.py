"""What a model notices while another one is swapped: its p99 without a swap, with one, and with one after the other.

Small: `wine`. Large: ResNet-50, a hundred megabytes, which ONNX Runtime reads, rewrites and warms up for a second or
more each time. The server has one core for everything, as in the other parts: what a load takes, it takes from the
neighbour. A neighbour whose runs are short has them on the data runtime; `encoder` has a thread, and its runs stand
beside the warm-up's.
"""

import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import swaps
from bench import AXES, BIG, SAMPLES, in_turn, share, spread, table

OPEN = ["--protocol", "grpc", "--connections", "2", "--spin", "--timeout", "1s", "--arrival", "constant"]
SWAPPED = {"wine": SAMPLES, "resnet50": BIG}
# Where each lies, its requests a second and what it is asked with.
NEIGHBOURS = {"breast_cancer": (SAMPLES, 500, []), "encoder": (BIG, 8, AXES)}
# A swap of a small model is nothing beside runs of 25 ms.
PAIRS = [("wine", "breast_cancer"), ("resnet50", "breast_cancer"), ("resnet50", "encoder")]
KINDS = {"still": 0, "one": 1, "many": 10**6}
# A large model takes a second or more.
LOOK_S = 0.2
# So many requests that a p99 stands on at least fifty; that of eight a second is the worst or the last but one.
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
                if self.most == 1:
                    # Each look is a millisecond of the load's core, and the p99 is five requests a second.
                    self.ends.wait()
                swaps.wait_for(server, version, model, LOOK_S)
                self.count += 1
                with suppress(FileNotFoundError):
                    shutil.rmtree(repository / model / str(version - 2))
        except BaseException as failed:
            self.failed = failed


def measure(bench):
    bench.results["neighbour"], rows = {}, []
    for model, neighbour in PAIRS[:2] if bench.quick else PAIRS:
        it = one(bench, model, neighbour)
        bench.results["neighbour"][f"{model} beside {neighbour}"] = it
        still, single, many = (it["p99_us"][kind] for kind in KINDS)
        change = share([after / before - 1 for before, after in zip(still, single, strict=True)])
        asked = f"{neighbour}, {NEIGHBOURS[neighbour][1]}/s"
        cells = [model, asked, spread(still), spread(single), change, spread(many)]
        rows.append([*cells, f"{sum(it['swaps'])}", sum(it["failed"])])
    head = ["swapped", "neighbour", "its p99 µs", "with one swap in the time", "change"]
    head += ["with one swap after the other", "which were", "failed"]
    table("A neighbour's swaps", head, rows)


def one(bench, model, neighbour):
    source = SWAPPED[model] / model / "1"
    scratch = Path(tempfile.mkdtemp(prefix="salver-bench-"))
    folder, origin = scratch / "repository", scratch / "origin"
    shutil.copytree(NEIGHBOURS[neighbour][0] / neighbour, folder / neighbour)
    shutil.copytree(source, folder / model / "1")
    shutil.copytree(source, origin)
    found = {"p99_us": {it: [] for it in KINDS}, "swaps": [], "failed": []}
    with bench.server(folder, *swaps.FLAGS[:-2]) as server:
        for number in range(bench.rounds):
            for kind in in_turn(number, *KINDS):
                with Swapping(KINDS[kind], (server, folder, model, origin)) as swapping:
                    report = load(bench, server, neighbour)
                found["p99_us"][kind].append(report["latency_us"]["p99"])
                found["failed"].append(report["failed"])
                if kind == "many":
                    found["swaps"].append(swapping.count)
    shutil.rmtree(scratch)
    return found


def load(bench, server, neighbour):
    _, rate, how = NEIGHBOURS[neighbour]
    seconds = max(bench.seconds, SECONDS_MIN)
    return bench.load(server.grpc, neighbour, *OPEN, "--rate", str(rate), *how, seconds=seconds)
