"""How each kind of thing that the series creates is removed, and waited for where that takes its time."""

import time
from collections.abc import Callable
from typing import Any

from helpers import s3
from helpers.aws import endpoint_status
from helpers.session import Connection


def _stop_training_job(connection: Connection, name: str) -> None:
    client = connection.boto.client("sagemaker")
    client.stop_training_job(TrainingJobName=name)
    # What it still uploads is to be deleted with the other objects.
    while client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] in ("InProgress", "Stopping"):
        time.sleep(connection.poll_seconds)


def delete_endpoint(connection: Connection, name: str) -> None:
    """Delete an endpoint as soon as that is possible, and wait until it is gone; one that is gone is passed over."""
    # SageMaker refuses to delete what is being created.
    while (status := endpoint_status.find(connection, name)) in ("Creating", "Updating"):
        time.sleep(connection.poll_seconds)
    if status not in (None, "Deleting"):
        connection.boto.client("sagemaker").delete_endpoint(EndpointName=name)
    while endpoint_status.find(connection, name):
        time.sleep(connection.poll_seconds)


def delete_config(connection: Connection, name: str) -> None:
    """Delete an endpoint configuration."""
    connection.boto.client("sagemaker").delete_endpoint_config(EndpointConfigName=name)


def delete_model(connection: Connection, name: str) -> None:
    """Delete a model; its archives stay."""
    connection.boto.client("sagemaker").delete_model(ModelName=name)


def _deregister(connection: Connection, name: str) -> None:
    connection.boto.client("application-autoscaling").deregister_scalable_target(
        ServiceNamespace="sagemaker", ResourceId=name, ScalableDimension="sagemaker:variant:DesiredInstanceCount"
    )


def _delete_alarm(connection: Connection, name: str) -> None:
    connection.boto.client("cloudwatch").delete_alarms(AlarmNames=[name])


def _abort_uploads(connection: Connection, name: str) -> None:
    client = connection.boto.client("s3")
    bucket, key = s3.split_uri(name)
    place = {"Bucket": bucket, "Prefix": key}
    uploads = [
        item
        for page in client.get_paginator("list_multipart_uploads").paginate(**place)
        for item in page.get("Uploads", [])
    ]
    for upload in uploads:
        if upload["Key"] == key:
            client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])


REMOVE: dict[str, Callable[[Connection, str], Any]] = {
    "training job": _stop_training_job,
    "scaling": _deregister,
    "alarm": _delete_alarm,
    "endpoint": delete_endpoint,
    "endpoint configuration": delete_config,
    "model": delete_model,
    "unfinished upload": _abort_uploads,
    "objects": s3.delete,
}
