"""Shows rollouts at work: a good candidate walks to all requests, bad ones go back by themselves.

    make demo-rollout

Starts the server on free ports with `wine`, sends it rows of the wine data set all the time and, a little later, what
they really were, and rolls out one candidate after the other. Ends with a table, the evidence in words, and a picture of shares and errors over time.
Exit code 1 if any rollout ended otherwise than it should.
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from candidates import CANDIDATES, STABLE
from picture import draw
from sklearn.datasets import load_wine

ROOT = Path(__file__).resolve().parents[2]
CALLERS, PAUSE_S = 6, 0.008
# Quick, so that it can be watched; the defaults are for services.
PLAN = {
    "steps": "5,25,50,100",
    "step_requests_min": 300,
    "step_duration_s_min": 3,
    "duration_s_max": 180,
    "shadow_rows": 0,
    "p99_tolerance": 0.5,
    "error_rate_ok": 0.02,
    "rollback_window_s": 60,
}
SETTINGS = """version_policy = { specific = [1] }
[traffic]
weights = { 1 = 1 }
sticky = "x-user"
[log]
[truth]
output = "probabilities"
"""
# Answers whose truth a caller brings at a time.
LABELS = 20
LIMIT_S = 240


class Server:
    def __init__(self, binary, repository, log):
        self.log = tempfile.TemporaryFile()
        ports = [it for port in ("http", "grpc", "metrics") for it in (f"--{port}-port", "0")]
        quick = ["--scan-interval-ms", "100", "--rest-ms", "0", "--rollout-interval-ms", "200", "--log-format", "json", "--log-dir", log]
        command = [binary, "serve", "--model-repository", repository, "--host", "127.0.0.1", *ports, *quick]
        self.process = subprocess.Popen([str(it) for it in command], stderr=self.log)
        self.http = self.said("listening")["http"]

    def said(self, message):
        for _ in range(300):
            self.log.seek(0)
            for line in self.log.read().decode(errors="replace").splitlines():
                if line.startswith("{") and json.loads(line).get("message") == message:
                    return json.loads(line)
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.log.seek(0)
        raise SystemExit(self.log.read().decode(errors="replace"))

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.http, timeout=20)
        try:
            connection.request(method, path, body and json.dumps(body))
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()

    def ready(self):
        while self.ask("GET", "/v2/health/ready")[0] != 200:
            time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Callers:
    """Ask for `wine` all the time, each row with the name of a user, and note how it went."""

    def __init__(self, server):
        self.server, self.over, self.lock = server, threading.Event(), threading.Lock()
        # By second: answers and failures.
        self.began, self.seconds, self.refused = time.monotonic(), {}, 0
        self.threads = [threading.Thread(target=self.talk, args=(it,)) for it in range(CALLERS)]
        for it in self.threads:
            it.start()

    def talk(self, seed):
        wine = load_wine()
        rows, labels = wine.data.astype(np.float32), []
        random = np.random.default_rng(seed)
        connection = http.client.HTTPConnection(self.server.http, timeout=30)
        while not self.over.wait(PAUSE_S):
            which, name = random.integers(len(rows)), f"{seed}-{random.integers(1 << 62)}"
            row = rows[which]
            inputs = [{"name": "features", "shape": [1, 13], "datatype": "FP32", "data": row.tolist()}]
            headers = {"x-user": str(random.integers(2_000))}
            body = json.dumps({"id": name, "inputs": inputs})
            connection.request("POST", "/v2/models/wine/infer", body, headers)
            response = connection.getresponse()
            response.read()
            with self.lock:
                second = self.seconds.setdefault(int(self.now()), [0, 0])
                second[0] += 1
                second[1] += response.status != 200
            labels.append({"id": name, "value": int(wine.target[which])})
            if len(labels) == LABELS:
                connection.request("POST", "/v2/models/wine/labels", json.dumps({"labels": labels}))
                response = connection.getresponse()
                if response.status != 200:
                    raise SystemExit(response.read())
                response.read()
                labels = []

    def now(self):
        return time.monotonic() - self.began

    def stop(self):
        self.over.set()
        for it in self.threads:
            it.join()


def put(repository, version, data):
    folder = repository / "wine" / f".{version}"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(data)
    folder.rename(repository / "wine" / str(version))


def follow(server, callers, samples):
    """Until it is over; the view then."""
    began = time.monotonic()
    while True:
        _, view = server.ask("GET", "/v2/models/wine/rollout")
        samples.append((callers.now(), float(view["weight"])))
        if view["state"]["name"] in ("promoted", "rolled_back") or time.monotonic() - began > LIMIT_S:
            return view
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release/salver")
    parser.add_argument("--picture", type=Path, default=ROOT / "target/rollout.svg")
    parser.add_argument("--only", nargs="*", help="names of candidates")
    options = parser.parse_args()
    chosen = [it for it in CANDIDATES if not options.only or it[0] in options.only]
    repository = Path(tempfile.mkdtemp(prefix="salver-demo-"))
    put(repository, 1, STABLE.read_bytes())
    (repository / "wine/model.toml").write_text(SETTINGS)
    server = Server(options.bin, repository, repository.with_name(f"{repository.name}-log"))
    server.ready()
    callers, samples, marks, rows, wrong = Callers(server), [], [], [], 0
    try:
        for version, (name, build, expected, more) in enumerate(chosen, 2):
            put(repository, version, build().SerializeToString())
            marks.append((callers.now(), name))
            status, view = server.ask("POST", "/v2/models/wine/rollout", {"to": version, "plan": PLAN | more})
            if status != 200:
                raise SystemExit(view)
            view = follow(server, callers, samples)
            state, last = view["state"]["name"], view["evidence"][-1]
            wrong += state != expected
            took = samples[-1][0] - marks[-1][0]
            requests, errors = view["counts"]["canary"]["requests"], view["counts"]["canary"]["errors"]
            labels = view["counts"]["labels"]["canary"]
            wrong_share = f"{100 * labels['mean']:.1f} % of {labels['n']:,}"
            rows.append((name, state, f"{took:.0f}", f"{requests:,}", f"{errors:,}", wrong_share))
            print(f"{name}: {last['words']}", flush=True)
            if state == "promoted":
                # Back to the first, so that all candidates are compared with the same.
                server.ask("POST", "/v2/models/wine/rollout/abort")
            samples.append((callers.now(), 0.0))
            time.sleep(2)
    finally:
        callers.stop()
        server.stop()
    print("\n| candidate | ended | after, s | requests it answered | of them failed | wrong, by labels |\n|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    errors = [(second + 0.5, 100 * bad / max(all_, 1)) for second, (all_, bad) in sorted(callers.seconds.items())]
    options.picture.write_text(draw(samples, errors, marks))
    print(f"\ndrawn: {options.picture}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
