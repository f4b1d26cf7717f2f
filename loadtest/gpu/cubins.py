"""Takes out of a CUDA library the code for other GPUs than the one it is going to run on.

`nvcc` puts code for each kind of GPU into a library, one behind the other in the section `.nv_fatbin`; the driver takes
what suits its GPU and looks at no other. Here the others are overwritten with zeros: every length and every offset
stays what it was, so that nothing else has to be changed, and zeros take no room in an archive.
"""

import struct
from collections import Counter

SECTION = b".nv_fatbin"

# A block of the section, and an entry of a block: what NVIDIA's `cuobjdump` shows of them.
BLOCK, BLOCK_MAGIC = struct.Struct("<IHHQ"), 0xBA55ED50
ENTRY = struct.Struct("<HHIQ")
ENTRY_ARCH = 28
PTX, CUBIN = 1, 2


def only(library: bytearray, arch: int) -> Counter:
    """Leaves the code for this compute capability (90: H100 and H200); how many bytes there were for each.

    A `ValueError` if there is none, or if the section is not what is known: then nothing was changed.
    """
    found = list(entries(library))
    bytes_of = Counter()
    for kind, of, _, size in found:
        bytes_of["PTX" if kind == PTX else f"sm_{of}"] += size
    if not bytes_of[f"sm_{arch}"]:
        raise ValueError(f"no code for sm_{arch}: there is {', '.join(sorted(bytes_of)) or 'none'}")
    for kind, of, at, size in found:
        if kind == CUBIN and of != arch:
            library[at : at + size] = bytes(size)
    return bytes_of


def entries(library: bytes):
    """Kind, compute capability, place and length of each piece of code."""
    at, end = section(library)
    while at + BLOCK.size <= end:
        magic, _, head, size = BLOCK.unpack_from(library, at)
        if magic != BLOCK_MAGIC:
            at += 8  # blocks are aligned so
            continue
        entry, at = at + head, at + head + size
        if at > end:
            raise ValueError(f"a block of {SECTION.decode()} is longer than its section")
        while entry + ENTRY.size <= at:
            kind, _, head, size = ENTRY.unpack_from(library, entry)
            if head < ENTRY_ARCH + 4 or entry + head + size > at:
                raise ValueError(f"an entry of {SECTION.decode()} is longer than its block")
            (of,) = struct.unpack_from("<I", library, entry + ENTRY_ARCH)
            yield kind, of, entry + head, size
            entry += head + size


def section(library: bytes) -> tuple[int, int]:
    """Where it begins and ends in the file, by the table of an ELF file of 64 bits."""
    if library[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no ELF file of 64 bits, little-endian")
    (table,) = struct.unpack_from("<Q", library, 0x28)
    each, count, names = struct.unpack_from("<HHH", library, 0x3A)
    heads = [struct.unpack_from("<IIQQQQ", library, table + each * it) for it in range(count)]
    texts = heads[names][4]
    for name, _, _, _, at, size in heads:
        start = texts + name
        if bytes(library[start : start + len(SECTION) + 1]) == SECTION + b"\0":
            return at, at + size
    raise ValueError(f"no section {SECTION.decode()}")
