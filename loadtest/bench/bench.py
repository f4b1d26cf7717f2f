"""What all parts of the benchmark have in common: what is measured, for how long, and where results go."""

import statistics
from pathlib import Path

import parts

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "models/repository"
BIG = ROOT / "models/bench"
SEQUENCE = 128

# Small models, by the repository that they are in.
TABULAR = {"breast_cancer": SAMPLES, "digits": SAMPLES, "mlp": BIG}
# Large models, with the lengths that their metadata leaves open.
AXES = [word for it in ("input_ids", "attention_mask") for word in ("--axis", f"{it}={SEQUENCE}")]
LARGE = {"resnet50": [], "encoder": AXES}


class Bench:
    """Runs servers and loads as one benchmark run wants them, and keeps what came out."""

    def __init__(self, options):
        self.rounds, self.seconds, self.quick = options.rounds, options.seconds, options.quick
        self.overload_minutes = options.overload_minutes
        self.warmup_s = 0.3 if options.quick else 1
        self.server_bin = options.bin / "salver"
        self.loadtest = options.bin / "loadtest"
        self.raw_bin = options.bin / "examples/raw"
        self.library = next((ROOT / ".lib/onnxruntime").glob("libonnxruntime.so.*"), None)
        self.pictures = options.pictures
        # By part: what `targets` judges, and every round for those who look closer.
        self.results = {}

    def raw(self, model, rows, seconds, free=1):
        return parts.raw(self.raw_bin, self.library, model, rows, seconds, free)["rows_per_s"]

    def server(self, repository, *flags):
        return parts.Server(self.server_bin, repository, "--log-level", "warn", *flags)

    def echo(self, model, like):
        return parts.Echo(self.loadtest, model, like)

    def load(self, port, model, *options, seconds=None):
        lasting = ["--duration", f"{seconds or self.seconds}s", "--warmup", f"{self.warmup_s}s"]
        return parts.load(self.loadtest, port, model, *lasting, *options)

    def ask(self, *words):
        return parts.ask(self.loadtest, *words)

    def models(self, of):
        """Those of the table, or the first and the last of it when time is short."""
        return dict([list(of.items())[0], list(of.items())[-1]]) if self.quick else of


def model_file(model, repository=BIG):
    return repository / model / "1/model.onnx"


def in_turn(number, *those):
    """All, beginning with another one each round: whoever is second meets a warmer machine."""
    first = number % len(those)
    return those[first:] + those[:first]


def ratios(over, under):
    return [a / b for a, b in zip(over, under, strict=True)]


def spread(values, digits=0):
    return ranged(values, f",.{digits}f")


def share(values):
    return ranged(values, ".1%")


def ranged(values, form):
    """The median, and the range where there is one."""
    low, middle, high = (format(it, form) for it in (min(values), statistics.median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low} – {high})"


def table(title, head, rows, note=""):
    lines = [f"\n### {title}\n", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    print("\n".join(lines + ([f"\n{note}"] if note else [])), flush=True)
