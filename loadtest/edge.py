#!/usr/bin/env python3
"""Builds the server for 64-bit ARM, and asks it for a prediction under qemu.

    make edge-arm

Debian's cross compiler and qemu are used if they are installed, else unpacked from its packages into .lib/cross,
where apt has them. Exit code 77: neither is to be had.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = "aarch64-unknown-linux-gnu"
PACKAGES = ("gcc-aarch64-linux-gnu", "qemu-user-static")
# Of the compiler's libraries: what nothing here links, and what is large.
LEFT_OUT = ("asan", "tsan", "ubsan", "lsan")
SKIPPED = 77
PORTS = (18200, 18201, 18202)

# Under qemu every instruction is translated: models load in seconds, not milliseconds.
READY_S = 60


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lib", type=Path, default=ROOT / ".lib")
    cross = parser.parse_args().lib.resolve() / "cross"
    if not (shutil.which("aarch64-linux-gnu-gcc") or unpacked(cross)):
        print("no aarch64-linux-gnu-gcc here, and apt has none: nothing was built")
        return SKIPPED
    environment = tools(cross)
    subprocess.run(["rustup", "target", "add", TARGET], check=True)
    words = ["build", "--profile", "edge", "--locked", "--target", TARGET, "-p", "server-app"]
    words += ["--no-default-features", "--features", "edge"]
    subprocess.run([os.environ.get("CARGO", "cargo"), *words], cwd=ROOT, env=environment, check=True)
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = folder / TARGET / "edge/salver"
    print(f"{binary}: {binary.stat().st_size / 1e6:.1f} MB", flush=True)
    qemu = shutil.which("qemu-aarch64-static", path=environment["PATH"])
    if not qemu:
        print("no qemu-aarch64-static here: it was not run")
        return 0
    root = cross / "usr/aarch64-linux-gnu"
    return predict([qemu, "-L", str(root if root.is_dir() else "/usr/aarch64-linux-gnu"), str(binary)])


def unpacked(cross: Path) -> bool:
    """Debian's packages and what they need, without installing them."""
    if (cross / "usr/bin/aarch64-linux-gnu-gcc").exists():
        return True
    if not shutil.which("apt-get"):
        return False
    done = subprocess.run(["apt-get", "install", "-s", *PACKAGES], capture_output=True, text=True)
    names = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Inst ")]
    names = [it for it in names if not any(part in it for part in LEFT_OUT)]
    if not names:
        return False
    cross.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["apt-get", "download", "-qq", *names], cwd=cross).returncode:
        return False
    for package in cross.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, cross], check=True)
        package.unlink()
    # The linker's script names places in the system, where these files do not lie.
    script = cross / "usr/aarch64-linux-gnu/lib/libc.so"
    script.write_text(script.read_text().replace("/usr/aarch64-linux-gnu/lib/", ""))
    return True


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


def predict(command: list[str]) -> int:
    http, grpc, metrics = map(str, PORTS)
    flags = ["--model-repository", "models/repository", "--host", "127.0.0.1", "--http-port", http]
    flags += ["--grpc-port", grpc, "--metrics-port", metrics]
    server = subprocess.Popen([*command, "serve", *flags], cwd=ROOT)
    try:
        return asked(f"http://127.0.0.1:{http}/v2/models/digits/")
    finally:
        server.terminate()
        server.wait(timeout=30)


def asked(url: str) -> int:
    recorded = json.loads((ROOT / "models/repository/digits/1/recorded.json").read_text())
    case, tolerance = recorded["cases"][0], recorded["tolerance"]["absolute"] * 10
    deadline = time.monotonic() + READY_S
    while True:
        try:
            urllib.request.urlopen(url + "ready", timeout=5).close()
            break
        except OSError:
            if time.monotonic() > deadline:
                print(f"not ready within {READY_S} s")
                return 1
            time.sleep(0.2)
    body = json.dumps(case["request"]).encode()
    with urllib.request.urlopen(url + "infer", data=body, timeout=30) as answer:
        got = json.load(answer)["outputs"][0]["data"]
    expect = case["response"]["outputs"][0]["data"]
    worst = max(abs(a - b) for a, b in zip(got, expect, strict=True))
    print(f"digits answered; {worst:.1e} at most from the recorded answer")
    return 0 if worst <= tolerance else 1


if __name__ == "__main__":
    sys.exit(main())
