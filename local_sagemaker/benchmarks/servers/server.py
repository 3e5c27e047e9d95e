"""Servers under test: how each is started, asked, measured and stopped.

Every server is a process tree of its own, ended with the benchmark however that ends. A server answers for several
models by name, which it loads from unpacked model folders.
"""

import contextlib
import functools
import json
import operator
import os
import random
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import psutil

from local_sagemaker.processes import Process
from serving_load import HOST, AnswerError, Connection, http_request
from serving_requests import Example

START_SECONDS = 180


class Server:
    """A server, or TensorFlow without one, that calls models by name.

    Each kind defines `start`, `stop`, `load` and `unload` of a model, `time_calls`, which returns the seconds of each
    call, `probabilities`, what a model answers, and `processes`. What a kind cannot do it lacks.
    """

    name: str  # what tables call it
    settings = ""  # how it is set up, in a sentence, where that is a choice

    def __init__(self, workplace: Path) -> None:
        """Describe a server, with a new folder of its own; `start` brings it up."""
        self.workplace = workplace
        workplace.mkdir(parents=True)
        self.versions: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Start it, and stop what was begun if that fails or is interrupted."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def cpu_seconds(self) -> float:
        """Return the processor time that its processes have used."""
        total = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory_bytes(self) -> int:
        """Return the memory that is its processes' alone (USS), mapped files included."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().uss
        return total


class HttpServer(Server):
    """A server that is asked over HTTP.

    Each kind defines `command`, the program and its arguments, and `request`, the whole HTTP request that asks a model.
    """

    ready = "/ping"  # the path that answers once it can be asked
    answer_path: tuple[str | int, ...]  # where an answer has the probabilities of the first image

    def environment(self) -> dict[str, str]:
        """Return what its environment has beside this process's."""
        return {}

    def start(self) -> None:
        """Start the process and wait until it answers; a RuntimeError has the end of its log."""
        self.port = free_port()
        self.log = self.workplace / "log.txt"
        with self.log.open("wb") as output:
            environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"} | self.environment()
            told = {"environment": environment, "folder": self.workplace, "output": output.fileno()}
            self._process = Process(self.command(), **told)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.name} did not start. {self.log.read_text(errors='replace')[-1500:]}")
            time.sleep(0.1)
        self.connection = Connection(self.port)  # for one call after the other

    def stop(self) -> None:
        """Ask it to end, then end what is left of its processes."""
        tree = self.processes()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()
        for process in tree:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(tree, timeout=10)

    def time_calls(self, model: str, example: Example, *, calls: int) -> list[float]:
        """Return the duration of each of so many calls over one connection, in seconds."""
        return self.connection.time(self.request(model, example), calls=calls)

    def probabilities(self, model: str, example: Example) -> list[float]:
        """Return what a model answers."""
        answer = json.loads(self.connection.exchange(self.request(model, example)))
        return functools.reduce(operator.getitem, self.answer_path, answer)

    def post(self, path: str, document: dict[str, Any]) -> None:
        """Ask for something beside predictions."""
        self.connection.exchange(http_request("POST", path, json.dumps(document).encode()))

    def processes(self) -> list[psutil.Process]:
        """Return all processes below the one that keeps them."""
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, AnswerError), contextlib.closing(Connection(self.port)) as connection:
            connection.exchange(http_request("GET", self.ready))
            return True
        return False


def free_port() -> int:
    """Return a port on 127.0.0.1 that nobody uses now.

    It lies below those that the system gives to clients, which could take it before the server does, and below 32767,
    the highest that multi-model-server accepts.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port
