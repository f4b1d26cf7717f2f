"""How often the server asks for memory to answer one request, as its own test counts it."""

import re
import subprocess

from bench import ROOT, table

TEST = ["cargo", "test", "--quiet", "--locked", "-p", "server-app", "--test", "allocations", "--", "--nocapture"]
# What the test prints: a heading for each kind of request, then how often each place asked, and whose it is.
HEADING = re.compile(r"^(a prediction .*):$")
OURS = re.compile(r"^ *(\d+\.\d+) ours ")


def counts(text):
    """Our own places' sum, by kind."""
    found, of = {}, None
    for line in text.splitlines():
        if heading := HEADING.match(line):
            of = heading[1]
            found[of] = 0.0
        elif (place := OURS.match(line)) and of:
            found[of] += float(place[1])
    return found


def measure(bench):
    done = subprocess.run(TEST, cwd=ROOT, capture_output=True, text=True, check=False)
    found = counts(done.stdout + done.stderr)
    bench.results["allocations"] = {"passed": done.returncode == 0, "each": found}
    rows = [[of, f"{count:.1f}"] for of, count in found.items()] or [["the test printed no count", "–"]]
    table("Allocations of a warm request", ["request", "allocations"], rows)
