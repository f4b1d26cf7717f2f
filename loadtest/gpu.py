#!/usr/bin/env python3
"""What must hold on a machine with an NVIDIA GPU: the engine's suite, also with bound memory, runs side by side and
CUDA graphs, and how fast all of it is there.

    make test-gpu                           with what is here
    loadtest/gpu.py --prepare FOLDER        only builds, and gathers what another machine needs
    loadtest/gpu.py --prepared FOLDER       only runs what lies there: no compiler, no network

Exit code 0: all that could be run passed. 77: there is no GPU here, or no library that can use it; what is
missing is printed. 1: something failed.

Needed are an NVIDIA driver, the library of PyPI's onnxruntime-gpu with its libonnxruntime_providers_*.so beside it
(--library FILE, or in .lib/onnxruntime-gpu), and the CUDA and cuDNN libraries that it was built for
(--cuda DIR, repeated; else LD_LIBRARY_PATH, and those of the nvidia-* packages of this Python).
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
    missing = lacking(options)
    if missing:
        print("no GPU check was run:", *missing, sep="\n  ")
        return SKIPPED
    folder = options.prepared or ROOT / "target/gpu"
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
    print("suite of the seam on cuda:0:", "failed" if suite else "passed", flush=True)
    failed |= suite
    failed |= not ways(folder, library(options), environment)
    failed |= not speeds(folder, library(options), environment)
    return 1 if failed else 0


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
    gpus = gpu()
    if gpus:
        print("GPU:", gpus, flush=True)
    else:
        missing.append("nvidia-smi shows no GPU; a machine with one, and NVIDIA's driver, is needed")
    if not library(options):
        where = options.library or ROOT / ".lib/onnxruntime-gpu"
        missing.append(f"no libonnxruntime.so of onnxruntime-gpu: {where}")
    for name in ("libcudart.so*", "libcublasLt.so*", "libcudnn.so*"):
        if not any(any(folder.glob(name)) for folder in libraries(options)):
            missing.append(f"no {name} in --cuda DIR, LD_LIBRARY_PATH or the nvidia-* packages")
    return missing


def gpu() -> str:
    if not shutil.which("nvidia-smi"):
        return ""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True)
    return "; ".join(done.stdout.split("\n")).strip("; ") if done.returncode == 0 else ""


def prepare(folder: Path) -> None:
    """The suite and the measuring program, without what is only for debugging."""
    folder.mkdir(parents=True, exist_ok=True)
    built = cargo("test", "--no-run", "-p", "backend-onnxruntime", "--test", "gpu")
    shutil.copy(built, folder / "suite")
    built = cargo("test", "--no-run", "-p", "backend-cuda", "--test", "driver")
    shutil.copy(built, folder / "driver")
    for name in ("raw", "seam"):
        built = cargo("build", "--release", "-p", "backend-onnxruntime", "--example", name)
        shutil.copy(built, folder / name)
    for name in ("suite", "driver", "raw", "seam"):
        subprocess.run(["strip", folder / name], check=False)
    print(f"prepared in {folder}; also needed there: backends/api/fixtures, models/bench", flush=True)


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
