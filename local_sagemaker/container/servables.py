"""SavedModels in memory: load, signatures, predict, footprint, unload."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from local_sagemaker.container import predict_requests, predict_responses
from local_sagemaker.container.tensors import RequestError
from local_sagemaker.engines.engine import open_engine
from local_sagemaker.engines.rehearsals import Arrays, Signature

# Where this process built the failing node; of no use to the caller.
_WHERE_DEFINED = re.compile(
    r"\AGraph execution error:\n\n(?:Detected at node .*\n(?:(?:  .*|<stack traces unavailable>)?\n)*)+"
)
# HTTP status by error code, as TensorFlow Serving answers (tensorflow_serving/util/net_http).
_STATUSES = {
    tf.errors.CANCELLED: 499,
    tf.errors.INVALID_ARGUMENT: 400,
    tf.errors.DEADLINE_EXCEEDED: 504,
    tf.errors.NOT_FOUND: 404,
    tf.errors.ALREADY_EXISTS: 409,
    tf.errors.PERMISSION_DENIED: 403,
    tf.errors.UNAUTHENTICATED: 401,
    tf.errors.RESOURCE_EXHAUSTED: 429,
    tf.errors.FAILED_PRECONDITION: 400,
    tf.errors.ABORTED: 409,
    tf.errors.OUT_OF_RANGE: 400,
    tf.errors.UNIMPLEMENTED: 501,
    tf.errors.UNAVAILABLE: 503,
}


class BasePathError(FileNotFoundError):
    """There is no numeric version folder with a SavedModel."""


class UnloadedError(RuntimeError):
    """The model was unloaded while the call was on its way."""


class Request(NamedTuple):
    """A predict request that fits its signature.

    Attributes:
        name: Name of the signature.
        signature: The signature.
        arguments: Its inputs by name.
        rows: Whether the answer is to be in the row format.
    """

    name: str
    signature: Signature
    arguments: Arrays
    rows: bool


class Servable:
    """One loaded SavedModel: the highest version below its base path."""

    def __init__(self, name: str, base_path: Path) -> None:
        """Load the model.

        Raises:
            BasePathError: If no numeric version folder lies below the base path.
        """
        self.name = name
        self.version, folder = highest_version(name, base_path)
        self._engine = open_engine(folder)
        self.engine = self._engine.name
        self.reason = self._engine.reason
        self.weight_bytes = self._engine.weight_bytes
        self.footprint = self._engine.footprint
        self.is_large = self._engine.is_large
        self.was_prepared = self._engine.was_prepared
        self._signatures: Mapping[str, Signature] | None = self._engine.signatures

    @property
    def specifications(self) -> dict[str, Mapping[str, tf.TensorSpec]]:
        """The inputs of every signature that has any."""
        forms = {name: signature.specifications for name, signature in (self._signatures or {}).items()}
        return {name: form for name, form in forms.items() if form}

    def predict(self, body: bytes) -> bytes:
        """Answer a predict request.

        Args:
            body: JSON text in TensorFlow Serving's row or column format.

        Returns:
            JSON text in the same format.

        Raises:
            RequestError: If the request does not fit the signature, or the model fails on its content.
            UnloadedError: If the model is no longer loaded.
        """
        return self.answer(self.read(body))

    def read(self, body: bytes) -> Request:
        """Read a predict request; the arguments and errors are those of ``predict``."""
        document = predict_requests.read_document(body)
        name = predict_requests.read_signature_name(document)
        signature = self._signature(name)
        arguments, rows = predict_requests.read_inputs(document, signature.specifications)
        return Request(name, signature, {key: np.asarray(value) for key, value in arguments.items()}, rows)

    def answer(self, request: Request) -> bytes:
        """Compute the answer to a request; the result and errors are those of ``predict``."""
        try:
            outputs = request.signature.call(request.arguments)
        except tf.errors.OpError as error:
            status = _STATUSES.get(error.error_code, 500)
            raise RequestError(_serving_message(error.message), status=status) from error
        return predict_responses.write_response(outputs, rows=request.rows)

    def _signature(self, name: str) -> Signature:
        signatures = self._signatures
        if signatures is None:
            raise UnloadedError(self.name)
        if name not in signatures:
            known = ", ".join(sorted(signatures)) or "none"
            raise RequestError(f'Serving signature name: "{name}" not found in signature def. The model has: {known}.')
        if not signatures[name].specifications:
            raise RequestError(f"Failed to get input map for signature: {name}")
        return signatures[name]

    def unload(self) -> None:
        """Release the model's memory; it cannot be used afterwards."""
        self._signatures = None
        self._engine.close()


def saved_bytes(base_path: Path, name: str) -> int:
    """Return the size of a SavedModel's weights on disk, a forecast of its footprint, in bytes."""
    _, folder = highest_version(name, base_path)
    return sum(path.stat().st_size for path in folder.glob("variables/variables.data-*"))


def highest_version(name: str, base_path: Path) -> tuple[str, Path]:
    """Return the highest version below a base path, without leading zeros, and its folder.

    Raises:
        BasePathError: If there is none.
    """
    candidates = [
        path
        for path in (base_path.iterdir() if base_path.is_dir() else [])
        if path.name.isascii() and path.name.isdigit() and (path / "saved_model.pb").is_file()
    ]
    if not candidates:
        raise BasePathError(f"Could not find valid base path {base_path} for servable {name}")
    best = max(candidates, key=lambda path: int(path.name))
    return str(int(best.name)), best


def _serving_message(text: str) -> str:
    """Return an error's text as TensorFlow Serving gives it, without what the Python runtime adds."""
    text = _WHERE_DEFINED.sub("", text)
    return re.sub(r" \[Op:\w+\]$", "", text)
