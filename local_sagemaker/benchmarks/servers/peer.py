"""What people would pick instead, each in an environment of its own, set up as its documentation recommends.

Each peer decodes JSON as it does by default and calls the same SavedModel signatures with TensorFlow's default threads.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from servers.server import HttpServer
from serving_environments import prepare
from serving_requests import PROGRAMS


class Peer(HttpServer):
    """A server in an environment of its own."""

    requirements: tuple[str, ...]  # what pip installs for it beside TensorFlow
    package: str  # whose version is told

    def prepare(self, folder: Path) -> None:
        """Find the environment below a folder, or build it there.

        Raises:
            MissingPeerError: If it cannot be built.
        """
        self._programs, self.versions = prepare(self.requirements, package=self.package, folder=folder)
        self.repository = self.workplace / "models"
        self.repository.mkdir(parents=True, exist_ok=True)

    def environment(self) -> Mapping[str, str]:
        """Find programs in its environment first, and the small programs of this benchmark as modules."""
        path = f"{self._programs}:/usr/bin:/bin"
        return {"PATH": path, "PYTHONPATH": str(PROGRAMS), "VIRTUAL_ENV": str(self._programs.parent)}

    def program(self, name: str) -> str:
        """Return the path of a program of its environment."""
        return str(self._programs / name)

    def add(self, model: str, folder: Path) -> None:
        """Put a model into the folder that the server knows."""
        (self.repository / model).symlink_to(folder.resolve())

    def read_probabilities(self, answer: bytes) -> list[float]:
        """Return the probabilities of the first image."""
        return json.loads(answer)["probabilities"][0]
