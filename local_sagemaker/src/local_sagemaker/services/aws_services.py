"""The AWS services that moto answers, in this process: S3, IAM, STS, CloudWatch, CloudWatch Logs, Auto Scaling."""

import base64
import functools
import io
import json
import logging
import os
import sys
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes, urlencode
from wsgiref.util import setup_testing_defaults
from xml.sax.saxutils import escape

# moto sends a client's request to a service by its signature, so a bucket is always the first part of the path.
os.environ.setdefault("S3_IGNORE_SUBDOMAIN_BUCKETNAME", "true")

from moto.backends import get_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local_sagemaker.asgi import Request
from local_sagemaker.settings import ACCOUNT_ID, HOST, PARTITION, ROLE_NAME

SERVICES = frozenset({"s3", "iam", "sts", "monitoring", "logs", "application-autoscaling"})

_TRUST_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}

# Whoever changes moto's state through its backends holds this: moto itself does not guard its dictionaries.
lock = threading.RLock()


@dataclass(frozen=True)
class Response:
    """A response of moto."""

    status: int  # HTTP status
    headers: list[tuple[bytes, bytes]]  # names in lower case, and values
    body: bytes  # whole body


def _create_app(service: str) -> Any:
    application = create_backend_app(service)  # type: ignore[arg-type]  # moto lists its services, as a type
    if service == "s3":  # or an object with the content type of a form is read away, and empty
        application.request_class = type("Raw", (application.request_class,), {"want_form_data_parsed": False})
    return application


@functools.cache
def _application() -> Any:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    return DomainDispatcherApplication(_create_app)


def send_request(service: str, request: Request, *, region: str) -> Response:
    """Let moto answer a request to a service, given by its signing name."""
    # moto finds the service in the signature's scope; the signature itself has been verified before.
    scope = f"{ACCOUNT_ID}/20200101/{region}/{service}/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    names = dict(request.headers) | {"authorization": authorization, "host": HOST}
    environ = {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "RAW_URI": request.path,  # without it a key that holds a literal "%20" would be decoded twice
        "QUERY_STRING": request.query,
        "CONTENT_TYPE": names.pop("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
    }
    setup_testing_defaults(environ)  # what else WSGI asks for
    for name, value in names.items():
        if name not in ("content-length", "transfer-encoding"):
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    started: list[Any] = []
    chunks = _application()(environ, lambda status, fields, _=None: started.extend([status, fields]))
    content = b"".join(chunks)
    fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in started[1]]
    return Response(int(started[0].split(" ", 1)[0]), fields, content)


def to_document(request: Request, region: str) -> dict[str, Any]:
    """Return a request as JSON can keep it."""
    return vars(request) | {"body": base64.b64encode(request.body).decode(), "region": region}


def send_document(service: str, document: dict[str, Any]) -> Response:
    """Let moto answer a request that was kept."""
    parts = {name: document[name] for name in ("method", "path", "query", "headers")}
    request = Request(**parts, body=base64.b64decode(document["body"]))
    return send_request(service, request, region=document["region"])


def s3_backend() -> Any:
    """Return moto's S3 state of the emulator's account."""
    return get_backend("s3")[ACCOUNT_ID][PARTITION]


def execution_role_request() -> Request:
    """Return IAM's ``CreateRole`` request for the role that SageMaker may assume, as the SDK checks for."""
    form = {
        "Action": "CreateRole",
        "Version": "2010-05-08",
        "RoleName": ROLE_NAME,
        "AssumeRolePolicyDocument": json.dumps(_TRUST_POLICY),
        "Description": "Execution role of local_sagemaker. No policy is evaluated here.",
    }
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return Request("POST", "/", "", headers, urlencode(form).encode())


def has_execution_role() -> bool:
    """Return whether the role exists."""
    return any(role.name == ROLE_NAME for role in get_backend("iam")[ACCOUNT_ID][PARTITION].get_roles())


def simulate_principal_policy(body: bytes) -> str:
    """Answer IAM's ``SimulatePrincipalPolicy``, which moto lacks and the SDK asks, in XML: every action is allowed."""
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
