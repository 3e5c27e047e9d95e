"""Ray Serve."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from servers.peer import Peer
from serving_load import http_request
from serving_requests import PROGRAMS, Example


class RayServe(Peer):
    """Ray Serve with model multiplexing."""

    name = "Ray Serve"
    settings = "one replica, @serve.multiplexed; CPU and memory are of proxy, replica and Ray's own; niceness 0, not 15"
    requirements = ("ray[serve]",)
    package = "ray"

    def command(self) -> list[str]:
        """Run the application; Ray's sockets need a short path."""
        self._temporary = tempfile.mkdtemp(prefix="ray-")
        program = [self.program("python"), str(PROGRAMS / "ray_application.py"), "--port", str(self.port)]
        return [*program, "--repository", str(self.repository), "--temporary-folder", self._temporary]

    def environment(self) -> Mapping[str, str]:
        """Give its workers the priority of the other servers, and send no usage statistics.

        Ray's default niceness, 15, makes a busy machine end its proxy before that has started.
        """
        own = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
        return dict(super().environment()) | own

    def ready(self) -> str:
        """Return the health of the proxy."""
        return "/-/healthz"

    def stop(self) -> None:
        """End it and delete its files."""
        super().stop()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def load(self, model: str, folder: Path) -> None:
        """Make a model known; its first call loads it."""
        self.add(model, folder)

    def request(self, model: str, example: Example) -> bytes:
        """Ask the model that the header names, whose name has changed from version to version."""
        headers = {"serve_multiplexed_model_id": model, "ray_serve_multiplexed_model_id": model}
        return http_request("POST", "/", json.dumps(example.named()).encode(), headers)
