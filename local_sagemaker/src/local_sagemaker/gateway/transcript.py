"""A transcript of the requests that the server was asked, for whoever wants to know what a program needs.

With ``LOCAL_SAGEMAKER_TRANSCRIPT=FILE`` the server appends to that file what distinct requests it was sent: service,
operation, parameters, and the permissions that IAM would check. Neither signatures nor bodies of objects and calls
are in it, nor what botocore's service model marks as sensitive; environment variables of jobs and containers are.
"""

import functools
import json
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.model import Shape
from moto.core import request as moto_request
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model

from local_sagemaker.asgi import Request
from local_sagemaker.gateway.needed_permissions import permissions
from local_sagemaker.settings import HOST

logger = logging.getLogger(__name__)
_SERVICES = {"monitoring": "cloudwatch"}  # signing name, where boto3 has another
_LEFT_OUT = "(left out)"
# What differs from run to run: times, the names made from them, and identifiers.
_RANDOM = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "00000000-0000-0000-0000-000000000000"),
    (re.compile(r"(?<!\d)(\d{8,11}|\d{13,})(?!\d)"), "00000000"),  # twelve digits are an account
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)?"), "2000-01-01T00:00:00"),
)
_OBJECT = re.compile(r"(arn:aws:s3:::[^/]+/.*/)[^/]+")
# How a body travels, not what is asked for.
_TRANSPORT = re.compile(r"Content(Length|MD5)|Checksum(CRC|SHA|XXHASH|MD5)\w*")
_TOKENS = frozenset(
    {"nextToken", "NextToken", "ContinuationToken", "ClientToken", "UploadId", "ETag", "CopySourceIfMatch"}
)


@dataclass(frozen=True)
class Entry:
    """Requests that differ at most in the values of their parameters."""

    service: str  # name of the service as boto3 has it
    operation: str  # such as `"CreateModel"`
    parameters: dict[str, Any]  # of one of them
    needs: frozenset[tuple[str, str]]  # all IAM actions and resources that they need

    @property
    def form(self) -> tuple[str, str, tuple[str, ...]]:
        """Service, operation and the names of the parameters, such as ``Tags[].Key``, sorted."""
        return self.service, self.operation, tuple(sorted(set(_paths(self.parameters))))


class Transcript:
    """Writes the distinct requests to a file, one JSON document a line."""

    def __init__(self, path: Path) -> None:
        """Write to a file that only its owner may read; what is in it stays."""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        self._path = path
        self._written: set[str] = set()

    def add(self, request: Request, signing_name: str, *, region: str) -> None:
        """Record a verified request, unless an equal one was."""
        service = _service(request, signing_name)
        try:
            operation, parameters = _understood(request, service)
            needs = permissions(service, operation, parameters, region=region)
        except Exception as error:  # the request may be no request of the service: its answer says what is wrong
            logger.warning("Not in the transcript: %s %s (%r)", request.method, request.path, error)
            return
        document = {"service": service, "operation": operation, "parameters": parameters, "needs": sorted(needs)}
        line = json.dumps(document, sort_keys=True)
        if line not in self._written:
            self._written.add(line)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def read(path: Path) -> list[Entry]:
    """Read what a server recorded, with all that differs from run to run made equal.

    Objects in S3 are taken together by their folder.

    Returns:
        One entry for each form of request, sorted.

    Raises:
        OSError: If there is no such file.
    """
    lines = sorted(_without_random(line) for line in path.read_text(encoding="utf-8").splitlines())
    entries: dict[tuple[str, str, tuple[str, ...]], Entry] = {}
    for line in lines:
        document = json.loads(line)
        needs = frozenset(
            (action, _OBJECT.sub(r"\1*", resource))
            for action, resource in document.pop("needs")
            if "/__pycache__/" not in resource  # uploaded with scripts that have run before
        )
        entry = Entry(**document, needs=needs)
        known = entries.setdefault(entry.form, entry)
        entries[entry.form] = replace(known, needs=known.needs | needs)
    return [entries[form] for form in sorted(entries)]


def write(entries: Iterable[Entry], path: Path) -> None:
    """Write entries so that ``read`` returns them, in a form to keep under version control."""
    lines = [json.dumps(vars(entry) | {"needs": sorted(entry.needs)}, sort_keys=True) for entry in entries]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _service(request: Request, signing_name: str) -> str:
    if signing_name == "sagemaker" and request.path.startswith("/endpoints/"):
        return "sagemaker-runtime"
    return _SERVICES.get(signing_name, signing_name)


def _understood(request: Request, service: str) -> tuple[str, dict[str, Any]]:
    """Return the operation of a request and its parameters, read as the service model says."""
    url = f"http://{HOST}{request.path}" + (f"?{request.query}" if request.query else "")
    wrapped = moto_request.Request.from_primitives(request.method, url, dict(request.headers), request.body)
    wrapped.environ["RAW_URI"] = request.path
    model = get_service_model(service)
    protocol = moto_request.determine_request_protocol(model, wrapped.content_type)
    operation, labels = get_service_router(service).match(wrapped)
    shape = operation.input_shape
    if shape is None:
        return operation.name, {}
    payload = shape.serialization.get("payload", "")
    is_blob = payload and shape.members[payload].type_name == "blob"
    body = b"" if is_blob else request.body
    parsed = PROTOCOL_PARSERS[protocol](operation).parse(
        {
            "method": request.method,
            "url_path": request.path,
            "url_params": labels,
            "values": wrapped.values,
            "headers": wrapped.headers,
            "body": body,
        }
    )
    printable = _printable(parsed, shape)
    return operation.name, printable | ({payload: _LEFT_OUT} if is_blob and request.body else {})


def _printable(value: Any, shape: Shape) -> Any:
    if shape.type_name == "blob" or shape.metadata.get("sensitive"):
        return _LEFT_OUT
    if isinstance(value, dict):
        member = functools.partial(_member, shape)
        kept = {
            key: item for key, item in value.items() if item not in (None, {}, []) and not _TRANSPORT.fullmatch(key)
        }
        return {key: _printable(item, member(key)) for key, item in kept.items()}
    if isinstance(value, list):
        return [_printable(item, shape.member) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _member(shape: Shape, key: str) -> Shape:
    return shape.members[key] if shape.type_name == "structure" else shape.value


def _without_random(line: str) -> str:
    document = json.loads(line, object_hook=lambda item: {k: _LEFT_OUT if k in _TOKENS else v for k, v in item.items()})
    text = json.dumps(document, sort_keys=True)
    for pattern, replacement in _RANDOM:
        text = pattern.sub(replacement, text)
    return text


def _paths(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict) and value:
        prefix = f"{path}." if path else ""
        return [found for key, item in value.items() for found in _paths(item, f"{prefix}{key}")]
    if isinstance(value, list) and value:
        return [found for item in value for found in _paths(item, f"{path}[]")]
    return [path] if path else []
