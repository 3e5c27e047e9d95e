"""SavedModels in memory: load, signatures, predict, footprint, unload."""

import contextlib
import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from local_sagemaker.container import examples, predict_requests, predict_responses
from local_sagemaker.container.predict_requests import DEFAULT_SIGNATURE
from local_sagemaker.container.tensors import RequestError
from local_sagemaker.engines.engine import Engine, open_engine, succeed
from local_sagemaker.engines.signatures import Arrays, Signature

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


class UnloadedError(RuntimeError):
    """The model was unloaded while the call was on its way."""


class Request(NamedTuple):
    """A predict request that fits its signature."""

    name: str  # name of the signature
    signature: Signature  # the signature
    arguments: Arrays  # its inputs by name
    rows: bool  # whether the answer is to be in the row format


class Servable:
    """One loaded version of a SavedModel."""

    _signatures: Mapping[str, Signature] | None  # None once it is unloaded

    def __init__(self, name: str, folder: Path, *, at_once: bool = False) -> None:
        """Load the model; ``at_once`` asks for an answer as soon as possible, if need be by a provisional engine."""
        self.name = name
        self.version = str(int(folder.name))  # without leading zeros
        self.folder = folder
        self._hold(open_engine(self.folder, at_once=at_once))

    def successor(self) -> "Servable":
        """Return the same model with the engine that is faster than its provisional one; itself if there is none.

        The caller unloads this one if it got another.
        """
        engine = succeed(self.engine, self.folder)
        if engine is self.engine:
            return self
        other = copy.copy(self)
        other._hold(engine)
        return other

    @property
    def specifications(self) -> dict[str, Mapping[str, tf.TensorSpec]]:
        """The inputs of every signature that has any."""
        forms = {name: signature.specifications for name, signature in (self._signatures or {}).items()}
        return {name: form for name, form in forms.items() if form}

    def predict(self, body: bytes) -> bytes:
        """Answer a predict request in TensorFlow Serving's row or column format by JSON text in the same format.

        Raises:
            RequestError: If the request does not fit the signature, or the model fails on its content.
            UnloadedError: If the model is no longer loaded.
        """
        return self.answer(self.read(body))

    def read(self, body: bytes) -> Request:
        """Read a predict request; the arguments and errors are those of ``predict``."""
        document = predict_requests.read_quickly(body)
        if document is not None:
            with contextlib.suppress(RequestError):  # what is wrong, the exact reader tells
                return self._request(document, exact=False)
        return self._request(predict_requests.read_exactly(body), exact=True)

    def _request(self, document: Mapping[str, Any], *, exact: bool) -> Request:
        name = predict_requests.read_signature_name(document)
        signature = self._signature(name, missing='Serving signature name: "{}" not found in signature def')
        if not signature.specifications:
            raise RequestError(f"Failed to get input map for signature: {name or 'DEFAULT'}")
        arguments, rows = predict_requests.read_inputs(document, signature.specifications, exact=exact)
        return Request(name or DEFAULT_SIGNATURE, signature, arguments, rows)

    def answer(self, request: Request) -> bytes:
        """Compute the answer to a request; the result and errors are those of ``predict``."""
        outputs = _call(request.signature, request.arguments)
        return predict_responses.write_response(outputs, rows=request.rows)

    def answer_examples(self, body: bytes, method: str) -> bytes:
        """Answer a request for ``classify`` or ``regress``; the errors are those of ``predict``."""
        name, serialized = examples.read_request(body)
        signature = self._signature(name, missing="No signature was found with the name: {}")
        examples.check_signature(signature, method)
        return examples.write_results(_call(signature, {"inputs": serialized}), method, len(serialized))

    def _signature(self, name: str, *, missing: str) -> Signature:
        signatures = self._signatures
        if signatures is None:
            raise UnloadedError(self.name)
        signature = signatures.get(name or DEFAULT_SIGNATURE)
        if signature is None:
            known = ", ".join(sorted(signatures)) or "none"
            raise RequestError(f"{missing.format(name or DEFAULT_SIGNATURE)}. The model has: {known}.")
        return signature

    def unload(self) -> None:
        """Release the model's memory; it cannot be used afterwards."""
        self._signatures = None
        self.engine.close()

    def _hold(self, engine: Engine) -> None:
        self.engine = engine
        self._signatures = engine.signatures


def _call(signature: Signature, inputs: Arrays) -> Arrays:
    try:
        return signature.call(inputs)
    except tf.errors.OpError as error:
        raise RequestError(error.message, status=_STATUSES.get(error.error_code, 500)) from error
