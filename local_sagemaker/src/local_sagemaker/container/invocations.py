"""Invocations: what a call asks of the container, and what the container answers."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import orjson

_ATTRIBUTE = re.compile(r"(tfs-[a-z\-]+)=([^,]+)")
_MODEL_NAME = re.compile(r"[a-zA-Z0-9][\w.-]{0,254}", re.ASCII)
_VERSION = re.compile(r"\d+", re.ASCII)
_METHODS = ("predict", "classify", "regress")
_JSON, _XML = "application/json", "application/xml"
_FROM_XML = {_XML, "text/xml"}
_FROM_JSON = {_JSON, "application/*", "*/*"}


class Answer(NamedTuple):
    """What the container answers to a call."""

    status: int
    body: bytes
    content_type: str = _JSON


class RefusedError(ValueError):
    """The call cannot be answered; the message tells why. The status is 400."""


def error_answer(status: int, message: str) -> Answer:
    """Return an answer that tells what went wrong, as TensorFlow Serving and AWS's own code do."""
    return Answer(status, orjson.dumps({"error": _clean(message)}))


def http_error(status: int, accept: str, description: bytes | None = None) -> Answer:
    """Return an error as AWS's web framework writes it: without a body if ``accept`` names neither JSON nor XML."""
    document = {"title": f"{status} {HTTPStatus(status).phrase if status != 499 else 'Client Closed Request'}"}
    if description is not None:
        document["description"] = description.decode()
    accepted = {part.partition(";")[0].strip().lower() for part in (accept or _JSON).split(",")}
    if accepted & _FROM_JSON or any(kind.endswith("+json") for kind in accepted):
        return Answer(status, orjson.dumps(document))
    if accepted & _FROM_XML or any(kind.endswith("+xml") for kind in accepted):
        elements = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in document.items())
        return Answer(status, f'<?xml version="1.0" encoding="UTF-8"?><error>{elements}</error>'.encode(), _XML)
    return Answer(status, b"")


def serving_error(status: int, message: str) -> Answer:
    """Return an error as TensorFlow Serving writes it."""
    return Answer(status, json.dumps({"error": _clean(message)}, indent=4, ensure_ascii=False).encode())


def check_model_name(name: Any) -> None:
    """Refuse a name that no model can have.

    Raises:
        RefusedError: If it is none.
        TypeError: If it is no text.
    """
    if not name or not _MODEL_NAME.fullmatch(name):
        raise RefusedError(f"invalid model_name: {name!r}")


def _clean(message: str) -> str:
    return message.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Invocation:
    """One call of a model."""

    model_name: str  # name under which the model is loaded
    body: bytes  # body of the request
    content_type: str = ""  # its media type as given; empty if there is none
    accept: str = ""  # wanted media type as given; empty if there is none
    custom_attributes: str | None = None  # `X-Amzn-SageMaker-Custom-Attributes` as given, or None

    @classmethod
    def from_headers(cls, model_name: str, headers: Mapping[bytes, bytes], body: bytes) -> "Invocation":
        """Read an invocation from lower-case header names and their values."""

        def text(name: bytes) -> str:
            return headers.get(name, b"").decode("latin-1")

        attributes = text(b"x-amzn-sagemaker-custom-attributes") or None
        return cls(model_name, body, text(b"content-type"), text(b"accept"), attributes)

    @property
    def media_type(self) -> str:
        """The media type of the body in lower case; parameters such as ``charset`` do not matter."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def target(self) -> str | None:
        """Model of an archive with several that the custom attributes ask for (``tfs-model-name``)."""
        return self._attributes.get("tfs-model-name")

    @property
    def version(self) -> str | None:
        """Model version that the custom attributes ask for (``tfs-model-version``)."""
        return self._attributes.get("tfs-model-version")

    @property
    def method(self) -> str | None:
        """Method of TensorFlow Serving that the custom attributes ask for (``tfs-method``)."""
        return self._attributes.get("tfs-method")

    def check_attributes(self) -> None:
        """Refuse custom attributes that mean nothing, by a ``RefusedError``."""
        if self.version is not None and not _VERSION.fullmatch(self.version):
            raise RefusedError("invalid tfs-model-version: must be a positive integer")
        if self.method is not None and self.method not in _METHODS:
            raise RefusedError(f"invalid tfs-method: must be one of {'|'.join(_METHODS)}")
        if self.target is not None and not _MODEL_NAME.fullmatch(self.target):
            raise RefusedError("invalid tfs-model-name")

    def context(self, model: str, *, rest_address: str, grpc_port: int, timeout: int) -> dict[str, Any]:
        """Return the fields of a handler's context; its requests may take ``timeout`` seconds."""
        version = f"/versions/{self.version}" if self.version else ""
        return {
            "model_name": model,
            "model_version": self.version,
            "method": self.method,
            "rest_uri": f"{rest_address}/v1/models/{model}{version}:{self.method or 'predict'}",
            "grpc_port": grpc_port,
            "channel": None,
            "custom_attributes": self.custom_attributes,
            "request_content_type": self.content_type or _JSON,
            "accept_header": self.accept or _JSON,
            "content_length": len(self.body),
            "timeout": timeout,
        }

    @property
    def _attributes(self) -> dict[str, str]:
        return dict(_ATTRIBUTE.findall(self.custom_attributes)) if self.custom_attributes else {}
