"""What there is on this machine: the GPU, its libraries, the programs that were prepared."""

import importlib.util
import mmap
import os
import shutil
import site
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pack
from prepare import FOLDER
from report import ROOT, commit

# Where packs are joined. It outlives a command, so that the next one may bring the rest.
UNPACKED = Path(tempfile.gettempdir()) / "salver-gpu"

LIBRARY = "onnxruntime-gpu"
PJRT_PACKAGES = ("xla_cuda13", "xla_cuda12")

# Folders in which a CUDA toolkit may lie, for XLA.
TOOLKITS = ("CUDA_HOME", "CUDA_PATH")
LIBDEVICE = "nvvm/libdevice/libdevice.10.bc"


@dataclass
class Here:
    """`device` is `cuda:0`, or `cpu` for a dry run."""

    device: str
    gpus: str
    # Folders with programs, the first that has one wins.
    folders: list[Path]
    library: Path | None
    plugin: Path | None
    # Folders in which CUDA's libraries may lie.
    cuda: list[Path]
    origin: str
    # By file of a pack that is not whole: the packs that are missing.
    missing: dict[str, list[str]] = field(default_factory=dict)

    @property
    def dry(self) -> bool:
        return self.device == "cpu"

    def program(self, name: str) -> Path | None:
        return next((it / name for it in self.folders if (it / name).is_file()), None)

    def lacks_program(self, *names: str) -> list[str]:
        return [f"no program {it}: {self.carry(f'programs/{it}')}" for it in names if not self.program(it)]

    def lacks_library(self) -> list[str]:
        if self.library:
            return []
        needed = [it for it in self.missing if it.startswith(LIBRARY)]
        fix = self.carry(*needed) if needed else "make onnxruntime-gpu, or --library FILE"
        return [f"no libonnxruntime.so with libonnxruntime_providers_cuda.so beside it: {fix}"]

    def lacks_cuda(self, *names: str) -> list[str]:
        """None of these in any folder. The processor needs none."""
        absent = [it for it in names if not any(any(folder.glob(it)) for folder in self.cuda)]
        return [] if self.dry else [
            f"no {it} in --cuda DIR, LD_LIBRARY_PATH or the nvidia-* packages" for it in absent
        ]

    def carry(self, *names: str) -> str:
        """How to come by a file."""
        packs = sorted({it for name in names for it in self.missing.get(name, [])}, key=int)
        if packs:
            return f"carry {', '.join(f'target/gpu/{it}' for it in packs)}"
        return "make test-gpu-prepare, where there is cargo"

    def environment(self, **more: str) -> dict[str, str]:
        return os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, self.cuda))} | more


def look(options) -> Here:
    unpacked = pack.unpack(FOLDER, UNPACKED)
    folders = [options.programs] if options.programs else []
    if not folders:
        folders = [FOLDER / "programs", *([unpacked.folder / "programs"] if unpacked else [])]
    built = FOLDER / "origin"
    origin = (unpacked.about["origin"] if unpacked else "") or (built.read_text() if built.is_file() else "")
    return Here(
        device=options.device,
        gpus=gpus() if options.device != "cpu" else "",
        folders=folders,
        library=library(options),
        plugin=plugin(options),
        cuda=cuda(options),
        origin=origin or commit() or "unknown",
        missing=unpacked.missing if unpacked else {},
    )


def gpus() -> str:
    if not shutil.which("nvidia-smi"):
        return ""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return "; ".join(it.strip() for it in done.stdout.splitlines() if it.strip()) if done.returncode == 0 else ""


def library(options) -> Path | None:
    """Given, carried, fetched, or of the Python package, in this order; with CUDA's part beside it."""
    if options.library:
        return options.library if options.library.is_file() else None
    if options.device == "cpu":
        return next(iter(sorted((options.lib / "onnxruntime").glob("libonnxruntime.so*"))), None)
    folders = [UNPACKED / LIBRARY, options.lib / LIBRARY, FOLDER / LIBRARY]
    package = importlib.util.find_spec("onnxruntime")
    if package and package.origin:
        folders.append(Path(package.origin).parent / "capi")
    for folder in folders:
        found = sorted(folder.glob("libonnxruntime.so*"))
        if found and (folder / "libonnxruntime_providers_cuda.so").is_file():
            return found[-1]
    return None


def plugin(options) -> Path | None:
    if options.plugin:
        return options.plugin if options.plugin.is_file() else None
    if options.device == "cpu":
        found = options.lib / "pjrt/xla_cpu_pjrt.so"
        return found if found.is_file() else None
    for package in packages():
        for name in PJRT_PACKAGES:
            found = package / "jax_plugins" / name / "xla_cuda_plugin.so"
            if found.is_file():
                return found
    return None


def packages() -> list[Path]:
    return [Path(it) for it in (*site.getsitepackages(), site.getusersitepackages())]


def cuda(options) -> list[Path]:
    given = [Path(it) for it in os.environ.get("LD_LIBRARY_PATH", "").split(":") if it]
    wheels = [it for package in packages() for it in sorted(package.glob("nvidia/*/lib"))]
    return [*options.cuda, *given, *wheels]


def xla_flags(plugin: Path) -> str:
    """Where its compiler finds NVIDIA's mathematical functions, and no kernels of its own that multiply in TF32. A flag
    that a plugin does not know ends the process: those that do not stand in its file are left out."""
    flags = {"xla_gpu_enable_triton_gemm": "false"}
    toolkit = with_libdevice()
    if toolkit:
        flags["xla_gpu_cuda_data_dir"] = str(toolkit)
    with plugin.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        known = {name: value for name, value in flags.items() if content.find(name.encode() + b"\0") >= 0}
    given = os.environ.get("XLA_FLAGS", "")
    return " ".join([*([given] if given else []), *(f"--{name}={value}" for name, value in known.items())])


def with_libdevice() -> Path | None:
    """A folder that looks like a CUDA toolkit as far as XLA looks. Triton's package has the file under another name."""
    named = [Path(os.environ[it]) for it in TOOLKITS if os.environ.get(it)]
    for folder in (*named, Path("/usr/local/cuda"), *(it for at in packages() for it in sorted(at.glob("nvidia/*")))):
        if (folder / LIBDEVICE).is_file():
            return folder
    for package in packages():
        found = package / "triton/backends/nvidia/lib/libdevice.10.bc"
        if found.is_file():
            link = UNPACKED / "toolkit" / LIBDEVICE
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(found)
            return UNPACKED / "toolkit"
    return None
