"""The status of an endpoint: asked for, and waited for."""

import time

from botocore.exceptions import ClientError

from helpers.session import Connection


class EndpointError(RuntimeError):
    """The endpoint cannot be deployed or does not answer as asked; the message names the next step."""


def find(connection: Connection, name: str) -> str | None:
    """Return the status of an endpoint, or None if there is none of that name."""
    try:
        return str(connection.boto.client("sagemaker").describe_endpoint(EndpointName=name)["EndpointStatus"])
    except ClientError as error:
        if "Could not find" in str(error):
            return None
        raise


def wait_in_service(connection: Connection, name: str) -> None:
    """Wait until an endpoint is in service.

    Raises:
        EndpointError: If it fails instead.
    """
    client = connection.boto.client("sagemaker")
    while (description := client.describe_endpoint(EndpointName=name))["EndpointStatus"] != "InService":
        if description["EndpointStatus"] == "Failed":
            raise EndpointError(f"The endpoint {name} failed: {description.get('FailureReason', 'no reason given')}")
        time.sleep(connection.poll_seconds)
