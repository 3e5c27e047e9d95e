"""Predict requests: JSON to the tensors of a signature, as TensorFlow Serving's REST API reads them.

See "RESTful API" in the TensorFlow Serving documentation: the row format (``instances``) and the column format
(``inputs``). What is refused there is refused here, with the same sentence (see ``json_tensor.cc`` there).
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import tensorflow as tf

from local_sagemaker.container import number_lists
from local_sagemaker.container.number_lists import NumberList
from local_sagemaker.container.tensors import RequestError, is_binary, quote, to_array

Specifications = Mapping[str, tf.TensorSpec]
DEFAULT_SIGNATURE = "serving_default"


def read_document(body: bytes) -> dict[str, Any]:
    """Read the JSON object of a request; ``NaN``, ``Infinity`` and ``-Infinity`` are numbers in it.

    Returns:
        The object, in which a ``NumberList`` stands for the one list of a request that holds nothing but numbers.

    Raises:
        RequestError: If the body is no JSON object.
    """
    if not body:
        raise RequestError("JSON Parse error: The document is empty")
    numbers: dict[str, Any] | None = number_lists.read(body)
    if numbers is not None:
        return numbers
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" not in body and b"Infinity" not in body:
            raise RequestError(f"JSON Parse error: {error}") from error
        document = _read_with_constants(body)
    if not isinstance(document, dict):
        raise RequestError(f"JSON Value: {quote(document)} Is not object")
    return document


def read_signature_name(document: Mapping[str, Any]) -> str:
    """Return the name of the signature that a request is for.

    Raises:
        RequestError: If it is no string.
    """
    name = document.get("signature_name", DEFAULT_SIGNATURE)
    if not isinstance(name, str):
        raise RequestError(
            f"JSON Value: {quote(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name or DEFAULT_SIGNATURE


def read_inputs(document: Mapping[str, Any], specifications: Specifications) -> tuple[dict[str, np.ndarray], bool]:
    """Read the inputs of a predict request.

    Args:
        document: The request.
        specifications: dtype and shape of every input of the signature, by name; at least one.

    Returns:
        The arrays by name, of the dtypes of the signature, and whether the request uses the row format.

    Raises:
        RequestError: If the request does not fit the signature.
    """
    if "instances" in document:
        if "inputs" in document:
            raise RequestError(
                f"JSON Value: {quote(document)} Not formatted correctly expecting only one of 'inputs' or "
                "'instances' keys to exist "
            )
        return _from_rows(document["instances"], specifications), True
    if "inputs" not in document:
        raise RequestError("Missing 'inputs' or 'instances' key")
    return _from_columns(document["inputs"], specifications), False


def _read_with_constants(body: bytes) -> Any:
    def number(text: str) -> float:
        value = float(text)
        if math.isinf(value):
            raise ValueError(f"number {text[:40]} is too big to be stored in double")
        return value

    try:
        return json.loads(body.decode(), parse_float=number)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"JSON Parse error: {error}") from error


def _from_rows(rows: Any, specifications: Specifications) -> dict[str, np.ndarray]:
    if not isinstance(rows, list | NumberList):
        raise RequestError(f"JSON Value: {quote(rows)} Excepting 'instances' to be an list/array")
    if not rows:
        raise RequestError("JSON Value: [] No values in 'instances' array")
    if isinstance(rows, NumberList) or not _is_named(rows[0]):
        if len(specifications) > 1:
            raise RequestError(
                "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
                f"tensorinfo_map: {', '.join(sorted(specifications))}"
            )
        for index, row in enumerate(rows if isinstance(rows, list) else ()):
            if _is_named(row):
                raise RequestError(f"Expecting value/list but got object at item {index} of input list")
        ((name, specification),) = specifications.items()
        return {name: to_array(rows, specification, name, rows=True)}
    for index, row in enumerate(rows):
        _check_names(index, row, specifications)
    return {
        name: to_array([row[name] for row in rows], specification, name, rows=True)
        for name, specification in specifications.items()
    }


def _check_names(index: int, row: Any, specifications: Specifications) -> None:
    if not _is_named(row):
        raise RequestError(f"Expecting object but got list at item {index} of input list")
    for name in row.keys() - specifications.keys():
        raise RequestError(
            f"Failed to process element: {index} key: {name} of 'instances' list. Error: INVALID_ARGUMENT: "
            f"JSON object: does not have named input: {name}"
        )
    if row.keys() != specifications.keys():
        raise RequestError(
            f"Failed to process element: {index} of 'instances' list. JSON object: {quote(row)} keys must be equal "
            f"to: {','.join(sorted(specifications))}"
        )


def _from_columns(value: Any, specifications: Specifications) -> dict[str, np.ndarray]:
    if not _is_named(value):
        if len(specifications) > 1:
            raise RequestError(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                f"tensorinfo_map: {', '.join(sorted(specifications))}"
            )
        ((name, specification),) = specifications.items()
        return {name: to_array(value, specification, name)}
    for name in sorted(specifications.keys() - value.keys()):
        raise RequestError(f"Missing named input: {name} in 'inputs' object.")
    return {name: to_array(value[name], specification, name) for name, specification in specifications.items()}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_binary(value)
