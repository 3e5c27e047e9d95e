"""Nested JSON lists to the arrays a model takes, as TensorFlow Serving 2.20 reads them (see ``json_tensor.cc`` there).

The rules:

1. Any number becomes a float, rounded: 16777217 is 16777216.0, and 1e39 infinity, in float32.
2. An integer must be written as one, and fit. TensorFlow Serving takes what fits into 32 bits for 8 and 16 bits, and
   keeps the last of them: 256 is 0. That is refused here.
3. half, bfloat16, uint16 and complex numbers cannot be sent as JSON.
4. The lists decide about the shape; the graph decides whether it takes that.
5. A string is text, or ``{"b64": …}`` with no other key: base64 of which padding may be absent, but not wrong.
"""

import base64
import contextlib
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import tensorflow as tf

from local_sagemaker import settings
from local_sagemaker.container import json_reader
from local_sagemaker.container.json_quotes import quote
from local_sagemaker.container.number_lists import NumberList

_FLOATS = {tf.float32, tf.float64}
_INTEGERS = {tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint32, tf.uint64}
_SENT = _FLOATS | _INTEGERS | {tf.bool, tf.string}  # as JSON, either way
_EXACT = 2**53  # below, every integer has a float64 of its own
_KINDS = {dict: "Object", json_reader.Members: "Object", list: "Array", str: "String", int: "Number", float: "Number"}
_NAMES = {tf.float16: "half", tf.float32: "float", tf.float64: "double"}
_SPACE = re.compile(r"[\t-\r ]+")


class RequestError(ValueError):
    """The request cannot be answered; the message tells why, and the status is that of the answer."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        """Create the error."""
        super().__init__(message)
        self.status = status


class Column:
    """One input of the row format, which gets its values row by row."""

    def __init__(self, dtype: tf.DType) -> None:
        """Create an empty column."""
        self._dtype = dtype
        self._leaves: list[Any] = []
        self._first: tuple[int, tuple[int, ...]] | None = None

    def add(self, value: Any) -> None:
        """Take the value of a row, or one more for a key that a row has twice.

        Raises:
            RequestError: If it does not fit, or is of another shape than the first.
        """
        shape = _shape(value)
        leaves = _leaves(value, shape, self._dtype)
        size, first = self._first = self._first or (len(leaves), shape)
        if len(leaves) != size:
            raise RequestError(f"Expecting tensor size: {size} but got: {len(leaves)}")
        if shape != first:
            raise RequestError(f"Expecting shape {_write_shape(first)} but got: {_write_shape(shape)}")
        self._leaves += leaves

    def to_array(self, rows: int) -> np.ndarray:
        """Return the column; of more values than there are rows, the first count, as in TensorFlow Serving."""
        assert self._first is not None, "there is a row, and each has a value"
        size, shape = self._first
        return _array(self._leaves[: rows * size], (rows, *shape), self._dtype)


def to_array(value: Any, dtype: tf.DType) -> np.ndarray:
    """Turn nested lists of JSON values into an array of a dtype, of bytes objects for strings.

    Raises:
        RequestError: If the lists are ragged, or their values do not fit.
    """
    array = fast_array(value, dtype)
    if array is not None:
        return array
    if isinstance(value, NumberList):
        raise RequestError("The exact reader decides.")
    shape = _shape(value)
    return _array(_leaves(value, shape, dtype), shape, dtype)


def fast_array(value: Any, dtype: tf.DType) -> np.ndarray | None:
    """Return the array, or None if only a look at every single value can tell whether it fits."""
    if isinstance(value, NumberList):
        _check_depth(value.array.ndim)
        exact = dtype in _INTEGERS and value.integers and np.abs(value.array).max() < _EXACT
        return _cast(value.array, dtype) if exact or dtype == tf.float32 else None
    if dtype not in _INTEGERS | {tf.bool, tf.float32}:  # a float64 depends on how rapidjson rounds
        return None
    rank = len(_shape(value))
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        return None
    kinds = "fiu" if dtype.is_floating else "iu" if dtype.is_integer else "b"
    if array.dtype.kind not in kinds or array.ndim != rank or array.size == 0:
        return None
    if dtype.is_bool:
        return array
    if bool in set(map(type, _flat(value, rank))):  # which NumPy takes for a number, and JSON does not
        return None
    return _cast(array, dtype)


def type_name(dtype: tf.DType) -> str:
    """Return the name of a type in TensorFlow Serving's texts."""
    return _NAMES.get(dtype) or str(dtype.name)


def kind_of(value: Any) -> str:
    """Return the name of a JSON value's kind in TensorFlow Serving's texts."""
    return str(value) if isinstance(value, bool) else _KINDS.get(type(value), "Null")


def is_binary(value: Any) -> bool:
    """Return whether a value is ``{"b64": …}``."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _shape(value: Any) -> tuple[int, ...]:
    """Return the shape that the first element of every list tells."""
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    _check_depth(len(shape))
    return tuple(shape)


def _check_depth(depth: int) -> None:
    most = settings.max_tensor_dimensions()
    if depth > most:
        raise RequestError(f"Lists are nested deeper than {most} levels (LOCAL_SAGEMAKER_MAX_TENSOR_DIMENSIONS).")


def _cast(array: np.ndarray, dtype: tf.DType) -> np.ndarray | None:
    """Return numbers in another dtype, or None if one is too large for it."""
    if dtype.is_integer and (array.min() < dtype.min or array.max() > dtype.max):
        return None
    with np.errstate(over="ignore"):
        return array.astype(dtype.as_numpy_dtype)


def _array(leaves: list[Any], shape: tuple[int, ...], dtype: tf.DType) -> np.ndarray:
    # By way of float64, as in TensorFlow Serving: an integer is rounded twice.
    first = object if dtype == tf.string else np.float64 if dtype.is_floating else dtype.as_numpy_dtype
    array = np.array(leaves, dtype=first).reshape(shape)
    with np.errstate(over="ignore"):
        return array.astype(np.float32) if dtype == tf.float32 else array


def _flat(value: Any, rank: int) -> Iterable[Any]:
    if rank == 0:
        return [value]
    values: Iterable[Any] = value
    for _ in range(rank - 1):
        values = chain.from_iterable(values)
    return values


def _leaves(value: Any, shape: tuple[int, ...], dtype: tf.DType, level: int = 0) -> list[Any]:
    """Return the values in nested lists, which must have the shape and fit the dtype."""
    if not isinstance(value, list):
        if level != len(shape):
            raise RequestError(
                f"JSON Value: {quote(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at "
                f"level: {len(shape)}"
            )
        return [_leaf(value, dtype)]
    if level >= len(shape):
        raise RequestError(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise RequestError(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    return [leaf for item in value for leaf in _leaves(item, shape, dtype, level + 1)]


def _leaf(value: Any, dtype: tf.DType) -> Any:
    """Return one value of a tensor, bytes for a string."""
    kind = type(value)
    if isinstance(value, dict):
        if dtype == tf.string:
            return decode(value)
    elif dtype not in _SENT:
        raise RequestError(f"Conversion of JSON Value: {quote(value)} to type: {type_name(dtype)}", status=501)
    elif dtype == tf.string:
        if kind is str:
            return value.encode("utf-8", "surrogateescape")
    elif dtype == tf.bool:
        if kind is bool:
            return value
    elif (kind is int and (dtype in _FLOATS or dtype.min <= value <= dtype.max)) or (
        kind is float and dtype in _FLOATS
    ):
        return value
    raise RequestError(f"JSON Value: {quote(value)} Type: {kind_of(value)} is not of expected type: {type_name(dtype)}")


def decode(value: dict[str, Any]) -> bytes:
    """Return the bytes of ``{"b64": …}``; a ``RequestError`` tells that it is of another form, or no base64."""
    if not is_binary(value):
        raise RequestError(f"JSON Value: {quote(value)} not formatted correctly for base64 data")
    text = value["b64"]
    found = _decode(text)
    if found is None:  # white space is rare, and a look for it takes longer than all else
        found = _decode(_SPACE.sub("", text))
    if found is None:
        raise RequestError("Unable to base64 decode")
    return found


def _decode(text: str) -> bytes | None:
    digits = text.rstrip("=.")
    wanted = -len(digits) % 4
    if len(text) - len(digits) in (0, wanted):
        with contextlib.suppress(ValueError):
            return base64.b64decode(digits + "=" * wanted, validate=True)
    return None


def _write_shape(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"
