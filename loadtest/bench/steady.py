"""An open loop below the limit: how long callers wait when there is room.

The limit is not that of a closed loop, whose bursts make batches that single arrivals do not. It is
the highest rate of Poisson arrivals whose 99th percentile stays within `CAPACITY_P99`, as
`loadtest search` finds it. At each share of it the bare echo runs at the same rate, in the same
round: its percentile is the machine's and the load generator's own.
"""

from statistics import median

from bench import TABULAR, in_turn, spread, table

CAPACITY_P99 = "10ms"
SHARES = (0.3, 0.5, 0.7)
# What one core of load can offer twice over, and what no server here falls below.
SEARCH = ["--p99", CAPACITY_P99, "--from", "4000", "--to", "256000", "--precision", "5"]
OPEN = ["--protocol", "grpc", "--connections", "2", "--spin", "--timeout", "1s"]


def measure(bench):
    results, rows = {}, []
    for model, repository in bench.models(TABULAR).items():
        with bench.server(repository) as server, bench.echo(model, server) as echo:
            capacity, limited, ceiling = search(bench, server, model)
            found = {it: {"p99_ms": [], "echo_p99_ms": [], "late_p99_ms": []} for it in SHARES}
            for number in range(bench.rounds):
                for part, into in found.items():
                    one_round(bench, model, median(capacity) * part, (in_turn(number, server, echo), into))
        results[model] = {"capacity": capacity, "limited_by_client": limited, "shares": found}
        for part, it in found.items():
            rate = f"{median(capacity) * part:,.0f} ({part:.0%})"
            cells = [model, f"{spread(capacity)}{' †' if limited else ''}", f"{ceiling:,.0f}", rate]
            rows.append([*cells, *(spread(it[key], 2) for key in ("p99_ms", "echo_p99_ms", "late_p99_ms"))])
    bench.results["steady"] = results
    head = ["model", f"capacity: p99 ≤ {CAPACITY_P99}, requests/s", "the load's own ceiling", "offered"]
    head += ["p99 ms", "of the bare echo", "sent late, p99 ms"]
    table("Steady load: Poisson arrivals over gRPC", head, rows, "† limited by the load generator")


def search(bench, server, model):
    """The capacity, as often as there is time for; was the client the limit; the client's ceiling."""
    lasting = ["--duration", "500ms", "--warmup", "200ms", "--precision", "20"] if bench.quick else []
    lasting = lasting or ["--duration", "2s", "--warmup", "500ms"]
    words = [*OPEN, *SEARCH[: -2 if bench.quick else None], *lasting, "--ceiling", "1s"]
    capacity, limited, ceiling = [], False, 0
    for _ in range(1 if bench.quick else min(3, bench.rounds)):
        found = bench.ask("search", "--url", f"127.0.0.1:{server.grpc}", "--model", model, *words)
        target = found["targets"][0]
        if target["rate_per_s"] is None:
            raise SystemExit(f"{model}: no rate has a p99 within {CAPACITY_P99}: {target['probes']}")
        capacity.append(target["rate_per_s"])
        limited |= target["limited_by_client"] or target["end"] == "above"
        ceiling = max(ceiling, (target["ceiling"] or {}).get("requests_per_s", 0))
    return capacity, limited, ceiling


def one_round(bench, model, rate, given):
    ends, into = given
    for end in ends:
        report = bench.load(end.grpc, model, *OPEN, "--rate", f"{rate:.0f}")
        p99 = report["latency_us"]["p99"] / 1000
        if hasattr(end, "metrics"):
            into["p99_ms"].append(p99)
            into["late_p99_ms"].append(report["lateness_us"]["p99"] / 1000)
        else:
            into["echo_p99_ms"].append(p99)
