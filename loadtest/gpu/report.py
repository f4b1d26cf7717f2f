"""What a run says: on the screen and, line by line, in a file, so that a run that is killed loses nothing."""

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "gpu-report.md"


class Report:
    """The file is `$OUT/gpu-report.md`, or the one in target/ where `OUT` is not set."""

    def __init__(self, path: Path | None = None):
        out = os.environ.get("OUT")
        self.path = path or (Path(out) if out else ROOT / "target") / NAME
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = self.path.open("w", encoding="utf-8")

    def say(self, *lines: str) -> None:
        for line in lines:
            print(line, flush=True)
            self.file.write(line + "\n")
        self.file.flush()

    def table(self, title: str, *head: str) -> None:
        self.say("", f"### {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head))

    def row(self, *cells) -> None:
        self.say("| " + " | ".join(map(str, cells)) + " |")


class Clock:
    """What is left of the time that the whole run may take."""

    def __init__(self, minutes: float):
        self.end = time.monotonic() + minutes * 60

    def left(self) -> float:
        return max(0.0, self.end - time.monotonic())

    def limit(self, seconds: float) -> float:
        """For one program: so long, and no longer than there is time."""
        return min(seconds, self.left())


def head(device: str, gpus: str, origin: str) -> list[str]:
    """What a reader has to know of the figures."""
    processor = next(
        (it.partition(":")[2].strip() for it in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in it),
        platform.machine(),
    )
    return [
        f"# `make test-gpu`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"commit {origin}; device {device}; GPU: {gpus or 'none'}",
        f"processor: {processor}, {os.cpu_count()} cores; Python {platform.python_version()}, {platform.platform()}",
    ]


def commit() -> str:
    """Of the checkout; what was changed since is said. Empty where there is none."""
    git = ["git", "-C", str(ROOT)]
    try:
        done = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    words = done.stdout.strip()
    return f"{words} with changes" if words and changed.stdout.strip() else words
