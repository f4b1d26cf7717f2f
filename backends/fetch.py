"""Fetches an engine's shared libraries, pinned by version and hash, from their PyPI wheel; or what the CUDA code
of candle is built with, from several.

    python3 backends/fetch.py onnxruntime .lib/onnxruntime
    python3 backends/fetch.py cuda-toolkit .lib/cuda-toolkit

Does nothing if all is there already. Needs pip, and nothing else beside the standard library.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


# NVIDIA's compiler and what it includes and links, for CUDA 13.0: no GPU and no driver is needed to run it. A
# newer compiler writes code that older drivers refuse.
TOOLKIT = "cuda-toolkit"
TREE = "nvidia/cu13/"
PARTS = (
    # distribution, version, platform, sha256
    (
        "nvidia-cuda-cccl",
        "13.0.85",
        "manylinux_2_17_x86_64",
        "e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649",
    ),
    (
        "nvidia-cuda-crt",
        "13.0.88",
        "manylinux_2_17_x86_64",
        "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4",
    ),
    (
        "nvidia-cuda-runtime",
        "13.0.96",
        "manylinux_2_17_x86_64",
        "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    ),
    (
        "nvidia-cuda-nvcc",
        "13.0.88",
        "manylinux_2_17_x86_64",
        "56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03",
    ),
    (
        "nvidia-nvvm",
        "13.0.88",
        "manylinux_2_12_x86_64",
        "c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0",
    ),
)


@dataclass(frozen=True)
class Pin:
    """One version of one distribution, and what of it is wanted."""

    title: str
    distribution: str
    version: str
    # Architecture to platform and sha256. Which Python it is made for does not matter to what is inside.
    wheels: dict[str, tuple[str, str]]
    # Path in the wheel to name in the folder. What the server opens stands last: if it is there,
    # the set is whole.
    libraries: dict[str, str]


PINS = {
    "onnxruntime": Pin(
        title="ONNX Runtime",
        distribution="onnxruntime",
        version="1.31.1",
        wheels={
            "x86_64": (
                "manylinux_2_28_x86_64",
                "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
            ),
            "aarch64": (
                "manylinux_2_28_aarch64",
                "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
            ),
        },
        libraries={"onnxruntime/capi/libonnxruntime.so.1.31.1": "libonnxruntime.so.1.31.1"},
    ),
    # With CUDA and TensorRT, 315 MB: fetched only where it is asked for. It is built for CUDA 13, whose libraries it needs.
    "onnxruntime-gpu": Pin(
        title="ONNX Runtime for NVIDIA GPUs",
        distribution="onnxruntime-gpu",
        version="1.31.1",
        wheels={
            "x86_64": (
                "manylinux_2_28_x86_64",
                "e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6",
            ),
        },
        libraries={
            f"onnxruntime/capi/{name}": name
            for name in (
                "libonnxruntime_providers_shared.so",
                "libonnxruntime_providers_tensorrt.so",
                "libonnxruntime_providers_cuda.so",
                "libonnxruntime.so.1.31.1",
            )
        },
    ),
    # What serving ONNX files on a CPU needs: the other devices and formats are most of the wheel.
    "openvino": Pin(
        title="OpenVINO",
        distribution="openvino",
        version="2026.4.1",
        wheels={
            "x86_64": (
                "manylinux_2_28_x86_64",
                "2d22b1da03f7caf74df30e9f6417d0ab2f637e4a38e08e1dcd294d2c37407aaf",
            ),
        },
        libraries={
            f"openvino/libs/{name}": name
            for name in (
                "libopenvino.so.2641",
                "libopenvino_onnx_frontend.so.2641",
                "libopenvino_intel_cpu_plugin.so",
                "libtbb.so.12",
                "libopenvino_c.so.2641",
            )
        },
    ),
    # Not the newest: the C interface differs from one minor version to the next, and the bindings
    # are those of this one. The version goes into the name, because the library does not know it.
    "litert": Pin(
        title="LiteRT",
        distribution="ai-edge-litert",
        version="2.1.4",
        wheels={
            "x86_64": (
                "manylinux_2_27_x86_64",
                "1bed8ccd8dfc4f2ec388bc79cb90920c261a244995ce378d396fb8967b7db640",
            ),
            "aarch64": (
                "manylinux_2_27_aarch64",
                "f2f07d27211a6b64ed374733bcbdd78dcf0cdc70de5c5f7d0ce7f198d4890a23",
            ),
        },
        libraries={"ai_edge_litert/libLiteRt.so": "libLiteRt.so.2.1.4"},
    ),
    "pjrt": Pin(
        title="The PJRT plugin for processors",
        distribution="xla-cpu-pjrt",
        version="0.0.1",
        wheels={
            "x86_64": (
                "manylinux_2_27_x86_64",
                "55837b6b7b47daa717f2d9a5a03563ea0ceaa338d06a81a1e2d3f060d960decc",
            ),
            "aarch64": (
                "manylinux_2_27_aarch64",
                "8f613be6e891858f40d64f9799319502fff42689661944fc18a6ffd8210b30c9",
            ),
        },
        libraries={"xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so": "xla_cpu_pjrt.so"},
    ),
}


def download(distribution, version, wheel_platform, folder, quiet=True):
    """The wheel's path. pip brings the proxies and mirrors that the machine is set up for."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--disable-pip-version-check", "--implementation", "cp", "--python-version", "3.11"),
        *("--platform", wheel_platform, "--dest", str(folder), f"{distribution}=={version}"),
        *(["--quiet"] if quiet else []),
    ]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def is_pinned(wheel, expected):
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != expected:
        print(f"{wheel.name} has sha256 {found}, expected {expected}: not used")
    return found == expected


def extract(pin, wheel, into):
    into.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for member, name in pin.libraries.items():
            part = into / f".{name}.part"
            with archive.open(member) as source, part.open("wb") as out:
                shutil.copyfileobj(source, out)
            part.rename(into / name)


def toolkit(into):
    """All parts, each in place; a part that is there is not fetched again."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        print(f"{TOOLKIT}: pinned for Linux on x86_64, this is {platform.system()} on {platform.machine()}")
        return 1
    for number, (distribution, version, wheel_platform, expected) in enumerate(PARTS, 1):
        done = into / f".{distribution}-{version}"
        if done.exists():
            continue
        print(f"{TOOLKIT}: {number} of {len(PARTS)}, {distribution} {version}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            wheel = download(distribution, version, wheel_platform, Path(folder), quiet=False)
            if not is_pinned(wheel, expected):
                return 1
            unpack(wheel, into)
        done.touch()
    link = into / "lib64"
    link.exists() or link.symlink_to("lib")
    return 0


def unpack(wheel, into):
    with zipfile.ZipFile(wheel) as archive:
        for it in archive.infolist():
            inside = it.filename.removeprefix(TREE)
            if it.is_dir() or inside == it.filename:
                continue
            path = into / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(it) as source, path.open("wb") as out:
                shutil.copyfileobj(source, out)
            # A wheel may lack the bit for programs, as ZIP files do.
            path.chmod(0o755 if "bin" in path.parts else 0o644)


def main():
    names = [*PINS, TOOLKIT]
    if len(sys.argv) != 3 or sys.argv[1] not in names:
        print(f"usage: fetch.py NAME FOLDER; names are {', '.join(names)}")
        return 2
    if sys.argv[1] == TOOLKIT:
        return toolkit(Path(sys.argv[2]))
    pin, into = PINS[sys.argv[1]], Path(sys.argv[2])
    if (into / list(pin.libraries.values())[-1]).exists():
        return 0
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in pin.wheels:
        known = ", ".join(pin.wheels)
        print(
            f"{pin.title}: no pinned library for {platform.system()} on {machine}; there is one for Linux on {known}"
        )
        return 1
    wheel_platform, expected = pin.wheels[machine]
    with tempfile.TemporaryDirectory() as folder:
        wheel = download(pin.distribution, pin.version, wheel_platform, Path(folder))
        if not is_pinned(wheel, expected):
            return 1
        extract(pin, wheel, into)
    print(f"{pin.title} {pin.version} is in {into}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
