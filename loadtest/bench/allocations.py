"""How often the server asks for memory to answer one request, as its own test counts it."""

import re
import subprocess

from bench import ROOT, table

TEST = ["cargo", "test", "--quiet", "--locked", "-p", "server-app", "--test", "allocations", "--", "--nocapture"]
# The line that the test prints: a number and what it is of.
LINE = re.compile(r"^(?:(?P<of>.*?):? )?(?P<count>\d+(?:\.\d+)?) allocations? (?:for each|a|per) request", re.MULTILINE)


def measure(bench):
    done = subprocess.run(TEST, cwd=ROOT, capture_output=True, text=True, check=False)
    found = {it["of"] or "a plain prediction": float(it["count"]) for it in LINE.finditer(done.stdout + done.stderr)}
    bench.results["allocations"] = {"passed": done.returncode == 0, "each": found}
    rows = [[of, f"{count:.1f}"] for of, count in found.items()] or [["the test printed no count", "–"]]
    table("Allocations of a warm request", ["request", "allocations"], rows)
