"""Throughput and latency from one request in flight to many, as pictures for the documents."""

from bench import BIG, LARGE, TABULAR

SMALL_LEVELS, LARGE_LEVELS = "1,2,4,8,16,32,64", "1,2,4,8"
# A name for each line, and how the server is addressed for it.
SMALL_LINES = {"gRPC": "grpc", "HTTP binary": "http", "HTTP JSON": "http+json"}
LARGE_LINES = {"gRPC": "grpc", "HTTP binary": "http"}
SMALL = ("breast_cancer", "mlp")


def measure(bench):
    bench.pictures.mkdir(parents=True, exist_ok=True)
    drawn, rounds = [], str(min(3, bench.rounds))
    of_small = [(it, TABULAR[it], (SMALL_LEVELS, SMALL_LINES), []) for it in SMALL]
    of_large = [(it, BIG, (LARGE_LEVELS, LARGE_LINES), axes) for it, axes in LARGE.items()]
    for model, repository, (levels, lines), axes in of_small + of_large:
        picture = bench.pictures / f"{model}.svg"
        seconds = bench.seconds * (1 if axes == [] and model in SMALL else 2)
        words = ["--model", model, "--concurrency", levels, "--rounds", rounds, "--picture", picture, *axes]
        words += ["--duration", f"{seconds}s", "--warmup", f"{bench.warmup_s}s"]
        with bench.server(repository) as server:
            for name, scheme in lines.items():
                port = server.grpc if scheme == "grpc" else server.http
                words += ["--target", f"{name}={scheme}://127.0.0.1:{port}"]
            bench.results.setdefault("curves", {})[model] = bench.ask("sweep", *words)
        drawn.append(str(picture))
    print(f"\ndrawn: {', '.join(drawn)}", flush=True)
