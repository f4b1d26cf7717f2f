"""Builds the models of the repository, or checks that they can be built again.

python -m train.build                  all models, into repository/
python -m train.build wine digits      these models
python -m train.build --check          rebuilds elsewhere, compares; exit code 1 on a difference
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from . import add_sub, breast_cancer, digits, greeting, wine
from .common import REPOSITORY, Built, write
from .compare import Verdict, compare
from .record import record, replay

SCRIPTS = {
    "digits": digits,
    "breast_cancer": breast_cancer,
    "wine": wine,
    "add_sub": add_sub,
    "greeting": greeting,
}

FILE_BYTES_MAX = 1 << 20  # a clone of the project must stay small


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m train.build")
    parser.add_argument("names", nargs="*", metavar="model", help=", ".join(SCRIPTS))
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    options = parser.parse_args()
    unknown = set(options.names) - set(SCRIPTS)
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    names = options.names or list(SCRIPTS)
    if options.check:
        return check(names)
    for name in names:
        build(name, REPOSITORY)
    return 0


def build(name: str, root: Path) -> list[Built]:
    """Trains, writes, records and replays every version of one model."""
    started = time.monotonic()
    versions = list(SCRIPTS[name].build())
    for built in versions:
        folder = built.folder(root)
        write(built.model, folder / "model.onnx")
        record(folder, built.name, built.version, built.requests)
        refuse_faults(folder)
        print(line(built, folder), flush=True)
    print(f"{name}: {time.monotonic() - started:.1f} s", flush=True)
    return versions


def refuse_faults(folder: Path) -> None:
    faults = replay(folder / "model.onnx", folder / "recorded.json")
    size = (folder / "model.onnx").stat().st_size
    if size >= FILE_BYTES_MAX:
        faults.append(f"model.onnx has {size} bytes, {FILE_BYTES_MAX} is too many")
    if faults:
        raise SystemExit(f"{folder}: {'; '.join(faults)}")


def line(built: Built, folder: Path) -> str:
    learned = "" if built.accuracy is None else f"accuracy {built.accuracy:.4f}"
    size = (folder / "model.onnx").stat().st_size
    return f"{built.name:14} {built.version:3} {size:8} bytes  {learned}"


def check(names: list[str]) -> int:
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            for built in build(name, Path(scratch)):
                verdict, reasons = compare(built.folder(REPOSITORY), built.folder(Path(scratch)))
                rows.append((built.name, str(built.version), verdict, "; ".join(reasons)))
            rows.extend(orphans(name, {row[1] for row in rows if row[0] == name}))
    print()
    for name, version, verdict, reason in rows:
        print(f"{name:14} {version:3} {verdict.value:24} {reason}".rstrip())
    return int(any(verdict is Verdict.DIFFERENT for _, _, verdict, _ in rows))


def orphans(name: str, built: set[str]) -> list[tuple[str, str, Verdict, str]]:
    """Versions in the repository that the model's script does not build."""
    committed = {it.parent.name for it in (REPOSITORY / name).glob("*/model.onnx")}
    reason = "no script builds it"
    return [(name, version, Verdict.DIFFERENT, reason) for version in sorted(committed - built)]


if __name__ == "__main__":
    sys.exit(main())
