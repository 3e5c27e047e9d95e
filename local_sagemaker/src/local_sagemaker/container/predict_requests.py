"""Predict requests: JSON to the tensors of a signature, as TensorFlow Serving's REST API reads them.

See "RESTful API" in the TensorFlow Serving documentation: the row format (``instances``) and the column format
(``inputs``). What is refused there is refused here, with the same sentence (see ``json_tensor.cc`` there).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import tensorflow as tf

from local_sagemaker.container import json_reader, number_lists
from local_sagemaker.container.json_quotes import quote
from local_sagemaker.container.number_lists import NumberList
from local_sagemaker.container.tensors import Column, RequestError, fast_array, is_binary, to_array

Specifications = Mapping[str, tf.TensorSpec]
DEFAULT_SIGNATURE = "serving_default"


def read_quickly(body: bytes) -> dict[str, Any] | None:
    """Read the JSON object of a request with a faster reader than ``read_exactly``; None if it may read otherwise.

    Returns:
        The object, in which a ``NumberList`` stands for the one list of a request that holds nothing but numbers.
    """
    numbers: dict[str, Any] | None = number_lists.read(body)
    if numbers is not None:
        return numbers
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    # Of equal keys orjson keeps the last; then there are more colons than members.
    is_sure = isinstance(document, dict) and _count_members(document) == body.count(b":")
    return document if is_sure else None


def read_exactly(body: bytes) -> dict[str, Any]:
    """Read the JSON object of a request value by value; a ``RequestError`` tells that the body is none."""
    if not body:
        raise RequestError("JSON Parse error: The document is empty")
    try:
        document = json_reader.read(body)
    except json_reader.JsonError as error:
        raise RequestError(f"JSON Parse error: {error}") from error
    except RecursionError:
        raise RequestError("JSON Parse error: it is nested too deeply.") from None
    if not isinstance(document, dict):
        raise RequestError(f"JSON Value: {quote(document)} Is not object")
    return document


def read_signature_name(document: Mapping[str, Any]) -> str:
    """Return the name of the signature that a request is for, empty for the default; no text is a ``RequestError``."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise RequestError(
            f"JSON Value: {quote(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def read_inputs(
    document: Mapping[str, Any], specifications: Specifications, *, exact: bool
) -> tuple[dict[str, np.ndarray], bool]:
    """Read the inputs of a predict request.

    Return the arrays by name, of the dtypes of the signature, and whether the request uses the row format. Unless
    ``read_exactly`` read the request, float64 is rounded otherwise.

    Raises:
        RequestError: If the request does not fit the signature.
    """
    dtypes = {name: specifications[name].dtype for name in sorted(specifications)}
    if not exact and tf.float64 in dtypes.values():
        raise RequestError("The exact reader decides.")
    if "instances" not in document:
        if "inputs" not in document:
            raise RequestError("Missing 'inputs' or 'instances' key")
        return _from_columns(document["inputs"], dtypes), False
    if "inputs" in document:
        raise RequestError(
            f"JSON Value: {quote(document)} Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist "
        )
    rows = document["instances"]
    if not isinstance(rows, list | NumberList):
        raise RequestError(f"JSON Value: {quote(document)} Expecting 'instances' to be an list/array")
    if not rows:
        raise RequestError(f"JSON Value: {quote(document)} No values in 'instances' array")
    return _from_rows(rows, dtypes), True


def _from_rows(rows: Any, dtypes: Mapping[str, tf.DType]) -> dict[str, np.ndarray]:
    first = next(iter(dtypes))
    if isinstance(rows, NumberList) or not isinstance(rows[0], dict):
        if len(dtypes) > 1:
            raise RequestError(
                "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
                "tensorinfo_map"
            )
        array = fast_array(rows, dtypes[first])
        if array is not None:
            return {first: array}
        if isinstance(rows, NumberList):
            raise RequestError("The exact reader decides.")
    are_named = _is_named(rows[0])
    if are_named and all(type(row) is dict and row.keys() == dtypes.keys() for row in rows):
        arrays = {name: fast_array([row[name] for row in rows], dtype) for name, dtype in dtypes.items()}
        if all(array is not None for array in arrays.values()):
            return arrays  # type: ignore[return-value]
    columns = {name: Column(dtype) for name, dtype in dtypes.items()}
    for index, row in enumerate(rows):
        if _is_named(row) != are_named:
            found = "object but got list" if are_named else "value/list but got object"
            raise RequestError(f"Expecting {found} at item {index} of input list")
        for name, value in row.items() if are_named else [(first, row)]:
            try:
                if name not in columns:
                    raise RequestError(f"JSON object: does not have named input: {name}")
                columns[name].add(value)
            except RequestError as error:
                key = f" key: {name}" if are_named else ""
                code = "UNIMPLEMENTED" if error.status == 501 else "INVALID_ARGUMENT"
                raise RequestError(
                    f"Failed to process element: {index}{key} of 'instances' list. Error: {code}: {error}"
                ) from error
        if are_named and row.keys() != columns.keys():
            raise RequestError(
                f"Failed to process element: {index} of 'instances' list. JSON object: {quote(row)} keys must be equal "
                f"to: {','.join(columns)}"
            )
    given = columns if are_named else [first]
    missing = [name for name in dtypes if name not in given]
    if missing:
        raise RequestError(
            f"input size does not match signature: {len(given)}!={len(dtypes)} len({{{first}}}) != "
            f"len({{{','.join(dtypes)}}}). Sent extra: {{}}. Missing but required: {{{','.join(missing)}}}."
        )
    return {name: columns[name].to_array(len(rows)) for name in given}


def _from_columns(value: Any, dtypes: Mapping[str, tf.DType]) -> dict[str, np.ndarray]:
    if _is_named(value):
        for name in dtypes:
            if name not in value:
                raise RequestError(f"Missing named input: {name} in 'inputs' object.")
        return {name: to_array(value[name], dtype) for name, dtype in dtypes.items()}
    if len(dtypes) > 1:
        raise RequestError(
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map"
        )
    return {name: to_array(value, dtype) for name, dtype in dtypes.items()}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_binary(value)


def _count_members(value: Any) -> int:
    """Return how many members the objects of a document have, without a look into lists that begin with no object."""
    if isinstance(value, dict):
        return len(value) + sum(map(_count_members, value.values()))
    first = value
    while isinstance(first, list) and first:
        first = first[0]
    return sum(map(_count_members, value)) if isinstance(first, dict) and value is not first else 0
