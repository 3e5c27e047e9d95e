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


async def read_body(receive: Callable[[], Awaitable[Any]], *, limit: int | None = None) -> bytes:
    """Read a whole request body.

    Raises:
        ConnectionResetError: If the client goes away.
        OverflowError: If it is longer than the limit, in bytes.
    """
    return b"".join([part async for part in body_parts(receive, limit=limit)])


async def body_parts(receive: Callable[[], Awaitable[Any]], *, limit: int | None = None) -> AsyncIterator[bytes]:
    """Yield the parts of a request body as they come; the errors are those of ``read_body``."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("The client went away.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if limit is not None and size > limit:
            raise OverflowError(f"The request body is longer than {limit:,} bytes.")
        yield chunk
        if not message.get("more_body"):
            return


async def send_response(send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send a whole response."""
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
