"""The multi-model endpoint of SageMaker Python SDK v3.

SDK v2's `MultiDataModel` and its predictor have no successor in v3. This module does what they did on v3's resource
layer: one model with `Mode="MultiModel"` over an S3 prefix, one endpoint, and calls that name their target model.
"""

import contextlib
import itertools
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from botocore.exceptions import ClientError, WaiterError

from helpers import s3
from helpers.aws import invocation
from helpers.aws.connection import Connection
from helpers.aws.endpoint_metrics import VARIANT, EndpointMetrics
from helpers.aws.invocation import EndpointError, Predictions
from helpers.display.progress import Step

# No part may begin with a dot: "." and ".." would lead elsewhere.
_TARGET_MODEL = re.compile(r"[\w+=@-][\w.+=@-]*(/[\w+=@-][\w.+=@-]*)*", re.ASCII)
_LONGEST_TARGET_MODEL = 900  # SageMaker takes 1,024, of which the prefix of the models takes some in S3
_CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack")  # SageMaker refuses to delete it meanwhile
_MOST_SECONDS = 2 * 3600  # that a change of an endpoint is waited for


class MultiModelEndpoint:
    """One endpoint in front of all model archives below the S3 prefix `models_uri`.

    Its model and its configuration have its name. `metrics` is what CloudWatch knows of it.
    """

    def __init__(self, connection: Connection, name: str, *, models_uri: str) -> None:
        """Ask nothing yet: `deploy` creates an endpoint, and `attach` finds one."""
        self.connection, self.name, self.models_uri = connection, name, models_uri
        self.metrics = EndpointMetrics(connection, name)
        self._runtime = connection.boto.client("sagemaker-runtime")

    def add_model(self, archive: str | Path, *, target_model: str) -> str:
        """Publish a model archive, a file or an S3 URI; the running endpoint serves it at its first call.

        Args:
            archive: `tar.gz` file, or the S3 URI of one.
            target_model: Name below the prefix, ending in `.tar.gz`. Use a new name for a new version: the endpoint
                keeps what it loaded under the old one.

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
        return s3.upload(self.connection, Path(archive), uri)

    def new_version(self, slug: str) -> str:
        """Return the first of the names `slug-v2.tar.gz`, `slug-v3.tar.gz`, … that is not published."""
        published = self.list_models()
        versions = (f"{slug}-v{number}.tar.gz" for number in itertools.count(2))
        return next(name for name in versions if name not in published)

    def remove_model(self, target_model: str) -> None:
        """Delete a published model that nobody calls anymore; instances that have loaded it keep it for a while."""
        s3.delete(self.connection, self.models_uri + target_model)

    def list_models(self) -> list[str]:
        """Return the target models that can be called."""
        return [name for name in s3.list_names(self.connection, self.models_uri) if name.endswith(".tar.gz")]

    def predict(self, images: np.ndarray | Sequence[bytes], *, target_model: str) -> Predictions:
        """Ask a model about images, and wait up to six minutes for it if it is still loading.

        boto3 alone does not wait: after a minute SageMaker answers with the error `ModelNotReadyException` (429) and
        goes on loading. A client of your own calls again after some seconds when it gets that, as
        `helpers/aws/invocation.py` does, or sets boto3's retry mode to `legacy`, which makes up to five calls.

        Args:
            images: Array (N, height, width, 3) of pixels 0-255 in the model's size, or JPEG or PNG files as bytes, each
                of at most 25 million pixels.
            target_model: Name below the prefix, such as `"cifar.tar.gz"`.

        Raises:
            EndpointError: If the target model is unknown, or refuses the images.
            ValueError: If the images are neither, or larger together than one call may be.
        """
        body, started = invocation.request_body(images), time.perf_counter()
        try:
            answer = invocation.invoke(self._runtime, self.name, body, target_model=target_model)
        except self._runtime.exceptions.ModelError as error:
            reason = invocation.explain(error, images)
            raise EndpointError(f"{target_model} refused the request: {reason}") from None
        except ClientError as error:
            if "Failed to download model data" not in str(error):
                raise
            known = ", ".join(self.list_models()) or "none"
            raise EndpointError(
                f"There is no model {target_model} below {self.models_uri}. Published: {known}. Add it with add_model."
            ) from error
        return invocation.read_answer(answer, target_model=target_model, seconds=time.perf_counter() - started)

    def time_first_call(self, images: np.ndarray | Sequence[bytes], *, target_model: str) -> float:
        """Return how long the first call of a model takes, in seconds: that of a copy, which is deleted afterwards."""
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
        """Return what `DescribeEndpoint` says."""
        return dict(self.connection.boto.client("sagemaker").describe_endpoint(EndpointName=self.name))

    def describe_container(self) -> dict[str, Any]:
        """Return the container definition of the endpoint's model: image, mode and where the archives lie."""
        client = self.connection.boto.client("sagemaker")
        config = client.describe_endpoint_config(EndpointConfigName=self.describe()["EndpointConfigName"])
        model = config["ProductionVariants"][0]["ModelName"]  # of another name where others deployed it
        return dict(client.describe_model(ModelName=model)["PrimaryContainer"])

    def delete(self) -> None:
        """Delete the endpoint, its configuration and its model, and wait until they are gone.

        What is gone already is passed over; the archives in S3 stay.
        """
        again = "Delete it again: it may still be there, and then it bills."
        with Step(f"Endpoint {self.name}", if_stopped=again) as step:
            step.note = "Deleting"
            for remove in (delete_endpoint, delete_config, delete_model):
                remove(self.connection, self.name)
            step.note = "deleted"


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
        instance_type: Such as `"ml.c5.xlarge"`.
        initial_instance_count: Number of instances.
        image: Serving image; by default that of the account, or AWS's TensorFlow inference image for the instance type.
        environment: Variables of the container.
        fresh: Delete an endpoint of that name that serves these archives first: it may have loaded earlier ones.

    Raises:
        EndpointError: If an endpoint of that name is changing or serves other archives, or the deployment fails.
        ClientError: If a model or an endpoint configuration of that name exists without an endpoint; delete them with
            `MultiModelEndpoint(…).delete()`.
    """
    multi_model_endpoint = MultiModelEndpoint(connection, name, models_uri=models_uri)
    status = find(connection, name)
    if status == "InService":
        if not fresh:
            return _own(multi_model_endpoint)
        _own(multi_model_endpoint).delete()
    elif status:
        raise EndpointError(f"The endpoint {name} exists and is {status}. Wait, delete it, or choose another name.")
    image = image or connection.image("inference", instance_type)
    undone = "What was created for it is deleted again, and nothing of it bills."
    with Step(f"Endpoint {name}", if_stopped=undone) as step, contextlib.ExitStack() as undo:
        step.note, account = "Creating", connection.account
        session = {"session": connection.sagemaker.boto_session, "region": connection.region}
        # After the session, which imports the SDK and keeps it quiet.
        from sagemaker.core.resources import Endpoint, EndpointConfig, Model
        from sagemaker.core.shapes import ContainerDefinition, ProductionVariant, VpcConfig

        undo.enter_context(_undone(partial(_delete_model_of, models_uri), connection, name, of="CreateModel"))
        Model.create(
            model_name=name,
            primary_container=ContainerDefinition(
                image=image, model_data_url=models_uri, mode="MultiModel", environment=dict(environment or {})
            ),
            execution_role_arn=connection.role_arn,
            vpc_config=VpcConfig(**account.vpc) if account.vpc else None,
            **session,
        )
        undo.enter_context(_undone(delete_config, connection, name, of="CreateEndpointConfig"))
        variant = ProductionVariant(
            variant_name=VARIANT,
            model_name=name,
            instance_type=instance_type,
            initial_instance_count=initial_instance_count,
        )
        EndpointConfig.create(
            endpoint_config_name=name, production_variants=[variant], kms_key_id=account.kms_key or None, **session
        )
        undo.enter_context(_undone(delete_endpoint, connection, name, of="CreateEndpoint"))
        Endpoint.create(endpoint_name=name, endpoint_config_name=name, **session)
        undo.push(lambda error_type, *_: setattr(step, "note", "Deleting" if error_type else "InService"))
        _wait(connection, "endpoint_in_service", name)
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


def require_model(connection: Connection, slug: str, *, notebook: str) -> str:
    """Return the S3 URI of a published model; raise MissingInputError if the notebook that trains it has not run."""
    return s3.require(connection, connection.model_uri(slug), what="model", notebook=notebook)


def find(connection: Connection, name: str) -> str | None:
    """Return the status of an endpoint, or None if there is none of that name."""
    with _if_there():
        return str(connection.boto.client("sagemaker").describe_endpoint(EndpointName=name)["EndpointStatus"])
    return None


def delete_endpoint(connection: Connection, name: str) -> None:
    """Delete an endpoint as soon as that is possible, and wait until it is gone; one that is gone is passed over."""
    while (status := find(connection, name)) in _CHANGING:
        time.sleep(connection.poll_seconds)
    if status not in (None, "Deleting"):
        connection.boto.client("sagemaker").delete_endpoint(EndpointName=name)
    if status:
        _wait(connection, "endpoint_deleted", name)


def delete_config(connection: Connection, name: str) -> None:
    """Delete an endpoint configuration; one that is gone is passed over."""
    with _if_there():
        connection.boto.client("sagemaker").delete_endpoint_config(EndpointConfigName=name)


def delete_model(connection: Connection, name: str) -> None:
    """Delete a model; its archives stay, and one that is gone is passed over."""
    with _if_there():
        connection.boto.client("sagemaker").delete_model(ModelName=name)


def _own(endpoint: MultiModelEndpoint) -> MultiModelEndpoint:
    """Return an endpoint in service, unless it serves other archives: it is a colleague's, and not to be deleted."""
    serves = endpoint.describe_container().get("ModelDataUrl", "nothing in S3")
    if serves.rstrip("/") != endpoint.models_uri.rstrip("/"):
        raise EndpointError(
            f"The endpoint {endpoint.name} serves {serves}, not {endpoint.models_uri}. It may be somebody else's: "
            "choose another name."
        )
    return endpoint


def _wait(connection: Connection, waiter: str, name: str) -> None:
    """Wait for an endpoint with a waiter of boto3; the SDK's own draw a panel, which would stay in the notebook."""
    seconds = connection.poll_seconds
    patience = {"Delay": seconds, "MaxAttempts": int(_MOST_SECONDS / seconds)}
    try:
        connection.boto.client("sagemaker").get_waiter(waiter).wait(EndpointName=name, WaiterConfig=patience)
    except WaiterError as error:
        reason = error.last_response.get("FailureReason", error)
        raise EndpointError(f"The endpoint {name} failed: {reason}") from error


@contextlib.contextmanager
def _undone(delete: Callable[[Connection, str], None], connection: Connection, name: str, *, of: str) -> Iterator[None]:
    """Delete what the operation `of` created if the deployment ends in an error, unless it was refused itself."""
    try:
        yield
    except BaseException as error:
        if getattr(error, "operation_name", None) != of:
            delete(connection, name)
        raise


def _delete_model_of(models_uri: str, connection: Connection, name: str) -> None:
    """Delete a model unless it serves other archives: the error may have come before it was created."""
    with _if_there():
        model = connection.boto.client("sagemaker").describe_model(ModelName=name)
        if model["PrimaryContainer"].get("ModelDataUrl") == models_uri:
            delete_model(connection, name)


@contextlib.contextmanager
def _if_there() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if "Could not find" not in str(error):
            raise
