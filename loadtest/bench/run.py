"""Measures Salver against the bare engine and the bare transport, and prints the result as Markdown.

    make bench                                          # everything but the pictures, about an hour
    python3 loadtest/bench/run.py --quick               # four minutes, for a first look
    python3 loadtest/bench/run.py --only steady idle --rounds 3
    python3 loadtest/bench/run.py --only overload --overload-minutes 10

Two cores: the server (or whatever it is compared with) has one, the load the other. What is compared
runs in alternating rounds; the ratio is taken within each round and its median quoted, because
machines drift. Needs the sample models and those of `make bench-models`.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

import allocations
import candle
import curves
import engines
import feedback
import idle
import large
import many
import neighbour
import overload
import parts
import several
import small
import start
import steady
import swaps
import targets
from bench import ROOT, Bench

# In the order in which they run: what is light first, what heats the machine last.
PARTS = {
    "start": start.measure,
    "idle": idle.measure,
    "alone": small.alone,
    "tabular": small.full,
    "steady": steady.measure,
    "swaps": swaps.measure,
    "neighbour": neighbour.measure,
    "feedback": feedback.measure,
    "many": many.measure,
    "big": large.measure,
    "models": several.measure,
    "overload": overload.measure,
    "allocations": allocations.measure,
    "pjrt": engines.pjrt,
    "litert": engines.litert,
    "candle": candle.measure,
    "curves": curves.measure,
}
# Cores that others may use: the kernel's own threads take a hundredth.
DISTURBED = 0.05
# Engines beside their own front doors need more than `make bench` builds: `make bench-engines`.
APART = ("curves", "pjrt", "litert", "candle")
# Pictures are asked for by name; a hundred swaps take more than a minute however few rounds there are.
USUAL = [it for it in PARTS if it not in APART]
QUICK = [it for it in USUAL if it not in ("swaps", "allocations")]


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release")
    parser.add_argument("--rounds", type=int, help="of what alternates [default: 5]")
    parser.add_argument("--seconds", type=int, help="of each load in a round [default: 4]")
    parser.add_argument("--overload-minutes", type=float, help="of each flood [default: 1; 10 for the record]")
    parser.add_argument("--quick", action="store_true", help="one short round of most parts: no result, a first look")
    parser.add_argument("--only", nargs="*", choices=PARTS, metavar="PART", help=f"of: {', '.join(PARTS)}")
    parser.add_argument("--pictures", type=Path, default=ROOT / "server/pictures", help="where `curves` draws")
    it = parser.parse_args()
    it.rounds = it.rounds or (1 if it.quick else 5)
    it.seconds = it.seconds or (1 if it.quick else 4)
    it.overload_minutes = it.overload_minutes or (0.1 if it.quick else 1)
    it.only = it.only or (QUICK if it.quick else USUAL)
    it.bin = it.bin.resolve()
    return it


def git(*words):
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main():
    asked = options()
    # What asks from here (probes, idle connections) shall not take the server's core.
    os.sched_setaffinity(0, {int(parts.LOAD_CORE)})
    commit = {"commit": git("rev-parse", "HEAD"), "describe": git("describe", "--always", "--dirty")}
    facts = {"machine": parts.machine(), "date": time.strftime("%Y-%m-%d"), **commit}
    print(f"{facts['machine']}; {facts['date']}; commit {commit['commit']} (`{commit['describe']}`)")
    rounds = "1 round" if asked.rounds == 1 else f"{asked.rounds} rounds"
    print(f"{rounds} of {asked.seconds} s{', quick: a first look, not a result' if asked.quick else ''}")
    bench, took, cores = Bench(asked), {}, {}
    out = asked.bin / "bench.json"
    for part in asked.only:
        began, neighbours = time.monotonic(), parts.Neighbours()
        PARTS[part](bench)
        took[part] = time.monotonic() - began
        cores[part] = neighbours.cores()
        # After each part: an hour is long enough for something to go wrong.
        out.write_text(json.dumps({**facts, "took_s": took, "neighbours": cores, "results": bench.results}, indent=1))
    targets.judge(bench.results)
    disturbed = [f"{part} by {sum(it.values()):.2f} cores" for part, it in cores.items() if sum(it.values()) > DISTURBED]
    if disturbed:
        print(f"\n**Disturbed** by other processes or guests of the machine: {', '.join(disturbed)}. Measure again.")
    minutes = ", ".join(f"{part} {seconds / 60:.1f}" for part, seconds in took.items())
    print(f"\nMinutes: {minutes}; together {sum(took.values()) / 60:.1f}. Every round is in {out}.")


if __name__ == "__main__":
    main()
