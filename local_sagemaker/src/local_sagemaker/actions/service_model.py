"""SageMaker's API as botocore describes it: validates requests and shapes responses."""

import functools
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from botocore.model import OperationModel, OperationNotFoundError, ServiceModel, Shape
from botocore.session import get_session
from botocore.validate import ParamValidator

from local_sagemaker.errors import ServiceError, validation


@functools.cache
def _service() -> ServiceModel:
    return get_session().get_service_model("sagemaker")


@functools.cache
def operation(name: str) -> OperationModel:
    """Return the model of an operation; that there is none is an ``UnknownOperationException``."""
    try:
        return _service().operation_model(name)
    except OperationNotFoundError as error:
        raise ServiceError("UnknownOperationException", f"SageMaker has no operation {name!r}.") from error


def validate(name: str, parameters: dict[str, Any]) -> None:
    """Check a request against the operation's input shape: types, required members, lengths, enums and patterns.

    Raises:
        ServiceError: ``ValidationException`` that lists every violation.
    """
    shape = operation(name).input_shape
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        raise validation(f"Parameter validation failed: {report.generate_report()}")
    violations = list(_violations(parameters, shape, ""))
    if violations:
        plural = "s" if len(violations) > 1 else ""
        raise validation(f"{len(violations)} validation error{plural} detected: {'; '.join(violations)}")


def _violations(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for key, member in value.items():
            if key in shape.members:
                yield from _violations(member, shape.members[key], f"{path}.{key}" if path else key)
    elif shape.type_name == "list":
        yield from _length_violations(value, shape, path)
        for index, member in enumerate(value, 1):
            yield from _violations(member, shape.member, f"{path}.{index}.member")
    elif shape.type_name == "map":
        yield from _length_violations(value, shape, path)
        for key, member in value.items():
            yield from _violations(key, shape.key, f"{path}.{key}")
            yield from _violations(member, shape.value, f"{path}.{key}")
    elif shape.type_name == "string":
        yield from _string_violations(value, shape, path)
    elif shape.type_name in ("integer", "long") and value > shape.metadata.get("max", value):
        yield _violation(path, value, f"Member must have value less than or equal to {shape.metadata['max']}")


def _string_violations(value: str, shape: Shape, path: str) -> Iterator[str]:
    yield from _length_violations(value, shape, path)
    if getattr(shape, "enum", None) and value not in shape.enum:
        yield _violation(path, value, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    expression = _pattern(shape.metadata.get("pattern"))
    if expression and not expression.fullmatch(value):
        yield _violation(path, value, f"Member must satisfy regular expression pattern: {expression.pattern}")


def _length_violations(value: Any, shape: Shape, path: str) -> Iterator[str]:
    maximum = shape.metadata.get("max")
    if maximum is not None and len(value) > maximum:
        yield _violation(path, value, f"Member must have length less than or equal to {maximum}")


def _violation(path: str, value: Any, constraint: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"


@functools.cache
def _pattern(text: str | None) -> re.Pattern[str] | None:
    if not text:
        return None
    try:
        return re.compile(text, re.DOTALL)
    except re.error:  # a few patterns use Java's syntax, which Python does not know
        return None


def shape_response(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return what the operation's output shape has of a document, for JSON: times in seconds, no absent members."""
    shape = operation(name).output_shape
    return _shaped(document, shape) if shape else {}


def _shaped(value: Any, shape: Shape) -> Any:
    if shape.type_name == "structure":
        known = {key: value[key] for key in shape.members if value.get(key) is not None}
        return {key: _shaped(member, shape.members[key]) for key, member in known.items()}
    if shape.type_name == "list":
        return [_shaped(member, shape.member) for member in value]
    if shape.type_name == "map":
        return {key: _shaped(member, shape.value) for key, member in value.items()}
    if isinstance(value, datetime):
        return value.timestamp()
    return value


def runtime_headers() -> dict[str, str]:
    """Return the parameters of ``InvokeEndpoint`` that travel in headers, by the header's name in lower case."""
    shape = get_session().get_service_model("sagemaker-runtime").operation_model("InvokeEndpoint").input_shape
    located = {name: member.serialization for name, member in shape.members.items()}
    return {how["name"].lower(): name for name, how in located.items() if how.get("location") == "header"}


def operation_names() -> list[str]:
    """Return the names of all operations of the SageMaker API."""
    return list(_service().operation_names)
