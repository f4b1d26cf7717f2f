"""`make test-gpu` where there is no GPU, and where `nvidia-smi` is a few lines of shell that say there is one."""

import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from server import BINARY, PATIENCE_S, ROOT, wait_for

SCRIPTS = ROOT / "loadtest/gpu"
sys.path.insert(0, str(SCRIPTS))

import cubins  # noqa: E402
import pack  # noqa: E402
import served  # noqa: E402

H200 = "echo 'NVIDIA H200, 580.159.03, 143771 MiB'"


def program(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


class Machine:
    """One with these programs and libraries, and nothing that was prepared on ours."""

    def __init__(self, folder):
        self.folder, self.programs = folder, folder / "programs"
        self.programs.mkdir()
        self.env = {
            **{key: value for key, value in os.environ.items() if key not in ("OUT", "LD_LIBRARY_PATH")},
            "CARGO_TARGET_DIR": str(folder / "target"),
            "TMPDIR": str(folder),
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "OUT": str(folder / "out"),
        }

    def nvidia_smi(self, *lines):
        program(self.folder / "bin/nvidia-smi", *lines)

    def command(self, *words, command=None):
        command = command or [sys.executable, SCRIPTS / "run.py", "--lib", self.folder, "--programs", self.programs]
        done = subprocess.run(
            [*command, *words], env=self.env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def make(self, *words):
        flags = " ".join(["--programs", str(self.programs), *words])
        python = f"PYTHON={sys.executable}"
        return self.command(command=["make", "-C", ROOT, "test-gpu", python, f"LIB={self.folder}", f"GPU_FLAGS={flags}"])

    def report(self):
        return (self.folder / "out/gpu-report.md").read_text()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_without_a_gpu_it_says_what_is_missing(machine):
    code, said = machine.command()
    assert code == 77, said
    assert "no GPU check was run: nvidia-smi shows no GPU" in said
    assert "no program driver: make test-gpu-prepare" in said
    assert "no libonnxruntime.so with libonnxruntime_providers_cuda.so beside it: make onnxruntime-gpu" in said
    assert "no xla_cuda_plugin.so" in said
    assert machine.make()[0] == 0, "no failure where there is no GPU"
    machine.nvidia_smi("echo 'NVIDIA-SMI has failed' >&2", "exit 9")
    assert machine.command()[0] == 77


def test_a_gpu_with_nothing_checked_is_no_pass(machine):
    machine.nvidia_smi(H200)
    code, said = machine.command()
    assert code == 77, said
    assert "NOTHING WAS CHECKED: this is no pass" in said
    code, said = machine.make()
    assert code != 0, said


def test_the_driver_is_checked_whatever_else_is_missing(machine):
    machine.nvidia_smi(H200)
    program(machine.programs / "driver", 'test "$1" = the_driver_of_this_machine_opens && test -n "$SALVER_TEST_GPU"')
    code, said = machine.command()
    assert code == 0, said
    assert "| CUDA's driver | passed |" in said
    assert "| PJRT's suite | not checked: no program pjrt-suite" in said
    assert "NVIDIA H200, 580.159.03" in machine.report() and "commit " in machine.report()
    program(machine.programs / "driver", "echo no stream >&2", "exit 101")
    code, said = machine.command()
    assert code == 1, said
    assert "| CUDA's driver | failed: driver the_driver_of_this_machine_opens" in machine.report()
    assert "exit code 101" in machine.report()


def test_what_hangs_is_ended_and_what_was_said_is_kept(machine):
    machine.nvidia_smi(H200)
    program(machine.programs / "driver", "sleep 600 & echo $! >$OUT/child; wait")
    program(machine.programs / "pjrt-suite", "exit 0")
    plugin = machine.folder / "xla_cuda_plugin.so"
    plugin.write_bytes(b"no plugin")
    code, said = machine.command("--minutes", "0.1", "--only", "driver", "pjrt", "--plugin", str(plugin))
    assert code == 1, said
    assert "driver: failed: driver the_driver_of_this_machine_opens" in machine.report()
    assert "not over after" in machine.report()
    assert "| PJRT's suite | not run: no time was left; --only pjrt runs it alone |" in machine.report()
    child = Path("/proc") / (machine.folder / "out/child").read_text().strip() / "stat"
    assert not child.exists() or child.read_text().split()[2] == "Z", "nothing is left that holds the GPU"


def test_xla_is_told_only_what_it_knows(machine):
    machine.nvidia_smi(H200)
    program(machine.programs / "pjrt-suite", 'echo "flags: $XLA_FLAGS; $NVIDIA_TF32_OVERRIDE $SALVER_TEST_PJRT_DEVICE"')
    plugin = machine.folder / "xla_cuda_plugin.so"
    name = b"xla_gpu_enable_triton_gemm"
    for content, expect in ((name + b"\0", "--xla_gpu_enable_triton_gemm=false"), (name + b"_any\0", "")):
        plugin.write_bytes(content)
        code, said = machine.command("--only", "pjrt", "--plugin", str(plugin))
        assert code == 0, said
        assert f"flags: {expect}; 0 cuda:0" in said


def test_a_dry_run_passes_pjrts_suite_on_the_processor(machine):
    plugin = Path(os.environ.get("LIB", ROOT / ".lib")) / "pjrt/xla_cpu_pjrt.so"
    if not plugin.is_file():
        pytest.skip("no plugin for processors: make pjrt")
    suites = sorted((BINARY.parent / "deps").glob("gpu-*"), key=lambda it: -it.stat().st_mtime)
    for it in (it for it in suites if not it.suffix):
        listed = subprocess.run([it, "--list"], capture_output=True, text=True, check=False).stdout
        if "digits_answers_as_recorded" in listed:
            (machine.programs / "pjrt-suite").symlink_to(it)
            break
    code, said = machine.command("--device", "cpu", "--only", "driver", "pjrt", "--plugin", str(plugin))
    assert code == 0, said
    assert "says nothing of a GPU" in said
    assert "| PJRT's suite | passed |" in said
    assert "skipped" not in said


def test_how_busy_the_gpu_is_is_sampled_beside_the_load(machine, monkeypatch):
    said = machine.folder / "said"
    lines = "0 3 96 97 98 N/A 97 12 0"
    machine.nvidia_smi(f'for it in {lines}; do echo "$it"; done', f"touch {said}", "sleep 600")
    monkeypatch.setenv("PATH", machine.env["PATH"])
    with served.sampled(SimpleNamespace(here=SimpleNamespace(dry=False))) as samples:
        wait_for(said.exists, "it has said nine lines")
    assert samples == [0, 3, 96, 97, 98, 97, 12, 0]
    assert served.steady(samples) == [96, 97, 98, 97], "neither warm-up nor end"


def test_packs_become_the_files_again(tmp_path):
    source, random_bytes = tmp_path / "source", random.Random(1).randbytes
    (source).mkdir()
    files = {}
    for name, size in (("programs/small", 10_000), ("programs/large", 200_000), ("lib/zeros.so", 0)):
        path = source / Path(name).name
        path.write_bytes(random_bytes(size) + bytes(1_000_000))
        path.chmod(0o755 if "programs" in name else 0o644)
        files[name] = path
    room = 100_000 + pack.MANIFEST_BYTES_MAX
    packs = pack.pack(files, tmp_path / "packed", room, {"origin": "here"})
    assert len(packs) == 3
    for it in packs:
        assert sum(file.stat().st_size for file in it.folder.iterdir()) <= room
    # One after the other, as they are carried: each takes the place of the one before.
    joined, there = tmp_path / "joined", tmp_path / "there"
    for number, it in enumerate(packs, 1):
        there.mkdir()
        (it.folder).rename(there / it.folder.name)
        found = pack.unpack(there, joined)
        assert (found.about, "programs/small" in found.whole) == ({"origin": "here"}, True)
        last = number == len(packs)
        assert found.missing.get("programs/large", []) == ([] if last else [str(n) for n in range(number + 1, 4)])
        (there / it.folder.name).rename(it.folder)
        there.rmdir()
    for name, path in files.items():
        assert (joined / name).read_bytes() == path.read_bytes()
        assert (joined / name).stat().st_mode == path.stat().st_mode
    assert sorted(it.name for it in joined.rglob("*") if it.is_file()) == ["large", "manifest.json", "small", "zeros.so"]


def test_a_damaged_piece_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(random.Random(1).randbytes(1_000))
    pack.pack({"file": file}, tmp_path / "packed", 1 << 20, {})
    (piece,) = (tmp_path / "packed/1").glob("file-*")
    content = bytearray(piece.read_bytes())
    content[500] ^= 1
    piece.write_bytes(content)
    with pytest.raises(ValueError, match="file is not what was packed"):
        pack.unpack(tmp_path / "packed", tmp_path / "joined")
    assert not (tmp_path / "joined/file").exists()


def fat(*entries):
    """A library with code for these: kind, compute capability, bytes."""
    body = b"".join(
        struct.pack("<HHIQ", kind, 0, 64, len(code)) + bytes(12) + struct.pack("<I", arch) + bytes(32) + code
        for kind, arch, code in entries
    )
    block = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body
    names = b"\0.nv_fatbin\0.shstrtab\0"
    table = 64 + len(block) + len(names)
    head = b"\x7fELF\x02\x01".ljust(0x28, b"\0") + struct.pack("<Q", table)
    head = head.ljust(0x3A, b"\0") + struct.pack("<HHH", 64, 3, 2)
    sections = [(0, 0, 0), (1, 64, len(block)), (12, 64 + len(block), len(names))]
    rows = (struct.pack("<IIQQQQ", name, 1, 0, 0, at, size).ljust(64, b"\0") for name, at, size in sections)
    return bytearray(head + block + names + b"".join(rows))


CARGO = """
shift
for it; do
  case "$before $it" in
    "--test "*|"--example "*) names="$names $it" ;;
    "-p server-app") names="$names salver" ;;
    "-p loadtest") names="$names loadtest" ;;
  esac
  before=$it
done
for it in $names; do echo "{\\"target\\": {\\"name\\": \\"$it\\"}, \\"executable\\": \\"/bin/true\\"}"; done
echo '{"reason": "build-finished", "success": true}'
"""


def test_what_is_prepared_is_found_on_a_machine_that_has_only_the_packs(machine):
    machine.env["CARGO"] = str(program(machine.folder / "cargo", CARGO))
    library = machine.folder / "onnxruntime-gpu"
    library.mkdir()
    (library / "libonnxruntime_providers_cuda.so").write_bytes(fat((2, 90, b"k" * 48), (2, 80, b"o" * 32)))
    (library / "libonnxruntime.so.1.31.1").write_bytes(b"not for a GPU")
    script = [sys.executable, SCRIPTS / "run.py", "--lib", machine.folder]
    code, said = machine.command("--prepare", command=script)
    assert code == 0, said
    assert "are for other GPUs: zeroed" in said and "without candle-suite" in said
    packed = machine.folder / "target/gpu"
    for made in ("programs", "onnxruntime-gpu", "compressed"):
        (packed / made).rename(machine.folder / f"{made}-of-ours")
    library.rename(machine.folder / "library-of-ours")
    (packed / "origin").unlink()
    # Nothing that is built has any other name there, and no library of ours is in the way.
    machine.nvidia_smi(H200)
    code, said = machine.command("--only", "driver", "pjrt", "onnxruntime", command=script)
    assert code == 0, said
    assert "| CUDA's driver | passed |" in said
    assert "| PJRT's suite | not checked: no xla_cuda_plugin.so" in said
    assert "| ONNX Runtime's suite | not checked: no libcudart.so*" in said, "the library and the program are there"
    assert ", built 2" in said, "the commit has come along"
    carried = (machine.folder / "salver-gpu/onnxruntime-gpu/libonnxruntime_providers_cuda.so").read_bytes()
    assert b"k" * 48 in carried and b"o" * 32 not in carried
    names = {it.name for it in (machine.folder / "salver-gpu/programs").iterdir()}
    assert names == {"driver", "loadtest", "onnxruntime-suite", "pjrt-suite", "raw", "raw-pjrt", "salver", "seam"}


def test_code_for_other_gpus_is_zeroed_and_nothing_else():
    kept, other, text = b"k" * 48, b"o" * 32, b"p" * 16
    library = fat((2, 80, other), (2, 90, kept), (1, 90, text), (2, 120, other))
    expect = bytes(library).replace(other, bytes(32))
    assert expect.count(bytes(32)) and kept in expect and text in expect
    assert cubins.only(library, 90) == {"sm_80": 32, "sm_90": 48, "PTX": 16, "sm_120": 32}
    assert bytes(library) == expect


def test_a_library_without_that_gpus_code_is_left_alone():
    library = fat((2, 80, b"o" * 32))
    before = bytes(library)
    with pytest.raises(ValueError, match="no code for sm_90: there is sm_80"):
        cubins.only(library, 90)
    assert bytes(library) == before
    with pytest.raises(ValueError, match="no ELF file"):
        cubins.only(bytearray(b"MZ" * 100), 90)
