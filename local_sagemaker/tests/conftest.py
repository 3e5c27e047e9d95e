"""A server's clients, the steps that many tests begin with, and small SavedModels."""

import asyncio
import inspect
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clients import Service, running
from hypothesis import HealthCheck, settings

from local_sagemaker import daemon
from local_sagemaker.archives import pack
from local_sagemaker.settings import MEBIBYTE

# How long an example takes, or takes to make, tells how busy the machine is and nothing of the property.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
LONG = "tests/test_load.py"
# The server of all tests keeps a spare container; those of single tests have no time for one.
os.environ["LOCAL_SAGEMAKER_SPARE_CONTAINER"] = "no"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes comes first, not alone at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A coroutine function is a test, too."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}))
    return True


class ContainerClient:
    """Calls a container as the platform does, without a socket between."""

    def __init__(self, **options: Any) -> None:
        # Imported only by the tests that need it: it takes seconds.
        from local_sagemaker.container.application import Application
        from local_sagemaker.container.loaded_models import LoadedModels
        from local_sagemaker.container.loader import Options

        self._runner = asyncio.Runner()
        self.models = LoadedModels(Options(**options))
        self._application = Application(self.models)

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        """Return the status and the JSON document of the answer."""
        status, _, answer = self.raw(method, path, body, **headers)
        return status, json.loads(answer)

    def raw(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str, bytes]:
        """Return the status, the content type and the body of the answer."""
        return self.together((method, path, body, headers))[0]

    def together(self, *requests: tuple[str, str, bytes, dict[str, str]]) -> list[tuple[int, str, bytes]]:
        """Answer several requests at the same time."""

        async def gather() -> list[tuple[int, str, bytes]]:
            return await asyncio.gather(*(self._answer(*request) for request in requests))

        return self._runner.run(gather())

    def load(self, name: str, url: Path) -> tuple[int, Any]:
        """Load a model and wait until it has the engine that it keeps."""
        answer = self.call("POST", "/models", json.dumps({"model_name": name, "url": str(url)}).encode())
        self.settle()
        return answer

    def settle(self) -> None:
        self._runner.run(self.models.settle())

    def invoke(self, name: str, document: object, **headers: str) -> tuple[int, Any]:
        headers = {"content_type": "application/json"} | headers
        return self.call("POST", f"/models/{name}/invoke", json.dumps(document).encode(), **headers)

    def close(self) -> None:
        self._runner.run(self.models.close())
        self._runner.close()

    async def _answer(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        sent = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await self._application({"type": "http", "method": method, "path": path, "headers": pairs}, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"])[b"content-type"].decode("latin-1"), sent[1]["body"]


@pytest.fixture(scope="module")
def start_container() -> Iterator[Callable[..., ContainerClient]]:
    """A function that makes an empty container; its options are those of ``LoadedModels``."""
    clients: list[ContainerClient] = []

    def start(**options: Any) -> ContainerClient:
        clients.append(ContainerClient(**options))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def write_model(models: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a model that multiplies by 2, with an ``inference.py`` and modules in ``code/lib``."""

    def write(name: str, inference: str | None = None, **library: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(models / "linear" / "2", folder / "2")
        if inference is not None:
            (folder / "code" / "lib").mkdir(parents=True)
            (folder / "code" / "inference.py").write_text(inference)
        for module, source in library.items():
            (folder / "code" / "lib" / f"{module}.py").write_text(source)
        return folder

    return write


@pytest.fixture(scope="session")
def local_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon.Status]:
    """One server for all tests; only what this yields leads to it."""
    home = tmp_path_factory.mktemp("local sagemaker")  # with a space, as below macOS' Application Support
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LOCAL_SAGEMAKER_SPARE_CONTAINER")
        patch.setenv("SECRET_OF_THE_SERVER", "which is nothing of containers and jobs")
        status = daemon.start(home)
    yield status
    daemon.stop(home)


@pytest.fixture(scope="session")
def service(local_server: daemon.Status) -> Service:
    """Clients of the shared server."""
    return Service(local_server)


@pytest.fixture(scope="session")
def kinds() -> Any:
    """The module that writes models of many kinds."""
    from saved_models import kinds

    return kinds


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of SavedModels: "linear" in the versions 1, 2 and 10 (y = version · x), "heavy" with 1 MiB of weights.

    The signatures of "linear" cover the forms of inputs and outputs.
    """
    folder = tmp_path_factory.mktemp("models")
    for version in (1, 2, 10):
        _save_linear(folder / "linear" / str(version), float(version))
    _save_heavy(folder / "heavy" / "1")
    return folder


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Archives of two image classifiers of different architecture, by name, that tell bright images from dark ones.

    Both take pixels or encoded files, and return labels and probabilities. "dense" takes images of 4×4 pixels,
    "convolution" of 8×8.
    """
    folder = tmp_path_factory.mktemp("classifiers")
    paths = {}
    for name, size in (("dense", 4), ("convolution", 8)):
        _save_classifier(folder / name / "1", size, convolution=name == "convolution")
        paths[name] = folder / f"{name}.tar.gz"
        pack(folder / name, paths[name])
    return paths


@pytest.fixture(scope="session")
def model_archives(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The models as tar.gz archives, by name."""
    folder = tmp_path_factory.mktemp("model-archives")
    paths = {name: folder / f"{name}.tar.gz" for name in ("linear", "heavy")}
    for name, path in paths.items():
        # Other tests may have loaded the models already.
        shutil.copytree(models / name, folder / name, ignore=shutil.ignore_patterns("*.weights"))
        pack(folder / name, path)
    return paths


@pytest.fixture(scope="session")
def models_bucket(service: Service, model_archives: dict[str, Path], classifiers: dict[str, Path]) -> str:
    """A bucket on the shared server with all small models below ``models/``."""
    bucket = service.buckets.create()
    for name, path in (model_archives | classifiers).items():
        service.s3.upload_file(str(path), bucket, f"models/{name}.tar.gz")
    return bucket


@pytest.fixture(scope="session")
def endpoint(service: Service, models_bucket: str) -> Iterator[str]:
    """A multi-model endpoint on the shared server, over ``models_bucket``."""
    service.endpoints.create("shared", f"s3://{models_bucket}/models/")
    assert service.endpoints.status("shared") == "InService"
    yield "shared"
    service.endpoints.delete("shared")


@pytest.fixture(scope="session")
def tight_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server of its own: memory for two "heavy" models an instance, disk for four with their prepared weights."""
    limits = {"INSTANCE_MEMORY_BYTES": MEBIBYTE * 5 // 2, "INSTANCE_DISK_BYTES": MEBIBYTE * 9}
    with running(tmp_path_factory.mktemp("tight"), MAX_ARCHIVE_MEMBERS=50, **limits) as service:
        yield service


@pytest.fixture(scope="session")
def tight_bucket(tight_service: Service, model_archives: dict[str, Path], classifiers: dict[str, Path]) -> str:
    """The bucket behind ``tight_endpoint``, with the two classifiers and "linear"; tests add "heavy" models."""
    bucket = tight_service.buckets.create()
    for name, path in (classifiers | {"linear": model_archives["linear"]}).items():
        tight_service.s3.upload_file(str(path), bucket, f"models/{name}.tar.gz")
    return bucket


@pytest.fixture(scope="session")
def tight_endpoint(tight_service: Service, tight_bucket: str) -> Iterator[str]:
    """The one endpoint of the tight server."""
    tight_service.endpoints.create("tight", f"s3://{tight_bucket}/models/")
    assert tight_service.endpoints.status("tight") == "InService"
    yield "tight"
    tight_service.endpoints.delete("tight")


def _save_linear(folder: Path, factor: float) -> None:
    import tensorflow as tf

    def signature(**inputs: Any) -> Any:
        return tf.function(input_signature=[tf.TensorSpec(*form, name) for name, form in inputs.items()])

    class Linear(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(factor)

        @signature(x=((None, 2), tf.float32))
        def multiply(self, x):
            return {"y": self.factor * x}

        @signature(a=((None,), tf.int32), b=((None,), tf.int32))
        def combine(self, a, b):
            return {"sum": a + b, "product": a * b}

        @signature(text=((None,), tf.string))
        def upper(self, text):
            return {"upper": tf.strings.upper(text), "same_bytes": text}

        @signature(x=((None,), tf.float32))
        def total(self, x):
            return {"total": tf.reduce_sum(x)}

        @signature(x=((None, None), tf.float32))
        def positive(self, x):
            return {"positive": x > 0}

        @signature(x=((None,), tf.float32), y=((None,), tf.float32))
        def add(self, x, y):
            return {"sum": x + y}

    model = Linear()
    signatures = {name: getattr(model, name) for name in ("combine", "upper", "total", "positive", "add")}
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.multiply, **signatures})


def _save_heavy(folder: Path) -> None:
    import tensorflow as tf

    class Heavy(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(tf.random.stateless_uniform((MEBIBYTE // 4,), (1, 2)))

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
        def add(self, x):
            return {"y": x + self.weights[0]}

    model = Heavy()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.add})


def _save_classifier(folder: Path, size: int, *, convolution: bool) -> None:
    import tensorflow as tf  # imported only by the tests that need it: it takes seconds

    class Classifier(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(tf.ones((3, 3, 3, 1)) / 27)
            self.steepness = tf.Variable(8.0)

        @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32, "instances")])
        def from_pixels(self, instances):
            features = tf.nn.conv2d(instances, self.kernel, 1, "SAME") if convolution else instances
            brightness = tf.reduce_mean(features, axis=[1, 2, 3]) / 255
            bright = tf.sigmoid(self.steepness * (brightness - 0.4))
            labels = tf.where(bright > 0.5, "bright", "dark")
            return {"label": labels, "probabilities": tf.stack([1 - bright, bright], axis=1)}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "image_bytes")])
        def from_files(self, image_bytes):
            def decode(encoded):
                image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
                return tf.image.resize(tf.cast(image, tf.float32), (size, size))

            form = tf.TensorSpec((size, size, 3), tf.float32)
            return self.from_pixels(tf.map_fn(decode, image_bytes, fn_output_signature=form))

    model = Classifier()
    signatures = {"serving_default": model.from_pixels, "serving_bytes": model.from_files}
    tf.saved_model.save(model, str(folder), signatures=signatures)
