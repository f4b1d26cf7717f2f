"""What a step of the run is, and how the programs of one are called."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from here import Here
from report import Clock, Report


# What a step is when it went well. Measuring judges nothing: a target that is missed is said beside its figure.
PASSED, MEASURED, MADE = "passed", "measured", "made"


class Failed(Exception):
    """Something ran, and did not do what it should."""


@dataclass
class Run:
    """What every step is given."""

    here: Here
    report: Report
    clock: Clock
    # Of one measurement.
    seconds: float
    rounds: int


@dataclass(frozen=True)
class Step:
    """`lacking` says what is missing, so that nothing is run; `run` raises what is wrong."""

    name: str
    title: str
    lacking: Callable[[Here], list[str]]
    run: Callable[[Run], None]
    well: str = PASSED


def call(run: Run, words: list, limit_s: float, env: dict | None = None, quiet: bool = True) -> str:
    """A program's output; what it says goes to the screen where it is not quiet. It is ended, with all that it has
    started, when its time is over."""
    limit = run.clock.limit(limit_s)
    words = [str(it) for it in words]
    pipe = subprocess.PIPE if quiet else None
    process = subprocess.Popen(words, env=env, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    try:
        out, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed(f"{shown(words)}: not over after {limit:.0f} s") from None
    finally:
        # Its children too: they hold the GPU.
        end(process)
    if process.returncode:
        said = (errors or out or "").strip()[-2000:]
        raise Failed(f"{shown(words)}: exit code {process.returncode}{': ' + said if said else ''}")
    return out or ""


def end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def figures(run: Run, words: list, limit_s: float, env: dict | None = None) -> dict:
    """Of a program that prints one line of JSON, the last."""
    lines = call(run, words, limit_s, env).strip().splitlines()
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError):
        raise Failed(f"{shown(words)}: printed no line of JSON: {lines[-1:]}") from None


def shown(words: list) -> str:
    return " ".join([Path(str(words[0])).name, *map(str, words[1:])])
