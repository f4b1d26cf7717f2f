"""How many instructions one request costs in user space, by stage: a table from `callgrind`.

    python3 loadtest/bench/budget.py --model breast_cancer --protocol grpc --connections 1

Needs `valgrind` and a release build in which functions have kept their names. Counts are the same whatever else the
machine does; they say nothing of the kernel, of memory that is far away, or of vector instructions that valgrind does
not know: the engine runs without AVX-512 here. A stage holds what its functions call.
"""

import argparse
import os
import re
import stat
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import parts

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 4
# By protocol: what a stage is called, and the function whose inclusive count it is. Indented: part of the one above.
COMMON = [
    ("route", r"server_serving::infer::Serving::address$"),
    ("check and push", r"server_serving::infer::Serving::submit$"),
    ("batch: all of it", r"server_serving::instance::Runner::execute$"),
    ("  of it the engine's run", r"backend_onnxruntime::value::run$"),
]
BOOKS = [
    ("books: all histograms", r"HistogramFn>::record"),
    ("clocks", r"__vdso_clock_gettime|clock_gettime@@|^clock_gettime"),
    ("malloc and free", r"^(malloc|free|calloc|realloc)$"),
]
STAGES = {
    "http": [
        ("read", r"server_frontend::stream::Stream::poll_fill$"),
        ("head", r"server_frontend::http1::head::Head::parse$"),
        ("begin: all of it", r"server_frontend::http::infer::begin$"),
        ("  of it the JSON", r"server_frontend::http::request::InferBody::parse$"),
        *COMMON,
        ("answer: all of it", r"server_frontend::http::infer::end$"),
        ("  of it the JSON", r"server_frontend::http::response::encode$"),
        ("write", r"server_frontend::http1::writer::Writer::poll$"),
        *BOOKS,
    ],
    "grpc": [
        ("HTTP/2: reading frames", r"h2::.*FramedRead.*poll_next"),
        ("HTTP/2: requests", r"h2::.*recv_headers$"),
        ("begin: all of it", r"server_frontend::grpc::unary::Unary::begin$"),
        ("  of it the message", r"server_frontend::grpc::plain::read$"),
        *COMMON,
        ("answer: all of it", r"server_frontend::http2::calls::Calls::finish$"),
        ("  of it the message", r"server_frontend::grpc::encode::framed$"),
        ("HTTP/2: writing frames", r"h2::.*poll_complete$"),
        *BOOKS,
    ],
}


def requests_of(server):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics}/metrics") as answer:
        text = answer.read().decode()
    return sum(float(it) for it in re.findall(r"^salver_requests_total\{.*\} (\S+)$", text, re.M))


def control(switch, server):
    subprocess.run(["callgrind_control", switch, str(server.process.pid)], check=True, capture_output=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release")
    parser.add_argument("--repository", type=Path, default=ROOT / "models/repository")
    parser.add_argument("--model", default="breast_cancer")
    parser.add_argument("--protocol", default="grpc")
    parser.add_argument("--connections", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="salver-budget-"))
    wrapper = folder / "salver"
    tool = f"valgrind --tool=callgrind --callgrind-out-file={folder}/out"
    wrapper.write_text(f'#!/bin/sh\nexec {tool} {options.bin.resolve()}/salver "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    library = next((ROOT / ".lib/onnxruntime").glob("libonnxruntime.so.*"))
    flags = ["--log-level", "error", "--worker-threads", "1", "--instances", "1", "--onnxruntime-library", library]
    with parts.Server(wrapper, options.repository, *flags) as server:
        port = server.grpc if options.protocol == "grpc" else server.http
        shape = ["--protocol", options.protocol, "--concurrency", "64"]
        shape += ["--connections", str(options.connections)]
        load = lambda: parts.load(options.bin / "loadtest", port, options.model, *shape, "--duration", f"{SECONDS}s")
        load()
        control("--zero", server)
        before = requests_of(server)
        load()
        requests = requests_of(server) - before
        control("--dump", server)
        time.sleep(1)
    annotate = ["callgrind_annotate", "--threshold=100", "--show-percs=no", f"{folder}/out.1"]
    text = lambda *more: subprocess.run([*annotate, *more], capture_output=True, text=True, check=True).stdout
    counts = lambda it: [
        (int(count.replace(",", "")), name)
        for count, name in re.findall(r"^\s*([\d,]+)\s+[^:\n]*:(.*?)(?: \[[^\]]*\])?$", it, re.M)
    ]
    inclusive = counts(text("--inclusive=yes"))
    total = int(re.search(r"([\d,]+)\s+PROGRAM TOTALS", text())[1].replace(",", ""))
    kind = "grpc" if options.protocol == "grpc" else "http"
    print(f"{options.model} over {options.protocol}, {requests:,.0f} requests, {os.uname().machine}\n")
    print("| stage | instructions a request |\n|---|---|")
    for stage, pattern in STAGES[kind]:
        found = [count for count, name in inclusive if re.search(pattern, re.sub(r"'\d+$", "", name))]
        if stage.startswith(("books", "clocks", "malloc")):
            found = [sum(found)]
        print(f"| {stage.replace('  ', '&nbsp;&nbsp;')} | {max(found) / requests:,.0f} |" if found else f"| {stage} | inlined |")
    print(f"| everything | {total / requests:,.0f} |")


if __name__ == "__main__":
    main()
