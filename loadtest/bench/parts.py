"""The processes that a benchmark puts side by side: the server, the bare echo, the bare engine, the load.

Each is pinned: whatever serves to one core, whatever asks to another. Everything ends with `with`.
"""

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

SERVER_CORE, LOAD_CORE = "0", "1"
PATIENCE_S = 120


def pinned(core, command):
    return ["taskset", "-c", core, *map(str, command)]


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Process:
    """A server of some kind, from its first answer until the block ends."""

    def __init__(self, command, core=SERVER_CORE):
        self.log = tempfile.TemporaryFile()
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            pinned(core, command), stdout=self.log, stderr=subprocess.STDOUT
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def rss_mb(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024

    def cores_used(self):
        """Every core that a thread of the process may run on: an engine can escape its pinning."""
        cores = set()
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            allowed = re.search(r"Cpus_allowed_list:\s+(\S+)", (task / "status").read_text())[1]
            cores.add(allowed)
        return cores

    def wait_for(self, url):
        """Seconds from the start to the first 200."""
        while time.monotonic() - self.started < PATIENCE_S:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return time.monotonic() - self.started
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.0005)
        raise SystemExit(f"{url} does not answer:\n{self.output()}")


class Server(Process):
    """Salver on a repository."""

    def __init__(self, binary, repository, *flags):
        self.http, self.grpc, self.metrics = free_port(), free_port(), free_port()
        ports = ["--http-port", self.http, "--grpc-port", self.grpc, "--metrics-port", self.metrics]
        command = [binary, "serve", "--host", "127.0.0.1", "--model-repository", repository]
        super().__init__([*command, *ports, *flags])
        self.ready_s = self.wait_for(f"http://127.0.0.1:{self.http}/v2/health/ready")

    def scraped(self):
        """What its metrics say now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=10) as answer:
            return Scrape(answer.read().decode())

    def index(self):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http}/v2/repository/index", b"{}", method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


class Scrape:
    """The series of one scrape."""

    LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)

    def __init__(self, text):
        self.series = [
            (name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value))
            for name, labels, value in self.LINE.findall(text)
        ]

    def sum(self, name, **labels):
        """Of all series of this name that have these labels."""
        wanted = labels.items()
        return sum(value for it, have, value in self.series if it == name and wanted <= have.items())


class Echo(Process):
    """A bare tonic server that answers with messages of the same sizes."""

    def __init__(self, loadtest, model, like):
        self.grpc, self.http = free_port(), free_port()
        ports = ["--grpc-port", self.grpc, "--http-port", self.http]
        metadata = ["--metadata-from", f"127.0.0.1:{like.grpc}"]
        super().__init__([loadtest, "echo", "--model", model, *ports, *metadata])
        self.wait_for(f"http://127.0.0.1:{self.http}/v2/models/{model}")


def ask(loadtest, *words):
    """Runs the load generator on its own core; what it found, as JSON."""
    command = pinned(LOAD_CORE, [loadtest, *words, "--output", "json"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 2 or not done.stdout:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def load(loadtest, port, model, *options):
    """One run of the load generator; its report. `model`: one name, or several as a=3,b=1."""
    which = ["--models" if "=" in model else "--model", model]
    # What the client can do at most is told by the bare echo, which stands beside each figure.
    return ask(loadtest, "run", "--url", f"127.0.0.1:{port}", *which, "--ceiling", "0s", *options)


def raw(example, library, model, rows, seconds, free=1):
    """The engine alone, in process, on the server's core."""
    command = pinned(SERVER_CORE, [example, library, model, rows, seconds, free])
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def alone(binary):
    """A copy of the binary in a folder of its own, where it finds no ONNX Runtime."""
    folder = tempfile.mkdtemp(prefix="salver-bench-")
    shutil.copy2(binary, folder)
    return Path(folder) / binary.name


class Neighbours:
    """What the machine's cores did that was not ours: other processes, and the hypervisor's other guests."""

    def __init__(self):
        self.began, self.before = time.monotonic(), self.seconds()

    def cores(self):
        """Since the beginning, once all that we started has ended: of other processes, and stolen."""
        took = time.monotonic() - self.began
        others, stolen = ((b - a) / took for a, b in zip(self.before, self.seconds(), strict=True))
        return {"others": max(0.0, others), "stolen": stolen}

    @staticmethod
    def seconds():
        line = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        user, nice, system, _, _, _, _, steal = (int(it) / os.sysconf("SC_CLK_TCK") for it in line[1:9])
        spent = (resource.getrusage(it) for it in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return user + nice + system - sum(it.ru_utime + it.ru_stime for it in spent), steal


def machine():
    model = re.search(r"model name\s+: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    gib = int(memory[1]) / 2**20
    return f"{model[1] if model else 'unknown CPU'}, {os.cpu_count()} cores, {gib:.0f} GiB"
