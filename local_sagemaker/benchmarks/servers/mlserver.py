"""Seldon's MLServer."""

import json
import shutil
from pathlib import Path

from servers.peer import Peer
from servers.server import free_port
from serving_load import http_request
from serving_requests import Example


class MLServer(Peer):
    """Seldon's MLServer with a custom inference runtime."""

    name = "MLServer"
    settings = "custom inference runtime, V2 protocol; parallel_workers 0: inference in the server's own process, not 1"
    requirements = ("mlserver",)
    package = "mlserver"

    def command(self) -> list[str]:
        """Serve the repository."""
        ports = {"http_port": self.port, "grpc_port": free_port(), "metrics_port": free_port()}
        settings = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, "load_models_at_startup": False} | ports
        (self.repository / "settings.json").write_text(json.dumps(settings))
        return [self.program("mlserver"), "start", str(self.repository)]

    def ready(self) -> str:
        """Return the readiness of the V2 protocol."""
        return "/v2/health/live"

    def load(self, model: str, folder: Path) -> None:
        """Describe a model in the repository and load it."""
        place = self.repository / model
        place.mkdir()
        parameters = {"uri": str(folder.resolve() / "1")}
        settings = {"name": model, "implementation": "mlserver_runtime.SavedModel", "parameters": parameters}
        (place / "model-settings.json").write_text(json.dumps(settings))
        self.connection.exchange(http_request("POST", f"/v2/repository/models/{model}/load"))

    def unload(self, model: str) -> None:
        """Unload a model."""
        self.connection.exchange(http_request("POST", f"/v2/repository/models/{model}/unload"))
        shutil.rmtree(self.repository / model)

    def request(self, model: str, example: Example) -> bytes:
        """Ask in the V2 protocol: flat data and a shape, or base64."""
        if example.as_file:
            parameters = {"content_type": "base64"}
            tensor = {"name": "image_bytes", "shape": [1], "datatype": "BYTES", "parameters": parameters}
            tensor["data"] = [example.base64]
        else:
            tensor = {"name": "instances", "shape": [1, *example.pixels.shape], "datatype": "FP32"}
            tensor["data"] = example.pixels.flatten().tolist()
        return http_request("POST", f"/v2/models/{model}/infer", json.dumps({"inputs": [tensor]}).encode())

    def read_probabilities(self, answer: bytes) -> list[float]:
        """Return the flat data of the output."""
        return json.loads(answer)["outputs"][0]["data"]
