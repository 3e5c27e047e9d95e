"""HTTP connections with limits: how many there are, how large a request's head is, how long a client is silent."""

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local_sagemaker.settings import Settings

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def limited(settings: Settings) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol with the limits of a server."""
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = min(settings.max_connections, most_files // 3)  # a call has one to a container, too; the rest is for files

    class Limited(HttpToolsProtocol):
        """A connection; uvicorn and its parser call the methods."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
            self._head_bytes, self._in_head = 0, True
            self._timer = self.loop.call_later(settings.idle_seconds, self._close_if_silent)
            self._last = self.loop.time()
            super().connection_made(transport)
            if len(self.connections) > most:
                idle = [each for each in self.connections if isinstance(each, Limited) and each._waits()]
                min(idle, key=lambda each: each._last, default=self).transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._timer.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._last = self.loop.time()
            self._of_head = len(data) if self._in_head else 0
            self._head_bytes += self._of_head
            super().data_received(data)
            if self._in_head and self._head_bytes > settings.max_head_bytes and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

        def on_message_begin(self) -> None:
            self._head_bytes, self._in_head = self._of_head, True
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_head, self._of_head = False, 0
            super().on_headers_complete()

        def _waits(self) -> bool:
            """Return whether the next step is the client's: to send a request, or more of one."""
            cycle: Any = self.cycle
            return cycle is None or cycle.response_complete or cycle.more_body

        def _close_if_silent(self) -> None:
            silent = self.loop.time() - self._last
            if self._waits() and silent >= settings.idle_seconds:
                self.transport.close()
            left = max(settings.idle_seconds - silent, settings.idle_seconds / 10)
            self._timer = self.loop.call_later(left, self._close_if_silent)

    return Limited
