"""The multi-model endpoint of SageMaker Python SDK v3.

SDK v2's ``MultiDataModel`` and its predictor have no successor in v3. This module does what they did on v3's resource
layer: one model with ``Mode="MultiModel"`` over an S3 prefix, one endpoint, and calls that name their target model.
"""

import contextlib
import itertools
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from botocore.exceptions import ClientError

from helpers import s3
from helpers.aws import invocation, removal
from helpers.aws.endpoint_metrics import EndpointMetrics, readable
from helpers.aws.endpoint_status import EndpointError, find, wait_in_service
from helpers.aws.invocation import Predictions, request_body
from helpers.progress import Step
from helpers.session import Connection

# No part may begin with a dot: "." and ".." would lead elsewhere.
_TARGET_MODEL = re.compile(r"[\w+=@-][\w.+=@-]*(/[\w+=@-][\w.+=@-]*)*", re.ASCII)
_LONGEST_TARGET_MODEL = 900  # SageMaker takes 1,024, of which the prefix of the models takes some in S3


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
        self._metrics = EndpointMetrics(connection, name)

    def add_model(self, archive: str | Path, *, target_model: str) -> str:
        """Publish a model archive; the running endpoint serves it at its first call.

        Args:
            archive: ``tar.gz`` file, or the S3 URI of one.
            target_model: Name below the prefix, ending in ``.tar.gz``. Use a new name for a new version: the endpoint
                keeps what it loaded under the old one.

        Returns:
            The S3 URI.

        Raises:
            EndpointError: If the name is taken, or one that no call could name.
        """
        if not target_model.endswith(".tar.gz"):
            raise EndpointError(f"The target model {target_model!r} must end in .tar.gz.")
        if not _TARGET_MODEL.fullmatch(target_model) or len(target_model) > _LONGEST_TARGET_MODEL:
            raise EndpointError(
                f"The target model {target_model!r} could not be called: its name travels in a header of each call "
                f"and is part of an S3 key. Use at most {_LONGEST_TARGET_MODEL:,} of the letters A to Z, digits and "
                "- _ . + = @, in folders divided by / if need be."
            )
        uri = self.models_uri + target_model
        if s3.exists(self.connection, uri):
            raise EndpointError(
                f"{uri} exists, and the endpoint would go on serving the archive it loaded. Publish under a new name."
            )
        if str(archive).startswith("s3://"):
            return s3.copy(self.connection, str(archive), uri)
        return s3.upload_file(self.connection, Path(archive), uri)

    def new_version(self, slug: str) -> str:
        """Return the first of the names ``slug-v2.tar.gz``, ``slug-v3.tar.gz``, … that is not published."""
        published = self.list_models()
        versions = (f"{slug}-v{number}.tar.gz" for number in itertools.count(2))
        return next(name for name in versions if name not in published)

    def remove_model(self, target_model: str) -> None:
        """Delete a published model; an instance that has loaded it serves it until it needs the room.

        Stop calling it first, so that nobody finds it gone.
        """
        s3.delete(self.connection, self.models_uri + target_model)

    def list_models(self) -> list[str]:
        """Return the target models that can be called."""
        return [name for name in s3.list_names(self.connection, self.models_uri) if name.endswith(".tar.gz")]

    def predict(self, images: np.ndarray | Sequence[bytes], *, target_model: str) -> Predictions:
        """Ask a model about images.

        A model that is still loading is waited for, up to six minutes.

        Args:
            images: Array (N, height, width, 3) of pixels 0-255 in the model's size, or a sequence of JPEG or PNG
                files as bytes, of any size up to ``images.MAX_PIXELS``.
            target_model: Name below the prefix, such as ``"cifar.tar.gz"``.

        Raises:
            EndpointError: If the target model is unknown, or refuses the images.
            ValueError: If the images are neither, or larger together than one call may be.
        """
        try:
            return invocation.predict(self._runtime, self.name, request_body(images), target_model=target_model)
        except invocation.RefusedError as error:
            reason = "" if isinstance(images, np.ndarray) else invocation.find_unreadable(images)
            raise (EndpointError(f"{target_model} refused the request: {reason}.") if reason else error) from None
        except invocation.UnknownModelError as error:
            known = ", ".join(self.list_models()) or "none"
            raise EndpointError(
                f"There is no model {target_model} below {self.models_uri}. Published: {known}. Add it with add_model."
            ) from error

    def time_first_call(self, images: np.ndarray | Sequence[bytes], *, target_model: str) -> float:
        """Publish a copy of a model, return how long its first call took, in seconds, and delete the copy.

        The name of the copy is new, so that this call has to load it, whoever called the model before.
        """
        copy = f"{target_model.removesuffix('.tar.gz')}-{uuid.uuid4().hex[:8]}.tar.gz"
        self.add_model(self.models_uri + target_model, target_model=copy)
        try:
            return self.predict(images, target_model=copy).seconds
        finally:
            self.remove_model(copy)

    def time_calls(self, images: np.ndarray | Sequence[bytes], *, target_model: str, count: int) -> list[float]:
        """Make the same call several times and return how long each took, in seconds."""
        return [self.predict(images, target_model=target_model).seconds for _ in range(count)]

    def describe(self) -> dict[str, Any]:
        """Return what ``DescribeEndpoint`` says."""
        described: dict[str, Any] = self._client.describe_endpoint(EndpointName=self.name)
        return described

    def describe_container(self) -> dict[str, Any]:
        """Return the container definition of the endpoint's model: image, mode and where the archives lie."""
        config = self._client.describe_endpoint_config(EndpointConfigName=self.describe()["EndpointConfigName"])
        model = config["ProductionVariants"][0]["ModelName"]  # of another name where others deployed it
        container: dict[str, Any] = self._client.describe_model(ModelName=model)["PrimaryContainer"]
        return container

    def metric(self, name: str, *, minutes: int = 60, samples: int = 0) -> dict[str, float]:
        """Read one of the endpoint's CloudWatch metrics.

        Args:
            name: One of ``endpoint_metrics.METRICS``; times are in microseconds.
            minutes: How far back to look.
            samples: Wait, at most ten minutes, until CloudWatch has so many: on AWS they arrive minutes late.

        Returns:
            SampleCount, Average, Minimum, Maximum and Sum; empty if there is no data.

        Raises:
            EndpointError: If the samples do not arrive.
        """
        return self._metrics.total(name, minutes=minutes, samples=samples)

    def loaded_models(self, *, since: datetime, seconds: float = 600) -> int:
        """Return the most models that one instance had loaded, once CloudWatch has that number.

        Args:
            since: From when on, with a time zone.
            seconds: How long to wait for it: on AWS metrics arrive minutes late.

        Raises:
            EndpointError: If it does not arrive.
        """
        return self._metrics.loaded_models(since=since, seconds=seconds)

    def metrics(self, *names: str, minutes: int = 60) -> dict[str, dict[str, float | str]]:
        """Return metrics as ``results.Table`` takes them: with a unit, and times in milliseconds.

        Args:
            *names: Of ``endpoint_metrics.METRICS``.
            minutes: How far back to look.

        Returns:
            For each metric samples, average, least, most and unit; nothing if there is no data yet.
        """
        return {name: readable(name, self.metric(name, minutes=minutes)) for name in names}

    def metric_over_time(self, name: str, *, since: datetime) -> list[tuple[float, float]]:
        """Read how one of the endpoint's CloudWatch metrics went.

        Args:
            name: One of ``endpoint_metrics.METRICS``; times are in microseconds.
            since: Where to begin, with a time zone.

        Returns:
            Seconds since then and the average, for each period of ``connection.metric_period``; in order.
        """
        return self._metrics.over_time(name, since=since)

    def delete(self) -> None:
        """Delete the endpoint, its configuration and its model, and wait until they are gone.

        What is gone already is passed over; the archives in S3 stay.
        """
        with Step(
            f"Endpoint {self.name}", if_stopped="Delete it again: it may still be there, and then it bills."
        ) as step:
            step.note = "Deleting"
            removal.delete_endpoint(self.connection, self.name)
            step.note = "deleted"
        for remove in (removal.delete_config, removal.delete_model):
            try:
                remove(self.connection, self.name)
            except ClientError as error:
                if "Could not find" not in str(error):
                    raise

    @property
    def _client(self) -> Any:
        return self.connection.boto.client("sagemaker")


def deploy(
    connection: Connection,
    name: str,
    *,
    models_uri: str,
    instance_type: str,
    initial_instance_count: int = 1,
    image: str | None = None,
    environment: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> MultiModelEndpoint:
    """Create a multi-model endpoint and wait until it is in service.

    Its instances are in the VPC of the connection's account, and their volumes are encrypted with its key.
    An endpoint of that name that serves these archives already is returned as it is, or deleted first. If the
    deployment fails or is interrupted, what it created is deleted again.

    Args:
        connection: The session.
        name: Name of the endpoint, its configuration and its model.
        models_uri: S3 prefix of the model archives; may be empty at this time.
        instance_type: Such as ``"ml.c5.xlarge"``.
        initial_instance_count: Number of instances.
        image: Serving image; by default that of the account, or AWS's TensorFlow inference image for the instance type.
        environment: Variables of the container.
        fresh: Delete an endpoint of that name that serves these archives first: it may have loaded earlier ones.

    Raises:
        EndpointError: If an endpoint of that name exists in another state or serves other archives, or the deployment
            fails.
        ClientError: If a model or an endpoint configuration of that name exists without an endpoint; delete them with
            ``MultiModelEndpoint(…).delete()``.
    """
    multi_model_endpoint = MultiModelEndpoint(connection, name, models_uri=models_uri)
    status = find(connection, name)
    if status == "InService":
        if not fresh:
            return _own(multi_model_endpoint)
        _own(multi_model_endpoint).delete()
    elif status:
        raise EndpointError(f"The endpoint {name} exists and is {status}. Wait, delete it, or choose another name.")
    account = connection.account
    undone = "What was created for it is deleted again, and nothing of it bills."
    with Step(f"Endpoint {name}", if_stopped=undone) as step, contextlib.ExitStack() as undo:
        step.note = "Creating"
        session = {"session": connection.sagemaker.boto_session, "region": connection.region}
        # After the session, which imports the SDK and keeps it quiet.
        from sagemaker.core.resources import Endpoint, EndpointConfig, Model
        from sagemaker.core.shapes import ContainerDefinition, ProductionVariant, VpcConfig

        Model.create(
            model_name=name,
            primary_container=ContainerDefinition(
                image=image or connection.image("inference", instance_type),
                model_data_url=models_uri,
                mode="MultiModel",
                environment=dict(environment or {}),
            ),
            execution_role_arn=connection.role_arn,
            vpc_config=VpcConfig(**account.vpc) if account.vpc else None,
            **session,
        )
        undo.callback(removal.delete_model, connection, name)
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
            kms_key_id=account.kms_key or None,
            **session,
        )
        undo.callback(removal.delete_config, connection, name)
        Endpoint.create(endpoint_name=name, endpoint_config_name=name, **session)
        undo.callback(removal.delete_endpoint, connection, name)
        undo.callback(setattr, step, "note", "Deleting")
        wait_in_service(connection, name)
        undo.pop_all()
        step.note = "InService"
    return multi_model_endpoint


def attach(connection: Connection, name: str, *, models_uri: str) -> MultiModelEndpoint:
    """Return an endpoint that an earlier notebook deployed.

    Raises:
        EndpointError: If it is not in service, or serves other archives.
    """
    status = find(connection, name)
    if status != "InService":
        state = f"is {status}" if status else "does not exist"
        raise EndpointError(f"The endpoint {name} {state}. Run 04_deploy_multi_model_endpoint first.")
    return _own(MultiModelEndpoint(connection, name, models_uri=models_uri))


def _own(endpoint: MultiModelEndpoint) -> MultiModelEndpoint:
    """Return an endpoint in service, unless it serves other archives: it is a colleague's, and not to be deleted."""
    serves = endpoint.describe_container().get("ModelDataUrl", "nothing in S3")
    if serves.rstrip("/") != endpoint.models_uri.rstrip("/"):
        raise EndpointError(
            f"The endpoint {endpoint.name} serves {serves}, not {endpoint.models_uri}. It may be somebody else's: "
            "choose another name."
        )
    return endpoint
