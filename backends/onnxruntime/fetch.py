"""Fetches ONNX Runtime's shared library, pinned by version and hash, from its PyPI wheel.

    python3 backends/onnxruntime/fetch.py .lib/onnxruntime

Does nothing if the library is there already. Needs pip, and nothing else beside the standard library.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "1.31.1"
# One wheel per architecture; which Python it is made for does not matter to the library inside.
WHEELS = {
    "x86_64": (
        "manylinux_2_28_x86_64",
        "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
    ),
    "aarch64": (
        "manylinux_2_28_aarch64",
        "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
    ),
}
LIBRARY = f"libonnxruntime.so.{VERSION}"


def download(wheel_platform, folder):
    """The wheel's path. pip brings the proxies and mirrors that the machine is set up for."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
        *("--implementation", "cp", "--python-version", "3.11", "--platform", wheel_platform),
        *("--dest", str(folder), f"onnxruntime=={VERSION}"),
    ]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("onnxruntime-*.whl")
    return wheel


def extract(wheel, into):
    member = f"onnxruntime/capi/{LIBRARY}"
    into.mkdir(parents=True, exist_ok=True)
    part = into / f".{LIBRARY}.part"
    with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, part.open("wb") as out:
        shutil.copyfileobj(source, out)
    part.rename(into / LIBRARY)


def main():
    into = Path(sys.argv[1])
    if (into / LIBRARY).exists():
        return 0
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in WHEELS:
        known = ", ".join(WHEELS)
        print(f"no pinned library for {platform.system()} on {machine}; there is one for Linux on {known}")
        return 1
    wheel_platform, expected = WHEELS[machine]
    with tempfile.TemporaryDirectory() as folder:
        wheel = download(wheel_platform, Path(folder))
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != expected:
            print(f"{wheel.name} has sha256 {found}, expected {expected}: not used")
            return 1
        extract(wheel, into)
    print(f"ONNX Runtime {VERSION} is in {into}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
