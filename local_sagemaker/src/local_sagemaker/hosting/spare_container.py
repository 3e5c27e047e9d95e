"""A container's process that is started ahead of time, so that an endpoint need not wait for TensorFlow's import."""

import asyncio
import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from local_sagemaker.processes import Process
from local_sagemaker.settings import RUNTIME_ENVIRONMENT, Settings, inherited

logger = logging.getLogger(__name__)
# What Python and TensorFlow need to run as they do in the server's own environment.
_OF_THE_MACHINE = ("PATH", "HOME", "PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
_OF_THE_SERVER = ("LOCAL_SAGEMAKER_HOME", "LOCAL_SAGEMAKER_TRANSCRIPT")
# What a model may set after TensorFlow is imported. Its other variables could be TensorFlow's.
_LATE = "SAGEMAKER_"
MODULE = "local_sagemaker.container"


def container_environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a container with the variables of its model."""
    limits = [name for name in os.environ if name.startswith("LOCAL_SAGEMAKER_") and name not in _OF_THE_SERVER]
    fixed = {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1"} | RUNTIME_ENVIRONMENT
    return inherited(*_OF_THE_MACHINE, *limits) | dict(own) | fixed


class SpareContainer:
    """At most one process that waits; it becomes a container when an instance takes it."""

    def __init__(self, settings: Settings) -> None:
        """Describe the spare; ``start`` brings it up."""
        self._settings = settings
        self._process: Process | None = None
        self._socket = settings.temporary
        self._deadline = 0.0  # until when it may import
        self._timer: asyncio.TimerHandle | None = None

    def start_later(self) -> None:
        """Start a process in a while: its import would slow the first calls to a new endpoint down."""
        if self._timer:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._settings.spare_container_delay_seconds, self.start)

    def start(self) -> None:
        """Start a process, if none waits and the settings want one."""
        if not self._settings.keeps_spare_container or (self._process and self._process.poll() is None):
            return
        self._socket = self._settings.temporary / secrets.token_hex(8)
        command = [sys.executable, "-m", MODULE, "--wait", str(self._socket)]
        self._deadline = time.monotonic() + self._settings.container_start_seconds
        try:
            self._settings.make_temporary()
            self._process = Process(command, environment=container_environment({}), folder=self._settings.temporary)
        except OSError as error:  # no process or memory is left: an endpoint can do without
            logger.warning("No spare container: %s", error)

    async def take(self, options: list[str], *, environment: Mapping[str, str], folder: Path) -> Process | None:
        """Make the waiting process a container, if one waits and could serve this model as a new one would."""
        if not all(name.startswith(_LATE) for name in environment):
            return None
        process, socket, self._process = self._process, self._socket, None  # another one may start meanwhile
        if process is None:
            return None
        try:
            # A waiting one answers at once, unless its socket is gone.
            left = max(self._deadline - time.monotonic(), self._settings.ping_seconds)
            async with asyncio.timeout(left):
                while process.poll() is None:
                    try:
                        _, writer = await asyncio.open_unix_connection(socket)
                    except OSError:
                        await asyncio.sleep(0.02)  # it still imports
                        continue
                    order = {"options": options, "environment": dict(environment), "folder": str(folder)}
                    writer.write(json.dumps(order).encode() + b"\n")
                    writer.close()  # which sends it first
                    socket.unlink(missing_ok=True)
                    return process
        except TimeoutError:
            process.kill()
        except asyncio.CancelledError:
            process.kill()
            raise
        return None

    def stop(self) -> None:
        """End the process that waits; no other one follows."""
        if self._timer:
            self._timer.cancel()
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
