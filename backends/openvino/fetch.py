"""Fetches OpenVINO's shared libraries, pinned by version and hash, from their PyPI wheel.

    python3 backends/openvino/fetch.py .lib/openvino

Takes what serving ONNX files on a CPU needs: the other devices and formats are most of the wheel.
Does nothing if the libraries are there already. Needs pip, and nothing else beside the standard library.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "2026.4.1"
SUFFIX = "2641"  # the same version, as the libraries' names carry it
# Which Python the wheel is made for does not matter to the libraries inside.
WHEELS = {
    "x86_64": (
        "manylinux_2_28_x86_64",
        "2d22b1da03f7caf74df30e9f6417d0ab2f637e4a38e08e1dcd294d2c37407aaf",
    ),
}
LIBRARIES = (
    f"libopenvino.so.{SUFFIX}",
    f"libopenvino_onnx_frontend.so.{SUFFIX}",
    "libopenvino_intel_cpu_plugin.so",
    "libtbb.so.12",
    # What the server opens; it is put in place last, so that the set is whole if it is there.
    f"libopenvino_c.so.{SUFFIX}",
)


def download(wheel_platform, folder):
    """The wheel's path. pip brings the proxies and mirrors that the machine is set up for."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
        *("--implementation", "cp", "--python-version", "3.11", "--platform", wheel_platform),
        *("--dest", str(folder), f"openvino=={VERSION}"),
    ]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("openvino-*.whl")
    return wheel


def extract(wheel, into):
    into.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for library in LIBRARIES:
            part = into / f".{library}.part"
            with archive.open(f"openvino/libs/{library}") as source, part.open("wb") as out:
                shutil.copyfileobj(source, out)
            part.rename(into / library)


def main():
    into = Path(sys.argv[1])
    if (into / LIBRARIES[-1]).exists():
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
    print(f"OpenVINO {VERSION} is in {into}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
