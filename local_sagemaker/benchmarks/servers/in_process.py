"""TensorFlow without a server: what the goals compare with."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from servers.server import Server
from serving_requests import PROGRAMS, Example


class InProcess(Server):
    """TensorFlow without a server, in a process that is asked over pipes."""

    name = "in-process TensorFlow"
    settings = "tf.saved_model.load, then the signature from NumPy array to NumPy arrays; no JSON; default threads"

    def start(self) -> None:
        """Start the process."""
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "in_process.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is the benchmark's to handle
        )
        self._ask("ping")

    def stop(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait(30)

    def load(self, model: str, folder: Path) -> float:
        """Load a model and return how long `tf.saved_model.load` took, in seconds."""
        return self._ask("load", name=model, folder=str(folder))["seconds"]

    def unload(self, model: str) -> None:
        """Forget a model."""
        self._ask("unload", name=model)

    def time_calls(self, model: str, example: Example, *, calls: int, with_json: bool = False) -> list[float]:
        """Return the duration of each of so many calls, without or with JSON on both sides, in seconds."""
        request = example.rest().decode()
        return self._ask("call", name=model, request=request, calls=calls, with_json=with_json)["seconds"]

    def probabilities(self, model: str, example: Example) -> list[float]:
        """Return what a model answers."""
        request = example.rest().decode()
        return self._ask("call", name=model, request=request, calls=0, with_json=False)["probabilities"]

    def processes(self) -> list[psutil.Process]:
        """Return the one process."""
        return [psutil.Process(self._process.pid)]

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        self._process.stdin.write(json.dumps({"command": command} | arguments) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The process of {self.name} ended while it was asked to {command}.")
        return json.loads(line)
