"""Memory of GPUs that clients share with the server, by the public clients."""

import base64
import subprocess
import uuid
from pathlib import Path

import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from server import ROOT, SAMPLES, Server
from test_memory import INVALID, NOT_FOUND, SIZE, A, B, add_sub, refused


@pytest.fixture(scope="module")
def gpu_server(tmp_path_factory):
    """With a driver's library of a few lines of C, for which a file is another process's memory on a GPU."""
    folder = tmp_path_factory.mktemp("driver")
    source = ROOT / "backends/cuda/tests/fake_cuda.c"
    library = folder / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    flags = {"allow_client_shm": "true", "allow_client_cuda_shm": "true"}
    server = Server(SAMPLES, env={"LD_LIBRARY_PATH": str(folder)}, **flags)
    yield server.settled()
    server.stop()


@pytest.mark.parametrize("module", [triton_http, triton_grpc], ids=["http", "grpc"])
def test_memory_of_a_gpu(gpu_server, module):
    memory = Path(f"/tmp/{uuid.uuid4().hex[:16]}")
    memory.write_bytes(A.tobytes() + B.tobytes() + bytes(2 * SIZE))
    handle = base64.b64encode(bytes(memory).ljust(64, b"\0"))
    try:
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
    finally:
        memory.unlink()
