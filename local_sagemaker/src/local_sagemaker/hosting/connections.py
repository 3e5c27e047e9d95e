"""Kept-open HTTP connections to a container, over its Unix socket.

Every call crosses this hop, so it does the least that HTTP asks for: one write for a request, uvicorn's own parser for
the answer, and no task, stream or timer of its own. A connection carries one request at a time; who finds none that is
free opens another.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import httptools


class Response(NamedTuple):
    """An answer."""

    status: int  # HTTP status
    headers: dict[str, str]  # values by lower-case name
    body: bytes  # the whole body


class ConnectionPool:
    """Connections to one Unix socket."""

    def __init__(self, socket: Path, *, most_idle: int) -> None:
        """Describe the connections; the first request opens one, and at most so many stay open without one."""
        self._most_idle = most_idle
        self._socket = socket
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._closed = False

    async def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Response:
        """Make one request. A request that is cancelled closes its connection.

        Raises:
            OSError: If nobody listens, or the connection ends before the whole answer is there.
            ValueError: If the method, the path or a header holds a line break.
        """
        head = _head(method, path, headers or {}, len(body))
        connection = await self._take()
        self._busy.add(connection)
        try:
            response = await connection.exchange(head, body)
        except BaseException:
            connection.close()
            raise
        finally:
            self._busy.discard(connection)
        if connection.is_open and not self._closed and len(self._idle) < self._most_idle:
            self._idle.append(connection)
        else:
            connection.close()
        return response

    def close(self) -> None:
        """Close all connections; whoever waits for an answer gets an error."""
        self._closed = True
        for connection in [*self._idle, *self._busy]:
            connection.close()
        self._idle.clear()

    async def _take(self) -> "_Connection":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        if self._closed:
            raise ConnectionError("The connections are closed.")
        _, connection = await asyncio.get_running_loop().create_unix_connection(_Connection, str(self._socket))
        return connection


class _Connection(asyncio.Protocol):
    """One connection; the methods named ``on_…`` are called by the parser."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Response] | None = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    async def exchange(self, head: bytes, body: bytes) -> Response:
        """Send a request and return its answer."""
        if not self.is_open or self._transport is None:
            raise ConnectionResetError("The connection is closed.")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.writelines([head, body] if body else [head])
        return await self._answer

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.is_open = True
        self._transport = transport  # type: ignore[assignment]  # that of a TCP connection can write

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._fail(ConnectionResetError("The connection ended before the answer."))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"The answer is no HTTP: {error}"))
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, chunk: bytes) -> None:
        self._body.append(chunk)

    def on_message_complete(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        response = Response(self._parser.get_status_code(), self._headers, body)
        self._headers, self._body = {}, []
        self.is_open = self._parser.should_keep_alive()
        if self._answer and not self._answer.done():
            self._answer.set_result(response)

    def _fail(self, error: OSError) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(error)


def _head(method: str, path: str, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: container", f"content-length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join((*lines, "", ""))
    if head.count("\n") != len(lines) + 1 or head.count("\r") != len(lines) + 1 or "\0" in head:
        raise ValueError("A header of the request holds a line break.")
    return head.encode("latin-1")
