"""Peers below the level of a client: bare sockets, and HTTP/2 frame by frame."""

import contextlib
import socket

from hpack import Decoder, Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from server import PATIENCE_S, Answer


def connect(address):
    """A TCP connection; whoever opens it closes it."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def head(method, path, *headers):
    """The first lines of an HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: here", *headers, "", ""]
    return "\r\n".join(lines).encode()


def is_closed(connection):
    """Has the server closed it? Waits for that, throwing away what it still says."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return True


class Http2:
    """One HTTP/2 connection, spoken from its first byte: no TLS, no upgrade.

    Reads only while it waits for something; settings and pings are then acknowledged.
    """

    def __init__(self, address):
        self.socket = connect(address)
        self._reader = self.socket.makefile("rb")
        self._encoder, self._decoder = Encoder(), Decoder()
        self._streams = 0
        self._unseen = []
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._write(SettingsFrame(0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._reader.close()
        self.socket.close()

    def _write(self, *frames):
        self.socket.sendall(b"".join(it.serialize() for it in frames))

    def _read(self):
        """One frame. Headers are decoded in the order in which they come, as they must be."""
        start = self._reader.read(9)
        assert len(start) == 9, "the server closed the connection"
        frame, length = Frame.parse_frame_header(memoryview(start))
        frame.parse_body(memoryview(self._reader.read(length)))
        if isinstance(frame, HeadersFrame):
            frame.fields = dict(self._decoder.decode(frame.data))
        if isinstance(frame, SettingsFrame | PingFrame) and "ACK" not in frame.flags:
            data = {"opaque_data": frame.opaque_data} if isinstance(frame, PingFrame) else {}
            self._write(type(frame)(0, flags=["ACK"], **data))
        return frame

    def wait(self, wanted):
        """The first frame, of those not yet looked at, for which it is true."""
        at = 0
        while True:
            if at == len(self._unseen):
                self._unseen.append(self._read())
            if wanted(self._unseen[at]):
                return self._unseen.pop(at)
            at += 1

    def begin(self, method, path, headers=(), end=False):
        """Opens a stream and returns its number."""
        stream = 2 * self._streams + 1
        self._streams += 1
        fields = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "here")]
        flags = ["END_HEADERS", "END_STREAM"] if end else ["END_HEADERS"]
        self._write(HeadersFrame(stream, self._encoder.encode([*fields, *headers]), flags=flags))
        return stream

    def send(self, stream, data, end=True):
        """Part of a body, or the last of it; at most 16 KiB."""
        self._write(DataFrame(stream, data, flags=["END_STREAM"] if end else []))

    def grant(self, stream, count):
        """So many more bytes may come on a stream."""
        self._write(WindowUpdateFrame(stream, count))

    def answer(self, stream):
        """The whole answer on a stream; trailers count as headers."""
        fields, body = {}, b""
        while True:
            frame = self.wait(lambda it: it.stream_id == stream)
            assert not isinstance(frame, RstStreamFrame), frame
            if isinstance(frame, HeadersFrame):
                fields |= frame.fields
            elif isinstance(frame, DataFrame):
                body += frame.data
            if "END_STREAM" in frame.flags:
                return Answer(int(fields[":status"]), fields, body)
