"""boto3 clients of one server, and the steps with endpoints, jobs and buckets that many tests begin with."""

import contextlib
import hashlib
import http.client
import io
import json
import socket
import subprocess
import sys
import tarfile
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.credentials import Credentials

from local_sagemaker import daemon
from local_sagemaker.asgi import Request
from local_sagemaker.gateway import signing

IMAGES = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
TRAINING_IMAGE = f"{IMAGES}/tensorflow-training:2.21-cpu-py312"
SERVING_IMAGE = f"{IMAGES}/tensorflow-inference:2.20-cpu"
SECONDS = 180  # patience on a loaded machine


def eventually(condition: Callable[[], Any], *, seconds: float = SECONDS) -> Any:
    """Wait until a condition holds and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not reached within {seconds} s"
        time.sleep(0.05)
    return value


def gone(pid: int) -> bool:
    """Whether a process ended; a zombie that nobody collects, as in a container without an init, counts."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def family(pid: int) -> list[int]:
    """The processes that one has started, and those that they have."""
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def kill(status: daemon.Status) -> list[int]:
    """Kill a server without warning, wait until it and all that it started are gone, and return what it started."""
    server, started = psutil.Process(status.pid), family(status.pid)
    server.kill()
    with contextlib.suppress(psutil.TimeoutExpired):
        server.wait(60)  # the first of its threads is a zombie before the last has closed its files
    eventually(lambda: all(gone(pid) for pid in [status.pid, *started]))
    return started


def verify(*, body: bytes, credentials: Credentials, **head: Any) -> signing.Scope:
    """Check the signature of a request as the server does: its head, and then its body."""
    scope, check_body = signing.check_head(Request(**head), credentials)
    check_body(hashlib.sha256(body).hexdigest())
    return scope


def packed(files: Mapping[str, bytes], *, links: Mapping[str, str] | None = None) -> bytes:
    """A tar.gz archive of files and symbolic links, by name."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, link in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, link
            tar.addfile(info)
    return target.getvalue()


def wheel(name: str, source: str) -> bytes:
    """A wheel with one module, so that pip has something to install without a network."""
    target = io.BytesIO()
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(target, "w") as file:
        file.writestr(f"{name}.py", source)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return target.getvalue()


def unix_connection(path: Path) -> http.client.HTTPConnection:
    """A connection to a Unix socket."""
    connection = http.client.HTTPConnection("container")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(SECONDS)
    connection.sock.connect(str(path))
    return connection


def _accepts(path: Path) -> bool:
    """Whether somebody listens at a Unix socket, which is there a moment before."""
    with contextlib.suppress(OSError):
        unix_connection(path).close()
        return True
    return False


@contextlib.contextmanager
def container_process(path: Path, *, output: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
    """A container that listens at a path."""
    command = [sys.executable, "-m", "local_sagemaker.container", "--socket", str(path)]
    with subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            eventually(lambda: _accepts(path) or process.poll() is not None)
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def running(home: Path, **limits: Any) -> "Iterator[Service]":
    """A server of its own, with these settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setenv(f"LOCAL_SAGEMAKER_{name}", str(value))
        status = daemon.start(home)
    try:
        yield Service(status)
    finally:
        daemon.stop(home)


class Service:
    """boto3 clients of one server."""

    def __init__(self, status: daemon.Status) -> None:
        self.status = status
        self.s3 = self.client("s3")
        self.sagemaker = self.client("sagemaker")
        self.runtime = self.client("sagemaker-runtime")
        self.cloudwatch = self.client("cloudwatch")
        self.logs = self.client("logs")
        self.buckets = Buckets(self)
        self.endpoints = Endpoints(self)
        self.jobs = Jobs(self)

    def client(self, name: str, *, access_key: str = "", secret_key: str = "", region: str = "", **options: Any) -> Any:
        """A client with an address and keys of its own: the process's environment stays as it is."""
        environment = self.status.environment
        options = {"retries": {"total_max_attempts": 1}} | options
        return boto3.client(
            name,
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name=region or environment["AWS_REGION"],
            aws_access_key_id=access_key or environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=secret_key or environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(read_timeout=SECONDS, proxies={}, **options),
        )

    def statistics(self, namespace: str, name: str, dimensions: dict[str, str]) -> tuple[int, float]:
        """How many values a metric has, and their sum."""
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


class Buckets:
    """Buckets, and what lies in them."""

    def __init__(self, service: Service) -> None:
        self._s3 = service.s3

    def create(self) -> str:
        """A new bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self._s3.create_bucket(Bucket=name)
        return name

    def keys(self, bucket: str) -> list[str]:
        return [item["Key"] for item in self._s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def unpacked(self, uri: str) -> dict[str, bytes]:
        """The files of a tar.gz archive in S3, by name."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
            return {item.name: tar.extractfile(item).read() for item in tar if item.isfile()}


class Endpoints:
    """Endpoints, and what they consist of."""

    def __init__(self, service: Service) -> None:
        self._service, self._client = service, service.sagemaker

    def create_model(self, name: str, url: str, *, mode: str = "MultiModel", **container: Any) -> None:
        self._client.create_model(
            ModelName=name,
            ExecutionRoleArn=self._service.status.role_arn,
            PrimaryContainer={"Image": SERVING_IMAGE, "ModelDataUrl": url, "Mode": mode} | container,
        )

    def create_config(self, name: str, **variant: Any) -> None:
        variant = {"ModelName": name, "InstanceType": "ml.c5.large", "InitialInstanceCount": 1} | variant
        variants = [{"VariantName": "AllTraffic"} | variant]
        self._client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)

    def create(self, name: str, url: str, *, instances: int = 1, mode: str = "MultiModel", **container: Any) -> None:
        """Create a model, a configuration and an endpoint of one name, and wait until the endpoint ends creating."""
        self.create_model(name, url, mode=mode, **container)
        self.create_config(name, InitialInstanceCount=instances)
        self._client.create_endpoint(EndpointName=name, EndpointConfigName=name)
        eventually(lambda: self.status(name) != "Creating")

    def describe(self, name: str) -> dict[str, Any]:
        return self._client.describe_endpoint(EndpointName=name)

    def status(self, name: str) -> str:
        return self.describe(name)["EndpointStatus"]

    def delete(self, name: str) -> None:
        """Delete an endpoint with its configuration and model, and wait until it is gone."""
        self._client.delete_endpoint(EndpointName=name)
        self._client.delete_endpoint_config(EndpointConfigName=name)
        self._client.delete_model(ModelName=name)
        eventually(lambda: not self._client.list_endpoints(NameContains=name)["Endpoints"])

    def invoke(self, endpoint: str, document: Any, *, target: str = "", **options: Any) -> Any:
        """Invoke an endpoint with JSON and return the JSON it answers."""
        named = {"TargetModel": target} if target else {}
        body = document if isinstance(document, bytes) else json.dumps(document)
        options = {"ContentType": "application/json"} | options
        response = self._service.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, **named, **options)
        return json.load(response["Body"])

    def metric(self, endpoint: str, name: str, *, namespace: str = "AWS/SageMaker") -> tuple[int, float]:
        """How many values a metric of an endpoint has, and their sum."""
        dimensions = {"EndpointName": endpoint, "VariantName": "AllTraffic"}
        return self._service.statistics(namespace, name, dimensions)

    def containers(self) -> list[int]:
        """Process ids of the serving containers."""
        found = []
        for process in psutil.Process(self._service.status.pid).children(recursive=True):
            try:
                serves = "/endpoints/" in process.cwd()  # a spare one does not yet
                if serves and process.cmdline()[1:3] == ["-m", "local_sagemaker.container"]:
                    found.append(process.pid)
            except psutil.NoSuchProcess:
                continue
        return found


class Jobs:
    """Training jobs that run shell scripts."""

    GROUP = "/aws/sagemaker/TrainingJobs"

    def __init__(self, service: Service) -> None:
        self._service, self._client = service, service.sagemaker

    def request(self, script: str, **changes: Any) -> dict[str, Any]:
        """The request of a job; ``changes`` replace or, if None, remove members."""
        algorithm = {
            "TrainingImage": TRAINING_IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", script],
        }
        bucket = changes.pop("bucket", None) or self._service.buckets.create()
        request = {
            "TrainingJobName": f"job-{uuid.uuid4().hex[:12]}",
            "RoleArn": self._service.status.role_arn,
            "AlgorithmSpecification": algorithm | changes.pop("algorithm", {}),
            "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/jobs"},
            "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        }
        return {key: value for key, value in (request | changes).items() if value is not None}

    def start(self, script: str, *, until: str = "", **changes: Any) -> str:
        """Start a job and return its name, once it has written a line if that is named."""
        request = self.request(script, **changes)
        self._client.create_training_job(**request)
        name: str = request["TrainingJobName"]
        if until:
            eventually(lambda: until in self.log(name))
        return name

    def run(self, script: str, **changes: Any) -> dict[str, Any]:
        """Run a job to its end and return its description."""
        return self.wait(self.start(script, **changes))

    def describe(self, name: str) -> dict[str, Any]:
        return self._client.describe_training_job(TrainingJobName=name)

    def stop(self, name: str) -> None:
        self._client.stop_training_job(TrainingJobName=name)

    def wait(self, name: str) -> dict[str, Any]:
        """Wait for the end of a job and return its description."""
        ended = ("Completed", "Failed", "Stopped")
        eventually(lambda: self.describe(name)["TrainingJobStatus"] in ended)
        return self.describe(name)

    def log(self, name: str, *, whole: bool = False) -> list[str]:
        """The lines that a job wrote, of all its instances; ``whole`` has the emulator's first line of each, too."""
        logs = self._service.logs
        if not logs.describe_log_groups(logGroupNamePrefix=self.GROUP)["logGroups"]:  # it comes with the first line
            return []
        streams = logs.describe_log_streams(logGroupName=self.GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
        names = [stream["logStreamName"] for stream in streams]
        pages = [logs.get_log_events(logGroupName=self.GROUP, logStreamName=each, startFromHead=True) for each in names]
        return [event["message"] for page in pages for event in page["events"][0 if whole else 1 :]]
