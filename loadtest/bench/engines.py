"""Engines beside their own front doors: PJRT beside jax on the same plugin, LiteRT beside its Python package.

Each is a process of its own, on the server's core, on one input again and again. Ours is `raw-pjrt` and
`raw-litert`, which are this project's crates without a server; theirs are in `rivals/`, in virtual
environments of their own (`make bench-engines`). What is compared takes turns.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import parts
from bench import ROOT, in_turn, share, spread, table

RIVALS = ROOT / "loadtest/bench/rivals"
VENV = Path(os.environ.get("VENV", ROOT / ".venv"))
PLUGIN = ROOT / ".lib/pjrt/xla_cpu_pjrt.so"
FIXTURES = ROOT / "backends/litert/fixtures"

# Models of `jax_raw.py` and rows; the larger the less it matters who calls.
PROGRAMS = (("mlp", 1), ("mlp", 32), ("encoder", 1))
FILES = (("digits", 1), ("digits", 32), ("digits", 256), ("digits_int8", 32))


def run(*command):
    done = subprocess.run(
        parts.pinned(parts.SERVER_CORE, command), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout or "null")


def both(bench, ours, theirs):
    """Microseconds of a run, by who it is, for each round; both take turns in being first."""
    found = []
    for number in range(bench.rounds):
        turns = in_turn(number, ("ours", ours), ("theirs", theirs))
        found.append({who: it() for who, it in turns})
    return found


def pjrt(bench):
    python, rows, results = VENV / "pjrt/bin/python", [], {}
    with tempfile.TemporaryDirectory() as folder:
        run("env", "JAX_PLATFORMS=cpu", python, RIVALS / "jax_raw.py", "make", folder)
        for model, count in PROGRAMS:
            ours = (bench.raw_bin.with_name("raw-pjrt"), PLUGIN, f"{folder}/{model}.stablehlo", count, bench.seconds)
            theirs = (python, RIVALS / "jax_raw.py", "run", PLUGIN, model, count, bench.seconds)
            found = both(bench, lambda of=ours: run(*of)["median_us"], lambda of=theirs: run(*of)["median_us"])
            ratio = [it["theirs"] / it["ours"] for it in found]
            results[f"{model} at {count}"] = {"ratio": ratio, "rounds": found}
            of_us, of_jax = ([it[who] for it in found] for who in ("ours", "theirs"))
            rows.append([model, count, spread(of_us, 1), spread(of_jax, 1), share(ratio)])
    bench.results["pjrt"] = results
    head = ["program", "rows", "raw-pjrt, µs a run", "jax on the same plugin, µs", "speed beside jax"]
    table("PJRT on the processor, beside jax", head, rows)


def litert(bench):
    python, rows, results = VENV / "litert/bin/python", [], {}
    library = next((ROOT / ".lib/litert").glob("libLiteRt.so.*"))
    for model, count in FILES:
        file = FIXTURES / f"{model}.tflite"
        ours = (bench.raw_bin.with_name("raw-litert"), library, file, count, bench.seconds)
        theirs = (python, RIVALS / "litert_raw.py", file, count, bench.seconds)
        found = both(bench, lambda of=ours: run(*of)["median_us"], lambda of=theirs: run(*of))
        ratio = [it["theirs"]["interpreter"] / it["ours"] for it in found]
        results[f"{model} at {count}"] = {"ratio": ratio, "rounds": found}
        ways = [spread([it["theirs"][way] for it in found], 1) for way in ("interpreter", "invoke", "compiled")]
        rows.append([model, count, spread([it["ours"] for it in found], 1), *ways, share(ratio)])
    bench.results["litert"] = results
    head = ["file", "rows", "raw-litert, µs a run", "Interpreter with its arrays", "`invoke` alone", "`CompiledModel.run` alone", "speed beside the first"]
    table("LiteRT, beside its Python package", head, rows, "One thread each.")
