"""What people would pick instead, each in an environment of its own, set up as its documentation recommends.

Each peer decodes JSON as it does by default and calls the same SavedModel signatures with TensorFlow's default threads.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_path

from servers.server import HttpServer, free_port
from serving_load import Connection, http_request
from serving_requests import PROGRAMS, Example

_VERSIONS = (
    "import importlib.metadata as m, json, platform, sys;"
    "found = {n: m.version(n) for n in sys.argv[1:] if any(True for _ in m.distributions(name=n))};"
    "print(json.dumps({'python': platform.python_version()} | found))"
)
ENVIRONMENTS = user_cache_path("local_sagemaker") / "benchmark-environments"


class Peer(HttpServer):
    """A server in an environment of its own."""

    package: str  # what pip installs for it beside TensorFlow, and whose version is told
    more: tuple[str, ...] = ()  # what else pip installs
    answer_path = ("probabilities", 0)

    def start(self) -> None:
        """Start it in its environment, which is built if it is new; a RuntimeError says why it cannot be."""
        self._programs, self.versions = _prepare([self.package, *self.more], package=self.package)
        self.repository = self.workplace / "models"
        self.repository.mkdir()
        self.temporary = tempfile.mkdtemp(prefix="peer-")  # for sockets, whose paths must be short
        super().start()

    def stop(self) -> None:
        """End it and delete its files."""
        super().stop()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """Find programs in its environment first, and the small programs of this benchmark as modules."""
        path = f"{self._programs}:/usr/bin:/bin"
        return {"PATH": path, "PYTHONPATH": str(PROGRAMS), "VIRTUAL_ENV": str(self._programs.parent)}

    def program(self, name: str) -> str:
        """Return the path of a program of its environment."""
        return str(self._programs / name)

    def add(self, model: str, folder: Path) -> None:
        """Put a model into the folder that the server knows."""
        (self.repository / model).symlink_to(folder.resolve())


class BentoML(Peer):
    """BentoML with one service that holds all models."""

    name = "BentoML"
    settings = "one service with typed NumPy arguments, one worker, which holds the models by name"
    package = "bentoml"
    ready = "/readyz"
    answer_path = (0,)

    def command(self) -> list[str]:
        """Serve the service."""
        command = [self.program("bentoml"), "serve", "bentoml_service:SavedModels", "--host", "127.0.0.1"]
        return [*command, "--port", str(self.port), "--working-dir", str(PROGRAMS)]

    def environment(self) -> dict[str, str]:
        """Keep its files in the workplace and send no usage statistics."""
        own = {"BENTOML_HOME": str(self.workplace), "BENTOML_DO_NOT_TRACK": "True", "REPOSITORY": str(self.repository)}
        return super().environment() | own

    def load(self, model: str, folder: Path) -> None:
        """Load a model through the service's own method."""
        self.add(model, folder)
        self.post("/load", {"model": model})

    def unload(self, model: str) -> None:
        """Forget a model through the service's own method."""
        self.post("/unload", {"model": model})

    def request(self, model: str, example: Example) -> bytes:
        """Ask the method that fits the example."""
        path = "/predict_bytes" if example.as_file else "/predict"
        return http_request("POST", path, json.dumps({"model": model} | example.named()).encode())


class MLServer(Peer):
    """Seldon's MLServer with a custom inference runtime."""

    name = "MLServer"
    settings = "custom inference runtime, V2 protocol; parallel_workers 0: inference in the server's own process, not 1"
    package = "mlserver"
    ready = "/v2/health/live"
    answer_path = ("outputs", 0, "data")

    def command(self) -> list[str]:
        """Serve the repository."""
        ports = {"http_port": self.port, "grpc_port": free_port(), "metrics_port": free_port()}
        settings = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, "load_models_at_startup": False} | ports
        (self.repository / "settings.json").write_text(json.dumps(settings))
        return [self.program("mlserver"), "start", str(self.repository)]

    def load(self, model: str, folder: Path) -> None:
        """Describe a model in the repository and load it."""
        place = self.repository / model
        place.mkdir()
        parameters = {"uri": str(folder.resolve() / "1")}
        settings = {"name": model, "implementation": "mlserver_runtime.SavedModel", "parameters": parameters}
        (place / "model-settings.json").write_text(json.dumps(settings))
        self.post(f"/v2/repository/models/{model}/load", {})

    def unload(self, model: str) -> None:
        """Unload a model."""
        self.post(f"/v2/repository/models/{model}/unload", {})
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


class MultiModelServer(Peer):
    """AWS's multi-model-server, which gives each model a worker process."""

    name = "multi-model-server"
    settings = "custom service, one worker per model, which is a process"
    package = "multi-model-server"
    more = ("setuptools<81",)

    def start(self) -> None:
        """Start it if there is Java for it."""
        if shutil.which("java") is None:
            raise RuntimeError("It needs Java. Install it, on Debian and Ubuntu: apt-get install default-jre-headless")
        super().start()
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

    def environment(self) -> dict[str, str]:
        """Find Java, and keep the sockets of the workers, whose paths must be short, apart."""
        own = super().environment()
        java = str(Path(shutil.which("java")).parent)
        return own | {"PATH": f"{own['PATH']}:{java}", "TEMP": self.temporary, "TMPDIR": self.temporary}

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
        with closing(Connection(self._management_port)) as connection:
            connection.exchange(http_request(method, path, body))


class RayServe(Peer):
    """Ray Serve with model multiplexing."""

    name = "Ray Serve"
    settings = "one replica, @serve.multiplexed; CPU and memory are of proxy, replica and Ray's own; niceness 0, not 15"
    package = "ray"
    more = ("ray[serve]",)
    ready = "/-/healthz"

    def command(self) -> list[str]:
        """Run the application."""
        program = [self.program("python"), str(PROGRAMS / "ray_application.py"), "--port", str(self.port)]
        return [*program, "--repository", str(self.repository), "--temporary-folder", self.temporary]

    def environment(self) -> dict[str, str]:
        """Give its workers the priority of the other servers, and send no usage statistics.

        Ray's default niceness, 15, makes a busy machine end its proxy before that has started.
        """
        own = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
        return super().environment() | own

    def load(self, model: str, folder: Path) -> None:
        """Make a model known; its first call loads it."""
        self.add(model, folder)

    def request(self, model: str, example: Example) -> bytes:
        """Ask the model that the header names, whose name has changed from version to version."""
        headers = {"serve_multiplexed_model_id": model, "ray_serve_multiplexed_model_id": model}
        return http_request("POST", "/", json.dumps(example.named()).encode(), headers)


def _prepare(requirements: Sequence[str], *, package: str) -> tuple[Path, dict[str, str]]:
    """Return the programs of the environment with these requirements, and the versions in it; build it if need be.

    Its TensorFlow is that of the project if that can be installed together with them, else what can.
    """
    reasons = []
    ours = version("tensorflow")
    for tensorflow in (f"tensorflow-cpu=={ours}", f"tensorflow=={ours}", "tensorflow"):
        wanted = [*requirements, tensorflow]
        place = (
            ENVIRONMENTS / f"{package}-{hashlib.sha256(json.dumps([sys.version, wanted]).encode()).hexdigest()[:12]}"
        )
        if reason := "" if (place / "ready").exists() else _build(place, wanted):
            reasons.append(f"{tensorflow}: {reason}")
            continue
        names = [package, tensorflow.partition("=")[0]]
        told = subprocess.check_output([place / "bin" / "python", "-c", _VERSIONS, *names], text=True)
        return place / "bin", json.loads(told)
    raise RuntimeError(f"pip could not install it. {' '.join(reasons)}")


def _build(place: Path, requirements: Sequence[str]) -> str:
    """Build an environment; return why it could not be built, or nothing."""
    shutil.rmtree(place, ignore_errors=True)
    print(f"Building an environment with {', '.join(requirements)}. It takes minutes, once.", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    completed = subprocess.run([*pip, *requirements], stderr=subprocess.PIPE, text=True, check=False)
    if completed.returncode:
        shutil.rmtree(place, ignore_errors=True)
        errors = [line for line in completed.stderr.splitlines() if line.startswith("ERROR")]
        return " ".join(errors[:2]) or "pip failed."
    (place / "ready").touch()
    return ""
