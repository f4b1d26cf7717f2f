"""From nothing to ready, and what the server holds then."""

import time

import parts
from bench import SAMPLES, spread, table

# Allocators and caches give back what the start took.
REST_S = 0.5


def measure(bench):
    results, rows = {}, []
    lone = parts.alone(bench.server_bin)
    for engine, binary in (("ONNX Runtime", bench.server_bin), ("tract alone", lone)):
        ready, rss = [], []
        for _ in range(bench.rounds * 2):
            with parts.Server(binary, SAMPLES, "--log-level", "error") as server:
                ready.append(server.ready_s)
                time.sleep(REST_S)
                rss.append(server.rss_mb())
        results[engine] = {"ready_s": ready, "rss_mib": rss}
        rows.append([engine, spread(ready, 3), spread(rss, 1)])
    bench.results["start"] = results
    table("Start with the sample repository", ["engine", "seconds to ready", "idle RSS, MiB"], rows)
