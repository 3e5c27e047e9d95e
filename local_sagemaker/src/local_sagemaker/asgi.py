"""Whole requests and responses over ASGI, for the server and the container alike."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """A request as it was sent."""

    method: str  # in upper case
    path: str  # not decoded
    query: str  # not decoded
    headers: Mapping[str, str]  # values by lower-case name
    body: bytes = b""


def as_sent(value: str) -> str:
    """Return the text of a header's value: HTTP has Latin-1, and most clients send what is more as UTF-8."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


async def read_body(receive: Callable[[], Awaitable[Any]], *, limit: int | None = None) -> bytes:
    """Read a whole request body.

    Raises:
        ConnectionResetError: If the client goes away.
        OverflowError: If it is longer than the limit, in bytes.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more:  # not by body_parts: a generator takes as long as much else of a call
        message = await receive()
        parts.append(_part(message, size, limit))
        size, more = size + len(parts[-1]), message.get("more_body")
    return b"".join(parts)


async def body_parts(receive: Callable[[], Awaitable[Any]], *, limit: int | None = None) -> AsyncIterator[bytes]:
    """Yield the parts of a request body as they come; the errors are those of ``read_body``."""
    size, more = 0, True
    while more:
        message = await receive()
        part = _part(message, size, limit)
        size, more = size + len(part), message.get("more_body")
        yield part


def _part(message: dict[str, Any], size: int, limit: int | None) -> bytes:
    """Return the part of a body that a message brings, after so many bytes of it."""
    if message["type"] == "http.disconnect":
        raise ConnectionResetError("The client went away.")
    part: bytes = message.get("body", b"")
    if limit is not None and size + len(part) > limit:
        raise OverflowError(f"The request body is longer than {limit:,} bytes.")
    return part


async def send_response(send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send a whole response."""
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
