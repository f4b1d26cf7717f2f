"""Files in pieces that can be carried one after the other, and the files again.

A pack is a folder of pieces, no larger than what may be carried at a time; `manifest.json` in each says which pieces a
file has, in which packs, and its length and hash. Every file is compressed (xz) by itself, so that what a pack brings
whole can be used before the next one comes.
"""

import hashlib
import json
import lzma
import shutil
from dataclasses import dataclass, field
from pathlib import Path

MANIFEST = "manifest.json"
CHUNK = 1 << 20
# More makes the largest file 2 % smaller, and takes twice as long.
PRESET = 6
# What a pack may have besides its pieces: the manifest.
MANIFEST_BYTES_MAX = 64 << 10


@dataclass
class Pack:
    """A folder that is being filled."""

    folder: Path
    used: int = 0


@dataclass
class Unpacked:
    """What there is of the files of a manifest."""

    folder: Path
    about: dict
    whole: list[str] = field(default_factory=list)
    # By file that is not whole: the packs with the pieces that are missing.
    missing: dict[str, list[str]] = field(default_factory=dict)


def pack(files: dict[str, Path], into: Path, room: int, about: dict) -> list[Pack]:
    """Puts the files into `into/1`, `into/2`, …, the small ones first; `about` goes into each manifest."""
    if room <= MANIFEST_BYTES_MAX:
        raise ValueError(f"packs of {room} bytes: expected are more than {MANIFEST_BYTES_MAX}")
    for old in into.glob("[0-9]*"):
        shutil.rmtree(old)
    known, packs = {}, []
    squeezed = sorted((compressed(name, path, into / "compressed") for name, path in files.items()), key=size)
    for name, plain_hash, archive in squeezed:
        pieces = split(archive, room - MANIFEST_BYTES_MAX, (into, packs))
        source = files[name]
        known[name] = {
            "bytes": source.stat().st_size,
            "sha256": plain_hash,
            "executable": bool(source.stat().st_mode & 0o100),
            "pieces": pieces,
        }
    for old in set((into / "compressed").iterdir()) - {it for _, _, it in squeezed}:
        old.unlink()
    text = json.dumps({"about": about, "files": known}, indent=1)
    if len(text) > MANIFEST_BYTES_MAX:
        raise ValueError(f"the manifest has {len(text)} bytes, allowed are {MANIFEST_BYTES_MAX}")
    for it in packs:
        (it.folder / MANIFEST).write_text(text)
    return packs


def size(squeezed: tuple[str, str, Path]) -> int:
    return squeezed[2].stat().st_size


def compressed(name: str, path: Path, cache: Path) -> tuple[str, str, Path]:
    """Its name, its hash, and where it lies compressed; what has not changed is not compressed again."""
    cache.mkdir(parents=True, exist_ok=True)
    plain_hash = hash_of(path)
    archive = cache / f"{Path(name).name}-{plain_hash[:16]}.xz"
    if not archive.exists():
        part = archive.with_suffix(".part")
        with path.open("rb") as source, lzma.open(part, "wb", preset=PRESET) as out:
            shutil.copyfileobj(source, out, CHUNK)
        part.rename(archive)
    return name, plain_hash, archive


def split(archive: Path, room: int, given: tuple[Path, list[Pack]]) -> list[dict]:
    """Cuts the archive where a pack ends; which pieces it became."""
    into, packs = given
    pieces, left = [], archive.stat().st_size
    with archive.open("rb") as source:
        while left:
            if not packs or packs[-1].used == room:
                packs.append(Pack(into / str(len(packs) + 1)))
                packs[-1].folder.mkdir(parents=True)
            last, name = packs[-1], f"{archive.name}.{len(pieces)}"
            data = source.read(min(left, room - last.used))
            (last.folder / name).write_bytes(data)
            last.used += len(data)
            left -= len(data)
            pieces.append({"pack": last.folder.name, "name": name, "bytes": len(data)})
    return pieces


def unpack(packed: Path, into: Path) -> Unpacked | None:
    """Joins what has been carried up to now; `None` if there is no pack. Pieces of a file that is not whole are
    kept in `into`, for the pack that brings the rest."""
    manifests = [*packed.glob(f"[0-9]*/{MANIFEST}"), *into.glob(MANIFEST)]
    if not manifests:
        return None
    into.mkdir(parents=True, exist_ok=True)
    text = manifests[0].read_text()
    kept = into / MANIFEST
    if kept.exists() and kept.read_text() != text:
        shutil.rmtree(into)  # of another time
        into.mkdir(parents=True)
    kept.write_text(text)
    manifest = json.loads(text)
    found = Unpacked(into, manifest["about"])
    for name, about in manifest["files"].items():
        missing = join(packed, into / name, about)
        if missing:
            found.missing[name] = missing
        else:
            found.whole.append(name)
    return found


def join(packed: Path, target: Path, about: dict) -> list[str]:
    """Makes the file, unless it is there; else names the packs that are missing."""
    if target.is_file() and target.stat().st_size == about["bytes"] and hash_of(target) == about["sha256"]:
        return []
    target.parent.mkdir(parents=True, exist_ok=True)
    places = [place(packed, target.parent, it) for it in about["pieces"]]
    missing = [it["pack"] for it, at in zip(about["pieces"], places, strict=True) if at is None]
    if missing:
        for it in filter(None, places):
            if it.parent != target.parent:
                shutil.copyfile(it, target.parent / it.name)
        return missing
    part = target.with_name(f".{target.name}.part")
    try:
        decompress(places, part)
    except lzma.LZMAError as reason:
        part.unlink()
        raise ValueError(f"{target.name} is not what was packed: {reason}") from None
    if hash_of(part) != about["sha256"]:
        part.unlink()
        raise ValueError(f"{target.name} is not what was packed: its hash is another")
    part.chmod(0o755 if about["executable"] else 0o644)
    part.rename(target)
    for it in places:
        if it.parent == target.parent:
            it.unlink()
    return []


def decompress(places: list[Path], into: Path) -> None:
    decompressor = lzma.LZMADecompressor()
    with into.open("wb") as out:
        for it in places:
            with it.open("rb") as source:
                while data := source.read(CHUNK):
                    out.write(decompressor.decompress(data))


def place(packed: Path, kept: Path, piece: dict) -> Path | None:
    for it in (packed / piece["pack"] / piece["name"], kept / piece["name"]):
        if it.is_file() and it.stat().st_size == piece["bytes"]:
            return it
    return None


def hash_of(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
