from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from helpers.aws import endpoint_status
from helpers.aws.endpoint_status import EndpointError


def connection(*answers):
    """A connection whose DescribeEndpoint has these answers, in turn."""
    left = list(answers)

    def describe_endpoint(EndpointName):
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = SimpleNamespace(describe_endpoint=describe_endpoint)
    return SimpleNamespace(boto=SimpleNamespace(client=lambda _: client), poll_seconds=0.0)


def refusal(message):
    return ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "DescribeEndpoint")


def test_an_endpoint_that_is_not_there_has_no_status_and_other_errors_are_not_hidden():
    assert endpoint_status.find(connection({"EndpointStatus": "Creating"}), "mine") == "Creating"
    assert endpoint_status.find(connection(refusal('Could not find endpoint "mine".')), "mine") is None
    with pytest.raises(ClientError, match="not authorized"):
        endpoint_status.find(connection(refusal("not authorized")), "mine")


def test_an_endpoint_is_waited_for_until_it_is_in_service_or_fails():
    creating, ready = {"EndpointStatus": "Creating"}, {"EndpointStatus": "InService"}
    endpoint_status.wait_in_service(connection(creating, ready), "mine")
    failed = {"EndpointStatus": "Failed", "FailureReason": "no capacity"}
    with pytest.raises(EndpointError, match="The endpoint mine failed: no capacity"):
        endpoint_status.wait_in_service(connection(creating, failed), "mine")
