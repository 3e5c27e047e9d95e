"""Predict responses: output tensors to JSON, as TensorFlow Serving's REST API writes them.

See "RESTful API" in the TensorFlow Serving documentation: ``predictions`` for the row format, ``outputs`` for the
column format.
"""

import base64
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from local_sagemaker.container.tensors import RequestError


def write_response(outputs: Mapping[str, np.ndarray], *, rows: bool) -> bytes:
    """Write a predict response: one named output loses its name, several become objects.

    Args:
        outputs: Output arrays by name.
        rows: Whether to use the row format; all outputs then share their first dimension.

    Returns:
        JSON text, in which numbers that are not finite are ``NaN``, ``Infinity`` and ``-Infinity``.

    Raises:
        RequestError: If JSON cannot hold the outputs, or the row format is asked for and the outputs have no common
            batch size.
    """
    if not outputs:
        raise RequestError("Cannot convert empty tensor map to JSON")
    if rows:
        _check_batch(outputs)
    single = len(outputs) == 1
    by_row = rows and not single
    values = {name: _plain(array, name, by_row=by_row) for name, array in outputs.items()}
    if single:
        (result,) = values.values()
    elif rows:
        result = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    else:
        result = values
    return orjson.dumps({"predictions" if rows else "outputs": result}, option=orjson.OPT_SERIALIZE_NUMPY)


def _check_batch(outputs: Mapping[str, np.ndarray]) -> None:
    expected = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise RequestError(
                f"Tensor name: {name} has no shape information. Use the column format ('inputs') for this model."
            )
        if expected not in (None, len(array)):
            raise RequestError(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {expected}. "
                "Use the column format ('inputs') for this model."
            )
        expected = len(array)


def _plain(array: np.ndarray, name: str, *, by_row: bool) -> Any:
    """Return what orjson can write, as a sequence of rows if asked to."""
    if array.dtype == object:
        return _text(array.tolist(), encoded=name.endswith("_bytes"))
    if array.dtype.kind in "iub":
        return array.tolist()
    if array.dtype.kind == "c" or (array.dtype.kind == "V" and array.dtype.name != "bfloat16"):
        raise RequestError(f"Failed to write JSON value for tensor type: {array.dtype.name}")
    if array.dtype.itemsize < 4:  # half precision
        array = array.astype(np.float32)
    if np.isfinite(array).all():
        return np.ascontiguousarray(array) if array.ndim else array[()]
    return [_with_constants(row) for row in array] if by_row else _with_constants(array)


def _with_constants(array: np.ndarray) -> orjson.Fragment:
    """Write numbers of which some are not finite: orjson writes ``null`` for each of those, and nothing else."""
    written = orjson.dumps(np.ascontiguousarray(array) if array.ndim else array[()], option=orjson.OPT_SERIALIZE_NUMPY)
    missing = iter(array[~np.isfinite(array)].tolist())
    return orjson.Fragment(re.sub(rb"null", lambda _: _constant(next(missing)), written))


def _constant(value: float) -> bytes:
    return b"NaN" if math.isnan(value) else b"Infinity" if value > 0 else b"-Infinity"


def _text(value: Any, *, encoded: bool) -> Any:
    """Return strings as text, or in base64 where the output's name ends in ``_bytes``."""
    if isinstance(value, list):
        return [_text(item, encoded=encoded) for item in value]
    if encoded:
        return {"b64": base64.b64encode(value).decode()}
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError("An output holds bytes that are no text; its name must end in '_bytes'.") from error
