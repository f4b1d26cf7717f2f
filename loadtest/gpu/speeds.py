"""How fast the engines are in process: ONNX Runtime bare and through the seam, in each way that a model can be run.

Each row is printed as soon as it is measured.
"""

from here import Here
from models import HALF, file, lacks
from steps import MEASURED, Failed, Run, Step, figures

# Model of models/bench, rows of a batch, length of free axes.
SPEEDS = (
    ("mlp", 64, 1),
    ("encoder", 1, 128),
    ("encoder", 32, 128),
    ("resnet50", 1, 1),
    ("resnet50", 32, 1),
    (HALF, 32, 1),
)
# Batches that a processor takes more than a second for are not measured on it.
ON_PROCESSOR = (("mlp", 64), ("encoder", 1), ("resnet50", 1))

# Ways of running (backends/onnxruntime/examples/seam.rs) and how many instances run side by side.
WAYS = (("plain", 1), ("plain", 2), ("bound", 1), ("bound", 2), ("concurrent", 2), ("graph", 1))

# To open a library of 300 MB, load a model and run it for the first time, beside what is measured.
START_S = 60


def raw(run: Run, model: str, given: tuple[int, int], device: str) -> dict:
    rows, free = given
    words = [run.here.program("raw"), run.here.library, file(model), rows, run.seconds, free, device]
    return figures(run, words, START_S + run.seconds, run.here.environment())


def seam(run: Run, model: str, given: tuple[int, int], way: tuple[str, int]) -> dict:
    (rows, free), (name, instances) = given, way
    words = [run.here.program("seam"), run.here.library, file(model), rows, run.seconds, free]
    return figures(run, [*words, run.here.device, name, instances], START_S + run.seconds, run.here.environment())


def measured(run: Run) -> tuple[tuple[str, int, int], ...]:
    return SPEEDS[:1] if run.here.dry else SPEEDS


def speeds(run: Run) -> None:
    """Bare, beside the processor."""
    run.report.table("ONNX Runtime, bare", "model", "rows", "one core, ms", f"{run.here.device}, ms", "rows/s")
    for model, rows, free in measured(run):
        cpu = raw(run, model, (rows, free), "cpu") if (model, rows) in ON_PROCESSOR else None
        there = raw(run, model, (rows, free), run.here.device)
        run.report.row(model, rows, ms(cpu) if cpu else "", ms(there), f"{there['rows_per_s']:.0f}")


def ways(run: Run) -> None:
    """What bound memory, streams and CUDA graphs are good for."""
    run.report.table("ONNX Runtime through the seam", "model", "rows", "way", "instances", "ms a run", "rows/s")
    faults = []
    for model, rows, free in measured(run):
        for name, instances in WAYS:
            # Where lengths vary, and on a processor, a recording is refused.
            if name == "graph" and (free > 1 or run.here.dry):
                continue
            try:
                it = seam(run, model, (rows, free), (name, instances))
            except Failed as fault:
                faults.append(str(fault))
                run.report.row(model, rows, name, instances, "failed", "")
            else:
                run.report.row(model, rows, name, instances, ms(it), f"{it['rows_per_s']:.0f}")
    if faults:
        raise Failed("\n".join(faults))


def ms(found: dict) -> str:
    return f"{found['median_us'] / 1e3:.3f}"


def lacking(*programs: str, models: tuple[str, ...]):
    """ONNX Runtime on the device, these programs, these models; a dry run has the first of the table alone."""

    def lacking(it: Here) -> list[str]:
        needs = it.lacks_cuda("libcudart.so*", "libcublasLt.so*", "libcudnn.so*")
        return it.lacks_program(*programs) + it.lacks_library() + needs + lacks(*([SPEEDS[0][0]] if it.dry else models))

    return lacking


MODELS = tuple(dict.fromkeys(model for model, _, _ in SPEEDS))
STEPS = (
    Step("speeds", "ONNX Runtime, bare", lacking("raw", models=MODELS), speeds, MEASURED),
    Step("ways", "ONNX Runtime, ways of running", lacking("seam", models=MODELS), ways, MEASURED),
)
