"""Errors as AWS sends them: a code, a status and a message."""

from typing import Any


class ServiceError(Exception):
    """An error of an API call that reaches the client under its AWS error code."""

    def __init__(self, code: str, message: str, *, status: int = 400, **fields: Any) -> None:
        """Create the error.

        Args:
            code: Error code, such as ``ValidationException``.
            message: A sentence for the caller.
            status: HTTP status.
            fields: Further members of the error's shape, such as ``OriginalStatusCode``.
        """
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


def validation(message: str) -> ServiceError:
    """Return a ``ValidationException`` of the SageMaker API."""
    return ServiceError("ValidationException", message)


def invocation(message: str) -> ServiceError:
    """Return a ``ValidationError`` of the SageMaker runtime API."""
    return ServiceError("ValidationError", message)
