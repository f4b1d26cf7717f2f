"""How fast a model is pulled, beside curl, from a file server on the loopback; and what memory it takes.

    python3 loadtest/bench/pull.py --bin target/release --mib 1024 --rounds 5
    python3 loadtest/bench/pull.py --pullers before/pull target/release/examples/pull
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path


def serve(listener, path):
    """Answers every request with the file, straight from the page cache."""
    size = path.stat().st_size
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: \"{size}\"\r\nConnection: close\r\n\r\n"
    while True:
        connection, _ = listener.accept()
        with connection, path.open("rb") as file:
            asked = connection.recv(65536)
            connection.sendall(head.encode())
            sent = size if asked.startswith(b"HEAD") else 0
            while sent < size:
                sent += os.sendfile(connection.fileno(), file.fileno(), sent, size - sent)


def run(command):
    """Seconds and the largest resident memory, in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen([str(it) for it in command], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    assert status == 0, command
    return seconds, used.ru_maxrss / 1024


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bin", type=Path, default=Path("target/release"))
    arguments.add_argument("--mib", type=int, default=1024)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--folder", type=Path, help="where files go: /dev/shm has no disk in the way")
    arguments.add_argument("--pullers", type=Path, nargs="*", help="examples `pull`, in turns")
    arguments = arguments.parse_args()
    salver = [arguments.bin / "salver", "models", "pull", "URL", "--cache", "CACHE"]
    pullers = {str(it): [it, "URL", "CACHE"] for it in arguments.pullers or []} or {"salver models pull": salver}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        folder = Path(folder)
        model = folder / "model.onnx"
        with model.open("wb") as file:
            for _ in range(arguments.mib):
                file.write(os.urandom(1 << 20))
        threading.Thread(target=serve, args=(listener, model), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/model.onnx"
        # What a pull does besides fetching, done by others: the bytes are hashed while they come, and synced.
        proven = 'set -o pipefail; curl -s "$0" | tee "$1" | openssl dgst -sha256 > "$1.sha256" && sync "$1"'
        rates = {"curl": [], "curl and sync": [], "curl, openssl and sync": []} | {name: [] for name in pullers}
        memory, shares = [], {name: [] for name in pullers}
        for _ in range(arguments.rounds):
            to = folder / "curl"
            seconds, _ = run(["curl", "-s", "-o", to, url])
            rates["curl"].append(arguments.mib / seconds)
            to.unlink()
            seconds, _ = run(["sh", "-c", 'curl -s -o "$1" "$0" && sync "$1"', url, to])
            rates["curl and sync"].append(arguments.mib / seconds)
            to.unlink()
            seconds, _ = run(["bash", "-c", proven, url, to])
            rates["curl, openssl and sync"].append(arguments.mib / seconds)
            to.unlink()
            cache = folder / "cache"
            for name, command in pullers.items():
                seconds, peak = run([{"URL": url, "CACHE": cache}.get(it, it) for it in command])
                rates[name].append(arguments.mib / seconds)
                shares[name].append(rates[name][-1] / rates["curl"][-1])
                memory.append(peak)
                shutil.rmtree(cache)
        for name, found in rates.items():
            print(f"{name}: {statistics.median(found):.0f} ({min(found):.0f} - {max(found):.0f}) MiB/s")
        for name, found in shares.items():
            share = f"{statistics.median(found):.0%} ({min(found):.0%} - {max(found):.0%})"
            print(f"{name}: {share} of curl in the same round")
        print(f"peak of resident memory: {statistics.median(memory):.0f} MiB")


if __name__ == "__main__":
    main()
