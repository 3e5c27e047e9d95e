"""Durable state of the services that moto keeps in memory: IAM, Auto Scaling, CloudWatch, CloudWatch Logs.

Each successful request that changes something is written down before it is acknowledged, with the moment and the seed
of the random names that moto gave. When the server starts, the requests are sent to moto again and lead to the same
state. Once there are many, that state is written down in their place, so that a start takes no longer the more there
have been.
"""

import contextlib
import dataclasses
import os
import pickle
import secrets
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import parse_qs

from moto.applicationautoscaling import models as autoscaling_models
from moto.backends import get_backend
from moto.cloudwatch import models as cloudwatch_models
from moto.iam import models as iam_models
from moto.logs import models as logs_models
from moto.moto_api._internal import mock_random
from moto.moto_api._internal.moto_random import MotoRandom
from moto.s3 import models as s3_models

from local_sagemaker.asgi import Request
from local_sagemaker.errors import losing
from local_sagemaker.records import HomeVersionError, Records, now
from local_sagemaker.services import aws_services, cloudwatch

REQUEST = "request"
SERVICES = frozenset({"application-autoscaling", "iam", "logs", "monitoring"})
_BACKENDS = ("applicationautoscaling", "cloudwatch", "iam", "logs")
# What changes nothing here: the events of logs go to their own store.
_READS = ("Describe", "Filter", "Generate", "Get", "List", "PutLogEvents", "Simulate", "Start", "Stop", "Test")
_HEADERS = ("accept", "content-encoding", "content-type", "smithy-protocol", "x-amz-target")
_CLOCKS = (cloudwatch_models, iam_models, logs_models)

# S3 draws its version ids beside the requests kept here; from the same source it would change what they draw.
s3_models.random = MotoRandom()  # type: ignore[attr-defined]  # a name that the module imports
cloudwatch.install()


class Journal:
    """Requests that changed something, in their order."""

    def __init__(self, records: Records, state: Path, *, most_requests: int) -> None:
        """Give moto the state that was written down, and send it all requests that came afterwards.

        Once there are so many requests, the state is written down in their place.

        Raises:
            HomeVersionError: If the state cannot be read by the installed moto.
        """
        self._records, self._state = records, state
        self._lock = threading.Lock()
        self._most, self._count = most_requests, 0
        self._next = self._read_state()
        for name, request in records.all(REQUEST):
            if int(name) >= self._next:
                self._next = int(name) + 1
                self._count += 1
                with _at(request["moment"], request["seed"]):
                    aws_services.send_document(request["service"], request)
        self._write_state_if_due()

    def submit(self, service: str, request: Request, *, region: str) -> aws_services.Response:
        """Send moto a request, as ``aws_services.send_request`` takes it, and write it down if it changed something."""
        kept = {name: value for name, value in request.headers.items() if name in _HEADERS}
        request = dataclasses.replace(request, headers=kept)
        if _action(request).startswith(_READS):
            return aws_services.send_request(service, request, region=region)
        with self._lock:
            seed, moment = secrets.randbits(64), now()
            with _at(moment, seed):
                response = aws_services.send_request(service, request, region=region)
            if response.status < 300:
                document = aws_services.to_document(request, region) | {"service": service}
                self._records.put(REQUEST, f"{self._next:012}", document | {"seed": seed, "moment": moment})
                self._next += 1
                self._count += 1
                with losing("nothing but time at the next start"):
                    self._write_state_if_due()
        return response

    def _read_state(self) -> int:
        """Return the number of the first request that is not in the state."""
        if not self._state.exists():
            return 0
        try:
            number, states = pickle.loads(self._state.read_bytes())  # our own, in a folder that is the owner's alone
            for name, accounts in states.items():
                _backend(name).update(accounts)
        except Exception as error:
            raise HomeVersionError(
                f"{self._state} cannot be read by this version of moto ({error!r}). "
                "Use the version that wrote it, name another home folder, or reset this one."
            ) from error
        return int(number)

    def _write_state_if_due(self) -> None:
        if self._count < self._most:
            return
        with aws_services.lock:
            content = pickle.dumps((self._next, {name: dict(_backend(name)) for name in _BACKENDS}))
        partial = self._state.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._state)
        self._records.delete_all(REQUEST)
        self._count = 0


def _backend(name: str) -> Any:
    return get_backend(name)  # type: ignore[call-overload]  # moto lists the names that there are


def _action(request: Request) -> str:
    """Return the action of a request of any of AWS's RPC protocols."""
    target = request.headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    if "/operation/" in request.path:
        return request.path.rpartition("/")[2]
    return parse_qs(request.body.decode(errors="replace")).get("Action", [""])[0]


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
