"""Where the server's processor time goes under load, by kind of work: a table from `perf`.

    python3 loadtest/bench/profile.py --model breast_cancer --protocol grpc

Needs `perf` (Debian: linux-perf) and a release build. Samples by the processor's clock, which works in
virtual machines that hide their counters.
"""

import argparse
import re
import subprocess
import tempfile
import threading
from pathlib import Path

import parts

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 8
# First match wins. The kernel's part is told by what it was asked for.
KINDS = {
    "kernel: sleeping and waking threads": r"\[k\].*(task_switch|futex|schedule|try_to_wake|ttwu|_raw_spin_unlock_irqrestore|epoll|eventfd|select_task)",
    "kernel: network": r"\[k\].*(tcp|skb|sock|inet|ip_|net|loopback|__dev|release_sock|csum|copy_(from|to)|rep_movs|iov)",
    "kernel: other": r"\[k\]",
    "memory: malloc, free, copies": r"malloc|free|_int_|calloc|realloc|memalign|memmove|memcpy|memset|bytes::|BytesMut|drop_in_place",
    "engine": r"onnxruntime|Ort|0x[0-9a-f]{16}",
    "HTTP/2: h2, hyper": r"h2::|hyper|http::|http_body|hpack|httparse|fnv",
    "gRPC: tonic, prost": r"tonic|prost|proto::inference",
    "runtime: tokio": r"tokio|mio|parking_lot",
    "ours: frontend": r"server_frontend",
    "ours: serving": r"server_serving|backend_|arc_swap",
    "ours: metrics": r"recorder|metrics",
    "clocks": r"clock_gettime|Instant",
}


def kind_of(line):
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, line)), "other")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release")
    parser.add_argument("--repository", type=Path, default=ROOT / "models/repository")
    parser.add_argument("--model", default="breast_cancer")
    parser.add_argument("--protocol", default="grpc")
    parser.add_argument("--symbols", type=int, default=0, help="show the N hottest symbols as well")
    options = parser.parse_args()
    flags = ["--protocol", options.protocol, "--concurrency", "64", "--duration", f"{SECONDS}s"]
    flags += ["--connections", "2"] if options.protocol == "grpc" else []
    data = tempfile.NamedTemporaryFile()
    with parts.Server(options.bin / "salver", options.repository, "--log-level", "warn") as server:
        port = server.grpc if options.protocol == "grpc" else server.http
        report = {}
        load = threading.Thread(
            target=lambda: report.update(parts.load(options.bin / "loadtest", port, options.model, *flags))
        )
        load.start()
        record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "2000", "-o", data.name]
        command = [*record, "-p", str(server.process.pid), "--", "sleep", str(SECONDS - 2)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        load.join()
    text = subprocess.run(
        ["perf", "report", "-i", data.name, "--sort", "symbol", "--stdio"],
        capture_output=True, text=True, check=True,
    ).stdout
    shares, lines = {}, []
    for line in text.splitlines():
        found = re.match(r"\s+([\d.]+)%\s+(.*\S)", line)
        if found:
            kind = kind_of(found[2])
            shares[kind] = shares.get(kind, 0) + float(found[1])
            lines.append((float(found[1]), kind, found[2]))
    print(f"{options.model} over {options.protocol}, {report['requests_per_s']:,.0f} requests/s\n")
    print("| kind of work | share of samples |\n|---|---|")
    for kind, share in sorted(shares.items(), key=lambda it: -it[1]):
        print(f"| {kind} | {share:.1f} % |")
    for share, kind, symbol in sorted(lines, reverse=True)[: options.symbols]:
        print(f"{share:6.2f} {kind:38} {symbol[:120]}")


if __name__ == "__main__":
    main()
