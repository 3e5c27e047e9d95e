"""Nested JSON lists to the arrays a model takes, as TensorFlow Serving reads them (see ``json_tensor.cc`` there)."""

import base64
import binascii
import json
import math
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import tensorflow as tf

from local_sagemaker.container.number_lists import NumberList

_MAX_DEPTH = 64  # of NumPy; the operations of TensorFlow take far less
_MAX_QUOTED = 256  # characters of a refused value that a message repeats
# Up to here every integer has a value of its own. TensorFlow Serving refuses larger ones; half types have no rule.
_EXACT_INTEGERS = {tf.float32: 2**24 - 1, tf.float64: 2**53 - 1}
_KINDS = {dict: "Object", str: "String", int: "Number", float: "Number"}


class RequestError(ValueError):
    """The request cannot be answered; the message tells why.

    Attributes:
        status: HTTP status of the answer.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        """Create the error."""
        super().__init__(message)
        self.status = status


def to_array(value: Any, specification: tf.TensorSpec, name: str, *, rows: bool = False) -> np.ndarray:
    """Turn nested lists into an array of the dtype the model wants, of bytes objects for strings.

    Args:
        value: Nested lists of numbers, booleans, strings or ``{"b64": …}`` objects.
        specification: dtype and shape the model wants.
        name: Name of the input, for messages.
        rows: Whether the outermost list holds the instances of the row format.

    Raises:
        RequestError: If the lists are ragged, of another type, or of another shape.
    """
    dtype = specification.dtype
    array = None
    if isinstance(value, NumberList):
        array = _from_numbers(value, dtype)
        value = value.to_list() if array is None else value
    if array is None:
        shape = _shape(value)
        array = None if dtype == tf.string else _fast_array(value, dtype, len(shape))
    if array is None:
        leaves = _row_leaves(value, dtype) if rows else _leaves(value, shape, dtype)
        array = np.array(leaves, dtype=object if dtype == tf.string else dtype.as_numpy_dtype).reshape(shape)
    if not specification.shape.is_compatible_with(array.shape):
        wanted = [None if size is None else int(size) for size in specification.shape]
        raise RequestError(f"Input '{name}' has shape {list(array.shape)}, but the model wants {wanted}.")
    return array


def is_binary(value: Any) -> bool:
    """Return whether a value is ``{"b64": …}``."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _shape(value: Any) -> tuple[int, ...]:
    """Return the shape that the first element of every list tells."""
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > _MAX_DEPTH:
            raise RequestError(f"Lists are nested deeper than {_MAX_DEPTH} levels.")
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _fast_array(value: Any, dtype: tf.DType, rank: int) -> np.ndarray | None:
    """Return the array, or None if only a look at every single value can tell whether it fits."""
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        return None
    kinds = "fiu" if dtype.is_floating else "iu" if dtype.is_integer else "b" if dtype.is_bool else ""
    if array.dtype.kind not in kinds or array.ndim != rank or array.size == 0:
        return None
    if dtype.is_bool:
        return array
    if bool in set(map(type, _flat(value, rank))):  # which NumPy takes for a number, and JSON does not
        return None
    return _cast(array, dtype)


def _from_numbers(numbers: NumberList, dtype: tf.DType) -> np.ndarray | None:
    """Return the array, or None if only a look at every single value can tell whether it fits."""
    array = numbers.array
    exact = dtype.is_integer and numbers.integers and np.abs(array).max() <= _EXACT_INTEGERS[tf.float64]
    return _cast(array, dtype) if exact or dtype in _EXACT_INTEGERS else None


def _cast(array: np.ndarray, dtype: tf.DType) -> np.ndarray | None:
    """Return numbers in another dtype, or None if one may be too large for it."""
    if dtype.is_integer:
        fits = array.min() >= dtype.min and array.max() <= dtype.max
    else:
        # Of Python's floats, as the absolute value of the least int64 is negative; false for NaN and infinities.
        fits = max(-float(array.min()), float(array.max())) <= _exact_integers(dtype)
    return array.astype(dtype.as_numpy_dtype) if fits else None


def _flat(value: Any, rank: int) -> Iterable[Any]:
    if rank == 0:
        return [value]
    values: Iterable[Any] = value
    for _ in range(rank - 1):
        values = chain.from_iterable(values)
    return values


def _row_leaves(rows: list[Any], dtype: tf.DType) -> list[Any]:
    """Return the values of all instances, which must have one shape."""
    leaves: list[Any] = []
    first = _shape(rows[0])
    for index, row in enumerate(rows):
        shape = _shape(row)
        try:
            values = _leaves(row, shape, dtype)
            if len(values) != math.prod(first):
                raise RequestError(f"Expecting tensor size: {math.prod(first)} but got: {len(values)}")
            if shape != first:
                raise RequestError(f"Expecting shape {_write_shape(first)} but got: {_write_shape(shape)}")
        except RequestError as error:
            message = f"Failed to process element: {index} of 'instances' list. Error: INVALID_ARGUMENT: {error}"
            raise RequestError(message, status=error.status) from error
        leaves += values
    return leaves


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
    if dtype == tf.string:
        if kind is str:
            return value.encode("utf-8", "surrogatepass")
        if kind is dict:
            return _decode(value)
    elif dtype.is_bool:
        if kind is bool:
            return value
    elif dtype.is_integer:
        if kind is int and dtype.min <= value <= dtype.max:
            return value
    elif dtype.is_floating:
        if kind is int or kind is float:
            too_large = abs(value) > _exact_integers(dtype) if kind is int else _overflows(value, dtype)
            if too_large and (kind is int or math.isfinite(value)):
                message = f"Cannot convert JSON value: {quote(value)} to {dtype.name} without loss of precision."
                raise RequestError(message)
            return float(value)  # bfloat16 does not take Python's integers of more than 63 bits
    else:
        raise RequestError(f"Conversion of JSON Value: {quote(value)} to type: {dtype.name}", status=501)
    written = str(value) if kind is bool else _KINDS.get(kind, "Null")
    raise RequestError(f"JSON Value: {quote(value)} Type: {written} is not of expected type: {dtype.name}")


def _exact_integers(dtype: tf.DType) -> float:
    return _EXACT_INTEGERS.get(dtype, float(dtype.max))


def _overflows(value: float, dtype: tf.DType) -> bool:
    """Tell whether a number rounds to infinity, which the shortest text of the largest float32 does not."""
    with np.errstate(over="ignore"):
        return abs(value) > float(dtype.max) and not np.isfinite(dtype.as_numpy_dtype(value))


def _decode(value: dict[str, Any]) -> bytes:
    if not is_binary(value):
        raise RequestError(f"JSON Value: {quote(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split())  # as TensorFlow Serving does: white space and missing padding are no harm
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError("Unable to base64 decode") from error


def _write_shape(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def quote(value: Any) -> str:
    """Return a value as JSON text for a message, cut where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "…"
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…"
