"""Runs the balancers with the example configurations, their addresses replaced by free ones.

Every balancer is a child of the tests: `stop` ends it, by force if it does not go by itself.
"""

import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from server import PATIENCE_S, ROOT, ask, wait_for

EXAMPLES = ROOT / "helm/balancer"

# As many servers as there are in each example, and where they listen there.
SERVERS = [{"http": 8000, "metrics": 8002}, {"http": 8010, "metrics": 8012}]


def port(address):
    return int(address.rpartition(":")[2])


def example(name, servers, write):
    """The example's text with the servers' own ports. `write` says how a port is written there."""
    text = (EXAMPLES / name).read_text()
    for server, ports in zip(servers, SERVERS, strict=True):
        for which, stands in ports.items():
            text = replaced(text, write(which, stands), write(which, port(getattr(server, which))))
    return text


def replaced(text, old, new):
    """With `old` replaced wherever it stands as a whole, outside comments."""
    pattern = re.compile(rf"^([^#\n]*?){re.escape(old)}(?!\d)", re.MULTILINE)
    text, count = pattern.subn(lambda it: it[1] + new, text)
    assert count, f"{old!r} is not in the example"
    return text


class Balancer:
    """A process in front of servers; `address` is where it listens, for all protocols."""

    def __init__(self, command, **how):
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, **how
        )

    def log_text(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def runs(self):
        assert self.process.poll() is None, f"ended at once: {self.log_text()}"

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Envoy(Balancer):
    """Envoy takes free ports by itself and says which."""

    BINARY = Path(sys.executable).parent / "envoy"
    CANARY = "envoy-canary.yaml"

    def __init__(self, folder, name, servers):
        text = example(name, servers, lambda _, port: f"port_value: {port}")
        for own in ["port_value: 8080", "port_value: 9901"]:
            text = replaced(text, own, "port_value: 0")
        config, self._admin = folder / "envoy.yaml", folder / "admin"
        config.write_text(text)
        command = [self.BINARY, "-c", config, "--admin-address-path", self._admin]
        super().__init__([*command, "--disable-hot-restart", "--concurrency", "1", "-l", "warning"])
        try:
            self.address = wait_for(self._listening, "Envoy listens")
        except BaseException:
            self.stop()
            raise

    def _ask(self, path):
        return ask(self._admin.read_text(), "GET", path).json()

    def _listening(self):
        """Only when the first checks of all servers are over."""
        self.runs()
        if not self._admin.exists() or not self._admin.read_text():
            return None
        [listener] = self._ask("/listeners?format=json").get("listener_statuses") or [None]
        if listener is None or "LIVE" not in ask(self._admin.read_text(), "GET", "/ready").body.decode():
            return None
        at = listener["local_address"]["socket_address"]
        return f"{at['address']}:{at['port_value']}"

    def ready(self):
        """The addresses of the servers that pass their checks."""
        hosts = [
            it
            for cluster in self._ask("/clusters?format=json")["cluster_statuses"]
            for it in cluster.get("host_statuses", [])
        ]
        sick = ("failed_active_health_check", "pending_active_hc")
        return {
            "{address}:{port_value}".format(**it["address"]["socket_address"])
            for it in hosts
            if not any(it["health_status"].get(which) for which in sick)
        }


class Haproxy(Balancer):
    """HAProxy is handed a socket that listens already, and tells its counters through another."""

    BINARY = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    CANARY = "haproxy-canary.cfg"

    def __init__(self, folder, name, servers):
        def write(which, port):
            return f" port {port}" if which == "metrics" else f"127.0.0.1:{port}"

        front = socket.create_server(("127.0.0.1", 0))
        text = example(name, servers, write)
        text = replaced(text, "127.0.0.1:8080", f"fd@{front.fileno()}")
        # A path of a socket may have 107 characters at most.
        self._short = tempfile.TemporaryDirectory(prefix="haproxy")
        self._stats = f"{self._short.name}/stats"
        config = folder / "haproxy.cfg"
        config.write_text(f"{text}\nglobal\n    stats socket {self._stats}\n")
        command = [self.BINARY, "-db", "-f", config]
        with front:
            host, bound = front.getsockname()
            self.address = f"{host}:{bound}"
            super().__init__(command, pass_fds=[front.fileno()])
        try:
            wait_for(self._listening, "HAProxy listens")
            # It takes servers for ready until the first checks are over.
            wait_for(self._checked, "the first checks are over")
        except BaseException:
            self.stop()
            raise

    def _listening(self):
        """The socket's file is there before anybody listens to it."""
        self.runs()
        try:
            return bool(self._servers())
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    def _servers(self):
        with socket.socket(socket.AF_UNIX) as stats:
            stats.connect(self._stats)
            stats.sendall(b"show stat json\n")
            with stats.makefile("rb") as reader:
                rows = json.load(reader)
        values = [{it["field"]["name"]: it["value"]["value"] for it in row} for row in rows]
        return [it for it in values if it["pxname"] == "models" and it["svname"] != "BACKEND"]

    def _checked(self):
        return all(it["check_status"] == "L7OK" for it in self._servers())

    def ready(self):
        """The addresses of the servers that pass their checks. One that failed once is still asked: UP 1/2."""
        return {it["addr"] for it in self._servers() if it["status"].startswith("UP")}

    def stop(self):
        super().stop()
        self._short.cleanup()
