"""The AWS services that moto answers, in this process: S3, IAM, STS, CloudWatch, CloudWatch Logs, Auto Scaling."""

import contextlib
import functools
import io
import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote_to_bytes, urlencode
from xml.sax.saxutils import escape

# moto sends a client's request to a service by its signature, so a bucket is always the first part of the path.
os.environ.setdefault("S3_IGNORE_SUBDOMAIN_BUCKETNAME", "true")

from moto.backends import get_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local_sagemaker.errors import losing
from local_sagemaker.settings import ACCOUNT_ID, DEFAULT_REGION, HOST, PARTITION, ROLE_NAME

SERVICES = frozenset({"s3", "iam", "sts", "monitoring", "logs", "application-autoscaling"})

_TRUST_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}

# Resources are created through moto's backends from several threads; moto itself does not guard its dictionaries.
_lock = threading.RLock()


def unchanged() -> contextlib.AbstractContextManager[Any]:
    """Return a lock that whoever changes moto's state through its backends holds."""
    return _lock


@dataclass(frozen=True)
class Response:
    """A response of moto.

    Attributes:
        status: HTTP status.
        headers: Names in lower case, and values.
        body: Whole body.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def _create_app(service: str) -> Any:
    application = create_backend_app(service)  # type: ignore[arg-type]  # moto lists its services, as a type
    if service == "s3":  # or an object with the content type of a form is read away, and empty
        application.request_class = type("Raw", (application.request_class,), {"want_form_data_parsed": False})
    return application


@functools.cache
def _application() -> Any:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    return DomainDispatcherApplication(_create_app)


def send_request(
    service: str, *, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, region: str
) -> Response:
    """Let moto answer a request.

    Args:
        service: Signing name of the service.
        method: HTTP method.
        path: Percent-encoded path.
        query: Query string.
        headers: Request headers, names in lower case.
        body: Whole body.
        region: AWS Region of the request.
    """
    # moto finds the service in the signature's scope; the signature itself has been verified before.
    scope = f"{ACCOUNT_ID}/20200101/{region}/{service}/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    names = dict(headers) | {"authorization": authorization, "host": HOST}
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "RAW_URI": path,  # without it a key that holds a literal "%20" would be decoded twice
        "QUERY_STRING": query,
        "SERVER_NAME": HOST,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": HOST,
        "CONTENT_TYPE": names.pop("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in names.items():
        if name not in ("content-length", "transfer-encoding"):
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    started: list[Any] = []
    chunks = _application()(environ, lambda status, fields, _=None: started.extend([status, fields]))
    content = b"".join(chunks)
    fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in started[1]]
    return Response(int(started[0].split(" ", 1)[0]), fields, content)


def s3_backend() -> Any:
    """Return moto's S3 state of the emulator's account."""
    return get_backend("s3")[ACCOUNT_ID][PARTITION]


def execution_role_request() -> dict[str, Any]:
    """Return IAM's ``CreateRole`` request for the role that SageMaker may assume, as the SDK checks for."""
    form = {
        "Action": "CreateRole",
        "Version": "2010-05-08",
        "RoleName": ROLE_NAME,
        "AssumeRolePolicyDocument": json.dumps(_TRUST_POLICY),
        "Description": "Execution role of local_sagemaker. No policy is evaluated here.",
    }
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = urlencode(form).encode()
    return {"method": "POST", "path": "/", "query": "", "headers": headers, "body": body, "region": DEFAULT_REGION}


def has_execution_role() -> bool:
    """Return whether the role exists."""
    return any(role.name == ROLE_NAME for role in get_backend("iam")[ACCOUNT_ID][PARTITION].get_roles())


class LogStream:
    """One CloudWatch Logs stream that the emulator writes to."""

    def __init__(self, group: str, stream: str, *, region: str) -> None:
        """Create the stream, and its group if needed."""
        self._place = (region, group, stream)
        if _log_keeper:
            with losing(f"the log stream {stream}"):
                _log_keeper.open(*self._place)

    def write(self, message: str, *, timestamp: float) -> None:
        """Append a line.

        Args:
            message: Text without a line break.
            timestamp: Seconds since the epoch.
        """
        line = (int(timestamp * 1000), message or " ")
        with losing(f"a line of the log stream {self._place[2]}"):
            if _log_keeper:
                _log_keeper.write(*self._place, *line)


class LogKeeper(Protocol):
    """What keeps the lines of log streams on disk."""

    def open(self, region: str, group: str, stream: str) -> None:
        """Create a stream, and its group if needed."""

    def write(self, region: str, group: str, stream: str, timestamp: int, message: str) -> None:
        """Append a line; the timestamp is in milliseconds."""

    def sync(self) -> None:
        """Force all lines written so far to the medium."""


_log_keeper: LogKeeper | None = None


def keep_logs(keeper: LogKeeper | None) -> None:
    """Let a keeper put on disk all that log streams of this process are given from now on; None ends that."""
    global _log_keeper
    _log_keeper = keeper


def sync_logs() -> None:
    """Force all lines written so far to the medium."""
    if _log_keeper:
        _log_keeper.sync()


def has_log_group(region: str, group: str) -> bool:
    """Return whether moto has a log group."""
    return group in get_backend("logs")[ACCOUNT_ID][region].groups


def open_log_stream(region: str, group: str, stream: str, *, created: datetime | None = None) -> None:
    """Create a stream in moto, and its group if needed.

    Args:
        region: AWS Region.
        group: Name of the group.
        stream: Name of the stream.
        created: When it was created, if that was earlier.
    """
    backend = get_backend("logs")[ACCOUNT_ID][region]
    with _lock:
        if group not in backend.groups:
            backend.create_log_group(group, {})
        backend.ensure_log_stream(group, stream)
        if created:
            backend.groups[group].streams[stream].creation_time = created.replace(tzinfo=None)


def log_stream(region: str, group: str, stream: str) -> Any:
    """Return moto's log stream, or None."""
    groups = get_backend("logs")[ACCOUNT_ID][region].groups
    return groups[group].streams.get(stream) if group in groups else None


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
