"""Memory that clients share with the server, by the public clients and their own helpers for it."""

import base64
import os
import threading
import uuid

import numpy as np
import pyarrow.dataset
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
import tritonclient.utils.shared_memory as shm
from server import SAMPLES, Server, wait_for
from tensors import bytes_element
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

A = np.array([[1, 2, 3, 4]], np.float32)
B = np.array([[10, 20, 30, 40]], np.float32)
# Four regions of a tensor each, one behind the other.
SIZE = A.nbytes


@pytest.fixture(scope="module")
def server():
    server = Server(SAMPLES, allow_client_shm="true", client_shm_bytes_max=1 << 20)
    yield server.settled()
    assert server.process.poll() is None, "it lives"
    server.stop()
    assert "panic" not in server.log_text()


@pytest.fixture(params=[triton_http, triton_grpc], ids=["http", "grpc"])
def module(request):
    return request.param


@pytest.fixture
def client(server, module):
    with server.client(module) as client:
        yield client
        client.unregister_system_shared_memory()


@pytest.fixture
def region():
    """Makes objects, by the client's own helper; they go with the test."""
    made = []

    def region(size):
        key = f"/test_clients_{uuid.uuid4().hex}"
        made.append((shm.create_shared_memory_region("handle", key, size), key))
        return made[-1]

    yield region
    for handle, _ in made:
        shm.destroy_shared_memory_region(handle)


def path(key):
    return f"/dev/shm{key}"


def add_sub(module, a=("r", 0), b=("r", SIZE), total=("r", 2 * SIZE), size=SIZE):
    """Inputs and outputs of `add_sub`: each at a place in a region, or, where there is none, on the wire."""
    inputs = []
    for name, at, values in (("a", a, A), ("b", b, B)):
        inputs.append(module.InferInput(name, values.shape, "FP32"))
        if at:
            inputs[-1].set_shared_memory(at[0], SIZE, at[1])
        else:
            inputs[-1].set_data_from_numpy(values)
    outputs = [module.InferRequestedOutput(it) for it in ("difference", "sum")]
    if total:
        outputs[1].set_shared_memory(total[0], size, total[1])
    return {"model_name": "add_sub", "inputs": inputs, "outputs": outputs}


def refused(call, status, says):
    with pytest.raises(InferenceServerException) as error:
        call()
    assert str(error.value.status()) in status, error.value
    assert says in error.value.message(), error.value.message()


NOT_FOUND = ("404", "StatusCode.NOT_FOUND")
INVALID = ("400", "StatusCode.INVALID_ARGUMENT")
INTERNAL = ("500", "StatusCode.INTERNAL")
UNAVAILABLE = ("503", "StatusCode.UNAVAILABLE")
UNIMPLEMENTED = ("501", "StatusCode.UNIMPLEMENTED")


def statuses(client):
    """The regions by name, whatever the protocol."""
    status = client.get_system_shared_memory_status()
    if isinstance(status, list):
        return {it["name"]: (it["key"], it["offset"], it["byte_size"]) for it in status}
    return {name: (it.key, it.offset, it.byte_size) for name, it in status.regions.items()}


def test_in_and_out(client, module, region):
    handle, key = region(4 * SIZE)
    shm.set_shared_memory_region(handle, [A, B])
    client.register_system_shared_memory("r", key, 4 * SIZE)
    assert "system_shared_memory" in str(client.get_server_metadata())
    assert statuses(client) == {"r": (key, 0, 4 * SIZE)}
    result = client.infer(**add_sub(module))
    np.testing.assert_array_equal(
        shm.get_contents_as_numpy(handle, np.float32, A.shape, 2 * SIZE), A + B
    )
    np.testing.assert_array_equal(result.as_numpy("difference"), A - B)
    said = str(result.get_output("sum"))
    assert "shared_memory_region" in said and "data" not in said.replace("datatype", "")
    # One input in memory, the other on the wire.
    result = client.infer(**add_sub(module, a=None, total=None))
    np.testing.assert_array_equal(result.as_numpy("sum"), A + B)
    client.unregister_system_shared_memory("r")
    assert statuses(client) == {}


def test_one_object_under_two_names(client, module, region):
    handle, key = region(4 * SIZE)
    shm.set_shared_memory_region(handle, [A, B])
    client.register_system_shared_memory("in", key, 2 * SIZE)
    client.register_system_shared_memory("out", key, SIZE, offset=3 * SIZE)
    request = add_sub(module, a=("in", 0), b=("in", SIZE), total=("out", 0))
    client.infer(**request)
    np.testing.assert_array_equal(
        shm.get_contents_as_numpy(handle, np.float32, A.shape, 3 * SIZE), A + B
    )
    client.unregister_system_shared_memory("in")
    assert statuses(client) == {"out": (key, 3 * SIZE, SIZE)}
    refused(lambda: client.infer(**request), NOT_FOUND, "Unable to find shared memory region: 'in'")


def test_strings(client, module, region):
    """BYTES: each element behind its length, in both directions."""
    names = np.array([["Ada"], ["Zoë"]], np.object_)
    data = serialize_byte_tensor(names)
    size = len(data.item())
    handle, key = region(4096)
    shm.set_shared_memory_region(handle, [data])
    client.register_system_shared_memory("r", key, 4096)

    def infer(size):
        name = module.InferInput("name", names.shape, "BYTES")
        name.set_shared_memory("r", size)
        output = module.InferRequestedOutput("greeting")
        output.set_shared_memory("r", 2048, 1024)
        return client.infer("greeting", [name], outputs=[output])

    infer(size)
    got = shm.get_contents_as_numpy(handle, np.object_, [2, 1], 1024)
    wire = module.InferInput("name", names.shape, "BYTES")
    wire.set_data_from_numpy(names)
    np.testing.assert_array_equal(got, client.infer("greeting", [wire]).as_numpy("greeting"))
    # Lengths that lead beyond the tensor, or leave something over.
    refused(lambda: infer(size - 1), INVALID, "'name'")
    refused(lambda: infer(size + 1), INVALID, "'name'")
    handle._mpsm_handle.buf[0:4] = b"\xff\xff\xff\xff"
    refused(lambda: infer(size), INVALID, "'name'")
    handle._mpsm_handle.buf[0:size] = (bytes_element(b"x") + bytes(size))[:size]
    refused(lambda: infer(size), INVALID, "'name'")


def test_output_too_small(client, module, region):
    handle, key = region(4 * SIZE)
    shm.set_shared_memory_region(handle, [A, B, A])
    client.register_system_shared_memory("r", key, 4 * SIZE)
    says = (
        f"shared memory size specified with the request for output 'sum' ({SIZE - 1} bytes) "
        f"should be at least {SIZE} bytes to hold the results"
    )
    refused(lambda: client.infer(**add_sub(module, size=SIZE - 1)), INTERNAL, says)
    left = shm.get_contents_as_numpy(handle, np.float32, A.shape, 2 * SIZE)
    np.testing.assert_array_equal(left, A, "nothing is written")


def test_an_object_that_is_cut_short(client, module, region):
    """A mapping of it would end the server (SIGBUS)."""
    handle, key = region(1 << 16)
    shm.set_shared_memory_region(handle, [A, B])
    client.register_system_shared_memory("r", key, 1 << 16)
    far = add_sub(module, a=("r", (1 << 16) - SIZE))
    client.infer(**far)
    os.truncate(path(key), 8)
    for request in (far, add_sub(module), add_sub(module, a=None, b=None)):
        refused(lambda request=request: client.infer(**request), INVALID, "no longer all there")
    assert os.stat(path(key)).st_size == 8, "and it is not made longer"
    os.truncate(path(key), 1 << 16)
    shm.set_shared_memory_region(handle, [A, B])
    client.infer(**add_sub(module))


def test_an_object_without_a_name(client, module):
    """What is registered stays, whatever becomes of its name."""
    key = f"/test_clients_{uuid.uuid4().hex}"
    with open(path(key), "w+b") as file:
        file.write(A.tobytes() + B.tobytes() + bytes(SIZE))
        file.flush()
        client.register_system_shared_memory("r", key, 3 * SIZE)
        os.unlink(path(key))
        client.infer(**add_sub(module))
        file.seek(2 * SIZE)
        assert file.read() == (A + B).tobytes()
    refused(
        lambda: client.register_system_shared_memory("s", key, SIZE), INVALID, "Unable to open"
    )


# What is registered, and what is said about it.
REGISTRATIONS = {
    "more than there is": ({"byte_size": 65}, "the object's 64"),
    "more than there is behind the offset": ({"byte_size": 1, "offset": 64}, "the object's 64"),
    "a sum that wraps": ({"byte_size": 2**64 - 32, "offset": 64}, "the object's 64"),
    "nothing": ({"byte_size": 0}, "at least one byte"),
    "a path": ({"key": "/../../etc/passwd"}, "a path"),
    "slashes": ({"key": "///salver_worker"}, "a path"),
    "the folder": ({"key": "/.."}, "a dot"),
    "a reserved name": ({"key": "/salver_worker"}, "reserved"),
    "a semaphore": ({"key": "/sem.lock"}, "reserved"),
    "no key": ({"key": "/"}, "empty"),
    "nobody's key": ({"key": "/test_clients_nobody"}, "Unable to open"),
}


@pytest.mark.parametrize(("change", "says"), REGISTRATIONS.values(), ids=REGISTRATIONS)
def test_registration(client, region, change, says):
    _, key = region(64)
    asked = {"name": "r", "key": key, "byte_size": 64} | change
    refused(lambda: client.register_system_shared_memory(**asked), INVALID, says)
    assert statuses(client) == {}


def test_registered_twice(client, region):
    _, key = region(64)
    client.register_system_shared_memory("r", key, 64)
    _, other = region(64)
    again = ("400", "StatusCode.ALREADY_EXISTS")
    says = "shared memory region 'r' already in manager"
    refused(lambda: client.register_system_shared_memory("r", other, 64), again, says)
    assert statuses(client) == {"r": (key, 0, 64)}


def test_only_so_many_bytes(client, region):
    """Whole objects count: all of one is kept from being given back."""
    _, large = region(1 << 20)
    _, small = region(4096)
    client.register_system_shared_memory("r", large, 1)
    register = lambda: client.register_system_shared_memory("s", small, 1)  # noqa: E731
    refused(register, UNAVAILABLE, "(1048576 bytes)")
    client.unregister_system_shared_memory("r")
    register()


# The place of the first input, and what is said about it.
PLACES = {
    "another region": (("q", 0), NOT_FOUND, "Unable to find shared memory region: 'q'"),
    "behind the end": (("r", 4 * SIZE), INVALID, "the region has 64 bytes"),
    "over the end": (("r", 3 * SIZE + 1), INVALID, "the region has 64 bytes"),
    "a sum that wraps": (("r", 2**63 - 1), INVALID, "the region has 64 bytes"),
}


@pytest.mark.parametrize(("place", "status", "says"), PLACES.values(), ids=PLACES)
def test_place(client, module, region, place, status, says):
    _, key = region(4 * SIZE)
    client.register_system_shared_memory("r", key, 4 * SIZE)
    refused(lambda: client.infer(**add_sub(module, a=place)), status, says)
    refused(lambda: client.infer(**add_sub(module, total=place)), status, says)


def test_a_sum_that_wraps_over_64_bits(server, region):
    """The client cannot say it over gRPC; JSON has larger numbers."""
    handle, key = region(64)
    at = {"shared_memory_region": "r", "shared_memory_offset": 32}
    at["shared_memory_byte_size"] = 2**64 - 32
    tensor = {"name": "a", "datatype": "FP32", "shape": [1, 4], "parameters": at}
    register = {"key": key, "byte_size": 64}
    answer = server.ask("POST", "/v2/systemsharedmemory/region/r/register", register)
    assert (answer.status, answer.body) == (200, b"")
    infer = server.ask("POST", "/v2/models/add_sub/infer", {"inputs": [tensor]})
    infer.refused(400, "the region has 64 bytes")
    assert server.ask("POST", "/v2/systemsharedmemory/unregister").status == 200


def test_unregistered_under_load(client, server, module, region):
    """While others ask: each answer is right, or says that the region is not there."""
    handle, key = region(4 * SIZE)
    shm.set_shared_memory_region(handle, [A, B])
    done, faults, answers = threading.Event(), [], []

    def ask():
        with server.client(module) as client:
            while not done.is_set():
                try:
                    client.infer(**add_sub(module))
                    got = shm.get_contents_as_numpy(handle, np.float32, A.shape, 2 * SIZE)
                    answers.append(np.array_equal(got, A + B))
                except InferenceServerException as error:
                    if "Unable to find shared memory region: 'r'" not in error.message():
                        faults.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for it in threads:
        it.start()
    for _ in range(100):
        client.register_system_shared_memory("r", key, 4 * SIZE)
        client.infer(**add_sub(module))
        client.unregister_system_shared_memory("r")
    done.set()
    for it in threads:
        it.join()
    assert not faults, faults[:3]
    assert answers and all(answers), f"{len(answers)} answers"


def test_metrics(client, server, region):
    _, key = region(4096)
    client.register_system_shared_memory("r", key, 64)

    def value(name, **labels):
        return sum(it.value for it in server.scrape(name, **labels))

    assert value("salver_client_memory_regions", kind="system") == 1
    assert value("salver_client_memory_bytes", kind="system") == 4096
    before = value("salver_client_memory_refused_total", reason="key")
    refused(lambda: client.register_system_shared_memory("s", "/a/b", 64), INVALID, "a path")
    assert value("salver_client_memory_refused_total", reason="key") == before + 1
    client.unregister_system_shared_memory("r")
    assert value("salver_client_memory_regions", kind="system") == 0
    assert [it["region"] for it in server.logs("shared memory registered")][-1] == "r"


def test_memory_of_a_gpu_that_is_not_allowed(client):
    handle = base64.b64encode(bytes(64))
    register = lambda: client.register_cuda_shared_memory("r", handle, 0, 1)  # noqa: E731
    refused(register, UNIMPLEMENTED, "--allow-client-cuda-shm")
    assert "cuda_shared_memory" not in str(client.get_server_metadata())


def test_off_unless_asked_for(samples, module, region):
    _, key = region(64)
    with samples.client(module) as client:
        says = "--allow-client-shm"
        register = lambda: client.register_system_shared_memory("r", key, 64)  # noqa: E731
        refused(register, UNIMPLEMENTED, says)
        refused(client.get_system_shared_memory_status, UNIMPLEMENTED, says)
        refused(client.unregister_system_shared_memory, UNIMPLEMENTED, says)
        refused(lambda: client.infer(**add_sub(module)), UNIMPLEMENTED, "shared_memory_")
        assert "shared_memory" not in str(client.get_server_metadata())


def test_logged(start, repository, tmp_path, module, region):
    """What came through memory stands in the prediction log like anything else."""
    repository.sample("add_sub", 1)
    repository.settings("add_sub", "[log]\n")
    log = tmp_path / "log"
    server = start(repository, allow_client_shm="true", log_dir=log, log_roll_ms=50).settled()
    handle, key = region(4 * SIZE)
    shm.set_shared_memory_region(handle, [A, B])
    with server.client(module) as client:
        client.register_system_shared_memory("r", key, 4 * SIZE)
        client.infer(**add_sub(module), request_id="mine")
    # What is being written lies in a folder with a dot in front.
    files = lambda: list((log / "parquet").glob("[!.]*/**/*.parquet"))  # noqa: E731
    wait_for(files, "a row is there")
    [row] = pyarrow.dataset.dataset([str(it) for it in files()]).to_table().to_pylist()
    assert row["request_id"] == "mine"
    text = str(row)
    for value in (*A[0], *(A + B)[0]):
        assert str(float(value)) in text, row
