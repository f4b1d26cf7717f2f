"""Memory of GPUs that clients share with the server, by the public clients."""

import base64
import os
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from server import ROOT, SAMPLES, Server
from test_memory import INVALID, NOT_FOUND, SIZE, A, B, add_sub, refused

EXPIRED = ("504", "StatusCode.DEADLINE_EXCEEDED")

MODULES = pytest.mark.parametrize("module", [triton_http, triton_grpc], ids=["http", "grpc"])


def started(folder, *flags, **settings):
    """With a driver's library of a few lines of C, for which a file is another process's memory on a GPU."""
    source = ROOT / "backends/cuda/tests/fake_cuda.c"
    library = folder / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, *flags], check=True)
    settings |= {"allow_client_shm": "true", "allow_client_cuda_shm": "true"}
    return Server(SAMPLES, env={"LD_LIBRARY_PATH": str(folder)}, **settings).settled()


@pytest.fixture(scope="module")
def gpu_server(tmp_path_factory):
    server = started(tmp_path_factory.mktemp("driver"))
    yield server
    server.stop()


@pytest.fixture
def memory():
    """Two inputs, and room for two outputs."""
    memory = Path(f"/tmp/{uuid.uuid4().hex[:16]}")
    memory.write_bytes(A.tobytes() + B.tobytes() + bytes(2 * SIZE))
    yield memory
    memory.unlink()


def handle_of(memory):
    return base64.b64encode(bytes(memory).ljust(64, b"\0"))


@MODULES
def test_memory_of_a_gpu(gpu_server, memory, module):
    handle = handle_of(memory)
    with gpu_server.client(module) as client:
        assert "cuda_shared_memory" in str(client.get_server_metadata())
        client.register_cuda_shared_memory("r", handle, 1, 3 * SIZE)
        client.infer(**add_sub(module))
        assert memory.read_bytes()[2 * SIZE : 3 * SIZE] == (A + B).tobytes()
        status = str(client.get_cuda_shared_memory_status("r"))
        assert "device_id" in status and str(3 * SIZE) in status
        outside = add_sub(module, total=("r", 3 * SIZE))
        refused(lambda: client.infer(**outside), INVALID, "the region has 48 bytes")
        none = base64.b64encode(bytes(64))
        bad = lambda: client.register_cuda_shared_memory("s", none, 0, 1)  # noqa: E731
        refused(bad, INVALID, "cuIpcOpenMemHandle: CUDA_ERROR_INVALID_HANDLE")
        client.unregister_system_shared_memory()
        client.infer(**add_sub(module))
        client.unregister_cuda_shared_memory()
        refused(lambda: client.infer(**add_sub(module)), NOT_FOUND, "'r'")


def test_copies_count_against_the_limit_of_bodies(tmp_path, memory):
    memory.write_bytes(bytes(8192))
    server = started(tmp_path, request_bytes_max=4096)
    try:
        with server.client(triton_http) as client:
            client.register_cuda_shared_memory("r", handle_of(memory), 0, 8192)

        def infer(size):
            where = {"shared_memory_region": "r", "shared_memory_byte_size": size}
            tensor = {"shape": [1, 4], "datatype": "FP32", "parameters": where}
            inputs = [tensor | {"name": name} for name in "ab"]
            return server.ask("POST", "/v2/models/add_sub/infer", {"inputs": inputs})

        assert infer(SIZE).json()["outputs"][0]["data"] == [0, 0, 0, 0]
        infer(3000).refused(413, "4096")
    finally:
        server.stop()


@MODULES
def test_a_driver_that_hangs(tmp_path, memory, module):
    """Who waits for it does so within the request's time; nobody else does."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    server = started(tmp_path, f'-DCOPY_PIPE="{pipe}"')
    try:
        with server.client(module) as client:
            client.register_cuda_shared_memory("r", handle_of(memory), 0, 4 * SIZE)
            reads = add_sub(module, total=None)
            writes = add_sub(module, a=None, b=None)
            for _ in range(8):
                refused(lambda: client.infer(**reads, timeout=100_000), EXPIRED, "timeout expired")
                refused(lambda: client.infer(**writes, timeout=100_000), EXPIRED, "timeout expired")
            client.infer(**add_sub(module, a=None, b=None, total=None))
            client.register_cuda_shared_memory("s", handle_of(memory), 1, SIZE)
            # The call that hangs ends, and those after it do not wait any more.
            with pipe.open("w"):
                pipe.unlink()
            client.infer(**add_sub(module))
            assert memory.read_bytes()[2 * SIZE : 3 * SIZE] == (A + B).tobytes()
    finally:
        server.stop()


@MODULES
def test_memory_is_closed_before_its_client_is_told(tmp_path, memory, module):
    """A client may give it back then: what the driver does with memory that was given back is not defined."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    server = started(tmp_path, f'-DCLOSE_PIPE="{pipe}"')
    try:

        def unregister():
            # A client of its own: Triton's over HTTP stay in the thread that made them.
            with server.client(module) as client:
                client.unregister_cuda_shared_memory("r")

        with server.client(module) as client, ThreadPoolExecutor(1) as aside:
            client.register_cuda_shared_memory("r", handle_of(memory), 0, 4 * SIZE)
            told = aside.submit(unregister)
            # As protobuf's text has it, or JSON's; a device that is the first is no part of the former.
            while any(it in str(client.get_cuda_shared_memory_status()) for it in ('"r"', "'r'")):
                pass
            refused(lambda: client.infer(**add_sub(module)), NOT_FOUND, "'r'")
            assert not told.done(), "the driver is still at it"
            with pipe.open("w"):
                pipe.unlink()
            told.result(20)
            client.unregister_cuda_shared_memory("r")
    finally:
        server.stop()
