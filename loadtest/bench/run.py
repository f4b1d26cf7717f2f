"""Measures Salver against the bare engine and the bare transport, and prints the result as Markdown.

    make bench                                          # everything, about half an hour
    python3 loadtest/bench/run.py --bin target/release --only swaps --rounds 3

Two cores: the server (or whatever it is compared with) has one, the load the other. What is compared
runs in alternating rounds; the ratio is taken within each round and its median quoted, because
machines drift. Needs the sample models and, for `big`, those of `make bench-models`.
"""

import argparse
import json
import socket
import statistics
import subprocess
import time
from pathlib import Path

import parts
import swaps

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "models/repository"
BIG = ROOT / "models/bench"
SEQUENCE = 128


def spread(values, digits=0):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} – {high:,.{digits}f})"


def share(ratios):
    return f"{statistics.median(ratios):.1%} ({min(ratios):.1%} – {max(ratios):.1%})"


def table(title, head, rows):
    lines = [f"\n### {title}\n", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    print("\n".join(lines), flush=True)


class Bench:
    def __init__(self, options):
        self.rounds, self.seconds = options.rounds, options.seconds
        self.server_bin = options.bin / "salver"
        self.loadtest = options.bin / "loadtest"
        self.raw_bin = options.bin / "examples/raw"
        self.library = next((ROOT / ".lib/onnxruntime").glob("libonnxruntime.so.*"))
        self.results = {}

    def raw(self, model, rows, seconds, free=1):
        return parts.raw(self.raw_bin, self.library, model, rows, seconds, free)["rows_per_s"]

    def server(self, repository, *flags):
        return parts.Server(self.server_bin, repository, "--log-level", "warn", *flags)

    def load(self, port, model, *options, seconds=None):
        lasting = ["--duration", f"{seconds or self.seconds}s", "--warmup", "1s"]
        return parts.load(self.loadtest, port, model, *lasting, *options)

    def big(self):
        """Large models: the server should vanish."""
        shapes = [["--axis", f"{it}={SEQUENCE}"] for it in ("input_ids", "attention_mask")]
        axes = {"resnet50": [], "encoder": sum(shapes, [])}
        rows = []
        for model, flags in axes.items():
            file = BIG / model / "1/model.onnx"
            free = SEQUENCE if flags else 1
            # The engine gets the batch size that suits it best.
            best = max((1, 2, 4), key=lambda it: self.raw(file, it, 4, free))
            engine, served = [], []
            with self.server(BIG) as server:
                for _ in range(self.rounds):
                    engine.append(self.raw(file, best, self.seconds * 2, free))
                    closed = ["--concurrency", "4", *flags]
                    report = self.load(server.grpc, model, *closed, seconds=self.seconds * 2)
                    served.append(report["rows_per_s"])
                cores = server.cores_used()
            ratios = [s / e for s, e in zip(served, engine)]
            self.results[model] = {"raw": engine, "served": served, "ratio": ratios}
            rows.append([model, f"{spread(engine, 1)} at {best}", spread(served, 1), share(ratios), cores])
        head = ["model", "bare engine, rows/s at batch", "served over gRPC, rows/s", "served / engine", "cores"]
        table("Large models, 4 in flight", head, rows)

    def tabular(self):
        """Small models: what the server itself costs."""
        rows = []
        for model, repository in TABULAR.items():
            file = repository / model / "1/model.onnx"
            engine = {it: self.raw(file, it, self.seconds) for it in (1, 32)}
            with self.server(repository) as server, parts.Echo(self.loadtest, model, server) as echo:
                for name, options in MODES.items():
                    rows.append(self.mode(model, name, options, (server, echo, engine[1])))
            print(f"{model}: bare engine {engine[1]:,.0f} rows/s one by one, {engine[32]:,.0f} at 32")
        head = ["model", "64 in flight over", "served, requests/s", "p99 ms", "bare echo, requests/s"]
        table("Small models, one row a request", [*head, "served / echo", "served / engine at 1"], rows)

    def mode(self, model, name, options, ends):
        server, echo, engine = ends
        served, floor, p99 = [], [], []
        port = "grpc" if "grpc" in name else "http"
        for _ in range(self.rounds):
            floor.append(self.load(getattr(echo, port), model, *options)["requests_per_s"])
            report = self.load(getattr(server, port), model, *options)
            served.append(report["requests_per_s"])
            p99.append(report["latency_us"]["p99"] / 1000)
        ratios = [s / f for s, f in zip(served, floor)]
        self.results[f"{model} {name}"] = {"served": served, "echo": floor, "ratio": ratios}
        against = statistics.median(served) / engine
        row = [model, name, spread(served), f"{statistics.median(p99):.2f}"]
        return [*row, spread(floor), share(ratios), f"{against:.1%}"]

    def alone(self):
        """One request in flight: what the server adds to the echo and the run."""
        rows = []
        for model, repository in TABULAR.items():
            file = repository / model / "1/model.onnx"
            run = 1e6 / self.raw(file, 1, self.seconds)
            with self.server(repository) as server, parts.Echo(self.loadtest, model, server) as echo:
                for name in ("grpc", "http"):
                    protocol = "grpc" if name == "grpc" else "http-binary"
                    options = ["--protocol", protocol, "--concurrency", "1"]
                    added, served, tail = [], [], []
                    for _ in range(self.rounds):
                        floor = self.load(getattr(echo, name), model, *options)["latency_us"]
                        here = self.load(getattr(server, name), model, *options)["latency_us"]
                        added.append(here["p50"] - floor["p50"] - run)
                        served.append(here["p50"])
                        tail.append(here["p99"] / here["p50"])
                    self.results[f"{model} alone {name}"] = {"p50": served, "added": added}
                    rows.append([model, name, spread(served), f"{run:.0f}", spread(added), spread(tail, 1)])
        head = ["model", "over", "p50 µs", "of which the run", "added to echo and run, µs", "p99 / p50"]
        table("One request in flight", head, rows)

    def steady(self):
        """Open loop at 70 % of what the closed loop reached."""
        rows = []
        for model, repository in TABULAR.items():
            with self.server(repository) as server:
                most, tail = [], []
                for _ in range(self.rounds):
                    full = self.load(server.grpc, model, *GRPC, "--connections", "2")
                    rate = full["requests_per_s"] * 0.7
                    open_loop = ["--protocol", "grpc", "--connections", "2", "--spin"]
                    report = self.load(server.grpc, model, *open_loop, "--rate", f"{rate:.0f}")
                    most.append(rate)
                    tail.append(report["latency_us"]["p99"] / 1000)
                self.results[f"{model} steady"] = {"rate": most, "p99_ms": tail}
                rows.append([model, spread(most), spread(tail, 2)])
        head = ["model", "Poisson arrivals over gRPC, requests/s", "p99 ms"]
        table("Steady load at 70 % of the most", head, rows)

    def overload(self):
        """More than can be done: what is done all the same."""
        file = BIG / "encoder/1/model.onnx"
        axes = sum([["--axis", f"{it}={SEQUENCE}"] for it in ("input_ids", "attention_mask")], [])
        best = max((1, 2, 4), key=lambda it: self.raw(file, it, 4, SEQUENCE))
        rows = []
        with self.server(BIG) as server:
            closed = ["--concurrency", "8", *axes]
            for times in (2, 10):
                share_of = []
                for _ in range(self.rounds):
                    most = self.load(server.grpc, "encoder", *closed, seconds=self.seconds * 2)
                    rate = most["requests_per_s"] * times
                    flood = ["--rate", f"{rate:.0f}", "--outstanding-max", "8192", "--timeout", "2s"]
                    seconds = self.seconds * 4
                    report = self.load(server.grpc, "encoder", *flood, *axes, seconds=seconds)
                    share_of.append(report["requests_per_s"] / most["requests_per_s"])
                self.results[f"overload {times}"] = {"goodput": share_of, "best": best}
                rows.append([f"{times} ×", share(share_of)])
        table("Encoder under overload, deadline 2 s", ["load", "answered / most"], rows)

    def idle(self):
        """Connections that say nothing."""
        sockets = []
        with self.server(SAMPLES) as server:
            before = server.rss_mb()
            for _ in range(IDLE_CONNECTIONS):
                sockets.append(socket.create_connection(("127.0.0.1", server.http)))
                sockets[-1].sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: bench\r\n\r\n")
                sockets[-1].recv(1024)
            each = (server.rss_mb() - before) * 1024 / IDLE_CONNECTIONS
        for it in sockets:
            it.close()
        self.results["idle"] = {"kib_each": each}
        table("Idle connections", ["connections", "KiB each"], [[IDLE_CONNECTIONS, f"{each:.1f}"]])

    def start(self):
        """From nothing to ready, and what it holds then."""
        rows = []
        lone = parts.alone(self.server_bin)
        for engine, binary in (("ONNX Runtime", self.server_bin), ("tract alone", lone)):
            ready, rss = [], []
            for _ in range(self.rounds * 2):
                with parts.Server(binary, SAMPLES, "--log-level", "error") as server:
                    ready.append(server.ready_s)
                    time.sleep(0.5)
                    rss.append(server.rss_mb())
            self.results[f"start {engine}"] = {"ready_s": ready, "rss_mb": rss}
            rows.append([engine, spread(ready, 3), spread(rss, 1)])
        table("Start with the sample repository", ["engine", "seconds to ready", "idle RSS, MiB"], rows)

    def swaps(self):
        """A hundred new versions under load."""
        result = swaps.measure(self.server_bin, self.loadtest, SAMPLES / "wine")
        self.results["swaps"] = result
        growth = result["rss_after_mb"] / result["rss_before_mb"] - 1
        row = [result["swaps"], result["requests"], result["failed"]]
        rss = f"{result['rss_before_mb']:.1f} → {result['rss_after_mb']:.1f} ({growth:+.1%})"
        head = ["swaps", "requests at 500/s", "failed", "RSS, MiB"]
        table("Swaps under load", head, [[*row, rss]])


GRPC = ["--protocol", "grpc", "--concurrency", "64"]
TABULAR = {"breast_cancer": SAMPLES, "digits": SAMPLES, "mlp": BIG}
# The usual hard limit of descriptors is 4,096 in some places; each connection takes two here.
IDLE_CONNECTIONS = 1_500
MODES = {
    "grpc, 1 connection": [*GRPC, "--connections", "1"],
    "grpc, 2 connections": [*GRPC, "--connections", "2"],
    "grpc, 64 connections": [*GRPC, "--connections", "64"],
    "http binary, 64 connections": ["--protocol", "http-binary", "--concurrency", "64"],
    "http json, 64 connections": ["--protocol", "http-json", "--concurrency", "64"],
}


PARTS = ["start", "idle", "tabular", "alone", "steady", "swaps", "big", "overload"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", nargs="*", default=PARTS)
    options = parser.parse_args()
    commit = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(commit, capture_output=True, text=True, check=False).stdout.strip()
    print(f"{parts.machine()}; {time.strftime('%Y-%m-%d')}; commit {commit or 'unknown'}")
    bench = Bench(options)
    for part in options.only:
        getattr(bench, part)()
    out = options.bin / "bench.json"
    out.write_text(json.dumps({"machine": parts.machine(), "commit": commit, **bench.results}, indent=1))
    print(f"\nevery round is in {out}")


if __name__ == "__main__":
    main()
