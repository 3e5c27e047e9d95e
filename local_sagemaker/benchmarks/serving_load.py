"""The client of the serving benchmarks: sockets and prepared bytes, so that what is measured is the server."""

import select
import selectors
import socket
import time
from typing import Any

import httptools

HOST = "127.0.0.1"
PATIENCE_SECONDS = 300


class AnswerError(RuntimeError):
    """A server answered with an error, or not at all."""


def http_request(method: str, path: str, body: bytes = b"", headers: dict[str, Any] | None = None) -> bytes:
    """Return a whole HTTP request for a connection that is kept open."""
    usual = {"Host": HOST, "Content-Length": len(body), "Content-Type": "application/json"}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (usual | (headers or {})).items())]
    return "\r\n".join((*lines, "", "")).encode() + body


class Connection:
    """One connection to a port on 127.0.0.1, for one request after the other; the methods `on_…` are the parser's."""

    def __init__(self, port: int) -> None:
        """Connect."""
        self._port = port
        self._connect()

    def send(self, request: bytes) -> None:
        """Send a whole request."""
        self._body, self._is_whole = bytearray(), False
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Read what has arrived and return the body of the answer, or None if it is not complete.

        Raises:
            AnswerError: If the answer is an error or the connection is closed.
        """
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise AnswerError("The server closed the connection.")
        self._parser.feed_data(chunk)
        if not self._is_whole:
            return None
        if (status := self._parser.get_status_code()) >= 300:
            raise AnswerError(f"The server answered {status}: {self._body[:500].decode(errors='replace')}")
        return bytes(self._body)

    def on_body(self, part: bytes) -> None:
        """Take a part of the body, which may come in chunks."""
        self._body += part

    def on_message_complete(self) -> None:
        """Note that the answer is there."""
        self._is_whole = True

    def exchange(self, request: bytes) -> bytes:
        """Send a request and return the body of its answer; connect again if the server has closed the connection."""
        if select.select([self.socket], [], [], 0)[0]:  # nothing was asked, so what there is to read is the end
            self.close()
            self._connect()
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

    def _connect(self) -> None:
        self.socket = socket.create_connection((HOST, self._port), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = httptools.HttpResponseParser(self)


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
