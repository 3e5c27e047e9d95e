"""Errors as AWS sends them: a code, a status and a message."""

import contextlib
import json
import logging
import re
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from local_sagemaker.settings import ACCOUNT_ID, arn

logger = logging.getLogger(__name__)
_SERVICE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")
STORAGE_ERRORS = (OSError, sqlite3.Error)  # such as those of a full disk


@contextlib.contextmanager
def losing(what: str) -> Iterator[None]:
    """Tell in the server's log what is lost if the disk cannot be written, and go on."""
    try:
        yield
    except STORAGE_ERRORS as error:
        logger.warning("Lost %s: %s", what, error)


class ServiceError(Exception):
    """An error of an API call that reaches the client under its AWS error code."""

    def __init__(self, code: str, message: str, *, status: int = 400, **fields: Any) -> None:
        """Create the error; the fields are further members of its shape, such as ``OriginalStatusCode``."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


def document(error: ServiceError, headers: Mapping[str, str]) -> tuple[str, bytes]:
    """Return the content type and the body that tell a client of an error, in the form of the service that it called.

    The signed scope names the service. Requests without it are to S3, by the old signature or a presigned URL.
    """
    signed = _SERVICE.search(headers.get("authorization", ""))
    code, message = error.code, escape(error.message)
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        body = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        return "text/xml", f"<ErrorResponse>{body}</ErrorResponse>".encode()
    if signed is None or signed[1] == "s3":
        return "application/xml", f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    fields = {"__type": code, "message": error.message, "Message": error.message, **error.fields}
    return "application/x-amz-json-1.1", json.dumps(fields).encode()


def validation(message: str) -> ServiceError:
    """Return a ``ValidationException`` of the SageMaker API."""
    return ServiceError("ValidationException", message)


def runtime_validation(message: str) -> ServiceError:
    """Return a ``ValidationError`` of the SageMaker runtime API."""
    return ServiceError("ValidationError", message)


def unavailable(message: str) -> ServiceError:
    """Return a ``ServiceUnavailable`` of the SageMaker runtime API, which clients retry."""
    return ServiceError("ServiceUnavailable", message, status=503)


class ContainerLostError(ServiceError):
    """A container went away while it was needed; it is being replaced, and clients retry."""

    def __init__(self, instance: str) -> None:
        """Create the error for the container of an instance."""
        message = f"The container of instance {instance} went away. Try again."
        super().__init__("ServiceUnavailable", message, status=503)


class ContainerError(Exception):
    """A container answered a call, or a request to load a model, with an error."""

    def __init__(self, status: int, text: str) -> None:
        """Create the error from the status and the text of the answer; 0 if there was none in time."""
        super().__init__(text)
        self.status = status
        self.text = text

    @property
    def kind(self) -> str:
        """Whose fault it is: "client" or "server"."""
        return "client" if 400 <= self.status < 500 else "server"

    def __str__(self) -> str:
        """Describe the error as SageMaker does."""
        return f'Received {self.kind} error ({self.status}) from primary with message "{self.text}".'


def model_error(error: ContainerError, log_group: str, *, region: str) -> ServiceError:
    """Return the ``ModelError`` of the runtime API with which the platform passes on a container's error."""
    return ServiceError(
        "ModelError",
        f"{error} See the log group {log_group} in account {ACCOUNT_ID} for more information.",
        status=424,
        ErrorCode=f"{error.kind.upper()}_ERROR_FROM_MODEL",
        LogStreamArn=arn("logs", f"log-group:{log_group}", region=region),
        OriginalStatusCode=error.status,
        OriginalMessage=error.text,
    )
