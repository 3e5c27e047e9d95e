"""A server's clients, the steps that many tests begin with, and small SavedModels."""

import asyncio
import io
import json
import shutil
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from hypothesis import HealthCheck, settings

from local_sagemaker import daemon
from local_sagemaker.archives import pack
from local_sagemaker.settings import MEBIBYTE

# How long an example takes, or takes to make, tells how busy the machine is and nothing of the property.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
LONG = "tests/test_load.py"
IMAGES = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
TRAINING_IMAGE = f"{IMAGES}/tensorflow-training:2.21-cpu-py312"
SERVING_IMAGE = f"{IMAGES}/tensorflow-inference:2.20-cpu"
SECONDS = 180  # patience on a loaded machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes comes first, not alone at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


class Service:
    """boto3 clients of one server, and the steps that many tests begin with."""

    def __init__(self, status: daemon.Status) -> None:
        self.status = status
        self.s3 = self.client("s3")
        self.sagemaker = self.client("sagemaker")
        self.runtime = self.client("sagemaker-runtime")
        self.cloudwatch = self.client("cloudwatch")
        self.logs = self.client("logs")

    def client(self, name: str, **options: Any) -> Any:
        """A client with an address and keys of its own: the process's environment stays as it is."""
        environment = self.status.environment
        access_key = options.pop("access_key", environment["AWS_ACCESS_KEY_ID"])
        secret_key = options.pop("secret_key", environment["AWS_SECRET_ACCESS_KEY"])
        options = {"retries": {"total_max_attempts": 1}} | options
        return boto3.client(
            name,
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name=environment["AWS_REGION"],
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(read_timeout=SECONDS, proxies={}, **options),
        )

    def bucket(self) -> str:
        """A new bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=name)
        return name

    def create_model(self, name: str, url: str, *, mode: str = "MultiModel", **container: Any) -> None:
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=self.status.role_arn,
            PrimaryContainer={"Image": SERVING_IMAGE, "ModelDataUrl": url, "Mode": mode} | container,
        )

    def create_config(self, name: str, **variant: Any) -> None:
        variant = {"ModelName": name, "InstanceType": "ml.c5.large", "InitialInstanceCount": 1} | variant
        variants = [{"VariantName": "AllTraffic"} | variant]
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)

    def create_endpoint(self, name: str, url: str, *, mode: str = "MultiModel", **container: Any) -> None:
        """Create a model, a configuration and an endpoint of one name, and wait until the endpoint ends creating."""
        self.create_model(name, url, mode=mode, **container)
        self.create_config(name)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        eventually(lambda: self.endpoint_status(name) != "Creating")

    def endpoint_status(self, name: str) -> str:
        return self.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]

    def delete_endpoint(self, name: str) -> None:
        """Delete an endpoint with its configuration and model, and wait until it is gone."""
        self.sagemaker.delete_endpoint(EndpointName=name)
        self.sagemaker.delete_endpoint_config(EndpointConfigName=name)
        self.sagemaker.delete_model(ModelName=name)
        eventually(lambda: not self.sagemaker.list_endpoints(NameContains=name)["Endpoints"])

    def invoke(self, endpoint: str, document: Any, *, target: str = "", **options: Any) -> Any:
        """Invoke an endpoint with JSON and return the JSON it answers."""
        named = {"TargetModel": target} if target else {}
        body = document if isinstance(document, bytes) else json.dumps(document)
        options = {"ContentType": "application/json"} | options
        response = self.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, **named, **options)
        return json.load(response["Body"])

    def metric(self, endpoint: str, name: str, *, namespace: str = "AWS/SageMaker") -> tuple[int, float]:
        """How many values a metric of an endpoint has, and their sum."""
        dimensions = {"EndpointName": endpoint, "VariantName": "AllTraffic"}
        return self.statistics(namespace, name, dimensions)

    def statistics(self, namespace: str, name: str, dimensions: dict[str, str]) -> tuple[int, float]:
        now = datetime.now(UTC)
        points = self.cloudwatch.get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(minutes=1),
            Period=60,
            Statistics=["SampleCount", "Sum"],
        )["Datapoints"]
        return int(sum(point["SampleCount"] for point in points)), sum(point["Sum"] for point in points)

    def job_request(self, script: str, **changes: Any) -> dict[str, Any]:
        """The request of a training job that runs a shell script; ``changes`` replace or, if None, remove members."""
        algorithm = {
            "TrainingImage": TRAINING_IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", script],
        }
        request = {
            "TrainingJobName": f"job-{uuid.uuid4().hex[:12]}",
            "RoleArn": self.status.role_arn,
            "AlgorithmSpecification": algorithm | changes.pop("algorithm", {}),
            "OutputDataConfig": {"S3OutputPath": f"s3://{changes.pop('bucket', None) or self.bucket()}/jobs"},
            "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        }
        return {key: value for key, value in (request | changes).items() if value is not None}

    def run_job(self, script: str, **changes: Any) -> dict[str, Any]:
        """Run a training job to its end and return its description."""
        request = self.job_request(script, **changes)
        self.sagemaker.create_training_job(**request)
        return self.wait_job(request["TrainingJobName"])

    def wait_job(self, name: str, *statuses: str) -> dict[str, Any]:
        wanted = statuses or ("Completed", "Failed", "Stopped")
        return eventually(
            lambda: next(
                (
                    job
                    for job in [self.sagemaker.describe_training_job(TrainingJobName=name)]
                    if job["TrainingJobStatus"] in wanted or job["SecondaryStatus"] in wanted
                ),
                None,
            )
        )

    def job_log(self, name: str) -> list[str]:
        """The lines that a training job wrote, of all its instances."""
        group = "/aws/sagemaker/TrainingJobs"
        if not self.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:  # it comes with the first line
            return []
        streams = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
        return [
            event["message"]
            for stream in streams
            for event in self.logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        ]

    def object_names(self, bucket: str) -> list[str]:
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def unpacked(self, uri: str) -> dict[str, bytes]:
        """The files of a tar.gz archive in S3, by name."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
            return {item.name: tar.extractfile(item).read() for item in tar if item.isfile()}

    def containers(self) -> list[int]:
        """Process ids of the serving containers."""
        found = []
        for process in psutil.Process(self.status.pid).children(recursive=True):
            try:
                if process.cmdline()[1:3] == ["-m", "local_sagemaker.container"]:
                    found.append(process.pid)
            except psutil.NoSuchProcess:
                continue
        return found


class ContainerClient:
    """Calls a container as the platform does, without a socket between."""

    def __init__(self, **options: Any) -> None:
        # Imported only by the tests that need it: it takes seconds.
        from local_sagemaker.container.application import Application
        from local_sagemaker.container.loaded_models import LoadedModels

        self._runner = asyncio.Runner()
        self.models = LoadedModels(**options)
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
        return sent[0]["status"], dict(sent[0]["headers"])[b"content-type"].decode(), sent[1]["body"]


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


def eventually(condition: Callable[[], Any], *, seconds: float = SECONDS) -> Any:
    """Wait until a condition holds and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not reached within {seconds} s"
        time.sleep(0.05)
    return value


@pytest.fixture(name="eventually", scope="session")
def eventually_fixture() -> Callable[..., Any]:
    """The function that waits until a condition holds."""
    return eventually


@pytest.fixture(scope="session")
def local_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon.Status]:
    """One server for all tests; only what this yields leads to it."""
    home = tmp_path_factory.mktemp("local sagemaker")  # with a space, as below macOS' Application Support
    yield daemon.start(home)
    daemon.stop(home)


@pytest.fixture(scope="session")
def connect_service() -> Callable[[daemon.Status], Service]:
    """The function that makes clients for a server of the test's own."""
    return Service


@pytest.fixture(scope="session")
def service(local_server: daemon.Status) -> Service:
    """Clients of the shared server."""
    return Service(local_server)


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
    bucket = service.bucket()
    for name, path in (model_archives | classifiers).items():
        service.s3.upload_file(str(path), bucket, f"models/{name}.tar.gz")
    return bucket


@pytest.fixture(scope="session")
def endpoint(service: Service, models_bucket: str) -> Iterator[str]:
    """A multi-model endpoint on the shared server, over ``models_bucket``."""
    service.create_endpoint("shared", f"s3://{models_bucket}/models/")
    assert service.endpoint_status("shared") == "InService"
    yield "shared"
    service.delete_endpoint("shared")


@pytest.fixture(scope="session")
def tight_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server of its own: memory for two "heavy" models an instance, disk for four with their prepared weights."""
    home = tmp_path_factory.mktemp("tight")
    limits = {
        "INSTANCE_MEMORY_BYTES": MEBIBYTE * 5 // 2,
        "INSTANCE_DISK_BYTES": MEBIBYTE * 9,
        "MAX_ARCHIVE_MEMBERS": 50,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setenv(f"LOCAL_SAGEMAKER_{name}", str(value))
        status = daemon.start(home)
    yield Service(status)
    daemon.stop(home)


@pytest.fixture(scope="session")
def tight_bucket(tight_service: Service, model_archives: dict[str, Path], classifiers: dict[str, Path]) -> str:
    """The bucket behind ``tight_endpoint``, with the two classifiers and "linear"; tests add "heavy" models."""
    bucket = tight_service.bucket()
    for name, path in (classifiers | {"linear": model_archives["linear"]}).items():
        tight_service.s3.upload_file(str(path), bucket, f"models/{name}.tar.gz")
    return bucket


@pytest.fixture(scope="session")
def tight_endpoint(tight_service: Service, tight_bucket: str) -> Iterator[str]:
    """The one endpoint of the tight server."""
    tight_service.create_endpoint("tight", f"s3://{tight_bucket}/models/")
    assert tight_service.endpoint_status("tight") == "InService"
    yield "tight"
    tight_service.delete_endpoint("tight")


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
