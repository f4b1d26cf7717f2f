"""Small models: what the server itself costs, beside the bare echo and the bare engine."""

from statistics import median

from bench import TABULAR, in_turn, model_file, ratios, share, spread, table

GRPC = ["--protocol", "grpc", "--concurrency", "64"]
MODES = {
    "grpc, 1 connection": [*GRPC, "--connections", "1"],
    "grpc, 2 connections": [*GRPC, "--connections", "2"],
    "grpc, 64 connections": [*GRPC, "--connections", "64"],
    "http binary, 64 connections": ["--protocol", "http-binary", "--concurrency", "64"],
    "http json, 64 connections": ["--protocol", "http-json", "--concurrency", "64"],
}


def full(bench):
    """64 requests in flight, one row each."""
    results, rows, engines = {}, [], []
    for model, repository in bench.models(TABULAR).items():
        file = model_file(model, repository)
        engine = {it: bench.raw(file, it, bench.seconds) for it in (1, 32)}
        engines.append(f"{model} {engine[1]:,.0f} rows/s one by one, {engine[32]:,.0f} at 32")
        modes = {it: {"served": [], "echo": [], "p99_ms": [], "client": []} for it in MODES}
        with bench.server(repository) as server, bench.echo(model, server) as echo:
            for number in range(bench.rounds):
                for mode, options in MODES.items():
                    one_round(bench, model, (mode, options), in_turn(number, server, echo), modes[mode])
        for mode, it in modes.items():
            it["ratio"] = ratios(it["served"], it["echo"])
            rows.append(row(model, mode, it, engine[1]))
        json, binary = (modes[f"http {it}, 64 connections"]["served"] for it in ("json", "binary"))
        results[model] = {"engine": engine, "modes": modes, "json_to_binary": ratios(json, binary)}
    bench.results["tabular"] = results
    head = ["model", "64 in flight over", "served, requests/s", "p99 ms", "bare echo, requests/s"]
    head += ["served / echo", "served / engine at 1", "load core busy"]
    note = f"The bare engine: {'; '.join(engines)}. Where the load's core is full, the server could do more."
    table("Small models, one row a request", head, rows, note)


def one_round(bench, model, mode, ends, into):
    name, options = mode
    for end in ends:
        port = end.grpc if name.startswith("grpc") else end.http
        report = bench.load(port, model, *options)
        if hasattr(end, "metrics"):
            into["served"].append(report["requests_per_s"])
            into["p99_ms"].append(report["latency_us"]["p99"] / 1000)
            into["client"].append(report["client_busiest_thread"])
        else:
            into["echo"].append(report["requests_per_s"])


def row(model, mode, it, engine):
    served = median(it["served"])
    cells = [model, mode, spread(it["served"]), f"{median(it['p99_ms']):.2f}", spread(it["echo"])]
    return [*cells, share(it["ratio"]), f"{served / engine:.1%}", f"{median(it['client']):.0%}"]


def alone(bench):
    """One request in flight: what the server adds to the echo and the run."""
    results, rows = {}, []
    for model, repository in bench.models(TABULAR).items():
        file = model_file(model, repository)
        with bench.server(repository) as server, bench.echo(model, server) as echo:
            found = {it: {"p50_us": [], "added_us": [], "tail": [], "echo_tail": []} for it in ("grpc", "http")}
            runs = []
            for number in range(bench.rounds):
                runs.append(1e6 / bench.raw(file, 1, bench.seconds))
                for name, into in found.items():
                    lone_round(bench, model, name, (in_turn(number, server, echo), runs[-1]), into)
        results[model] = {"run_us": runs, **found}
        for name, it in found.items():
            cells = [model, name, spread(it["p50_us"]), f"{median(runs):.0f}", spread(it["added_us"])]
            rows.append([*cells, spread(it["tail"], 1), spread(it["echo_tail"], 1)])
    bench.results["alone"] = results
    head = ["model", "over", "p50 µs", "of which the run", "added to echo and run, µs", "p99 / p50"]
    table("One request in flight", [*head, "of the echo"], rows)


def lone_round(bench, model, name, given, into):
    ends, run = given
    options = ["--protocol", "grpc" if name == "grpc" else "http-binary", "--concurrency", "1"]
    latency = {}
    for end in ends:
        kind = "served" if hasattr(end, "metrics") else "echo"
        latency[kind] = bench.load(getattr(end, name), model, *options)["latency_us"]
    served, echo = latency["served"], latency["echo"]
    into["p50_us"].append(served["p50"])
    into["added_us"].append(served["p50"] - echo["p50"] - run)
    into["tail"].append(served["p99"] / served["p50"])
    into["echo_tail"].append(echo["p99"] / echo["p50"])
