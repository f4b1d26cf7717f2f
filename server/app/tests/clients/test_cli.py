"""The commands that speak to a running server: what they print, and how they exit."""

import json
import socket
import subprocess

import pytest
from recorded import cases
from server import BINARY, SAMPLES, Repository, environment, salver, wait_for

DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 69


def command(server, *words, **more):
    return salver(*words, "--url", f"http://{server.http}", **more)


@pytest.fixture
def small(start, tmp_path):
    """A server with one model, for commands that change something."""
    repository = Repository(tmp_path / "models")
    repository.sample("wine", 1)
    return start(repository).settled()


@pytest.fixture
def nobody():
    """An address at which nobody listens, for as long as the test holds it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def test_models_list(samples):
    done = command(samples, "models", "list")
    assert done.returncode == DONE
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    assert head == ["MODEL", "VERSION", "STATE", "REASON"]
    assert ["wine", "2", "READY"] in rows
    assert len(rows) == len(list(SAMPLES.glob("*/*/model.onnx")))
    as_json = command(samples, "models", "list", "--output", "json")
    assert json.loads(as_json.stdout) == samples.ask("POST", "/v2/repository/index").json()


def test_models_unload_and_load(small):
    done = command(small, "models", "unload", "wine")
    assert (done.returncode, done.stdout) == (DONE, "wine unloaded\n")
    gone = ["wine", "1", "UNAVAILABLE", "unloaded"]

    def listed():
        return command(small, "models", "list").stdout.splitlines()[1].split()

    wait_for(lambda: listed() == gone, "it is listed as unloaded")
    done = command(small, "models", "load", "wine", "--output", "json")
    assert done.returncode == DONE
    assert json.loads(done.stdout)["model"] == "wine"
    assert small.state("wine", "1") == "READY"


# What a server refuses: the words, and what the command complains of.
REFUSED = [
    (["models", "load", "nobody"], "nobody"),
    (["models", "load", "../etc"], "../etc"),
    (["models", "load", ""], "empty"),
    (["predict", "nobody", "--input", "x=[1]"], "nobody"),
    (["predict", "wine", "--version", "7", "--input", "features=[[1]]"], "7"),
    (["predict", "wine", "--input", "colour=[[1]]"], "features"),
    (["predict", "wine", "--input", "features=[[1]]"], "[1,1]"),
    (["predict", "wine", "--input", "features=[[1], [2, 3]]"], "features"),
    (["predict", "wine", "--input", "features=one"], "features"),
    (["predict", "wine", "--input", "features=@/no/such/file"], "/no/such/file"),
    (["predict", "wine", "--json", "/no/such/file"], "/no/such/file"),
    (["predict", "wine", "--input", "features"], "NAME=JSON"),
]


@pytest.mark.parametrize(("words", "says"), REFUSED, ids=lambda it: " ".join(it))
def test_refused(samples, words, says):
    done = command(samples, *words)
    assert done.returncode == FAILED
    assert done.stdout == ""
    assert done.stderr.startswith("salver: ") and says in done.stderr


UNANSWERED = [
    ["client", "health"],
    ["models", "list"],
    ["models", "load", "wine"],
    ["predict", "wine", "--input", "features=[[1]]"],
]


@pytest.mark.parametrize("words", UNANSWERED, ids=" ".join)
def test_nobody_listens(nobody, words):
    done = salver(*words, "--url", nobody)
    assert done.returncode == UNREACHABLE
    assert nobody.removeprefix("http://") in done.stderr


def test_health(samples):
    done = command(samples, "client", "health")
    assert (done.returncode, done.stdout) == (DONE, "ready\n")


def test_health_where_nobody_answers():
    """Somebody takes the connection and says nothing: given up after the time to wait."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert salver("client", "health", "--url", url, "--timeout", 1).returncode == UNREACHABLE


def test_the_address_from_the_environment(samples, nobody):
    url = {"SALVER_URL": f"http://{samples.http}"}
    assert salver("client", "health", env=url).returncode == DONE
    assert salver("client", "health", "--url", nobody, env=url).returncode == UNREACHABLE


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "http://", "ftp://127.0.0.1", "/", ""])
def test_an_address_that_is_none(url):
    done = salver("client", "health", "--url", url)
    assert done.returncode == FAILED
    assert f'"{url}"' in done.stderr


def test_predict_by_input(samples, tmp_path):
    """Type and shape need not be told: one is the model's, the other that of the nesting."""
    case = cases("wine", 2)[1]
    [(_, _, data)] = case.inputs()
    rows = json.dumps(data.tolist())
    (tmp_path / "rows.json").write_text(rows)
    for given in (f"features={rows}", f"features=@{tmp_path / 'rows.json'}"):
        done = command(samples, "predict", "wine", "--input", given, "--output", "json")
        assert done.returncode == DONE, done.stderr
        case.check_json(json.loads(done.stdout))


def test_predict_for_people(samples):
    words = ["predict", "add_sub", "--input", "a=[[1,2,3,4]]", "--input", "b=[[1,1,1,1]]"]
    done = command(samples, *words)
    assert done.stdout.splitlines() == [
        "add_sub version 1",
        "sum FP32 [1,4] [2.0,3.0,4.0,5.0]",
        "difference FP32 [1,4] [0.0,1.0,2.0,3.0]",
    ]
    done = command(samples, "predict", "greeting", "--input", 'name=[["Zoë"]]')
    assert done.stdout.splitlines()[1] == 'greeting BYTES [1,1] ["Hello, Zoë!"]'


def test_predict_by_label(samples):
    case = cases("wine", 1)[0]
    words = ["predict", "wine", "--version", "stable", "--json", "-", "--output", "json"]
    done = command(samples, *words, stdin=json.dumps(case.request))
    case.check_json(json.loads(done.stdout))


def test_version():
    answer = json.loads(salver("version", "--output", "json").stdout)
    assert answer["version"].count(".") == 2
    engines = {it["engine"]: it["available"] for it in answer["engines"]}
    expected = ("onnxruntime", "tract", "openvino", "litert", "pjrt", "candle")
    assert engines == dict.fromkeys(expected, True)
    text = salver("version").stdout.splitlines()
    assert text[0] == f"salver {answer['version']}"
    assert salver("--version").stdout == f"salver {answer['version']}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell, tmp_path):
    done = salver("completion", shell)
    assert done.returncode == DONE
    for word in ("serve", "predict", "models", "--model-repository"):
        assert word.lstrip("-") in done.stdout
    if shell == "bash":
        (tmp_path / "salver.bash").write_text(done.stdout)
        subprocess.run(["bash", "-n", tmp_path / "salver.bash"], check=True)


def test_help():
    done = salver("--help")
    assert done.returncode == DONE
    assert "Exit codes:" in done.stdout
    for code in ("0 done", "1 failed", "2 wrong usage", "69", "78"):
        assert code in done.stdout
    for name in ("serve", "predict", "models", "client", "version", "completion"):
        assert name in done.stdout
    flags = salver("serve", "--help").stdout
    for name in ("--model-repository", "SALVER_HTTP_PORT", "[default: 8001]"):
        assert name in flags


def test_nothing_to_do():
    assert salver().returncode == USAGE
    assert salver("nonsense").returncode == USAGE


def test_a_reader_that_goes_away(samples):
    """As with `salver models list | head -1`: no complaint, no panic."""
    words = [BINARY, "models", "list", "--url", f"http://{samples.http}"]
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.close()
        done = subprocess.run(
            words, stdout=writer.fileno(), stderr=subprocess.PIPE, env=environment(), check=False
        )
    assert (done.returncode, done.stderr) == (DONE, b"")
