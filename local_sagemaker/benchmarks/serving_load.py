"""The client of the serving benchmarks: sockets and prepared bytes, so that what is measured is the server."""

import re
import select
import selectors
import socket
import time
from collections.abc import Mapping
from pathlib import Path

HOST = "127.0.0.1"
PATIENCE_SECONDS = 300
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class AnswerError(RuntimeError):
    """A server answered with an error, or not at all."""


def http_request(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Return a whole HTTP request for a connection that is kept open."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in {"Content-Type": "application/json", **(headers or {})}.items()]
    return "\r\n".join((*lines, "", "")).encode() + body


class Connection:
    """One connection to a server, for one request after the other."""

    def __init__(self, address: int | Path) -> None:
        """Connect to a port on 127.0.0.1 or to a Unix socket."""
        self._address = address
        self.socket = _connect(address)
        self._received = bytearray()

    def send(self, request: bytes) -> None:
        """Send a whole request."""
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Read what has arrived and return the body of the answer, or None if it is not complete.

        Raises:
            AnswerError: If the answer is an error or the connection is closed.
        """
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise AnswerError("The server closed the connection.")
        self._received += chunk
        answer = _complete(self._received)
        if answer is None:
            return None
        self._received.clear()
        status, body = answer
        if status >= 300:
            raise AnswerError(f"The server answered {status}: {body[:500].decode(errors='replace')}")
        return body

    def exchange(self, request: bytes) -> bytes:
        """Send a request and return the body of its answer; connect again if the server has closed the connection."""
        if select.select([self.socket], [], [], 0)[0]:  # nothing was asked, so what there is to read is the end
            self.close()
            self.socket = _connect(self._address)
        self.send(request)
        while (body := self.receive()) is None:
            pass
        return body

    def time(self, request: bytes, *, calls: int) -> list[float]:
        """Send a request so many times and return how long each answer took, in seconds."""
        seconds = []
        for _ in range(calls):
            started = time.perf_counter()
            self.exchange(request)
            seconds.append(time.perf_counter() - started)
        return seconds

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


def run_load(port: int, request: bytes, *, connections: int, seconds: float) -> tuple[float, list[float]]:
    """Ask over several connections, each again and again; return answers a second, and the seconds of each."""
    selector = selectors.DefaultSelector()
    opened = [Connection(port) for _ in range(connections)]
    sent: dict[Connection, float] = {}
    latencies: list[float] = []
    try:
        for connection in opened:
            connection.exchange(request)  # a connection's first answer is not measured
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        started = time.perf_counter()
        for connection in opened:
            sent[connection] = time.perf_counter()
            connection.send(request)
        while (now := time.perf_counter()) < started + seconds:
            for key, _ in selector.select(timeout=1):
                if key.data.receive() is not None:
                    now = time.perf_counter()
                    latencies.append(now - sent[key.data])
                    sent[key.data] = now
                    key.data.send(request)
        return len(latencies) / (now - started), latencies
    finally:
        selector.close()
        for connection in opened:
            connection.close()


def _connect(address: int | Path) -> socket.socket:
    if isinstance(address, Path):
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(PATIENCE_SECONDS)
        connected.connect(str(address))
        return connected
    connected = socket.create_connection((HOST, address), timeout=PATIENCE_SECONDS)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _complete(received: bytearray) -> tuple[int, bytes] | None:
    """Return status and body of an HTTP answer, or None if it is not complete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end])
    status, start = int(head[9:12]), end + 4
    length = _LENGTH.search(head)
    if length:
        stop = start + int(length.group(1))
        return (status, bytes(received[start:stop])) if len(received) >= stop else None
    if b"chunked" not in head.lower():
        return status, b""
    body = bytearray()
    while (line := received.find(b"\r\n", start)) >= 0:
        size = int(received[start:line], 16)
        start = line + 2 + size + 2
        if len(received) < start:
            return None
        if size == 0:
            return status, bytes(body)
        body += received[line + 2 : line + 2 + size]
    return None
