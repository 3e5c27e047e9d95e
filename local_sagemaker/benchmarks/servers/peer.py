"""What people would pick instead, each in an environment of its own, set up as its documentation recommends.

Each peer decodes JSON as it does by default and calls the same SavedModel signatures with TensorFlow's default threads.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from servers.server import HttpServer
from serving_environments import Environment, prepare
from serving_requests import PROGRAMS


class Peer(HttpServer):
    """A server in an environment of its own.

    Attributes:
        requirements: What pip installs for it beside TensorFlow.
        packages: Packages whose versions are told.
    """

    requirements: tuple[str, ...]
    packages: tuple[str, ...]

    def __init__(self, workplace: Path) -> None:
        """Describe a peer; ``prepare`` builds its environment."""
        super().__init__(workplace)
        self.repository = workplace / "models"

    def prepare(self, folder: Path) -> None:
        """Build the environment, or find it built.

        Args:
            folder: Where environments are kept.

        Raises:
            MissingPeerError: If it cannot be built.
        """
        self._environment: Environment = prepare(self.requirements, packages=self.packages, folder=folder)
        self.versions = self._environment.versions
        self.repository.mkdir(parents=True, exist_ok=True)

    def environment(self) -> Mapping[str, str]:
        """Find programs in its environment first, and the small programs of this benchmark as modules."""
        path = f"{self._environment.bin}:/usr/bin:/bin"
        return {"PATH": path, "PYTHONPATH": str(PROGRAMS), "VIRTUAL_ENV": str(self._environment.bin.parent)}

    def program(self, name: str) -> str:
        """Return the path of a program of its environment."""
        return str(self._environment.bin / name)

    def add(self, model: str, folder: Path) -> None:
        """Put a model into the folder that the server knows."""
        (self.repository / model).symlink_to(folder.resolve())

    def read_probabilities(self, answer: bytes) -> list[float]:
        """Return the probabilities of the first image."""
        return json.loads(answer)["probabilities"][0]
