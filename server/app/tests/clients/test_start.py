"""How a server starts: what it says when it cannot, where settings come from, and which engines."""

import socket
from pathlib import Path

import pytest
from recorded import MODELS, cases
from server import BINARY, FIXTURES, FLAGS, SAMPLES, hold, salver, wait_for

FAILED, USAGE, CONFIG = 1, 2, 78
PORTS = ("http_port", "grpc_port", "metrics_port")
NO_PORTS = dict.fromkeys(FLAGS)


def serve(*flags, **more):
    return salver("serve", "--model-repository", SAMPLES, "--host", "127.0.0.1", *flags, **more)


@pytest.fixture
def taken():
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("taken_flag", ["--http-port", "--grpc-port", "--metrics-port"])
def test_a_port_in_use(taken, taken_flag):
    ports = {"--http-port": 0, "--grpc-port": 0, "--metrics-port": 0, taken_flag: taken}
    done = serve(*(it for pair in ports.items() for it in pair))
    assert done.returncode == FAILED
    assert f"127.0.0.1:{taken}" in done.stderr
    assert taken_flag.split("-")[2] in done.stderr
    assert "in use" in done.stderr


def test_a_repository_that_is_not_there(tmp_path):
    free = ("--http-port", 0, "--grpc-port", 0, "--metrics-port", 0)
    done = salver("serve", "--model-repository", tmp_path / "nowhere", *free)
    assert done.returncode == FAILED
    assert str(tmp_path / "nowhere") in done.stderr


def test_a_library_that_is_not_there(tmp_path):
    """One that was asked for by name is not silently replaced."""
    done = serve("--onnxruntime-library", tmp_path / "libnothing.so")
    assert done.returncode == FAILED
    assert "libnothing.so" in done.stderr
    done = serve("--openvino-dir", tmp_path)
    assert done.returncode == FAILED
    assert f"openvino_dir: no libopenvino_c.so in {tmp_path}" in done.stderr


# Files with faults, and the keys that are named.
FAULTY = {
    "three": (
        'http_port = 99999\nrest_ms = "long"\nlog_fromat = "json"\n',
        ["http_port", "rest_ms", "log_fromat"],
    ),
    "of one kind": (
        "instances = 0\nloader_threads = 0\nworker_threads = -1\n",
        ["instances", "loader_threads", "worker_threads"],
    ),
    "together": ("grpc_port = 7000\nmetrics_port = 7000\n", ["metrics_port", "7000"]),
    "no TOML": ("http_port: 80\n", ["http_port"]),
}


@pytest.mark.parametrize(("text", "keys"), FAULTY.values(), ids=FAULTY)
def test_a_faulty_file(tmp_path, text, keys):
    (tmp_path / "salver.toml").write_text(text)
    done = salver("serve", "--config", tmp_path / "salver.toml", "--model-repository", SAMPLES)
    assert done.returncode == CONFIG
    for key in keys:
        assert key in done.stderr


def test_flags_and_environment_out_of_range():
    """All of them at once, whoever said them."""
    wrong = {"SALVER_DRAIN_TIMEOUT": str(2**64 - 1), "SALVER_LOG_LEVEL": "info=loud"}
    done = serve("--scan-interval-ms", 0, "--in-flight-requests-max", 0, env=wrong)
    assert done.returncode == CONFIG
    for key in ("scan_interval_ms", "in_flight_requests_max", "drain_timeout_s", "log_level"):
        assert key in done.stderr


def test_a_file_that_is_not_there(tmp_path):
    done = serve("--config", tmp_path / "salver.toml")
    assert done.returncode == CONFIG
    assert str(tmp_path / "salver.toml") in done.stderr


def test_no_repository():
    done = salver("serve")
    assert done.returncode == CONFIG
    assert "model_repository" in done.stderr


def test_wrong_usage():
    for flags in (["--http-port", "no"], ["--no-such-flag"], ["--http-port", "70000"]):
        assert serve(*flags).returncode == USAGE


@pytest.fixture
def ports():
    """Ports that nobody else comes to have while the test runs."""
    held = [hold() for _ in range(6)]
    yield [it.getsockname()[1] for it in held]
    for it in held:
        it.close()


def test_flag_over_environment_over_file(start, tmp_path, ports):
    """Each port from another source, although the weaker ones name another."""
    of_file, of_environment, of_flag, *unused = ports
    ports = dict(zip(PORTS, (of_file, unused[0], unused[1]), strict=True))
    lines = [f"{key} = {port}" for key, port in ports.items()]
    (tmp_path / "salver.toml").write_text("\n".join([*lines, 'host = "127.0.0.1"']))
    environment = {
        "SALVER_CONFIG": str(tmp_path / "salver.toml"),
        "SALVER_GRPC_PORT": str(of_environment),
        "SALVER_METRICS_PORT": str(unused[2]),
    }
    flags = NO_PORTS | {"log_format": "json", "metrics_port": of_flag}
    server = start(SAMPLES, env=environment, **flags)
    at = {"http": of_file, "grpc": of_environment, "metrics": of_flag}
    for name, port in at.items():
        assert getattr(server, name) == f"127.0.0.1:{port}"


def test_one_port_for_both(start, ports):
    port = ports[0]
    server = start(SAMPLES, http_port=port, grpc_port=port).settled()
    assert server.http == server.grpc == f"127.0.0.1:{port}"
    assert server.ask("GET", "/v2/health/ready").status == 200


def test_not_ready_before_the_models(start, repository):
    """Live at once, ready when the models found at the start have come up or failed."""
    repository.sample("add_sub", 1)
    server = start(repository, rest_ms=10_000)
    assert server.ask("GET", "/v2/health/live").status == 200
    answer = server.ask("GET", "/v2/health/ready")
    assert (answer.status, answer.body) == (400, b"")
    assert not server.logs("the initial models have settled")
    server.settled()
    assert server.ask("GET", "/v2/health/ready").status == 200


def test_strict_readiness(start, repository):
    """Not ready while one model cannot answer, although another can."""
    repository.sample("add_sub", 1)
    (repository.path / "hollow").mkdir()
    server = start(repository, strict_readiness="true").settled()
    assert server.ask("GET", "/v2/health/ready").status == 400
    assert salver("client", "health", "--url", f"http://{server.http}").returncode == FAILED
    repository.version("hollow", 1, FIXTURES / "double.onnx")
    wait_for(lambda: server.ask("GET", "/v2/health/ready").status == 200, "it is ready")


def test_without_onnxruntime(start, alone):
    """Said once; every model that the other engine knows gives its recorded answers."""
    server = start(SAMPLES, binary=alone).settled()
    [told] = server.logs("engine is not available; tract takes over")
    assert told["engine"] == "onnxruntime"
    assert "libonnxruntime.so" in told["reason"] and str(alone.parent) in told["reason"]
    index = server.index()
    for model, version in MODELS:
        line = index[model, version]
        if model == "greeting":
            assert line["state"] == "UNAVAILABLE"
            assert "String" in line["reason"]
            answer = server.ask("POST", "/v2/models/greeting/infer", {"inputs": []})
            answer.refused(503, "'greeting'")
            continue
        assert line["state"] == "READY", line
        path = f"/v2/models/{model}/versions/{version}"
        assert server.ask("GET", path).json()["platform"] == "tract_onnx"
        for case in cases(model, version):
            case.check_json(server.ask("POST", f"{path}/infer", case.request).json())


def test_an_engine_by_name(start, repository, alone):
    """Settings may ask for an engine; one that is missing is a reason, not a reason to guess."""
    for engine in ("onnxruntime", "tract", "openvino", "auto"):
        repository.settings(engine, f'engine = "{engine}"\n')
        repository.version(engine, 1, FIXTURES / "double.onnx")
    server = start(repository, binary=alone).settled()
    assert [server.state(it, "1") for it in ("tract", "auto")] == ["READY"] * 2
    for engine in ("onnxruntime", "openvino"):
        line = server.index()[engine, "1"]
        assert line["state"] == "UNAVAILABLE"
        assert f"engine {engine} is not available" in line["reason"]
    both = start(repository).settled()
    platforms = {
        it: both.ask("GET", f"/v2/models/{it}").json()["platform"]
        for it in ("onnxruntime", "tract", "openvino", "auto")
    }
    assert platforms == {
        "onnxruntime": "onnxruntime_onnx",
        "tract": "tract_onnx",
        "openvino": "openvino_onnx",
        "auto": "onnxruntime_onnx",
    }


def maps(server):
    """Files that the process has in its memory."""
    return Path(f"/proc/{server.process.pid}/maps").read_text()


def test_openvino_is_opened_by_the_first_model_that_asks(start, repository):
    repository.version("other", 1, FIXTURES / "double.onnx")
    server = start(repository).settled()
    assert "libonnxruntime" in maps(server) and "libopenvino" not in maps(server)
    repository.settings("asks", 'engine = "openvino"\nprecision = "bf16"\n')
    repository.version("asks", 1, FIXTURES / "double.onnx")
    wait_for(lambda: server.state("asks", "1") == "READY", "the model is ready")
    assert "libopenvino_c" in maps(server)


def test_auto_never_means_openvino(start, repository, alone):
    """Not even where it is the only engine beside tract, and tract does not know the operator."""
    for engine in ("auto", "openvino"):
        repository.settings(engine, f'engine = "{engine}"\n')
        repository.version(engine, 1, FIXTURES / "identity_bf16.onnx")
    folders = (it / ".lib/openvino" for it in BINARY.parents)
    libraries = next(it for it in folders if it.is_dir())
    server = start(repository, binary=alone, openvino_dir=libraries).settled()
    assert server.state("openvino", "1") == "READY"
    line = server.index()["auto", "1"]
    assert line["state"] == "UNAVAILABLE" and "tract" in line["reason"]


def test_an_index_that_openvino_would_not_refuse(start, repository):
    """It gathers zeros from beyond the end of a table; here that is the caller's fault."""
    repository.settings("pick", 'engine = "openvino"\n')
    repository.version("pick", 1, FIXTURES / "pick.onnx")
    server = start(repository).settled()

    def ask(index):
        tensor = {"name": "index", "shape": [1, 1], "datatype": "INT64", "data": [index]}
        return server.ask("POST", "/v2/models/pick/infer", {"inputs": [tensor]})

    assert ask(3).json()["outputs"][0]["data"] == [40.0]
    for index in (4, -5, 1 << 32):
        ask(index).refused(400, f"holds {index} at element 0, allowed are -4 to 3")
