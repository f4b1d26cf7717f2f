"""Large models: the server should vanish beside them."""

from statistics import median

from bench import BIG, LARGE, SEQUENCE, in_turn, model_file, ratios, share, spread, table

SIZES, CALIBRATIONS, CALIBRATION_S = (1, 2, 4), 3, 4
# A batch that runs and one that waits, of the largest size that the bare engine is tried with.
IN_FLIGHT = 8
# Batches come a few a second: over a short time, where it begins and ends decides.
TIMES_LONGER = 4


def best_rows(bench, model):
    """The batch size that suits the engine best: the server has to stand beside that.

    By the median of several tries, in turn: a size that one hiccup chose would flatter the server.
    """
    seconds, speeds = min(CALIBRATION_S, bench.seconds * 2), {it: [] for it in SIZES}
    for _ in range(1 if bench.quick else CALIBRATIONS):
        for rows, into in speeds.items():
            into.append(bench.raw(model_file(model), rows, seconds, free(model)))
    return max(SIZES, key=lambda it: median(speeds[it]))


def free(model):
    """The length of the axes that the metadata leaves open."""
    return SEQUENCE if LARGE[model] else 1


def measure(bench):
    results, rows = {}, []
    for model in LARGE:
        best = best_rows(bench, model)
        it = results[model] = {"best_rows": best, "raw": [], "served": []}
        with bench.server(BIG) as server:
            for number in range(bench.rounds):
                for side in in_turn(number, "raw", "served"):
                    rows_per_s = of_engine(bench, model, best) if side == "raw" else of_server(bench, model, server)
                    it[side].append(rows_per_s)
            cores = ", ".join(sorted(server.cores_used()))
        it["ratio"] = ratios(it["served"], it["raw"])
        cells = [model, f"{spread(it['raw'], 1)} at {best}", spread(it["served"], 1)]
        rows.append([*cells, share(it["ratio"]), cores])
    bench.results["big"] = results
    head = ["model", "bare engine, rows/s at batch", "served over gRPC, rows/s", "served / engine", "on core"]
    table(f"Large models, {IN_FLIGHT} in flight", head, rows)


def of_engine(bench, model, rows):
    return bench.raw(model_file(model), rows, bench.seconds * TIMES_LONGER, free(model))


def of_server(bench, model, server):
    closed = ["--concurrency", str(IN_FLIGHT), *LARGE[model]]
    return bench.load(server.grpc, model, *closed, seconds=bench.seconds * TIMES_LONGER)["rows_per_s"]
