#!/usr/bin/env python3
"""What must hold on a machine with an NVIDIA GPU: ONNX Runtime's suite, also with bound memory, runs side by side and
CUDA graphs, and how fast all of it is there; candle's suite and its answers beside the processor's.

    make test-gpu                           with what is here
    loadtest/gpu.py --prepare FOLDER        only builds, and gathers what another machine needs
    loadtest/gpu.py --prepared FOLDER       only runs what lies there: no compiler, no network

Exit code 0: all that could be run passed. 77: there is no GPU here, or no library that can use it; what is
missing is printed. 1: something failed.

Needed is an NVIDIA driver. For ONNX Runtime the library of PyPI's onnxruntime-gpu with its libonnxruntime_providers_*.so beside it
(--library FILE, or in .lib/onnxruntime-gpu), and the CUDA and cuDNN libraries that it was built for
(--cuda DIR, repeated; else LD_LIBRARY_PATH, and those of the nvidia-* packages of this Python). For candle what
`make candle-cuda` has built, and libcublas and libcurand of CUDA 13 (likewise).
"""

import argparse
import json
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = 77

# What `make candle-cuda` leaves.
CANDLE = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "candle-cuda"
CANDLE_SUITE = "gpu-suite"

# Model of models/bench, rows of a batch, length of free axes.
SPEEDS = (("mlp", 64, 1), ("encoder", 1, 128), ("encoder", 32, 128), ("resnet50", 1, 1), ("resnet50", 32, 1))
SECONDS = 3

# Ways of running (backends/onnxruntime/examples/seam.rs) and how many instances run side by side.
WAYS = (("plain", 1), ("plain", 2), ("bound", 1), ("bound", 2), ("concurrent", 2), ("graph", 1))


def main() -> int:
    options = arguments()
    if options.prepare:
        prepare(options.prepare)
        return 0
    gpus = gpu()
    if not gpus:
        print("no GPU check was run: nvidia-smi shows no GPU; a machine with one, and NVIDIA's driver, is needed")
        return SKIPPED
    print("GPU:", gpus, flush=True)
    folder = options.prepared or ROOT / "target/gpu"
    lacks = {"ONNX Runtime": lacking(options), "candle": candle_lacking(options, folder)}
    for name, missing in lacks.items():
        if missing:
            print(f"{name} was not checked:", *missing, sep="\n  ")
    if all(lacks.values()):
        return SKIPPED
    failed = False
    if not lacks["candle"]:
        failed |= not candle(options, folder)
    if not lacks["ONNX Runtime"]:
        failed |= not onnxruntime(options, folder)
    return 1 if failed else 0


def onnxruntime(options: argparse.Namespace, folder: Path) -> bool:
    if not options.prepared:
        prepare(folder)
    # The other tests of that program need a C compiler, and no GPU.
    words = [folder / "driver", "the_driver_of_this_machine_opens", "--nocapture"]
    failed = subprocess.run(words, env=os.environ | {"SALVER_TEST_GPU": "1"}).returncode
    print("CUDA's driver:", "failed" if failed else "opened", flush=True)
    environment = os.environ | {
        "SALVER_TEST_GPU_LIBRARY": str(library(options)),
        "SALVER_TEST_FIXTURES": str(ROOT / "backends/api/fixtures"),
        "LD_LIBRARY_PATH": ":".join(map(str, libraries(options))),
    }
    suite = subprocess.run([folder / "suite", "--nocapture", "--test-threads=1"], env=environment, cwd=ROOT).returncode
    print("ONNX Runtime's suite on cuda:0:", "failed" if suite else "passed", flush=True)
    failed |= suite
    failed |= not ways(folder, library(options), environment)
    failed |= not speeds(folder, library(options), environment)
    return not failed


def candle(options: argparse.Namespace, folder: Path) -> bool:
    environment = os.environ | {
        "SALVER_TEST_GPU": "1",
        "SALVER_TEST_CANDLE_FIXTURES": str(ROOT / "backends/candle/fixtures"),
        "LD_LIBRARY_PATH": ":".join(map(str, libraries(options))),
    }
    words = [candle_suite(options, folder), "--nocapture", "--test-threads=1"]
    failed = subprocess.run(words, env=environment, cwd=ROOT).returncode
    print("candle on cuda:0, beside the processor:", "failed" if failed else "passed", flush=True)
    return not failed


def candle_suite(options: argparse.Namespace, folder: Path) -> Path:
    return folder / CANDLE_SUITE if options.prepared else CANDLE / CANDLE_SUITE


def candle_lacking(options: argparse.Namespace, folder: Path) -> list[str]:
    suite = candle_suite(options, folder)
    missing = [] if suite.is_file() else [f"there is no build of it in {suite.parent}: make candle-cuda"]
    return missing + [absent(it) for it in ("libcublas.so.13", "libcurand.so.10") if not found(it, options)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path)
    parser.add_argument("--cuda", type=Path, action="append", default=[])
    parser.add_argument("--prepare", type=Path)
    parser.add_argument("--prepared", type=Path)
    return parser.parse_args()


def library(options: argparse.Namespace) -> Path | None:
    if options.library:
        return options.library if options.library.is_file() else None
    found = sorted((ROOT / ".lib/onnxruntime-gpu").glob("libonnxruntime.so*"))
    return found[-1] if found else None


def libraries(options: argparse.Namespace) -> list[Path]:
    """Folders in which CUDA's libraries may lie."""
    given = [Path(it) for it in os.environ.get("LD_LIBRARY_PATH", "").split(":") if it]
    packages = [Path(it) for it in (*site.getsitepackages(), site.getusersitepackages())]
    wheels = [it for package in packages for it in sorted(package.glob("nvidia/*/lib"))]
    return [*options.cuda, *given, *wheels]


def lacking(options: argparse.Namespace) -> list[str]:
    missing = []
    if not library(options):
        where = options.library or ROOT / ".lib/onnxruntime-gpu"
        missing.append(f"no libonnxruntime.so of onnxruntime-gpu: {where}")
    names = ("libcudart.so*", "libcublasLt.so*", "libcudnn.so*")
    return missing + [absent(it) for it in names if not found(it, options)]


def found(name: str, options: argparse.Namespace) -> bool:
    return any(any(folder.glob(name)) for folder in libraries(options))


def absent(name: str) -> str:
    return f"no {name} in --cuda DIR, LD_LIBRARY_PATH or the nvidia-* packages"


def gpu() -> str:
    if not shutil.which("nvidia-smi"):
        return ""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True)
    return "; ".join(done.stdout.split("\n")).strip("; ") if done.returncode == 0 else ""


def prepare(folder: Path) -> None:
    """The suites and the measuring program, without what is only for debugging."""
    folder.mkdir(parents=True, exist_ok=True)
    if (CANDLE / CANDLE_SUITE).is_file():
        shutil.copy(CANDLE / CANDLE_SUITE, folder)
        subprocess.run(["strip", folder / CANDLE_SUITE], check=False)
    else:
        print(f"without candle: there is no build of it in {CANDLE}: make candle-cuda")
    built = cargo("test", "--no-run", "-p", "backend-onnxruntime", "--test", "gpu")
    shutil.copy(built, folder / "suite")
    built = cargo("test", "--no-run", "-p", "backend-cuda", "--test", "driver")
    shutil.copy(built, folder / "driver")
    for name in ("raw", "seam"):
        built = cargo("build", "--release", "-p", "backend-onnxruntime", "--example", name)
        shutil.copy(built, folder / name)
    for name in ("suite", "driver", "raw", "seam"):
        subprocess.run(["strip", folder / name], check=False)
    print(f"prepared in {folder}; also needed there: backends/api/fixtures, backends/candle/fixtures, models/bench", flush=True)


def cargo(*words: str) -> str:
    """The program that cargo has built."""
    command = [os.environ.get("CARGO", "cargo"), *words, "--locked", "--message-format=json"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = (json.loads(line) for line in done.stdout.splitlines())
    return [it["executable"] for it in messages if it.get("executable")][-1]


def speeds(folder: Path, path: Path, environment: dict[str, str]) -> bool:
    """Prints a table; false if something that should run did not."""
    print("| model | batch | cpu, ms | cuda:0, ms | rows/s |\n|---|---|---|---|---|")
    sound = True
    for model, rows, free in SPEEDS:
        file = ROOT / f"models/bench/{model}/1/model.onnx"
        if not file.is_file():
            print(f"| {model} | {rows} | no {file.name}: make bench-models | | |")
            continue
        cells = []
        for device in ("cpu", "cuda:0"):
            words = [folder / "raw", path, file, str(rows), str(SECONDS), str(free), device]
            done = subprocess.run(words, env=environment, capture_output=True, text=True)
            if done.returncode:
                print(done.stderr, file=sys.stderr)
                return False
            cells.append(json.loads(done.stdout))
        cpu, cuda = cells
        print(f"| {model} | {rows} | {cpu['median_us'] / 1e3:.3f} | {cuda['median_us'] / 1e3:.3f} | {cuda['rows_per_s']:.0f} |")
    return sound


def ways(folder: Path, path: Path, environment: dict[str, str]) -> bool:
    """What bound memory, streams and CUDA graphs are good for; false if something that should run did not."""
    print("| model | batch | way | instances | cuda:0, ms | rows/s |\n|---|---|---|---|---|---|")
    for model, rows, free in SPEEDS:
        file = ROOT / f"models/bench/{model}/1/model.onnx"
        if not file.is_file():
            continue  # `speeds` says so
        for way, instances in WAYS:
            if way == "graph" and free > 1:
                continue  # its lengths vary, and that is refused
            words = [folder / "seam", path, file, rows, SECONDS, free, "cuda:0", way, instances]
            done = subprocess.run([str(it) for it in words], env=environment, capture_output=True, text=True)
            if done.returncode:
                print(f"{model}, {rows} rows, {way}:", done.stderr, file=sys.stderr)
                return False
            cell = json.loads(done.stdout)
            print(f"| {model} | {rows} | {way} | {instances} | {cell['median_us'] / 1e3:.3f} | {cell['rows_per_s']:.0f} |", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
