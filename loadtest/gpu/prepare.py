"""Builds what runs on the machine with the GPU, and packs it for one that has no compiler and no network.

`build` leaves the programs in target/gpu/programs, without what is only for debugging. `carry` adds ONNX Runtime's
library for GPUs, without the code for other GPUs, and cuts all of it into packs of what may be carried at a time
(`pack.py`): target/gpu/1, target/gpu/2, …
"""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import cubins
import pack
from report import ROOT, commit

TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
FOLDER = TARGET / "gpu"

# What may be carried at a time, with the checkout, and what of that is left free for how it is carried.
CARRIED_MIB, SPARE_MIB = 64, 1

# The GPU that it is for: 90 is an H100 or H200.
CAPABILITY = 90

# cargo's words, and by cargo's name of a program ours. The suites are not optimised: they measure nothing.
SUITES = (
    (("test", "--no-run", "-p", "backend-cuda", "--test", "driver"), {"driver": "driver"}),
    (("test", "--no-run", "-p", "backend-pjrt", "--test", "gpu"), {"gpu": "pjrt-suite"}),
    (("test", "--no-run", "-p", "backend-onnxruntime", "--test", "gpu"), {"gpu": "onnxruntime-suite"}),
)
MEASURING = (
    # As `make build` does: another selection would compile everything again.
    (("build", "-p", "server-app", "-p", "loadtest"), {"salver": "salver", "loadtest": "loadtest"}),
    (("build", "-p", "backend-onnxruntime", "--example", "raw", "--example", "seam"), {"raw": "raw", "seam": "seam"}),
    (("build", "-p", "backend-pjrt", "--example", "raw-pjrt"), {"raw-pjrt": "raw-pjrt"}),
)
# What `make candle-cuda` leaves in target/candle-cuda, by our name.
CANDLE = {"candle-suite": "gpu-suite", "raw-candle": "raw-candle"}


def build(profile: str = "release") -> None:
    programs = FOLDER / "programs"
    programs.mkdir(parents=True, exist_ok=True)
    for words, names in SUITES:
        keep(cargo(*words), names, programs)
    for words, names in MEASURING:
        keep(cargo(*words, "--profile", profile), names, programs)
    for name, built in CANDLE.items():
        (programs / name).unlink(missing_ok=True)
        if (TARGET / "candle-cuda" / built).is_file():
            strip(TARGET / "candle-cuda" / built, programs / name)
        else:
            print(f"without {name}: there is no {TARGET / 'candle-cuda' / built}: make candle-cuda")
    (FOLDER / "origin").write_text(origin())


def keep(built: dict[str, str], names: dict[str, str], programs: Path) -> None:
    for name, ours in names.items():
        strip(Path(built[name]), programs / ours)


def strip(program: Path, into: Path) -> None:
    """A copy without symbols; whole, where there is no `strip`."""
    shutil.copy2(program, into)
    if shutil.which("strip"):
        subprocess.run(["strip", into], check=True)


def cargo(*words: str) -> dict[str, str]:
    """The programs that cargo has built, by name."""
    command = [os.environ.get("CARGO", "cargo"), *words, "--locked", "--message-format=json-render-diagnostics"]
    print("building:", *command[1:-2], flush=True)
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    return {it["target"]["name"]: it["executable"] for it in messages if it.get("executable")}


def origin() -> str:
    """Goes where no .git goes."""
    return f"{commit() or 'unknown'}, built {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def carry(library: Path) -> None:
    """Packs the programs and the library for GPUs in that folder, which `fetch.py` has filled."""
    files = {f"programs/{it.name}": it for it in sorted((FOLDER / "programs").iterdir())}
    files |= {f"onnxruntime-gpu/{it.name}": it for it in lean(library)}
    tree = checkout_bytes()
    room = (CARRIED_MIB - SPARE_MIB << 20) - tree
    packs = pack.pack(files, FOLDER, room, {"origin": (FOLDER / "origin").read_text()})
    print(f"\n{CARRIED_MIB} MiB at a time, {tree / 2**20:.1f} of them the checkout:")
    for it in packs:
        print(f"  {it.folder.relative_to(ROOT) if it.folder.is_relative_to(ROOT) else it.folder}: {it.used / 2**20:.1f} MiB")
    print("Carry the checkout with one pack after the other, and run there each time: make test-gpu", flush=True)


def lean(library: Path) -> list[Path]:
    """The libraries, those with code for GPUs without that for others."""
    into, found = FOLDER / "onnxruntime-gpu", []
    into.mkdir(parents=True, exist_ok=True)
    for it in sorted(library.glob("libonnxruntime*.so*")):
        lean_copy = into / it.name
        found.append(lean_copy)
        content = bytearray(it.read_bytes())
        try:
            before = cubins.only(content, CAPABILITY)
        except ValueError as reason:
            if "providers_cuda" in it.name:
                sys.exit(f"{it}: {reason}")
        else:
            dropped = sum(size for arch, size in before.items() if arch not in (f"sm_{CAPABILITY}", "PTX"))
            print(f"{it.name}: {dropped / 1e6:.0f} MB of {len(content) / 1e6:.0f} are for other GPUs: zeroed")
        lean_copy.write_bytes(content)
        lean_copy.chmod(0o755)
    if not found:
        sys.exit(f"{library} has no libonnxruntime*.so: make onnxruntime-gpu")
    return found


def checkout_bytes() -> int:
    """Files that travel anyway: tracked, and untracked that git does not ignore."""
    words = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    paths = (ROOT / it for it in listed.split("\0") if it)
    return sum(it.stat().st_size for it in paths if it.is_file() and not it.is_symlink())
