"""The multi-model endpoint of SageMaker Python SDK v3.

SDK v2's ``MultiDataModel`` and its predictor have no successor in v3. This module does what they did on v3's resource
layer: one model with ``Mode="MultiModel"`` over an S3 prefix, one endpoint, and calls that name their target model.
"""

import base64
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from botocore.exceptions import ClientError

from helpers import storage
from helpers.session import Connection

IMAGE_VERSION = "2.20"  # AWS pairs training 2.21 with serving 2.20
MAX_BODY_BYTES = 6 * 1024 * 1024
METRICS = {
    "ModelLatency": "AWS/SageMaker",
    "ModelLoadingWaitTime": "AWS/SageMaker",
    "ModelDownloadingTime": "AWS/SageMaker",
    "ModelLoadingTime": "AWS/SageMaker",
    "ModelUnloadingTime": "AWS/SageMaker",
    "ModelCacheHit": "AWS/SageMaker",
    "Invocations": "AWS/SageMaker",
    "Invocation5XXErrors": "AWS/SageMaker",
    "LoadedModelCount": "/aws/sagemaker/Endpoints",
}


class EndpointError(RuntimeError):
    """The endpoint cannot be deployed or does not answer as asked; the message names the next step."""


@dataclass(frozen=True)
class Predictions:
    """What a model says about a batch of images.

    Attributes:
        labels: Class name of each image, length N.
        probabilities: float64 array (N, number of classes); rows sum to 1.
        seconds: Time from the request to the whole answer, in seconds.
    """

    labels: list[str]
    probabilities: np.ndarray
    seconds: float


class MultiModelEndpoint:
    """One endpoint in front of all model archives below an S3 prefix."""

    def __init__(self, connection: Connection, name: str, *, models_uri: str) -> None:
        """Attach to an endpoint that exists; ``deploy`` creates one.

        Args:
            connection: The session.
            name: Endpoint name, also that of its model and endpoint configuration.
            models_uri: S3 prefix of the archives.
        """
        self.connection = connection
        self.name = name
        self.models_uri = models_uri
        self._runtime = connection.boto.client("sagemaker-runtime")

    def add_model(self, archive: str | Path, *, target_model: str) -> str:
        """Publish a model archive; the running endpoint serves it at its first call.

        Args:
            archive: ``tar.gz`` file, or the S3 URI of one.
            target_model: Name below the prefix, ending in ``.tar.gz``. Use a new name for a new version: the endpoint
                keeps what it loaded under the old one.

        Returns:
            The S3 URI.

        Raises:
            EndpointError: If the name is taken or does not end in ``.tar.gz``.
        """
        if not target_model.endswith(".tar.gz"):
            raise EndpointError(f"The target model {target_model!r} must end in .tar.gz.")
        uri = self.models_uri + target_model
        if storage.exists(self.connection, uri):
            raise EndpointError(
                f"{uri} exists, and the endpoint would go on serving the archive it loaded. Publish under a new name."
            )
        if str(archive).startswith("s3://"):
            return storage.copy(self.connection, str(archive), uri)
        return storage.upload_file(self.connection, Path(archive), uri)

    def remove_model(self, target_model: str) -> None:
        """Delete a published model; an instance that has loaded it serves it until it needs the room.

        Stop calling it first, so that nobody finds it gone.
        """
        storage.delete(self.connection, self.models_uri + target_model)

    def list_models(self) -> list[str]:
        """Return the target models that can be called."""
        return [name for name in storage.list_names(self.connection, self.models_uri) if name.endswith(".tar.gz")]

    def predict(self, images: np.ndarray | Sequence[bytes], *, target_model: str) -> Predictions:
        """Ask a model about images.

        A model that is still loading is waited for, up to six minutes.

        Args:
            images: Array (N, height, width, 3) of pixels 0-255 in the model's size, or a sequence of JPEG or PNG
                files as bytes, of any size.
            target_model: Name below the prefix, such as ``"cifar.tar.gz"``.

        Raises:
            EndpointError: If the target model is unknown, or refuses the images.
            ValueError: If the images are neither, or larger together than one call may be.
        """
        body = request_body(images)
        started = time.perf_counter()
        response = self._invoke(body, target_model)
        answer = json.loads(response["Body"].read())
        seconds = time.perf_counter() - started
        try:
            rows = answer["predictions"]
            labels = [row["label"] for row in rows]
            probabilities = np.array([row["probabilities"] for row in rows])
        except (KeyError, TypeError) as error:
            raise EndpointError(
                f"{target_model} answers without label and probabilities. Export it as training_scripts/exporting.py "
                "does, or call it with boto3's invoke_endpoint."
            ) from error
        return Predictions(labels, probabilities, seconds)

    def time_calls(self, images: np.ndarray | Sequence[bytes], *, target_model: str, count: int) -> list[float]:
        """Make the same call several times and return how long each took, in seconds."""
        return [self.predict(images, target_model=target_model).seconds for _ in range(count)]

    def describe(self) -> dict[str, Any]:
        """Return what ``DescribeEndpoint`` says."""
        described: dict[str, Any] = self._client.describe_endpoint(EndpointName=self.name)
        return described

    def describe_container(self) -> dict[str, Any]:
        """Return the container definition of the endpoint's model: image, mode and where the archives lie."""
        container: dict[str, Any] = self._client.describe_model(ModelName=self.name)["PrimaryContainer"]
        return container

    def metric(self, name: str, *, minutes: int = 60) -> dict[str, float]:
        """Read one of the endpoint's CloudWatch metrics.

        On AWS metrics arrive a minute or two after the calls.

        Args:
            name: One of ``METRICS``; times are in microseconds.
            minutes: How far back to look.

        Returns:
            SampleCount, Average, Minimum, Maximum and Sum; empty if there is no data.
        """
        points = self._data_points(name, since=datetime.now(UTC) - timedelta(minutes=minutes), period=60)
        if not points:
            return {}
        count = sum(point["SampleCount"] for point in points)
        total = sum(point["Sum"] for point in points)
        return {
            "SampleCount": count,
            "Average": total / count,
            "Minimum": min(point["Minimum"] for point in points),
            "Maximum": max(point["Maximum"] for point in points),
            "Sum": total,
        }

    def loaded_models(self, *, since: datetime, seconds: float = 600) -> int:
        """Return the most models that one instance had loaded, once CloudWatch has that number.

        Args:
            since: From when on, with a time zone.
            seconds: How long to wait for it: on AWS metrics arrive minutes late.

        Raises:
            EndpointError: If it does not arrive.
        """
        deadline = time.monotonic() + seconds
        while not (counted := self._data_points("LoadedModelCount", since=since, period=60)):
            if time.monotonic() > deadline:
                raise EndpointError(f"CloudWatch does not know yet how many models {self.name} has loaded. Try again.")
            time.sleep(self.connection.poll_seconds)
        return int(max(point["Maximum"] for point in counted))

    def metric_over_time(self, name: str, *, since: datetime) -> list[tuple[float, float]]:
        """Read how one of the endpoint's CloudWatch metrics went.

        Args:
            name: One of ``METRICS``; times are in microseconds.
            since: Where to begin, with a time zone.

        Returns:
            Seconds since then and the average, for each period of ``connection.metric_period``; in order.
        """
        points = self._data_points(name, since=since, period=self.connection.metric_period)
        averages = {point["Timestamp"]: point["Sum"] / point["SampleCount"] for point in points}
        return [((moment - since).total_seconds(), averages[moment]) for moment in sorted(averages)]

    def delete(self) -> None:
        """Delete the endpoint, its configuration and its model, and wait until they are gone.

        What is gone already is passed over; the archives in S3 stay.
        """
        for call, arguments in (
            (self._client.delete_endpoint, {"EndpointName": self.name}),
            (self._client.delete_endpoint_config, {"EndpointConfigName": self.name}),
            (self._client.delete_model, {"ModelName": self.name}),
        ):
            try:
                call(**arguments)
            except ClientError as error:
                if "Could not find" not in str(error):
                    raise
        _wait_until_gone(self.connection, self.name)

    def _data_points(self, name: str, *, since: datetime, period: int) -> list[dict[str, Any]]:
        dimensions = {"EndpointName": self.name, "VariantName": "AllTraffic"}
        answer = self.connection.boto.client("cloudwatch").get_metric_statistics(
            Namespace=METRICS[name],
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=since,
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=period,
            Statistics=["SampleCount", "Minimum", "Maximum", "Sum"],
        )
        data_points: list[dict[str, Any]] = answer["Datapoints"]
        return data_points

    @property
    def _client(self) -> Any:
        return self.connection.boto.client("sagemaker")

    def _invoke(self, body: bytes, target_model: str) -> dict[str, Any]:
        deadline = time.monotonic() + 360
        while True:
            try:
                answer: dict[str, Any] = self._runtime.invoke_endpoint(
                    EndpointName=self.name,
                    ContentType="application/json",
                    Body=body,
                    TargetModel=target_model,
                )
                return answer
            except self._runtime.exceptions.ModelNotReadyException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(5)  # the platform goes on loading; botocore does not retry this error
            except self._runtime.exceptions.ModelError as error:
                raise EndpointError(f"{target_model} refused the request: {_reason(error)}") from error
            except ClientError as error:
                if "Failed to download model data" not in str(error):
                    raise
                known = ", ".join(self.list_models()) or "none"
                raise EndpointError(
                    f"There is no model {target_model} below {self.models_uri}. Published: {known}. "
                    "Add it with add_model."
                ) from error


def deploy(
    connection: Connection,
    name: str,
    *,
    models_uri: str,
    instance_type: str,
    initial_instance_count: int = 1,
    image: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> MultiModelEndpoint:
    """Create a multi-model endpoint and wait until it is in service.

    An endpoint of that name that is in service already is returned as it is. If the deployment fails or is
    interrupted, what it created is deleted again.

    Args:
        connection: The session.
        name: Name of the endpoint, its configuration and its model.
        models_uri: S3 prefix of the model archives; may be empty at this time.
        instance_type: Such as ``"ml.c5.xlarge"``.
        initial_instance_count: Number of instances.
        image: Serving image; by default AWS's TensorFlow inference image for the instance type.
        environment: Variables of the container.

    Raises:
        EndpointError: If an endpoint of that name exists in another state, or the deployment fails.
        ClientError: If a model or an endpoint configuration of that name exists without an endpoint; delete them with
            ``MultiModelEndpoint(…).delete()``.
    """
    from sagemaker.core.resources import Endpoint, EndpointConfig, Model
    from sagemaker.core.shapes import ContainerDefinition, ProductionVariant

    multi_model_endpoint = MultiModelEndpoint(connection, name, models_uri=models_uri)
    status = find(connection, name)
    if status == "InService":
        return multi_model_endpoint
    if status:
        raise EndpointError(f"The endpoint {name} exists and is {status}. Wait, delete it, or choose another name.")
    session = {"session": connection.boto, "region": connection.region}
    client = connection.boto.client("sagemaker")
    with contextlib.ExitStack() as undo:
        Model.create(
            model_name=name,
            primary_container=ContainerDefinition(
                image=image or serving_image(connection, instance_type),
                model_data_url=models_uri,
                mode="MultiModel",
                environment=dict(environment or {}),
            ),
            execution_role_arn=connection.role_arn,
            **session,
        )
        undo.callback(client.delete_model, ModelName=name)
        EndpointConfig.create(
            endpoint_config_name=name,
            production_variants=[
                ProductionVariant(
                    variant_name="AllTraffic",
                    model_name=name,
                    instance_type=instance_type,
                    initial_instance_count=initial_instance_count,
                )
            ],
            **session,
        )
        undo.callback(client.delete_endpoint_config, EndpointConfigName=name)
        Endpoint.create(endpoint_name=name, endpoint_config_name=name, **session)
        undo.callback(_delete_endpoint, connection, name)
        _wait_in_service(connection, name)
        undo.pop_all()
    return multi_model_endpoint


def attach(connection: Connection, name: str, *, models_uri: str) -> MultiModelEndpoint:
    """Return an endpoint that an earlier notebook deployed.

    Raises:
        EndpointError: If it is not in service.
    """
    status = find(connection, name)
    if status != "InService":
        state = f"is {status}" if status else "does not exist"
        raise EndpointError(f"The endpoint {name} {state}. Run 04_deploy_multi_model_endpoint first.")
    return MultiModelEndpoint(connection, name, models_uri=models_uri)


def find(connection: Connection, name: str) -> str | None:
    """Return the status of an endpoint, or None if there is none of that name."""
    try:
        return str(connection.boto.client("sagemaker").describe_endpoint(EndpointName=name)["EndpointStatus"])
    except ClientError as error:
        if "Could not find" in str(error):
            return None
        raise


def serving_image(connection: Connection, instance_type: str) -> str:
    """Return the address of AWS's TensorFlow inference image."""
    from sagemaker.core import image_uris

    image: str = image_uris.retrieve(
        framework="tensorflow",
        region=connection.region,
        version=IMAGE_VERSION,
        py_version="py312",
        instance_type=instance_type,
        image_scope="inference",
    )
    return image


def request_body(images: np.ndarray | Sequence[bytes]) -> bytes:
    """Return the JSON body that asks about images: pixels, or encoded files in base64.

    Args:
        images: Array (N, height, width, 3) of pixels 0-255, or a sequence of JPEG or PNG files as bytes.

    Raises:
        ValueError: If it is neither, is empty, or exceeds the 6 MiB that one call may carry.
    """
    if isinstance(images, np.ndarray):
        if images.ndim != 4 or images.shape[-1] != 3 or len(images) == 0:
            raise ValueError(f"Pixels must have the shape (N, height, width, 3) with N ≥ 1, not {images.shape}.")
        document: dict[str, Any] = {"instances": images.tolist()}
    else:
        if not images or not all(isinstance(image, bytes) for image in images):
            raise ValueError("Images must be an array of pixels, or a sequence of encoded files as bytes.")
        encoded = [{"b64": base64.b64encode(image).decode()} for image in images]
        document = {"signature_name": "serving_bytes", "instances": encoded}
    body = json.dumps(document, separators=(",", ":")).encode()
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(
            f"The request has {len(body):,} bytes, and one call may carry {MAX_BODY_BYTES:,}. "
            "Send fewer images, or send them as JPEG or PNG files."
        )
    return body


def _reason(error: ClientError) -> str:
    """Return what the container said, out of the ``{"error": …}`` that it answers with."""
    text: str = error.response.get("OriginalMessage", str(error))
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text


def _delete_endpoint(connection: Connection, name: str) -> None:
    client = connection.boto.client("sagemaker")
    # SageMaker refuses to delete an endpoint that is still being created.
    while client.describe_endpoint(EndpointName=name)["EndpointStatus"] in ("Creating", "Updating"):
        time.sleep(connection.poll_seconds)
    client.delete_endpoint(EndpointName=name)
    _wait_until_gone(connection, name)


def _wait_until_gone(connection: Connection, name: str) -> None:
    while find(connection, name):
        time.sleep(connection.poll_seconds)


def _wait_in_service(connection: Connection, name: str) -> None:
    client = connection.boto.client("sagemaker")
    while True:
        description = client.describe_endpoint(EndpointName=name)
        if description["EndpointStatus"] == "InService":
            return
        if description["EndpointStatus"] == "Failed":
            raise EndpointError(f"The endpoint {name} failed: {description.get('FailureReason', 'no reason given')}")
        time.sleep(connection.poll_seconds)
