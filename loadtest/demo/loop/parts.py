"""The real parts of the loop, each a child on a free port: MLflow, Airflow, Salver; and those who ask it."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
# How to run servers as children is written down there.
sys.path.append(str(ROOT / "server/app/tests/registry"))

from servers import Child, free_port, mlflow, plain  # noqa: E402
from world import NAMES, World  # noqa: E402

PASSWORD = "hush-hush"
CALLERS, PAUSE_S, ROWS, LABEL_LAG_S = 4, 0.02, 4, 1.0


def asked(method, url, body=None, token=None):
    """The JSON that an address answers with."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
        return json.loads(answer.read() or b"null")


class Airflow:
    """API server, scheduler and what reads the DAGs, over a database in `home`."""

    def __init__(self, home, python, **environment):
        home.mkdir()
        binaries = python.parent
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        (home / "passwords.json").write_text(json.dumps({"salver": PASSWORD}))
        self.settings = plain(
            HOME=str(home),
            PATH=f"{binaries}:{os.environ['PATH']}",
            AIRFLOW_HOME=str(home),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__CORE__DAGS_FOLDER=str(HERE / "dags"),
            AIRFLOW__CORE__PARALLELISM="1",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS="salver:admin",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=str(home / "passwords.json"),
            AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{self.url}/execution/",
            AIRFLOW__API_AUTH__JWT_SECRET="a-key-for-a-demo" * 4,
            **environment,
        )
        self.airflow, self.home, self.children = binaries / "airflow", home, []
        self.begun = threading.Thread(target=self.begin, args=(port,))
        self.begun.start()

    def begin(self, port):
        for words in (["db", "migrate"], ["dags", "reserialize"]):
            done = subprocess.run([self.airflow, *words], env=self.settings, capture_output=True, text=True, check=False)
            if done.returncode:
                print(done.stderr[-2000:], file=sys.stderr)
                return
        health = f"{self.url}/api/v2/monitor/health"
        server = ["--host", "127.0.0.1", "--port", port, "--workers", "1"]
        for name, more in (("api-server", server), ("scheduler", []), ("dag-processor", [])):
            self.children.append(Child([self.airflow, name, *more], health, self.home / f"{name}.log", **self.settings))

    def ready(self):
        self.begun.join()
        if not self.children:
            raise SystemExit("Airflow did not start")
        self.children[0].ready()
        login = {"username": "salver", "password": PASSWORD}
        self.token = asked("POST", f"{self.url}/auth/token", login)["access_token"]
        return self

    def runs(self):
        return asked("GET", f"{self.url}/api/v2/dags/retrain_wine/dagRuns", token=self.token)["dag_runs"]

    def stop(self):
        self.begun.join()
        for it in reversed(self.children):
            it.stop()


class Salver:
    """The server, its state and its prediction log in `home`."""

    def __init__(self, binary, home, settings):
        home.mkdir(exist_ok=True)
        self.binary, self.home = binary, home
        ports = {it: free_port() for it in ("http", "grpc", "metrics")}
        self.http = f"127.0.0.1:{ports['http']}"
        config = home / "salver.toml"
        config.write_text(settings)
        flags = [word for name, port in ports.items() for word in (f"--{name}-port", port)]
        quick = ["--scan-interval-ms", "100", "--rest-ms", "0", "--rollout-interval-ms", "200", "--log-roll-ms", "1000"]
        places = ["--state", home / "state", "--log-dir", home / "log"]
        command = [binary, "serve", "--host", "127.0.0.1", "--config", config, *places, *quick, *flags]
        environment = {"SALVER_CACHE": str(home / "cache"), "HOME": str(home)}
        self.child = Child(command, f"http://{self.http}/v2/health/ready", home / "salver.log", **environment)

    def ready(self):
        self.child.ready()
        while self.ask("/v2/health/ready") is None:
            time.sleep(0.2)
        return self

    def ask(self, path):
        """JSON of a path; `None` if there is none."""
        try:
            return asked("GET", f"http://{self.http}{path}") or {}
        except urllib.error.HTTPError:
            return None

    def stop(self):
        self.child.stop()


class Callers:
    """Ask for `wine` all the time, and say a little later what the wines really were."""

    def __init__(self, address):
        self.address, self.over, self.lock = address, threading.Event(), threading.Lock()
        self.is_shifted = False
        # By second: answers, failures; by second and version: rows, and rows that were right.
        self.began, self.seconds, self.right = time.monotonic(), defaultdict(lambda: [0, 0]), defaultdict(lambda: [0, 0])
        self.waiting = []
        self.threads = [threading.Thread(target=self.talk, args=(it,)) for it in range(CALLERS)]
        self.threads.append(threading.Thread(target=self.tell))
        for it in self.threads:
            it.start()

    def now(self):
        return time.monotonic() - self.began

    def talk(self, seed):
        world = World(100 + seed)
        connection = http.client.HTTPConnection(self.address, timeout=30)
        number = 0
        while not self.over.wait(PAUSE_S):
            rows, growers = world.draw(ROWS, self.is_shifted)
            number += 1
            name = f"{seed}-{number}"
            inputs = [{"name": "features", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}]
            body = json.dumps({"id": name, "inputs": inputs})
            connection.request("POST", "/v2/models/wine/infer", body, {"x-user": name})
            response = connection.getresponse()
            answer = json.loads(response.read())
            with self.lock:
                second = self.seconds[int(self.now())]
                second[0] += 1
                second[1] += response.status != 200
                if response.status == 200:
                    scores = answer["outputs"][0]["data"]
                    guesses = [max(range(3), key=lambda at: scores[3 * row + at]) for row in range(ROWS)]
                    right = self.right[int(self.now()), answer["model_version"]]
                    right[0] += ROWS
                    right[1] += sum(int(g == t) for g, t in zip(guesses, growers, strict=True))
                    self.waiting.append((self.now() + LABEL_LAG_S, name, growers.tolist()))

    def tell(self):
        """Labels, as they become known."""
        while not self.over.wait(0.5):
            now = self.now()
            with self.lock:
                due = [it for it in self.waiting if it[0] <= now]
                self.waiting = self.waiting[len(due) :]
            labels = [
                {"id": name, "row": row, "value": grower} for _, name, growers in due for row, grower in enumerate(growers)
            ]
            if labels:
                asked("POST", f"http://{self.address}/v2/models/wine/labels", {"labels": labels})

    def accuracy(self, version):
        """Points over time: seconds, and the share that was right."""
        points = sorted((second, *it) for (second, of), it in self.right.items() if of == version)
        return [(second + 0.5, 100 * right / rows) for second, rows, right in points if rows >= 20]

    def stop(self):
        self.over.set()
        for it in self.threads:
            it.join()
