"""The AWS services that moto answers, in this process: S3, IAM, STS, CloudWatch, CloudWatch Logs, Auto Scaling."""

import json
import logging
import os
import threading
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

# moto sends a client's request to a service by its signature, so a bucket is always the first part of the path.
os.environ.setdefault("S3_IGNORE_SUBDOMAIN_BUCKETNAME", "true")

from moto.backends import get_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local_sagemaker.settings import ACCOUNT_ID, PARTITION, ROLE_NAME

SERVICES = frozenset({"s3", "iam", "sts", "monitoring", "logs", "application-autoscaling"})

_TRUST_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}

# Resources are created through moto's backends from several threads; moto itself does not guard its dictionaries.
_lock = threading.RLock()


def wsgi_application() -> Any:
    """Return moto's WSGI application, which finds the service from the request's signature."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    return DomainDispatcherApplication(create_backend_app)


def s3_backend() -> Any:
    """Return moto's S3 state of the stand-in's account."""
    return get_backend("s3")[ACCOUNT_ID][PARTITION]


def create_execution_role() -> None:
    """Create the role that SageMaker may assume, as the SDK checks for."""
    backend = get_backend("iam")[ACCOUNT_ID][PARTITION]
    if not any(role.name == ROLE_NAME for role in backend.get_roles()):
        backend.create_role(
            role_name=ROLE_NAME,
            assume_role_policy_document=json.dumps(_TRUST_POLICY),
            path="/",
            permissions_boundary=None,
            description="Execution role of local_sagemaker. No policy is evaluated here.",
            tags=[],
            max_session_duration=3600,
        )


def put_metrics(namespace: str, data: list[dict[str, Any]], *, region: str) -> None:
    """Store CloudWatch metric data, reserved namespaces included.

    Args:
        namespace: CloudWatch namespace.
        data: Items as in ``PutMetricData``.
        region: AWS Region.
    """
    with _lock:
        get_backend("cloudwatch")[ACCOUNT_ID][region].put_metric_data(namespace, data)


class LogStream:
    """One CloudWatch Logs stream that the stand-in writes to."""

    def __init__(self, group: str, stream: str, *, region: str) -> None:
        """Create the stream, and its group if needed."""
        self._group, self._stream = group, stream
        self._backend = get_backend("logs")[ACCOUNT_ID][region]
        with _lock:
            if group not in self._backend.groups:
                self._backend.create_log_group(group, {})
            self._backend.ensure_log_stream(group, stream)

    def write(self, message: str, *, timestamp: float) -> None:
        """Append a line.

        Args:
            message: Text without a line break.
            timestamp: Seconds since the epoch.
        """
        event = {"timestamp": int(timestamp * 1000), "message": message or " "}
        with _lock:
            self._backend.put_log_events(self._group, self._stream, [event])


def simulate_principal_policy(body: bytes) -> str:
    """Answer IAM's ``SimulatePrincipalPolicy``, which moto lacks and the SDK asks: every action is allowed.

    Args:
        body: Form-encoded request.

    Returns:
        The XML response.
    """
    form = parse_qs(body.decode())
    actions = [values[0] for key, values in sorted(form.items()) if key.startswith("ActionNames.member.")]
    members = "".join(
        f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        "<EvalDecision>allowed</EvalDecision><MatchedStatements/><MissingContextValues/></member>"
        for action in actions
    )
    return (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>{members}"
        "</EvaluationResults></SimulatePrincipalPolicyResult>"
        "<ResponseMetadata><RequestId>00000000-0000-0000-0000-000000000000</RequestId></ResponseMetadata>"
        "</SimulatePrincipalPolicyResponse>"
    )
