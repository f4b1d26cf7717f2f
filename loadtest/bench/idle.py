"""Connections that say nothing: what each costs, and whether the busy ones notice.

Half speak HTTP/1.1 and half HTTP/2, and each has had one answer: a connection that never did anything
has not taken its buffers yet. They are opened anew for each round, which ends before the server asks
whether they are still there.
"""

import resource
import selectors
import socket

from bench import SAMPLES, in_turn, ratios, spread, table

CONNECTIONS = 5_000
# What so many sockets do to the machine itself shows when another process holds them.
NONE, ASIDE, HERE = "without", "aside", "with"
MODEL, RATE = "breast_cancer", 10_000
ACTIVE = ["--protocol", "grpc", "--connections", "2", "--spin", "--rate", str(RATE)]
# Descriptors of this process besides the connections.
SPARE = 200

PATH = b"/v2/health/live"
HTTP1 = b"GET " + PATH + b" HTTP/1.1\r\nhost: bench\r\n\r\n"


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


# RFC 7541: GET and http are entries 2 and 6 of the static table; path and authority stand for themselves.
HEADERS = b"\x82\x86\x04" + bytes([len(PATH)]) + PATH + b"\x01\x05bench"
SETTINGS, ACK, END, HEAD = 4, 1, 1, 5
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"") + frame(1, HEAD, 1, HEADERS)


def measure(bench):
    count = room()
    kib = {}
    p99 = {NONE: [], ASIDE: [], HERE: []}
    with bench.server(SAMPLES) as server, bench.server(SAMPLES) as other:
        # The first load teaches the server what a run costs.
        bench.load(server.grpc, MODEL, *ACTIVE)
        for number in range(bench.rounds):
            for where in in_turn(number, *p99):
                sockets = []
                of = {NONE: [], ASIDE: [other], HERE: [server]}[where]
                for it in of:
                    sockets = opened(it, count, kib)
                report = bench.load(server.grpc, MODEL, *ACTIVE)
                p99[where].append(report["latency_us"]["p99"])
                alive(sockets)
    ratio = ratios(p99[HERE], p99[ASIDE])
    bench.results["idle"] = {"connections": count, "kib_each": kib, "p99_us": p99, "p99_ratio": ratio}
    cells = [count, *(f"{kib[it]:.1f}" for it in ("HTTP/1.1", "HTTP/2"))]
    cells += [*(spread(it) for it in p99.values()), spread(ratio, 2)]
    head = ["connections", "KiB each, HTTP/1.1", "HTTP/2"]
    head += [f"p99 of {RATE:,} requests/s, µs: without them", "with them at another server", "at this one"]
    head += ["the last to the one before"]
    short = "" if count == CONNECTIONS else f"The limit of descriptors leaves room for {count} instead of {CONNECTIONS:,}."
    table("Idle connections", head, [cells], short)


def opened(server, count, kib):
    sockets = []
    for name, ask in (("HTTP/1.1", http1), ("HTTP/2", http2)):
        before = server.rss_mb()
        sockets += [ask(server.http) for _ in range(count // 2)]
        # Later rounds take what earlier ones left behind, and the other server is as good to look at.
        kib.setdefault(name, (server.rss_mb() - before) * 1024 / (count // 2))
    return sockets


def room():
    """As many as the hard limit of descriptors allows; the server inherits what is set here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + SPARE
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    return min(CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE) // 2 * 2


def http1(port):
    it = socket.create_connection(("127.0.0.1", port), timeout=10)
    it.sendall(HTTP1)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += received(it)
    if b" 200 " not in answer.split(b"\r\n")[0]:
        raise SystemExit(f"an idle connection was answered {answer!r}")
    return it


def http2(port):
    it = socket.create_connection(("127.0.0.1", port), timeout=10)
    it.sendall(HTTP2)
    seen, answered = b"", False
    while not answered:
        seen += received(it)
        while len(seen) >= 9 and len(seen) >= 9 + int.from_bytes(seen[:3], "big"):
            length, kind, flags = int.from_bytes(seen[:3], "big"), seen[3], seen[4]
            stream = int.from_bytes(seen[5:9], "big")
            if kind == SETTINGS and not flags & ACK:
                it.sendall(frame(SETTINGS, ACK, 0, b""))
            answered |= stream == 1 and bool(flags & END)
            seen = seen[9 + length :]
    return it


def received(it):
    data = it.recv(4096)
    if not data:
        raise SystemExit("the server closed an idle connection")
    return data


def alive(sockets):
    """Closes them, after a look whether the server had: then nothing idle was measured."""
    with selectors.DefaultSelector() as selector:
        for it in sockets:
            selector.register(it, selectors.EVENT_READ)
        ready = [key.fileobj for key, _ in selector.select(0)]
    gone = sum(1 for it in ready if not it.recv(4096))
    for it in sockets:
        it.close()
    if gone:
        raise SystemExit(f"the server closed {gone} of {len(sockets)} idle connections")
