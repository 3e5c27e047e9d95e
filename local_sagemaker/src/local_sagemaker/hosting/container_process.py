"""A serving container as the platform sees it: a child process, and the calls over its Unix socket."""

import asyncio
import contextlib
import re
import secrets
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
import psutil

from local_sagemaker.errors import ContainerError, ContainerLostError
from local_sagemaker.hosting.connections import ConnectionPool, Response
from local_sagemaker.hosting.spare_container import MODULE, SpareContainer, container_environment
from local_sagemaker.processes import Process
from local_sagemaker.services.log_store import LogStream
from local_sagemaker.settings import Settings

_TARGET_MODEL = "X-Amzn-SageMaker-Target-Model"
# What decides how this machine runs the container's Python is not the model's to say.
_RESERVED = re.compile(r"(PATH|HOME|PYTHON\w*|LD_\w+|DYLD_\w+|LOCAL_SAGEMAKER_\w*)$")
_CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


@dataclass(frozen=True)
class Call:
    """What a caller sends to a model."""

    body: bytes  # request body; passed on unread
    content_type: str = ""  # its media type, or empty
    accept: str = ""  # wanted media type, or empty
    custom_attributes: str = ""  # `CustomAttributes` of the call, or empty


@dataclass(frozen=True)
class ContainerResponse:
    """What the container answered."""

    content_type: str  # media type of the body
    body: bytes  # the answer, unread
    custom_attributes: str  # what a handler wants the caller to get in `CustomAttributes`, or empty
    seconds: float  # how long the container took


class ContainerProcess:
    """One container from its start to its end; a new one takes its place when it dies."""

    def __init__(
        self,
        instance: str,
        folder: Path,
        *,
        settings: Settings,
        log: LogStream,
        spare: SpareContainer,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Describe a container; ``start`` brings it up. The spare is a process that may become it."""
        self._instance = instance
        self._folder = folder
        self._settings = settings
        self._log = log
        self._spare = spare
        self._environment = {name: value for name, value in environment.items() if not _RESERVED.match(name)}
        self.socket = settings.temporary / secrets.token_hex(8)
        self._process: Process | None = None
        self._ended = asyncio.Event()
        self._connections: ConnectionPool | None = None
        self._measured: dict[int, psutil.Process] = {}

    def command(self) -> list[str]:
        """Return the command line of the container's program."""
        return [sys.executable, "-m", MODULE, *self.options()]

    def options(self) -> list[str]:
        """Return the options of the container's command line."""
        limits = {
            "--memory-bytes": self._settings.instance_memory_bytes,
            "--invocation-seconds": self._settings.invocation_seconds,
            "--load-seconds": self._settings.model_load_seconds,
        }
        return ["--socket", str(self.socket), *(text for name, value in limits.items() for text in (name, str(value)))]

    async def start(self) -> None:
        """Start the process and wait until it answers; a ``RuntimeError`` tells that it does not come up in time."""
        self._settings.make_temporary()
        self._process = await self._spare.take(self.options(), environment=self._environment, folder=self._folder)
        if self._process is None:
            self._process = Process(
                self.command(), environment=container_environment(self._environment), folder=self._folder
            )
        # A thread of its own: it lasts as long as the container, and a few of them would use up a pool.
        follower = (self._process, asyncio.get_running_loop())
        threading.Thread(target=self._follow, args=follower, daemon=True).start()
        self._connections = ConnectionPool(self.socket, most_idle=self._settings.idle_connections)
        deadline = time.monotonic() + self._settings.container_start_seconds
        while not await self.answers_ping():
            if self._process.poll() is not None or time.monotonic() > deadline:
                await self.stop()
                raise RuntimeError(f"The container of {self._instance} did not pass the ping health check.")
            await asyncio.sleep(0.05)
        self._spare.start_later()

    async def wait(self) -> None:
        """Wait until the process ends, whatever the reason."""
        await self._ended.wait()

    async def stop(self) -> None:
        """End the process."""
        if self._connections:
            self._connections.close()
        if self._process:
            self._process.kill()
            await self._ended.wait()
        with contextlib.suppress(OSError):
            self.socket.unlink()

    async def call(self, method: str, path: str, document: Any = None) -> tuple[int, str]:
        """Make one call of the container contract, perhaps with JSON, and return its status and text.

        Raises:
            ContainerLostError: If the container is gone, or has not answered in the time that a model may load.
        """
        body = b"" if document is None else orjson.dumps(document)
        try:
            async with asyncio.timeout(self._settings.model_load_seconds):
                response = await self._request(method, path, {"Content-Type": "application/json"}, body)
        except TimeoutError:
            raise ContainerLostError(self._instance) from None
        return response.status, response.body.decode("utf-8", errors="replace")

    async def invoke(self, model_name: str, call: Call, *, target_model: str) -> ContainerResponse:
        """Ask a loaded model; the target model is what the caller named, or empty.

        Raises:
            ContainerError: If the model, or its code, answers with an error, or not in time.
            ContainerLostError: If the container is gone.
        """
        named = {
            "Content-Type": call.content_type,
            "Accept": call.accept,
            _TARGET_MODEL: target_model,
            _CUSTOM_ATTRIBUTES: call.custom_attributes,
        }
        headers = {name: value for name, value in named.items() if value}
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.invocation_seconds):
                response = await self._request("POST", f"/models/{model_name}/invoke", headers, call.body)
        except TimeoutError:
            reason = "Your invocation timed out while waiting for a response from container primary."
            raise ContainerError(0, reason) from None
        if response.status >= 400:
            raise ContainerError(response.status, response.body.decode("utf-8", errors="replace"))
        content_type = response.headers.get("content-type", "")
        attributes = response.headers.get(_CUSTOM_ATTRIBUTES.lower(), "")
        return ContainerResponse(content_type, response.body, attributes, time.monotonic() - started)

    def cpu_percent(self) -> float:
        """Return the use of processor cores since the previous call; 100 is one core."""
        if self._process is None or self._process.poll() is not None:
            return 0.0
        total = 0.0
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self._process.pid).children(recursive=True):
                # psutil measures from one call to the next of the same object
                total += self._measured.setdefault(process.pid, process).cpu_percent()
        return total

    async def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        if self._connections is None:
            raise ContainerLostError(self._instance)
        try:
            return await self._connections.request(method, path, headers=headers, body=body)
        except OSError as error:
            raise ContainerLostError(self._instance) from error

    async def answers_ping(self) -> bool:
        """Return whether the container answers, over a connection of its own: its socket may be gone."""
        connections = ConnectionPool(self.socket, most_idle=0)
        try:
            async with asyncio.timeout(self._settings.ping_seconds):
                return (await connections.request("GET", "/ping")).status == 200
        except (OSError, TimeoutError):
            return False
        finally:
            connections.close()

    def _follow(self, process: Process, loop: asyncio.AbstractEventLoop) -> None:
        for raw in process.lines(most_bytes=self._settings.max_line_bytes):
            self._log.write(raw.decode("utf-8", errors="replace").rstrip("\r"))
        process.wait()
        with contextlib.suppress(RuntimeError):  # the loop has ended before
            loop.call_soon_threadsafe(self._ended.set)
