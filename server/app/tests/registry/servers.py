"""Real registries on free ports of the loopback. Each is a child of the tests and ends with them."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
BINARY = Path(os.environ.get("SALVER_BIN", ROOT / "target/debug/salver")).resolve()
LIB = Path(os.environ.get("LIB", ROOT / ".lib"))
BIN = Path(sys.executable).parent

# MLflow takes its time to start, longer on a machine that is busy.
PATIENCE_S = 120
# Ports of servers that have gone.
HELD = []


# Sockets of `free_port`, until the process ends.
HELD = []


def free_port():
    """A port that nobody else comes to have: a socket holds it without listening. A server listens there all the same,
    as those do that reuse addresses, which is all of them."""
    it = socket.socket()
    it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    it.bind(("127.0.0.1", 0))
    HELD.append(it)
    return it.getsockname()[1]


def plain(**more):
    """Our environment without anything that would configure us, or send requests elsewhere."""
    ours = ("SALVER_", "MLFLOW_", "AWS_", "AZURE_", "GOOGLE_", "STORAGE_", "HF_", "DOCKER_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return {key: value for key, value in kept.items() if "proxy" not in key.lower()} | more


class Child:
    """A server process, ready once `url` answers at all."""

    def __init__(self, command, url, log, **environment):
        self.log = open(log, "w+b")
        self.url = url
        self.process = subprocess.Popen(
            [str(it) for it in command],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=plain(**environment),
            start_new_session=True,
        )

    def ready(self):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                try:
                    urllib.request.urlopen(self.url, timeout=5).read()
                except urllib.error.HTTPError:
                    pass
                return self
            time.sleep(0.1)
        self.stop()
        raise AssertionError(f"{self.url} did not start:\n{Path(self.log.name).read_text()[-4000:]}")

    def stop(self):
        # The whole session: MLflow has workers of its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


def mlflow(folder, artifacts, **environment):
    """An MLflow server with its database in `folder`."""
    folder.mkdir()
    port = free_port()
    command = [
        BIN / "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", artifacts,
    ]  # fmt: skip
    if "MLFLOW_AUTH_CONFIG_PATH" in environment:
        command += ["--app-name", "basic-auth"]
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{BIN}:{os.environ['PATH']}"}
    return Child(command, f"http://127.0.0.1:{port}/health", folder / "log", **environment)


def moto(folder):
    """An S3 server that keeps nothing."""
    port = free_port()
    command = [BIN / "moto_server", "-H", "127.0.0.1", "-p", port]
    return Child(command, f"http://127.0.0.1:{port}", folder / "moto.log")


def azurite(folder):
    """Azure's blob service, which keeps nothing; `None` where it is not installed."""
    program = LIB / "azurite/node_modules/azurite/dist/src/blob/main.js"
    if not program.exists() or shutil.which("node") is None:
        return None
    port = free_port()
    # The client for tests may be newer than it, and say so.
    flags = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    command = ["node", program, "--blobHost", "127.0.0.1", "--blobPort", port, *flags]
    return Child(command, f"http://127.0.0.1:{port}/", folder / "azurite.log")


def olah(folder):
    """Olah, a mirror of the Hugging Face hub, which has git repositories of its own below `mirrors/models/`."""
    port, config = free_port(), folder / "olah.toml"
    config.write_text(
        f'[basic]\nhost = "127.0.0.1"\nport = {port}\nrepos-path = "{folder}/repos"\n'
        f'mirrors-path = ["{folder}/mirrors"]\n[accessibility]\noffline = true\n'
    )
    command = [BIN / "olah-cli", "--config", config, "--log-path", folder / "logs"]
    return Child(command, f"http://127.0.0.1:{port}/", folder / "olah.log", HOME=str(folder))


def docker_registry(folder):
    """Debian's OCI registry; `None` where it is not installed."""
    fetched = LIB / "docker-registry/usr/bin/docker-registry"
    program = fetched if fetched.exists() else shutil.which("docker-registry")
    if program is None:
        return None
    address = f"127.0.0.1:{free_port()}"
    config = folder / "registry.yml"
    config.write_text(
        json.dumps(
            {
                "version": "0.1",
                "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
                "http": {"addr": address},
                "log": {"level": "warn"},
            }
        )
    )
    return Child([program, "serve", config], f"http://{address}/v2/", folder / "registry.log")


class Quiet(SimpleHTTPRequestHandler):
    """Serves files; says nothing."""

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def files(folder):
    """Python's own file server. When it has gone its port stays held: whoever asks there is refused, and is not
    answered by another server that came to have the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(server.server_address)
        HELD.append(held)


class Salver:
    """The command line, with a cache of its own."""

    def __init__(self, folder, **environment):
        self.cache = folder / "cache"
        self.environment = environment

    def run(self, *args, **environment):
        settings = {"SALVER_CACHE": str(self.cache), "HOME": str(self.cache)}
        return subprocess.run(
            [BINARY, "models", *map(str, args)],
            env=plain(**settings, **self.environment, **environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def pull(self, uri, *args):
        """What was pulled, as the command tells it."""
        done = self.run("pull", uri, "--output", "json", *args)
        assert done.returncode == 0, done.stderr
        return Pulled(json.loads(done.stdout))

    def refused(self, *args, says, code=1):
        done = self.run(*args)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert says in done.stderr, done.stderr


class Pulled:
    """A model in the cache."""

    def __init__(self, told):
        self.told = told
        self.fetched = told["fetched"]
        self.version = told["version"]
        self.tree = told["tree"]

    def files(self):
        folder = Path(self.told["folder"])
        return {it["path"]: (folder / it["path"]).read_bytes() for it in self.told["files"]}
