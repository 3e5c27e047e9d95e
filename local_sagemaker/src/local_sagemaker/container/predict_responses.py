"""Predict responses: output tensors to JSON, as TensorFlow Serving's REST API writes them.

See "RESTful API" in the TensorFlow Serving documentation: ``predictions`` for the row format, ``outputs`` for the
column format. The rules:

1. A float32 has six digits, or nine if it does not come back equal from six.
2. Numbers that are not finite are ``NaN``, ``Infinity`` and ``-Infinity``.
3. half, bfloat16, uint16 and complex numbers cannot be written.
4. Strings whose output has a name that ends in ``_bytes`` are ``{"b64": …}``. Others must be UTF-8: TensorFlow Serving
   would send bytes that no client can read.
5. In the row format, every output has a first dimension, and all have the same.
"""

import base64
import ctypes
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import tensorflow as tf

from local_sagemaker.container.tensors import RequestError, type_name

_USUAL_EXPONENT = 13  # nine digits of such a number, and the power of ten that shifts them, are exact as float64
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_FEW = 32  # numbers are not worth NumPy's calls
_POWERS = 10.0 ** np.arange(23)


def write_response(outputs: Mapping[str, np.ndarray], *, rows: bool) -> bytes:
    """Write a predict response: one named output loses its name, several become objects.

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
    values = {name: plain(array, name, by_row=by_row) for name, array in outputs.items()}
    if single:
        (result,) = values.values()
    elif rows:
        result = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    else:
        result = values
    return orjson.dumps({"predictions" if rows else "outputs": result}, option=orjson.OPT_SERIALIZE_NUMPY)


def _check_batch(outputs: Mapping[str, np.ndarray]) -> None:
    expected = None
    way_out = "Use the column format ('inputs') for this model."
    for name, array in outputs.items():
        if array.ndim == 0:
            raise RequestError(f"Tensor name: {name} has no shape information . {way_out}")
        if len(array) == 0:
            raise RequestError(f"Tensor name: {name} has invalid batch size: 0. {way_out}")
        if expected not in (None, len(array)):
            raise RequestError(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {expected}. {way_out}"
            )
        expected = len(array)


def plain(array: np.ndarray, name: str, *, by_row: bool) -> Any:
    """Return an output as orjson can write it: whole, or as a sequence of its rows.

    Strings of an output whose name ends in ``_bytes`` are ``{"b64": …}``.

    Raises:
        RequestError: If JSON cannot hold it.
    """
    if array.dtype == object:
        return _text(array.tolist(), encoded=name.endswith("_bytes"))
    if (array.dtype.kind in "iub" and array.dtype != np.uint16) or array.size == 0:
        return array.tolist()
    if array.dtype not in _FLOATS:
        dtype = tf.as_dtype(array.dtype)
        advice = " Make the model's last layer one of float32 (dtype='float32')." if dtype.is_floating else ""
        raise RequestError(f"Failed to write JSON value for tensor type: {type_name(dtype)}.{advice}")
    finite = np.isfinite(array).all()
    if array.dtype == np.float32:
        array = _shortened(array)
    if finite:
        return np.ascontiguousarray(array) if array.ndim else array[()]
    return [_with_constants(row) for row in array] if by_row else _with_constants(array)


def _shortened(array: np.ndarray) -> np.ndarray:
    """Return float64 numbers whose shortest texts are those of TensorFlow Serving for these float32 numbers."""
    if array.size <= _FEW:
        return np.array([_shorten(value) for value in array.ravel().tolist()]).reshape(array.shape)
    with np.errstate(all="ignore"):
        wide = array.astype(np.float64)
        exponents = np.floor(np.log10(np.abs(wide)))
        usual = (np.abs(exponents) <= _USUAL_EXPONENT) | (wide == 0)
        exponents = np.where(usual & (wide != 0), exponents, 0).astype(np.int64)
        short = _round(wide, 5 - exponents)
        found = np.where(short.astype(np.float32) == array, short, _round(wide, 8 - exponents))
        if not usual.all():
            unusual = ~usual
            found[unusual] = [_shorten(value) for value in array[unusual].tolist()]
    return found


def _round(wide: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Round to so many places; up to 22 of them, the result is the number nearest to the decimal one."""
    up, down = _POWERS[np.maximum(places, 0)], _POWERS[np.maximum(-places, 0)]
    return np.asarray(np.rint(wide * up / down) * down / up)


def _shorten(value: float) -> float:
    short = float(f"{value:.6g}")
    return short if ctypes.c_float(short).value == value else float(f"{value:.9g}")


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
