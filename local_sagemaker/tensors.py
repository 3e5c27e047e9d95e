"""JSON to tensors and back, as TensorFlow Serving's REST API reads and writes them.

See "RESTful API" in the TensorFlow Serving documentation: the row format (``instances`` and ``predictions``), the
column format (``inputs`` and ``outputs``), and ``{"b64": …}`` for binary values.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import tensorflow as tf


class RequestError(ValueError):
    """The request does not fit the model; the message tells why."""


def read_request(body: bytes) -> tuple[str, dict[str, Any] | None, Any, bool]:
    """Read a predict request.

    Args:
        body: JSON text.

    Returns:
        Signature name; named inputs or None if there is a single unnamed one; that one's value; whether the row
        format is used.

    Raises:
        RequestError: If the request is no JSON, or not of TensorFlow Serving's form.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise RequestError("Request must be a JSON object with 'instances' or 'inputs'.")
    signature = document.get("signature_name", "serving_default")
    if not isinstance(signature, str):
        raise RequestError("'signature_name' must be a string.")
    if ("instances" in document) == ("inputs" in document):
        raise RequestError("Request must have exactly one of 'instances' (row format) or 'inputs' (column format).")
    if "inputs" in document:
        value = document["inputs"]
        named = isinstance(value, dict) and value.keys() != {"b64"}
        return signature, value if named else None, None if named else value, False
    rows = document["instances"]
    if not isinstance(rows, list) or not rows:
        raise RequestError("'instances' must be a list with at least one instance.")
    if isinstance(rows[0], dict) and rows[0].keys() != {"b64"}:
        if any(not isinstance(row, dict) or row.keys() != rows[0].keys() for row in rows):
            raise RequestError("Every instance must be an object with the same keys.")
        return signature, {name: [row[name] for row in rows] for name in rows[0]}, None, True
    return signature, None, rows, True


def to_tensor(value: Any, specification: tf.TensorSpec, name: str) -> tf.Tensor:
    """Turn nested lists into a tensor.

    Args:
        value: Nested lists of numbers, booleans, strings or ``{"b64": …}`` objects.
        specification: dtype and shape the model wants.
        name: Name of the input, for messages.

    Raises:
        RequestError: If the lists are ragged, of another type, or of another shape.
    """
    dtype = specification.dtype
    try:
        array = np.asarray(_binary(value) if dtype == tf.string else value)
    except RequestError:
        raise
    except (ValueError, RecursionError) as error:
        raise RequestError(
            f"Input '{name}' is ragged or too deep: every list at one depth must have the same length."
        ) from error
    _check_type(array, dtype, name)
    if not specification.shape.is_compatible_with(array.shape):
        wanted = [None if size is None else int(size) for size in specification.shape]
        raise RequestError(f"Input '{name}' has shape {list(array.shape)}, but the model wants {wanted}.")
    return tf.constant(array if dtype == tf.string else array.astype(dtype.as_numpy_dtype), dtype=dtype)


def _check_type(array: np.ndarray, dtype: tf.DType, name: str) -> None:
    kinds = "fiu" if dtype.is_floating or dtype.is_complex else "iu" if dtype.is_integer else "b"
    if dtype == tf.string:
        fits = all(isinstance(item, str | bytes) for item in array.ravel().tolist())
    else:
        fits = array.dtype.kind in kinds
    if not fits:
        raise RequestError(f"Input '{name}' must hold values of type {dtype.name}.")
    if dtype.is_integer and array.size and (array.min() < dtype.min or array.max() > dtype.max):
        raise RequestError(f"Input '{name}' holds a value outside the range of {dtype.name}.")


def _binary(value: Any) -> Any:
    if isinstance(value, list):
        return np.array([_binary(item) for item in value], dtype=object)
    if isinstance(value, dict):
        if value.keys() != {"b64"} or not isinstance(value["b64"], str):
            raise RequestError('A binary value must be written as {"b64": "…"}.')
        try:
            return base64.b64decode(value["b64"], validate=True)
        except binascii.Error as error:
            raise RequestError(f"A binary value is not valid base64: {error}") from error
    return value


def write_response(outputs: Mapping[str, np.ndarray], *, rows: bool) -> bytes:
    """Write a predict response: one named output loses its name, several become objects.

    Args:
        outputs: Output arrays by name.
        rows: Whether to use the row format; all outputs then share their first dimension.

    Raises:
        RequestError: If the row format is asked for and the outputs have no common batch size.
    """
    values = {name: _plain(array, name) for name, array in outputs.items()}
    if not rows:
        result = next(iter(values.values())) if len(values) == 1 else values
        return orjson.dumps({"outputs": result}, option=orjson.OPT_SERIALIZE_NUMPY)
    if any(array.ndim == 0 for array in outputs.values()) or len({len(array) for array in outputs.values()}) != 1:
        raise RequestError("The outputs have no common batch size. Use the column format ('inputs').")
    if len(values) == 1:
        result = next(iter(values.values()))
    else:
        result = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return orjson.dumps({"predictions": result}, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(array: np.ndarray, name: str) -> Any:
    """Return what orjson can write: strings as text, or base64 where the output's name ends in ``_bytes``."""
    if array.dtype == object:
        return _text(array.tolist(), encoded=name.endswith("_bytes"))
    if array.dtype.kind == "b":
        return array.tolist()
    if array.dtype.kind not in "fiu" or array.dtype.itemsize < 4:  # float16, bfloat16 and small integers
        return array.astype(np.float32 if array.dtype.kind not in "iu" else np.int64).tolist()
    return np.ascontiguousarray(array) if array.ndim else array.item()


def _text(value: Any, *, encoded: bool) -> Any:
    if isinstance(value, list):
        return [_text(item, encoded=encoded) for item in value]
    if encoded:
        return {"b64": base64.b64encode(value).decode()}
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError("An output holds bytes that are no text; its name must end in '_bytes'.") from error
