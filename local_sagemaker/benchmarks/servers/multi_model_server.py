"""AWS's multi-model-server."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from servers.peer import Peer
from servers.server import free_port
from serving_environments import MissingPeerError
from serving_load import Connection, http_request
from serving_requests import PROGRAMS, Example


class MultiModelServer(Peer):
    """AWS's multi-model-server, which gives each model a worker process."""

    name = "multi-model-server"
    settings = "custom service, one worker per model, which is a process"
    requirements = ("multi-model-server", "setuptools<81")
    package = "multi-model-server"

    def prepare(self, folder: Path) -> None:
        """Build the environment if there is Java for it.

        Raises:
            MissingPeerError: If there is no Java or it cannot be built.
        """
        if shutil.which("java") is None:
            raise MissingPeerError(
                "It needs Java. Install it, on Debian and Ubuntu: apt-get install default-jre-headless"
            )
        super().prepare(folder)
        told = subprocess.run(["java", "-version"], stderr=subprocess.PIPE, text=True, check=True).stderr
        self.versions = self.versions | {"java": told.splitlines()[0]}

    def command(self) -> list[str]:
        """Serve the model store."""
        self._management_port = free_port()
        lines = [
            f"inference_address=http://127.0.0.1:{self.port}",
            f"management_address=http://127.0.0.1:{self._management_port}",
            "default_workers_per_model=1",
        ]
        configuration = self.workplace / "config.properties"
        configuration.write_text("\n".join(lines) + "\n")
        command = [self.program("multi-model-server"), "--start", "--foreground", "--mms-config", str(configuration)]
        return [*command, "--model-store", str(self.repository)]

    def environment(self) -> Mapping[str, str]:
        """Find Java, and keep the sockets of the workers, whose paths must be short, apart."""
        own = dict(super().environment())
        java = str(Path(shutil.which("java")).parent)
        self._temporary = tempfile.mkdtemp(prefix="mms-")
        return own | {"PATH": f"{own['PATH']}:{java}", "TEMP": self._temporary, "TMPDIR": self._temporary}

    def stop(self) -> None:
        """End it and delete its files."""
        super().stop()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def load(self, model: str, folder: Path) -> None:
        """Put a model with its handler into the store and register it."""
        place = self.repository / model
        (place / "MAR-INF").mkdir(parents=True)
        described = {"modelName": model, "handler": "mms_handler:handle"}
        manifest = {"specificationVersion": "1.0", "modelServerVersion": "1.0", "runtime": "python", "model": described}
        (place / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
        shutil.copy(PROGRAMS / "mms_handler.py", place)
        (place / "1").symlink_to(folder.resolve() / "1")
        registration = {"url": model, "model_name": model, "initial_workers": 1, "synchronous": True}
        self._manage("POST", "/models", json.dumps(registration).encode())

    def unload(self, model: str) -> None:
        """Unregister a model."""
        self._manage("DELETE", f"/models/{model}")

    def request(self, model: str, example: Example) -> bytes:
        """Ask a model."""
        return http_request("POST", f"/predictions/{model}", json.dumps(example.named()).encode())

    def _manage(self, method: str, path: str, body: bytes = b"") -> None:
        connection = Connection(self._management_port)
        try:
            connection.exchange(http_request(method, path, body))
        finally:
            connection.close()
