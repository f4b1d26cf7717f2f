"""A real Airflow 3 on a free port of the loopback, and servers that ask it."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
# How to run servers as children is written down there.
sys.path.append(str(HERE.parent / "registry"))

from servers import BINARY, PATIENCE_S, ROOT, Child, free_port, plain  # noqa: E402

BIN = Path(sys.executable).parent
PASSWORD = "hush-hush"


class Airflow:
    """The API server over a database of its own. There is no scheduler: runs stay queued until a test
    says how they end."""

    def __init__(self, home):
        folder = home / "dags"
        folder.mkdir()
        shutil.copy(HERE / "dags.py", folder)
        passwords = home / "passwords.json"
        passwords.write_text(json.dumps({"salver": PASSWORD}))
        settings = {
            "HOME": str(home),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "salver:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__API_AUTH__JWT_SECRET": "a-key-for-tests-" * 4,
        }
        for words in (["db", "migrate"], ["dags", "reserialize"]):
            command = [BIN / "airflow", *words]
            done = subprocess.run(command, env=plain(**settings), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-4000:]
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [BIN / "airflow", "api-server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
        self.child = Child(command, f"{self.url}/api/v2/monitor/health", home / "log", **settings)
        self.token = None

    def ready(self):
        self.child.ready()
        self.token = self.ask("POST", "/auth/token", {"username": "salver", "password": PASSWORD})["access_token"]
        return self

    def ask(self, method, path, body=None):
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read())

    def runs(self, dag="train"):
        """By id."""
        answer = self.ask("GET", f"/api/v2/dags/{dag}/dagRuns")
        return {it["dag_run_id"]: it for it in answer["dag_runs"]}

    def end(self, run, state):
        self.ask("PATCH", f"/api/v2/dags/train/dagRuns/{run}", {"state": state})


@pytest.fixture(scope="session")
def airflow(tmp_path_factory):
    started = Airflow(tmp_path_factory.mktemp("airflow"))
    try:
        yield started.ready()
    finally:
        started.child.stop()


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.05)
    return answer


class Server:
    """`salver serve` with the sample models and one trigger, its state in `folder`."""

    def __init__(self, folder, url, dag="train", password=PASSWORD):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        (folder / "password").write_text(password)
        config = folder / "salver.toml"
        config.write_text(
            f'[target.training]\nkind = "airflow"\nurl = "{url}"\ndag = "{dag}"\nuser = "salver"\n'
            f'password_file = "{folder}/password"\nparameters = {{ name = "{{model}}-{{version}}" }}\n'
            '[[trigger]]\nname = "retrain"\nmodel = "wine"\ntarget = "training"\non = ["drift"]\n'
        )
        ports = [free_port() for _ in range(3)]
        flags = [
            word
            for name, port in zip(("http", "grpc", "metrics"), ports, strict=True)
            for word in (f"--{name}-port", port)
        ]
        self.url = f"http://127.0.0.1:{ports[0]}"
        self.metrics_url = f"http://127.0.0.1:{ports[2]}/metrics"
        command = [BINARY, "serve", "--host", "127.0.0.1", "--config", config, "--state", folder / "state"]
        command += ["--model-repository", ROOT / "models/repository", "--rest-ms", "0", *flags]
        log = folder / f"log-{ports[0]}"
        self.child = Child(command, f"{self.url}/v2/health/live", log, HOME=str(folder))
        self.child.ready()
        # The version that triggers go by: the model is ready as soon as any one of it is.
        wait_for(lambda: self.answers("/v2/models/wine/versions/2/ready"), "the model is ready")

    def answers(self, path):
        try:
            return urllib.request.urlopen(self.url + path, timeout=5).status == 200
        except urllib.error.HTTPError:
            return False

    def command(self, *words):
        done = subprocess.run(
            [BINARY, "trigger", *words, "--url", self.url],
            env=plain(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return done

    def told(self, *words):
        """What a command prints as JSON."""
        done = self.command(*words, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def audit(self):
        """(result, line) of every line about the trigger."""
        path = self.folder / "state/audit.jsonl"
        lines = [json.loads(it) for it in path.read_text().splitlines()]
        return [(it["result"], it) for it in lines if it["event"] == "trigger"]

    def results(self):
        return [result for result, _ in self.audit()]

    def metrics(self):
        return urllib.request.urlopen(self.metrics_url, timeout=5).read().decode()

    def kill(self):
        self.child.process.kill()
        self.child.stop()


@pytest.fixture
def start(airflow, tmp_path):
    """Starts servers, and stops them."""
    servers = []

    def start(name="one", **more):
        more = {"url": airflow.url} | more
        servers.append(Server(tmp_path / name, **more))
        return servers[-1]

    yield start
    for it in servers:
        it.child.stop()
