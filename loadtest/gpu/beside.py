"""ONNX Runtime beside PyTorch, PJRT and candle: the same weights, the same rows, the same machine.

Each is a process of its own that runs one input again and again, from the host's memory and back to it. Products are in
FP32 for all of them, as far as each can be told.
"""

import importlib.util
import sys
import tempfile
from pathlib import Path

from here import Here
from models import PACKAGES, file, lacks
from report import ROOT
from speeds import START_S, lacking, ms, raw, seam
from steps import MEASURED, Failed, Run, Step, call, figures
from suites import pjrt_environment

SCRIPT = Path(__file__).parent / "same_weights.py"
# Model, length of free axes.
MODELS = (("encoder", 128), ("resnet50", 1))
ROWS = (1, 32)
# On a processor they take seconds a run.
ROWS_IN_DRY_RUN = (1,)

# PyTorch's compiler takes minutes at the first time.
COMPILE_S = 240
EXPORT_S = 120


def rows_of(run: Run) -> tuple[int, ...]:
    return ROWS_IN_DRY_RUN if run.here.dry else ROWS


def torch(run: Run) -> None:
    """The encoder; a way that fails leaves the others their rows."""
    device = "cpu" if run.here.dry else "cuda:0"
    run.report.table("The encoder beside PyTorch", "rows", "who", "ms a run", "rows/s", "speed of ours beside it")
    faults = []
    for rows in rows_of(run):
        ours = seam(run, "encoder", (rows, 128), ("bound", 1))
        run.report.row(rows, "through the seam", ms(ours), f"{ours['rows_per_s']:.0f}", "")
        for way in ("eager", "compile"):
            words = [sys.executable, SCRIPT, "torch", way, file("encoder"), rows, run.seconds, device]
            try:
                theirs = figures(run, words, COMPILE_S + run.seconds)
            except Failed as fault:
                faults.append(str(fault))
                run.report.row(rows, f"PyTorch, {way}", "failed", "", "")
                continue
            who, ratio = f"PyTorch {theirs['version']}, {way}", theirs["median_us"] / ours["median_us"]
            run.report.row(rows, who, ms(theirs), f"{theirs['rows_per_s']:.0f}", f"{ratio:.2f}")
    if faults:
        raise Failed("\n".join(faults))


def torch_lacks(it: Here) -> list[str]:
    needed = ("torch", "onnx", "numpy")
    packages = [f"no Python package {name}" for name in needed if not importlib.util.find_spec(name)]
    return packages + lacking("seam", models=("encoder",))(it) + lacks("encoder")


def engines(run: Run) -> None:
    """Those that are there; the others are named."""
    measures = {"PJRT": pjrt_ready(run.here), "candle": candle_ready(run.here)}
    for name, absent in measures.items():
        if absent:
            run.report.say(f"without {name}: {'; '.join(absent)}")
    faults = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, make in {"PJRT": programs, "candle": safetensors}.items():
            if not measures[name]:
                try:
                    make(run, Path(scratch))
                except Failed as fault:
                    faults.append(str(fault))
                    measures[name] = ["its models could not be made"]
        faults += compare(run, Path(scratch), [name for name, absent in measures.items() if not absent])
    if faults:
        raise Failed("\n".join(faults))


def programs(run: Run, folder: Path) -> None:
    platform, rows = "cpu" if run.here.dry else "cuda", ",".join(map(str, rows_of(run)))
    words = [sys.executable, SCRIPT, "programs", platform, folder, rows, *(file(it) for it, _ in MODELS)]
    # It lowers, and runs nothing: the GPU is left to what is measured.
    call(run, words, EXPORT_S, run.here.environment(JAX_PLATFORMS="cpu"))


def safetensors(run: Run, folder: Path) -> None:
    words = ["env", "-C", ROOT / "models", sys.executable, "-m", "train.weights", folder, *(it for it, _ in MODELS)]
    call(run, words, EXPORT_S)


def compare(run: Run, folder: Path, names: list[str]) -> list[str]:
    """What went wrong."""
    run.report.table("Engines on the same weights", "model", "rows", "engine", "ms a run", "rows/s", "speed beside ONNX Runtime")
    faults = []
    for model, free in MODELS:
        for rows in rows_of(run):
            reference = raw(run, model, (rows, free), run.here.device)
            run.report.row(model, rows, "ONNX Runtime", ms(reference), f"{reference['rows_per_s']:.0f}", "")
            for name in names:
                words = {"PJRT": pjrt_words, "candle": candle_words}[name](run, folder, (model, rows, free))
                env = pjrt_environment(run.here) if name == "PJRT" else run.here.environment()
                try:
                    it = figures(run, words, 2 * START_S + run.seconds, env)
                except Failed as fault:
                    faults.append(str(fault))
                    run.report.row(model, rows, name, "failed", "", "")
                    continue
                ratio = reference["median_us"] / it["median_us"]
                run.report.row(model, rows, name, ms(it), f"{it['rows_per_s']:.0f}", f"{ratio:.2f}")
    return faults


def pjrt_words(run: Run, folder: Path, given: tuple[str, int, int]) -> list:
    model, rows, _ = given
    return [run.here.program("raw-pjrt"), run.here.plugin, folder / f"{model}.stablehlo", rows, run.seconds]


def candle_words(run: Run, folder: Path, given: tuple[str, int, int]) -> list:
    model, rows, free = given
    weights = folder / model / "1/model.safetensors"
    return [run.here.program("raw-candle"), weights, rows, run.seconds, free, run.here.device]


def pjrt_ready(it: Here) -> list[str]:
    packages = [f"no Python package {name}" for name in ("jax", "onnx") if not importlib.util.find_spec(name)]
    return packages + it.lacks_program("raw-pjrt") + ([] if it.plugin else ["no xla_cuda_plugin.so"])


def candle_ready(it: Here) -> list[str]:
    if not it.program("raw-candle"):
        return ["no program raw-candle: make candle-cuda, then make test-gpu-prepare"]
    packages = [f"no Python package {name}" for name in PACKAGES if not importlib.util.find_spec(name)]
    return packages + it.lacks_cuda("libcublas.so.13", "libcurand.so.10")


def engines_lack(it: Here) -> list[str]:
    ready = lacking("raw", models=("encoder", "resnet50"))(it) + lacks("encoder", "resnet50")
    none = [*pjrt_ready(it), *candle_ready(it)] if pjrt_ready(it) and candle_ready(it) else []
    return ready + none


STEPS = (
    Step("torch", "ONNX Runtime beside PyTorch", torch_lacks, torch, MEASURED),
    Step("engines", "PJRT and candle beside ONNX Runtime", engines_lack, engines, MEASURED),
)
