#!/usr/bin/env python3
"""Builds the server for small machines, holds it to its size, and asks it for predictions, one of which panics.

    make edge        for this machine; what it takes of memory at rest is held to its bound too
    make edge-arm    for 64-bit ARM, asked under qemu

It is linked by LLVM's linker, which folds functions and constants that came out equal: the one that the Rust
toolchain brings, so that its version is pinned with it, else an installed `ld.lld`. Without either the
compiler's own linker does it, the file is larger than it may be, and that is said.

Debian's cross compiler and qemu are used if they are installed, else unpacked from its packages into .lib/cross,
where apt has them. Exit code 77: there is nothing to build with.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CARGO = os.environ.get("CARGO", "cargo")
ARM = "aarch64-unknown-linux-gnu"
# What is looked for, and Debian's package that has it.
PACKAGES = {"aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu", "qemu-aarch64-static": "qemu-user-static"}
# Of the compiler's libraries: what nothing here links, and what is large.
LEFT_OUT = ("asan", "tsan", "ubsan", "lsan")
SKIPPED = 77
PORTS = (18200, 18201, 18202)

# What small machines are promised: the file for 64-bit ARM, and what is resident with two small models, when
# nobody asks.
BYTES_MAX = 15_000_000
RESIDENT_MAX = 25_000_000

# The first that loads files whose relocations are packed (RELR).
GLIBC_MIN = (2, 36)

# Under qemu every instruction is translated: models load in seconds, not milliseconds.
READY_S = 60


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", action="store_true", help="build for 64-bit ARM")
    parser.add_argument("--lib", type=Path, default=ROOT / ".lib")
    arguments = parser.parse_args()
    cross = arguments.lib.resolve() / "cross"
    environment = tools(cross) if arguments.arm else dict(os.environ)
    if arguments.arm and not equipped(cross, environment["PATH"]):
        return SKIPPED
    binary = built(environment, ARM if arguments.arm else None)
    size = binary.stat().st_size
    print(f"{binary}: {size} bytes", flush=True)
    if arguments.arm and size > BYTES_MAX:
        print(f"that is more than the {BYTES_MAX} that small machines are promised")
        return 1
    if not arguments.arm:
        return predict([str(binary)], RESIDENT_MAX)
    qemu = shutil.which("qemu-aarch64-static", path=environment["PATH"])
    if not qemu:
        print("no qemu-aarch64-static here, and apt has none: it was not run")
        return 0
    root = cross / "usr/aarch64-linux-gnu"
    return predict([qemu, "-L", str(root if root.is_dir() else "/usr/aarch64-linux-gnu"), str(binary)])


def built(environment: dict[str, str], target: str | None) -> Path:
    words = ["rustc", "--profile", "edge", "--locked", "-p", "server-app", "--bin", "salver"]
    words += ["--no-default-features", "--features", "edge"]
    words += ["--target", target] if target else []
    linked = linker(environment, target)
    if not linked:
        print("no ld.lld here: the compiler's own linker folds nothing, and the file is larger", flush=True)
    # Of the linker alone, and for the binary alone: what else was compiled for this profile stays as it is.
    subprocess.run([CARGO, *words, "--", *linked], cwd=ROOT, env=environment, check=True)
    folder = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    return ROOT / folder / (target or "") / "edge/salver"


def linker(environment: dict[str, str], target: str | None) -> list[str]:
    """What rustc is told; nothing, where there is no such linker.

    Folding all of it is right as long as nobody tells functions or constants apart by their addresses. Rust
    promises different addresses to neither; it does to statics, but of those that cannot change nothing that is
    linked here compares any: tracing's call sites and tokio's tasks, which are compared, can change and are not
    folded. What is marked as safe to fold is nothing at all, as rustc writes no such marks.
    """
    folded = ["-Clink-arg=-Wl,--icf=all", "-Clink-arg=-Wl,--ignore-data-address-equality"]
    flags = ["-Clink-arg=-fuse-ld=lld", *folded, *packed(environment, target)]
    asked = ["rustc", "--print", "sysroot"]
    sysroot = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    version = subprocess.run(["rustc", "-vV"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    host = next(line.split()[1] for line in version.splitlines() if line.startswith("host:"))
    own = Path(sysroot) / "lib/rustlib" / host / "bin/gcc-ld"
    if (own / "ld.lld").exists():
        return [f"-Clink-arg=-B{own}", *flags]
    return flags if shutil.which("ld.lld", path=environment["PATH"]) else []


def packed(environment: dict[str, str], target: str | None) -> list[str]:
    """Addresses that depend on where the file is loaded, as a few bits each instead of 24 bytes: a megabyte.

    The C library that the file is linked with must know that form, as older ones refuse to load it, and say so.
    """
    compiler = "aarch64-linux-gnu-gcc" if target else "cc"
    asked = [compiler, "-print-file-name=libc.so.6"]
    library = Path(subprocess.run(asked, env=environment, capture_output=True, text=True, check=True).stdout.strip())
    said = re.search(rb"GNU C Library .* version (\d+)\.(\d+)", library.read_bytes() if library.is_file() else b"")
    version = tuple(map(int, said.groups())) if said else (0, 0)
    if version < GLIBC_MIN:
        print(f"glibc {version[0]}.{version[1]} here: older than 2.36, so the file is a megabyte larger", flush=True)
        return []
    return ["-Clink-arg=-Wl,-z,pack-relative-relocs"]


def equipped(cross: Path, path: str) -> bool:
    """Is there a compiler for the target, and Rust's own library for it? qemu is a wish."""
    missing = [package for tool, package in PACKAGES.items() if not shutil.which(tool, path=path)]
    if missing:
        unpack(cross, missing)
    if not shutil.which("aarch64-linux-gnu-gcc", path=path):
        print("no aarch64-linux-gnu-gcc here, and apt has none: nothing was built")
        return False
    asked = ["rustc", "--print", "target-libdir", "--target", ARM]
    library = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    if any(Path(library).glob("libstd-*.rlib")):
        return True
    if not shutil.which("rustup"):
        print(f"no standard library for {ARM} at {library}, and no rustup to fetch it: nothing was built")
        return False
    subprocess.run(["rustup", "target", "add", ARM], cwd=ROOT, check=True)
    return True


def unpack(cross: Path, packages: list[str]) -> None:
    """Debian's packages and what they need, without installing them; nothing, where apt has them not."""
    if not shutil.which("apt-get"):
        return
    done = subprocess.run(["apt-get", "install", "-s", *packages], capture_output=True, text=True)
    names = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Inst ")]
    names = [it for it in names if not any(part in it for part in LEFT_OUT)]
    if not names:
        return
    cross.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["apt-get", "download", "-qq", *names], cwd=cross).returncode:
        return
    for package in cross.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, cross], check=True)
        package.unlink()
    # The linker's script names places in the system, where these files do not lie.
    script = cross / "usr/aarch64-linux-gnu/lib/libc.so"
    if script.exists():
        script.write_text(script.read_text().replace("/usr/aarch64-linux-gnu/lib/", ""))


def tools(cross: Path) -> dict[str, str]:
    tool = "aarch64-linux-gnu"
    own = {
        "CC_aarch64_unknown_linux_gnu": f"{tool}-gcc",
        "AR_aarch64_unknown_linux_gnu": f"{tool}-ar",
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": f"{tool}-gcc",
        "PATH": f"{cross / 'usr/bin'}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{cross / 'usr/lib/x86_64-linux-gnu'}:{os.environ.get('LD_LIBRARY_PATH', '')}",
    }
    return os.environ | own


def predict(command: list[str], resident_max: int | None = None) -> int:
    http, grpc, metrics = map(str, PORTS)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "models/repository/digits", Path(folder) / "digits")
        pick = Path(folder) / "pick/1/model.onnx"
        pick.parent.mkdir(parents=True)
        shutil.copyfile(ROOT / "backends/api/fixtures/pick.onnx", pick)
        # As a small machine has them: what an instance more takes is the model's.
        flags = ["--model-repository", folder, "--instances", "1", "--worker-threads", "2", "--host", "127.0.0.1"]
        flags += ["--http-port", http, "--grpc-port", grpc, "--metrics-port", metrics]
        server = subprocess.Popen([*command, "serve", *flags], cwd=ROOT)
        try:
            models = f"http://127.0.0.1:{http}/v2/models"
            if not (ready(f"{models}/digits/") and ready(f"{models}/pick/")):
                print(f"not ready within {READY_S} s")
                return 1
            resident = memory(server.pid)
            if resident_max:
                print(f"two small models, idle: {resident / 1e6:.1f} MB resident", flush=True)
            if resident_max and resident > resident_max:
                print(f"that is more than the {resident_max / 1e6:.0f} MB that small machines are promised")
                return 1
            return asked(f"{models}/digits/infer") or survived(f"{models}/pick/infer")
        finally:
            server.terminate()
            server.wait(timeout=30)


def memory(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def ready(url: str) -> bool:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url + "ready", timeout=5).close()
            return True
        except OSError:
            time.sleep(0.2)
    return False


def asked(url: str) -> int:
    recorded = json.loads((ROOT / "models/repository/digits/1/recorded.json").read_text())
    case, tolerance = recorded["cases"][0], recorded["tolerance"]["absolute"] * 10
    body = json.dumps(case["request"]).encode()
    with urllib.request.urlopen(url, data=body, timeout=30) as answer:
        got = json.load(answer)["outputs"][0]["data"]
    expect = case["response"]["outputs"][0]["data"]
    worst = max(abs(a - b) for a, b in zip(got, expect, strict=True))
    print(f"digits answered; {worst:.1e} at most from the recorded answer")
    return 0 if worst <= tolerance else 1


def survived(url: str) -> int:
    """tract panics at an index out of range: that costs the request, however the file was linked."""
    said = []
    for index in (1, 99, 1):
        tensor = {"name": "index", "shape": [1, 1], "datatype": "INT64", "data": [index]}
        body = json.dumps({"inputs": [tensor]}).encode()
        try:
            with urllib.request.urlopen(url, data=body, timeout=30) as answer:
                said.append(json.load(answer)["outputs"][0]["data"])
        except urllib.error.HTTPError as error:
            said.append(json.load(error)["error"])
    good = said[0] == said[2] == [20.0] and "panicked" in said[1]
    print("a panic cost its request alone" if good else f"expected [20.0], a panic, [20.0]: {said}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
