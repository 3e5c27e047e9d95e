"""Invocations: what a call asks of the container, and what the container answers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

_ATTRIBUTE = re.compile(r"(tfs-[a-z\-]+)=([^,]+)")
_JSON = "application/json"


class Answer(NamedTuple):
    """What the container answers to a call."""

    status: int
    body: bytes
    content_type: str = _JSON


def error_answer(status: int, message: str) -> Answer:
    """Return an answer that tells what went wrong."""
    return Answer(status, orjson.dumps({"error": message.encode("utf-8", "replace").decode()}))


@dataclass(frozen=True)
class Invocation:
    """One call of a model.

    Attributes:
        model_name: Name under which the model is loaded.
        body: Body of the request.
        content_type: Its media type as given; empty if there is none.
        accept: Wanted media type as given; empty if there is none.
        custom_attributes: ``X-Amzn-SageMaker-Custom-Attributes`` as given, or None.
    """

    model_name: str
    body: bytes
    content_type: str = ""
    accept: str = ""
    custom_attributes: str | None = None

    @classmethod
    def from_headers(cls, model_name: str, headers: Mapping[bytes, bytes], body: bytes) -> "Invocation":
        """Read an invocation from lower-case header names and their values."""

        def text(name: bytes) -> str:
            return headers.get(name, b"").decode("latin-1")

        attributes = text(b"x-amzn-sagemaker-custom-attributes") or None
        return cls(model_name, body, text(b"content-type"), text(b"accept"), attributes)

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON; parameters such as ``charset`` do not matter."""
        return self.content_type.partition(";")[0].strip().lower() == _JSON

    @property
    def version(self) -> str | None:
        """Model version that the custom attributes ask for (``tfs-model-version``)."""
        return self._attributes.get("tfs-model-version")

    @property
    def method(self) -> str | None:
        """Method of TensorFlow Serving that the custom attributes ask for (``tfs-method``)."""
        return self._attributes.get("tfs-method")

    def context(self, port: int) -> dict[str, Any]:
        """Return the fields of a handler's context.

        Args:
            port: Port of TensorFlow Serving's REST API.
        """
        version = f"/versions/{self.version}" if self.version else ""
        return {
            "model_name": self.model_name,
            "model_version": self.version,
            "method": self.method,
            "rest_uri": f"http://127.0.0.1:{port}/v1/models/{self.model_name}{version}:{self.method or 'predict'}",
            "grpc_port": None,
            "channel": None,
            "custom_attributes": self.custom_attributes,
            "request_content_type": self.content_type or _JSON,
            "accept_header": self.accept or _JSON,
            "content_length": len(self.body),
        }

    @property
    def _attributes(self) -> dict[str, str]:
        return dict(_ATTRIBUTE.findall(self.custom_attributes or ""))
