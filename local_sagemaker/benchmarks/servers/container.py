"""This project's container alone."""

import sys
import time
from pathlib import Path

from servers.server import HttpServer
from serving_load import http_request
from serving_requests import Example


class Container(HttpServer):
    """This project's container alone."""

    name = "container"
    answer_path = ("predictions", 0, "probabilities")
    settings = "python -m local_sagemaker.container; default settings but for a memory limit of 64 GiB"

    def command(self) -> list[str]:
        """Return the container's command, with memory for what the benchmark loads."""
        command = [sys.executable, "-m", "local_sagemaker.container", "--port", str(self.port)]
        return [*command, "--memory-bytes", str(64 * 1024**3)]

    def load(self, model: str, folder: Path) -> None:
        """Load a model, and wait until it has the engine that it keeps, which the first of its architecture has not."""
        self.post("/models", {"model_name": model, "url": str(folder)})
        while (log := self.log.read_text()).count(" is being built.") > log.count(" stays with "):
            time.sleep(0.05)

    def unload(self, model: str) -> None:
        """Unload a model."""
        self.connection.exchange(http_request("DELETE", f"/models/{model}"))

    def request(self, model: str, example: Example) -> bytes:
        """Ask in the form of TensorFlow Serving's REST API."""
        return http_request("POST", f"/models/{model}/invoke", example.rest())
