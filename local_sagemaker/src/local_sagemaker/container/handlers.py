"""The container's side of a model's own ``code/inference.py``: start its process, pass calls on, end it.

Each model with an ``inference.py`` has a process of its own. Nothing less keeps models apart: modules of one name, a
changed ``sys.path``, ``sys.exit``, a crash, a call that never ends, and memory that an unload must give back. The
process starts when the model is loaded, and again after a call that had to be ended.
"""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local_sagemaker.container import handler_process
from local_sagemaker.processes import Process

CALLS_AT_ONCE = 4  # per model; further calls wait for their turn
_STANDARD_OUTPUT = 1  # the descriptor, whatever sys.stdout is
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_PROGRAM = [sys.executable, "-P", str(Path(handler_process.__file__).resolve())]  # -P: our modules are not the user's


class HandlerError(RuntimeError):
    """The handler failed; the message tells how. It has the status of TensorFlow Serving if that refused a request."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        """Create the error."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Code:
    """What a model brings to be run."""

    script: Path  # its `inference.py`
    container_folder: Path  # what stands for `/opt/ml`
    first_folders: Sequence[Path] = ()  # folders at the front of `sys.path`
    last_folders: Sequence[Path] = ()  # folders at its end


@dataclass
class _Running:
    process: Process
    connections: list[_Connection] = field(default_factory=list)
    idle: asyncio.Queue[_Connection | None] = field(default_factory=asyncio.Queue)  # None: the process ended


class Handler:
    """The handler process of one model."""

    def __init__(self, code: Code, *, sockets: Path, start_seconds: float, call_seconds: float) -> None:
        """Describe a handler; ``start`` brings it up.

        The owner alone can enter the folder of its socket. A call may also wait for its turn in its time.
        """
        self._code = code
        self._sockets = sockets
        self._start_seconds = start_seconds
        self._call_seconds = call_seconds
        self._running: _Running | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    async def start(self) -> _Running:
        """Start the process, unless it runs, and wait until it has imported the script.

        Raises:
            HandlerError: If the script cannot be imported, or lacks its functions.
        """
        async with self._starting:
            if self._closed:
                raise HandlerError("The model is being unloaded.")
            if self._running is None:
                self._running = await self._start()
            return self._running

    async def call(self, context: dict[str, Any], body: bytes) -> tuple[str, bytes]:
        """Pass one call to the handler, and return the content type and the body of its answer.

        Raises:
            HandlerError: If the handler raised, ended or did not answer in time.
        """
        running = None
        try:
            async with asyncio.timeout(self._call_seconds):
                running, connection = await self._connection()
                header, answer = await self._exchange(running, connection, context, body)
        except TimeoutError:
            if running:  # without a connection, the calls that hold them all are late themselves
                await self._end(running)
            raise HandlerError(f"The handler did not answer within {self._call_seconds:g} seconds.") from None
        if "error" in header:
            raise HandlerError(header["error"], status=header.get("status"))
        return header["content_type"], answer

    async def close(self) -> None:
        """End the process for good."""
        self._closed = True
        async with self._starting:
            if self._running:
                await self._end(self._running)

    async def _exchange(
        self, running: _Running, connection: _Connection, context: dict[str, Any], body: bytes
    ) -> tuple[dict[str, Any], bytes]:
        reader, writer = connection
        try:
            writer.write(handler_process.frame(context, body))
            await writer.drain()
            received = await _read_frame(reader)
        except (OSError, EOFError):
            await self._end(running)
            what = "The model was unloaded" if self._closed else "The handler's process ended"
            raise HandlerError(f"{what} during the call.") from None
        running.idle.put_nowait(connection)
        return received

    async def _connection(self) -> tuple[_Running, _Connection]:
        while True:
            running = await self.start()
            connection = await running.idle.get()
            if connection is not None and not connection[0].at_eof():
                return running, connection
            running.idle.put_nowait(None)  # for the next who waits
            await self._end(running)

    async def _start(self) -> _Running:
        path = self._sockets / f"handler-{secrets.token_hex(4)}"
        arrived: asyncio.Queue[_Connection] = asyncio.Queue()
        server = await asyncio.start_unix_server(lambda *connection: arrived.put_nowait(connection), path)
        local = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}  # for context.rest_uri
        arguments = {"socket": str(path), "connections": CALLS_AT_ONCE, **asdict(self._code)}
        process = Process(
            [*_PROGRAM, json.dumps(arguments, default=str)],
            environment=os.environ | local,
            folder=Path("/"),
            output=_STANDARD_OUTPUT,  # what it prints goes to the container's log
        )
        running = _Running(process)
        try:
            async with asyncio.timeout(self._start_seconds):
                for _ in range(CALLS_AT_ONCE):
                    running.connections.append(await arrived.get())
                for connection in running.connections:
                    header, _ = await _read_frame(connection[0])
                    if header["error"]:
                        raise HandlerError(header["error"])
                    running.idle.put_nowait(connection)
        except BaseException as error:
            await self._end(running)
            if isinstance(error, TimeoutError):
                raise HandlerError(f"inference.py was not imported within {self._start_seconds:g} seconds.") from None
            if isinstance(error, (OSError, EOFError)):
                raise HandlerError("The process ended while it imported inference.py.") from None
            raise
        finally:
            server.close()
            path.unlink(missing_ok=True)
        return running

    async def _end(self, running: _Running) -> None:
        if self._running is running:
            self._running = None
        running.idle.put_nowait(None)
        for _, writer in running.connections:
            writer.close()
        running.process.kill()
        await asyncio.to_thread(running.process.wait)


async def _read_frame(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes]:
    header_size, body_size = handler_process.FRAME.unpack(await reader.readexactly(handler_process.FRAME.size))
    header = json.loads(await reader.readexactly(header_size))
    return header, await reader.readexactly(body_size)
