"""Builds the server in which candle knows NVIDIA GPUs, on a machine that needs neither a GPU nor a driver.

    make candle-cuda
    python3 backends/candle/cuda.py --toolkit .lib/cuda-toolkit --target target/candle-cuda

Leaves `salver`, and `gpu-suite` and `raw-candle` for `make test-gpu`, in the target folder. Takes a quarter of an
hour at the first time, most of it for candle's code for GPUs.

The programs are not linked with NVIDIA's libraries, so that they start where there are none and say what is missing:
the functions are left open, and found when they are first called (src/cuda/library.rs). For that they are built with
a procedure linkage table that is filled lazily, and without the linker's check that every function is there;
`check` makes up for it. CUDA's runtime, which only the code for GPUs calls, is linked in. Whoever has a CUDA toolkit
and its libraries may do without all this: `cargo build --release -p server-app --features candle-cuda`.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What the linker is told exists: empty libraries by these names.
EMPTY = ("cuda", "cublas", "cublasLt", "curand", "nvrtc")

# Functions that may be left open: the driver's, cuBLAS's, cuRAND's and NVRTC's.
OPEN = re.compile(r"cu[A-Z]|cublas|curand|nvrtc")

# Code for this compute capability (8.0: A100, A10, L4, H100 and newer), which drivers translate for newer GPUs. Code
# for 9.0 would be for 9.0 alone: cudaforge asks for its particular instructions (sm_90a).
CAPABILITY = "80"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toolkit", type=Path, required=True)
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--profile", default="release")
    parser.add_argument("--features", default="candle-cuda", help="of the server, beside the usual ones")
    parser.add_argument("--no-default-features", action="store_true")
    options = parser.parse_args()
    toolkit, target = options.toolkit.resolve(), options.target.resolve()
    env = environment(toolkit, links(toolkit, target / "links"), target)
    flags = ["--no-default-features"] if options.no_default_features else []
    common = ["--locked", "--profile", options.profile]
    words = ["build", *common, "-p", "server-app", "--bin", "salver", *flags, "--features", options.features]
    built = [(cargo(env, words), target / "salver")]
    words = ["test", "--no-run", *common, "-p", "backend-candle", "--features", "cuda", "--test", "gpu"]
    built.append((cargo(env, words), target / "gpu-suite"))
    words = ["build", *common, "-p", "backend-candle", "--features", "cuda", "--example", "raw-candle"]
    built.append((cargo(env, words), target / "raw-candle"))
    for program, name in built:
        faults = check(program)
        if faults:
            print(f"{program} would not start without CUDA's libraries:", *faults, sep="\n  ")
            return 1
        shutil.copy2(program, name)
        print(f"built: {name}", flush=True)
    return 0


def links(toolkit: Path, folder: Path) -> Path:
    """A folder with what the linker looks for."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in EMPTY:
        command = [os.environ.get("CC", "cc"), "-shared", "-o", folder / f"lib{name}.so", "-x", "c", os.devnull]
        subprocess.run(command, check=True)
    # Found before the toolkit's own, which is a shared one.
    shutil.copyfile(toolkit / "lib/libcudart_static.a", folder / "libcudart.a")
    return folder


def environment(toolkit: Path, folder: Path, target: Path) -> dict[str, str]:
    rustflags = [
        f"-L native={folder}",
        "-C relro-level=partial",
        "-C link-arg=-Wl,-z,lazy",
        "-C link-arg=-Wl,--unresolved-symbols=ignore-all",
    ]
    return {
        "CUDA_COMPUTE_CAP": CAPABILITY,
        **os.environ,
        **{name: str(toolkit) for name in ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT")},
        "NVCC": str(toolkit / "bin/nvcc"),
        "PATH": f"{toolkit / 'bin'}:{os.environ['PATH']}",
        "CUDARC_CUDA_VERSION": "13000",
        "CARGO_TARGET_DIR": str(target),
        "RUSTFLAGS": " ".join(rustflags),
    }


def cargo(env: dict[str, str], words: list[str]) -> Path:
    """The program that cargo has built."""
    command = [os.environ.get("CARGO", "cargo"), *words, "--message-format=json-render-diagnostics"]
    print(*command, flush=True)
    done = subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True)
    messages = (json.loads(line) for line in done.stdout.splitlines())
    return Path([it["executable"] for it in messages if it.get("executable")][-1])


def check(program: Path) -> list[str]:
    """Why it would not start, or would fall over one of its own functions."""
    dynamic = subprocess.run(["readelf", "-Wd", program], check=True, capture_output=True, text=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    faults = [f"it needs {it}" for it in needed if OPEN.match(it.removeprefix("lib"))]
    if "BIND_NOW" in dynamic or re.search(r"FLAGS.*\bNOW\b", dynamic):
        faults.append("all functions are looked for at the start")
    symbols = subprocess.run(["readelf", "-W", "--dyn-syms", program], check=True, capture_output=True, text=True)
    # Without a version: in none of the libraries that it is linked with. Weak ones may be missing.
    undefined = re.findall(r"GLOBAL +DEFAULT +UND (\S+)$", symbols.stdout, re.MULTILINE)
    unknown = [it for it in undefined if "@" not in it and not OPEN.match(it)]
    faults += [f"nobody has the function {it}" for it in unknown]
    relocations = subprocess.run(["readelf", "-Wr", program], check=True, capture_output=True, text=True).stdout
    for kind, symbol in re.findall(r" (R_\w+) +\S+ (\S+)", relocations):
        if OPEN.match(symbol) and "@" not in symbol and not kind.endswith("_JUMP_SLOT"):
            faults.append(f"{symbol} is looked for at the start ({kind})")
    return sorted(set(faults))


if __name__ == "__main__":
    sys.exit(main())
