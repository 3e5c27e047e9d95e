"""BentoML."""

import json
from collections.abc import Mapping
from pathlib import Path

from servers.peer import Peer
from serving_load import http_request
from serving_requests import PROGRAMS, Example


class BentoML(Peer):
    """BentoML with one service that holds all models."""

    name = "BentoML"
    settings = "one service with typed NumPy arguments, one worker, which holds the models by name"
    requirements = ("bentoml",)
    package = "bentoml"

    def command(self) -> list[str]:
        """Serve the service."""
        command = [self.program("bentoml"), "serve", "bentoml_service:SavedModels", "--host", "127.0.0.1"]
        return [*command, "--port", str(self.port), "--working-dir", str(PROGRAMS)]

    def environment(self) -> Mapping[str, str]:
        """Keep its files in the workplace and send no usage statistics."""
        own = {"BENTOML_HOME": str(self.workplace), "BENTOML_DO_NOT_TRACK": "True", "REPOSITORY": str(self.repository)}
        return dict(super().environment()) | own

    def ready(self) -> str:
        """Return its readiness."""
        return "/readyz"

    def load(self, model: str, folder: Path) -> None:
        """Load a model through the service's own method."""
        self.add(model, folder)
        self.connection.exchange(http_request("POST", "/load", json.dumps({"model": model}).encode()))

    def unload(self, model: str) -> None:
        """Forget a model through the service's own method."""
        self.connection.exchange(http_request("POST", "/unload", json.dumps({"model": model}).encode()))

    def request(self, model: str, example: Example) -> bytes:
        """Ask the method that fits the example."""
        path = "/predict_bytes" if example.as_file else "/predict"
        return http_request("POST", path, json.dumps({"model": model} | example.named()).encode())

    def read_probabilities(self, answer: bytes) -> list[float]:
        """Return the first row of the array."""
        return json.loads(answer)[0]
