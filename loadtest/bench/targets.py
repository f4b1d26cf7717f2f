"""What was aimed at, what was measured, and whether that is enough: by rule, from the results alone.

A target is judged by the median of the rounds; the range stands beside it. What was not measured in this run
says so.
"""

from statistics import median

from bench import SEQUENCE, share, spread, table
from idle import CONNECTIONS
from steady import CAPACITY_P99

# Requests per second of Triton's best configuration on the MLP, measured apart.
TRITON = {"gRPC": 20_500, "HTTP": 21_300}
ENGINE_SHARE, ECHO_SHARE, JSON_SHARE = 0.98, 0.80, 0.70
PJRT_SHARE, LITERT_SHARE = 0.95, 0.97
ADDED_US, TAIL = 40, 2
STEADY_SHARE, STEADY_P99_MS = 0.7, 1
GOODPUT = {2: 0.95, 10: 0.90}
RECORD_MINUTES, LAST_TO_FIRST, SHED_P99_MS, CONTROL_MS = 10, 0.98, 10, 100
ALLOCATIONS = 5
RSS_MIB, READY_S = 60e6 / 2**20, 0.3
MANY_READY_S = 5
# Two rounds of the same differ by as much.
IDLE_KIB, IDLE_RATIO = 60, 1.1


# Nothing is said of what the run was too short for.
MET = {True: "yes", False: "no", None: "–"}


def judge(results):
    """Prints the table. Every target has a line, measured or not."""
    rows = []
    for part, lines in LINES.items():
        if part in results:
            rows += [[what, aim, got, MET[met]] for what, aim, got, met in lines(results[part])]
        else:
            rows += [[f"part `{part}`", "", "not measured in this run", "–"]]
    table("Targets", ["what", "target", "measured", "met"], rows)
    return rows


def large(results):
    for model, it in results.items():
        words = f"{model}{f', {SEQUENCE} tokens' if model == 'encoder' else ''}: rows over gRPC to the bare engine's"
        yield words, f"≥ {ENGINE_SHARE:.0%}", share(it["ratio"]), median(it["ratio"]) >= ENGINE_SHARE


def tabular(results):
    for model, it in results.items():
        modes = it["modes"]
        for mode in ("grpc, 64 connections", "grpc, 1 connection"):
            yield of_echo(f"{model} over {mode}, to the bare tonic echo", modes[mode])
        yield of_echo(f"{model} over HTTP/1.1 binary, to the bare hyper echo", modes["http binary, 64 connections"])
        json = it["json_to_binary"]
        yield f"{model}: JSON to binary", f"≥ {JSON_SHARE:.0%}", share(json), median(json) >= JSON_SHARE
    if "mlp" in results:
        yield from beside_triton(results["mlp"]["modes"])


def of_echo(words, mode):
    return words, f"≥ {ECHO_SHARE:.0%}", share(mode["ratio"]), median(mode["ratio"]) >= ECHO_SHARE


def beside_triton(modes):
    for protocol, theirs in TRITON.items():
        of_protocol = [it["served"] for mode, it in modes.items() if mode.startswith(protocol.lower())]
        best = max(of_protocol, key=median)
        times = median(best) / theirs
        aim = f"≥ 2 × {theirs:,}/s (3 ×: a stretch)"
        yield f"mlp over {protocol}, best mode, to Triton's best", aim, f"{times:.1f} ×: {spread(best)}/s", times >= 2


def alone(results):
    for model, it in results.items():
        for name in ("grpc", "http"):
            added, tail = it[name]["added_us"], it[name]["tail"]
            words = f"{model}, one in flight over {name}"
            yield f"{words}: added to echo and run", f"≤ {ADDED_US} µs", f"{spread(added)} µs", median(added) <= ADDED_US
            echo = f"{spread(tail, 1)}; the echo's {median(it[name]['echo_tail']):.1f}"
            yield f"{words}: p99 / p50", f"≤ {TAIL}", echo, median(tail) <= TAIL


def steady(results):
    for model, it in results.items():
        at = it["shares"][STEADY_SHARE]
        rate = median(it["capacity"]) * STEADY_SHARE
        got = f"{spread(at['p99_ms'], 2)} ms at {rate:,.0f}/s; the echo's {median(at['echo_p99_ms']):.2f} ms"
        words = f"{model}: p99 at {STEADY_SHARE:.0%} of capacity (Poisson arrivals, p99 ≤ {CAPACITY_P99})"
        yield words, f"≤ {STEADY_P99_MS} ms", got, median(at["p99_ms"]) <= STEADY_P99_MS


def overload(results):
    minutes, floods = results["minutes"], results["floods"]
    long = minutes >= RECORD_MINUTES
    for name, it in floods.items():
        least = GOODPUT[it["times"]]
        words = f"goodput at {name}"
        limited = " (limited by the load)" if it["limited_by_client"] else ""
        yield words, f"≥ {least:.0%} of capacity", f"{it['goodput']:.1%} in {it['minutes']:g} min{limited}", it["goodput"] >= least
        steady_on = it["last_to_first"] >= LAST_TO_FIRST if long else None
        shown = f"{it['last_to_first']:.1%}" if long else f"takes --overload-minutes {RECORD_MINUTES}"
        yield "… last minute to the first", f"≥ {LAST_TO_FIRST:.0%}", shown, steady_on
        shed = it["shed_p99_ms"]
        shown = "none was refused" if shed is None else f"{shed:.1f} ms"
        yield "… refusals, p99", f"≤ {SHED_P99_MS} ms", shown, shed is None or shed <= SHED_P99_MS
    late, nobody, ran = (sum(it[key] for it in floods.values()) for key in ("begun_too_late", "nobody_took", "executed"))
    # Whoever leaves while it runs has not left before: those runs are shown, but not judged.
    shown = f"{late:.0f} of {ran:.0f}; {nobody - late:.0f} answers came too late to be taken"
    yield "runs begun for callers who had gone", "0", shown, late == 0
    most = max(it["control_ms"]["max"] for it in floods.values())
    failed = sum(it["control_ms"]["failed"] for it in floods.values())
    shown = f"{most:.1f} ms at most, {failed} failed"
    yield "probes and scrapes meanwhile", f"≤ {CONTROL_MS} ms", shown, most <= CONTROL_MS and not failed


def allocations(results):
    most = max(results["each"].values(), default=None)
    shown = "the test printed no count" if most is None else "; ".join(f"{of}: {it:.1f}" for of, it in results["each"].items())
    yield "allocations of a warm request", f"≤ {ALLOCATIONS}", shown, None if most is None else most <= ALLOCATIONS


def start(results):
    it = results["ONNX Runtime"]
    rss, ready = it["rss_mib"], it["ready_s"]
    aim = f"≤ {RSS_MIB:.1f} MiB (60 MB)"
    yield "idle RSS, sample models, engine included", aim, f"{spread(rss, 1)} MiB", median(rss) <= RSS_MIB
    shown = f"{spread([it * 1000 for it in ready])} ms"
    yield "start to ready, sample models", f"≤ {READY_S * 1000:.0f} ms", shown, median(ready) <= READY_S


def many(results):
    ready = results["ready_s"]
    yield "1,000 models, 50 of them hot: start", f"≤ {MANY_READY_S} s", f"{spread(ready, 2)} s", median(ready) <= MANY_READY_S


def idle(results):
    most, count = max(results["kib_each"].values()), results["connections"]
    shown = f"{', '.join(f'{each:.1f} ({of})' for of, each in results['kib_each'].items())} KiB, {count:,} of them"
    enough = most <= IDLE_KIB * 1000 / 1024 and count == CONNECTIONS
    yield f"{CONNECTIONS:,} idle connections: memory of each", f"≤ {IDLE_KIB} KB", shown, enough
    ratio = results["p99_ratio"]
    yield "… p99 of the active ones, with them to the same held by another process", f"≤ {IDLE_RATIO}", spread(ratio, 2), median(ratio) <= IDLE_RATIO


def pjrt(results):
    for model, it in results.items():
        words = f"{model}: PJRT's speed beside jax on the same plugin"
        yield words, f"≥ {PJRT_SHARE:.0%}", share(it["ratio"]), median(it["ratio"]) >= PJRT_SHARE


def litert(results):
    for model, it in results.items():
        words = f"{model}: LiteRT's speed beside its own Python package"
        yield words, f"≥ {LITERT_SHARE:.0%}", share(it["ratio"]), median(it["ratio"]) >= LITERT_SHARE


# By the part that measures it, in the order of the table.
LINES = {
    "big": large,
    "tabular": tabular,
    "alone": alone,
    "steady": steady,
    "overload": overload,
    "allocations": allocations,
    "start": start,
    "many": many,
    "idle": idle,
    "pjrt": pjrt,
    "litert": litert,
}
