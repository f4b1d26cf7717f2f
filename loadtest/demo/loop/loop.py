"""Shows the whole loop at work: a model drifts, is trained again, and its successor takes over by itself.

    make demo-loop

Starts MLflow, Airflow and Salver on free ports. A model of wines serves from the registry; after a while another
vintage comes in. The monitor raises an alarm, the trigger has Airflow train on what was logged and became known, the
new version is registered, pulled, shadowed, canaried and promoted. Ends with one page that tells it with pictures.
Exit code 1 if anything of that did not happen, or happened twice.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from parts import HERE, PASSWORD, ROOT, Airflow, Callers, Salver, mlflow
from story import draw, page
from world import NAMES

CALM_S, AFTER_S, LIMIT_S = 40, 20, 420

SETTINGS = """
[[model]]
name = "wine"
source = "mlflow://{mlflow}/wine@champion"
poll_s = 1
promoted_alias = "production"

[model.log]
features = {{ features = {names} }}

[model.drift]
window_rows = 1500
false_alarm_days = 30

[model.truth]
window_s = 10
horizon_s = 10

[model.rollout]
shadow_rows = 400
shadow_percent = "100"
steps = "10,50,100"
step_requests_min = 200
step_duration_s_min = 4
duration_s_max = 240
p99_tolerance = 1.0
error_rate_ok = 0.02
loss_increase_max = 0.02
step_labels_min = 100
rollback_window_s = 60

[target.training]
kind = "airflow"
url = "{airflow}"
dag = "retrain_wine"
user = "salver"
password_file = "{password}"

[[trigger]]
name = "retrain"
model = "wine"
target = "training"
on = ["drift"]
alarms = 2
windows = 3
"""


class Story:
    """What has happened, when, and in words."""

    def __init__(self, callers):
        self.callers, self.events, self.marks = callers, [], []

    def tell(self, text, mark=None):
        at = self.callers.now()
        self.events.append((at, text))
        if mark:
            self.marks.append((at, mark))
        print(f"{at:6.1f} s  {text}", flush=True)


def until(what, condition, each=lambda: None, limit=LIMIT_S):
    deadline = time.monotonic() + limit
    while not (found := condition()):
        each()
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {limit} s: {what}")
        time.sleep(0.25)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release/salver")
    parser.add_argument("--airflow-python", type=Path, default=ROOT / ".venv/airflow/bin/python")
    parser.add_argument("--picture", type=Path, help="the picture alone, as SVG")
    parser.add_argument("--page", type=Path, default=ROOT / "target/loop.html")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="salver-loop-"))
    (home / "password").write_text(PASSWORD)
    started = []
    try:
        return run(options, home, started)
    finally:
        for it in reversed(started):
            it.stop()
        print(f"\nlogs of all parts: {home}")


def run(options, home, started):
    registry = mlflow(home / "mlflow", home / "artifacts")
    started.append(registry)
    address = registry.url.removeprefix("http://").removesuffix("/health")
    environment = {
        "DEMO_PYTHON": sys.executable,
        "DEMO_CODE": str(HERE),
        "DEMO_MLFLOW": f"http://{address}",
        "DEMO_LOG": str(home / "salver/log"),
    }
    airflow = Airflow(home / "airflow", options.airflow_python, **environment)
    started.append(airflow)
    print("starting MLflow and Airflow: about a minute", flush=True)
    registry.ready()
    subprocess.run([sys.executable, HERE / "training.py", "first", "--mlflow", f"http://{address}"], check=True)
    airflow.ready()
    settings = SETTINGS.format(
        mlflow=address, airflow=airflow.url, password=home / "password", names=json.dumps(NAMES)
    )
    salver = Salver(options.bin.resolve(), home / "salver", settings)
    started.append(salver)
    salver.ready()
    callers = Callers(salver.http)
    started.append(callers)
    wrong = tell(callers, salver, airflow, options)
    return 1 if wrong else 0


def tell(callers, salver, airflow, options):
    story, shares = Story(callers), []

    def look():
        view = salver.ask("/v2/models/wine/rollout")
        shares.append((callers.now(), float(view["weight"]) if view else 0.0))

    story.tell("version 1 serves, trained on the vintage that comes in")
    until("a calm while", lambda: callers.now() > CALM_S, look)
    calm = salver.ask("/v2/models/wine/drift")
    callers.is_shifted = True
    story.tell("another vintage comes in: riper, darker, more proline", "new vintage")
    run = until("Airflow is asked", airflow.runs, look)[0]
    subjects = ", ".join(run["conf"]["evidence"]["subjects"])
    story.tell(f"the trigger has fired: Airflow is asked to train, for {subjects} drifted", "alarm")
    until("trained", lambda: airflow.runs()[0]["state"] in ("success", "failed"), look)
    story.tell(f"Airflow's run ended: {airflow.runs()[0]['state']}", "trained")
    rollout = until("a rollout has begun", lambda: salver.ask("/v2/models/wine/rollout"), look)
    state, ended = None, ("promoted", "rolled_back", "held")
    while state not in ended:
        rollout = salver.ask("/v2/models/wine/rollout")
        if (now := rollout["state"]["name"]) != state:
            state, evidence = now, rollout["evidence"]
            story.tell(f"rollout: {evidence[-1]['words'] if evidence else 'begun'}", state)
        look()
        if callers.now() > LIMIT_S:
            raise SystemExit(f"the rollout did not end: {rollout}")
        time.sleep(0.25)
    ended_at = callers.now()
    until("a while after it", lambda: callers.now() > ended_at + AFTER_S, look)
    return judge(story, callers, salver, airflow, (state, calm, shares), options)


def has_alarm(it):
    """Does any object in it, however deep, say that it is an alarm?"""
    if isinstance(it, dict):
        return it.get("is_alarm") is True or any(map(has_alarm, it.values()))
    return isinstance(it, list) and any(map(has_alarm, it))


def judge(story, callers, salver, airflow, seen, options):
    (state, calm, shares), target = seen, options.page
    runs = airflow.runs()
    report = target.with_name("loop-drift.html")
    command = [salver.binary, "drift", "report", "wine", "--url", f"http://{salver.http}", "-o", report]
    subprocess.run([str(it) for it in command], check=True)
    old, new = callers.accuracy("1"), callers.accuracy("2")
    last = [it for _, it in new][-10:]
    failed = sum(bad for _, bad in callers.seconds.values())
    faults = [
        text
        for text, is_so in [
            (f"{len(runs)} training runs, expected 1", len(runs) != 1),
            (f"the rollout ended {state}, expected promoted", state != "promoted"),
            (f"{failed} requests failed, expected none", failed > 0),
            (f"right about {sum(last) / max(len(last), 1):.1f} % at the end, expected 95", sum(last) < 95 * len(last)),
            ("an alarm before the new vintage", has_alarm(calm)),
        ]
        if is_so
    ]
    requests = sum(it for it, _ in callers.seconds.values())
    story.tell(f"the end: {requests} requests, {failed} failed; " + ("; ".join(faults) or "all as it should be"))
    panels = [
        ("right, %", 100.0, {"version 1": old, "version 2": new}),
        ("version 2's share, %", 100.0, {"share": shares}),
        ("requests/s", 1.2 * max(it for it, _ in callers.seconds.values()), {
            "answered": [(s + 0.5, it) for s, (it, _) in sorted(callers.seconds.items())][1:-1],
            "failed": [(s + 0.5, bad) for s, (_, bad) in sorted(callers.seconds.items())][1:-1],
        }),
    ]
    target.write_text(page("A model drifts, and its successor takes over", panels, story.marks, story.events, report.read_text()))
    if options.picture:
        options.picture.write_text(draw(panels, story.marks))
    print(f"\nthe story, with pictures: {target}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
