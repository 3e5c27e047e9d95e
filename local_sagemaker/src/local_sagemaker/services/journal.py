"""Durable state of the services that moto keeps in memory: IAM, Auto Scaling, CloudWatch, CloudWatch Logs.

Each successful request that changes something is written down before it is acknowledged, with the moment and the seed
of the random names that moto gave. When the server starts, the requests are sent to moto again and lead to the same
state.
"""

import base64
import contextlib
import secrets
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import parse_qs

from moto.applicationautoscaling import models as autoscaling_models
from moto.cloudwatch import models as cloudwatch_models
from moto.iam import models as iam_models
from moto.logs import models as logs_models
from moto.moto_api._internal import mock_random
from moto.moto_api._internal.moto_random import MotoRandom
from moto.s3 import models as s3_models

from local_sagemaker.records import Records, now
from local_sagemaker.services import aws_services

REQUEST = "request"
SERVICES = frozenset({"application-autoscaling", "iam", "logs", "monitoring"})
_READS = ("Describe", "Filter", "Generate", "Get", "List", "Simulate", "Start", "Stop", "Test")
_HEADERS = ("accept", "content-encoding", "content-type", "smithy-protocol", "x-amz-target")
_CLOCKS = (cloudwatch_models, iam_models, logs_models)

# S3 draws its version ids beside the requests kept here; from the same source it would change what they draw.
s3_models.random = MotoRandom()  # type: ignore[attr-defined]  # a name that the module imports


class Journal:
    """Requests that changed something, in their order."""

    def __init__(self, records: Records) -> None:
        """Send moto all recorded requests again."""
        self._records = records
        self._lock = threading.Lock()
        self._next = 0
        for name, request in records.all(REQUEST):
            self._next = int(name) + 1
            _send(request)

    def submit(
        self,
        service: str,
        *,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        region: str,
    ) -> aws_services.Response:
        """Send moto a request and write it down if it changed something.

        Args:
            service: Signing name of the service.
            method: HTTP method.
            path: Percent-encoded path.
            query: Query string.
            headers: Request headers, names in lower case.
            body: Request body.
            region: AWS Region of the request.

        Returns:
            moto's response.

        Raises:
            sqlite3.Error: If the request cannot be written down.
        """
        request: dict[str, Any] = {
            "service": service,
            "region": region,
            "method": method,
            "path": path,
            "query": query,
            "headers": {name: value for name, value in headers.items() if name in _HEADERS},
            "body": base64.b64encode(body).decode(),
        }
        action = _action(headers, path, body)
        if action.startswith(_READS):
            return _send(request)
        with self._lock:
            request |= {"seed": secrets.randbits(64), "moment": now()}
            response = _send(request)
            if response.status < 300:
                self._records.put(REQUEST, f"{self._next:012}", request)
                self._next += 1
        return response


def _action(headers: Mapping[str, str], path: str, body: bytes) -> str:
    """Return the action of a request of any of AWS's RPC protocols."""
    target = headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    if "/operation/" in path:
        return path.rpartition("/")[2]
    return parse_qs(body.decode(errors="replace")).get("Action", [""])[0]


def _send(request: dict[str, Any]) -> aws_services.Response:
    parts = {name: request[name] for name in ("method", "path", "query", "headers", "region")}
    body = base64.b64decode(request["body"])
    if "seed" not in request:
        return aws_services.send_request(request["service"], body=body, **parts)
    with _at(request["moment"], request["seed"]):
        return aws_services.send_request(request["service"], body=body, **parts)


@contextlib.contextmanager
def _at(moment: datetime, seed: int) -> Iterator[None]:
    """Let moto tell this moment as the time and draw its random names from this seed."""
    mock_random.seed(seed)
    with contextlib.ExitStack() as stack:
        stack.callback(mock_random.seed)
        for module in _CLOCKS:
            stack.enter_context(mock.patch.object(module, "utcnow", lambda: moment.replace(tzinfo=None)))
        stack.enter_context(mock.patch.object(autoscaling_models, "time", SimpleNamespace(time=moment.timestamp)))
        yield
